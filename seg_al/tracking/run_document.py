"""Reads a run folder, with all its attempts, as one tracked run. All that Omniboard shows is computed from disk.

Live runs, later imports and comparisons with a database use this one reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from seg_al.recording.metric_declarations import NOTE, declared_in
from seg_al.recording.stages import finished
from seg_al.tracking.attempts import SACRED, attempts_of, is_running, read_object, time_of, time_written, uid_of
from seg_al.tracking.stopped import stop_of
from seg_al.tracking.storable import plain_values

OUTPUT_LIMIT = 4_000_000
"""Bytes of captured output that are kept: a run document holds 16 MB at most."""
SACRED_STATUS = {"failed": "FAILED", "interrupted": "INTERRUPTED", "awaiting": "AWAITING_ANNOTATION"}
"""Sacred's status of a run that Sacred has not seen, by how it stopped."""


@dataclass(frozen=True)
class MetricColumns:
    """One metric as columns of equal length: in the order of measuring, or sorted by step over several attempts."""

    steps: tuple[float, ...]
    values: tuple[float, ...]
    timestamps: tuple[datetime, ...]


@dataclass(frozen=True)
class TrackedRun:
    """All data of a run that a tracking database shows."""

    folder: Path
    uid: str
    entry: Mapping[str, Any]
    """The run document without its number, its artifacts and the list of its metrics."""
    curves: Mapping[str, MetricColumns]
    artifacts: Mapping[str, Path]

    @property
    def status(self) -> str:
        return str(self.entry["status"])

    @property
    def identity(self) -> str | None:
        """The hash of the settings that decide the numbers; None where the config has none."""
        found: str | None = self.entry["config"].get("identity")
        return found


def stored_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as it is stored: first-level keys stay first-level, since Omniboard makes columns of those only."""
    stored: dict[str, Any] = plain_values(config)
    if isinstance(stored.get("tags"), str):
        stored["tags"] = [stored["tags"]]  # Omniboard wants a list
    given = stored.get("seed", stored.get("run"))
    # Sacred needs a seed, invents one otherwise, and seeds the global generators, which nothing here draws from.
    stored["seed"] = given % 2**32 if isinstance(given, int) else 0
    return stored


def config_columns(config: Mapping[str, Any]) -> dict[str, Any]:
    """A folder's config.json, flat enough to be columns: the options' names, their details under <group>_options."""
    choices = config["choices"]
    inner = (*choices, "choices", "decides")
    options = {f"{group}_options": config[group] for group in choices if group != "tracking" and group in config}
    columns = {key: value for key, value in config.items() if key not in inner}
    return {"tags": [], **columns, **choices, **options, "seed": config["run"] % 2**32}


def capped(text: str) -> str:
    """The text with its middle left out beyond OUTPUT_LIMIT."""
    data = text.encode("utf-8", "replace")
    if len(data) > OUTPUT_LIMIT:
        half = OUTPUT_LIMIT // 2
        data = data[:half] + b"\n[... output left out here ...]\n" + data[-half:]
    return data.decode("utf-8", "ignore")


def read_tracked_run(folder: Path, *, live: bool = False) -> TrackedRun:
    """Reads the folder. `live`: the run's own process calls, which has written all into Sacred's files.

    Otherwise the rounds on disk are added, and a run that says RUNNING without a living process has DIED. Raises
    ValueError, naming the file, for what cannot be read.
    """
    try:
        return _read(folder, live)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder}: its files are not those of a run, or were changed ({type(error).__name__}: {error}); move the "
            f"folder away, or its {SACRED}/ where that alone was changed"
        ) from error


def _read(folder: Path, live: bool) -> TrackedRun:
    attempts = attempts_of(folder)
    runs = [read_object(attempt / "run.json") for attempt in attempts]  # first: files that it lists are complete then
    record = read_object(folder / "config.json") if (folder / "config.json").exists() else {}
    if not runs and "choices" not in record:
        raise ValueError(f"{folder} holds no run: neither {SACRED}/ nor a config.json of a run")
    parts = [_metric_columns(attempt / "metrics.json") for attempt in attempts]
    if not live and "choices" in record:
        parts.insert(0, _round_columns(folder, record))
    entry = _entry(folder, attempts, runs) if runs else _untracked_entry(folder, record)
    if not live:
        entry["status"] = _settled(entry["status"], folder, record)
    names = dict.fromkeys(name for part in parts for name in part)
    columns = {name: _merged([part[name] for part in parts if name in part]) for name in names}
    return TrackedRun(folder, uid_of(folder), entry, columns, _artifacts(folder, attempts, runs))


def _settled(status: str, folder: Path, record: Mapping[str, Any]) -> str:
    """The status of the run: a finished record is complete, however its last process ended."""
    if is_running(folder):
        return status
    if "rounds" in record and finished(folder, record["rounds"]):
        return "COMPLETED"
    return "DIED" if status == "RUNNING" else status


def _entry(folder: Path, attempts: Sequence[Path], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The newest attempt's document, with the info and the output of all attempts."""
    last = runs[-1]
    info: dict[str, Any] = {}
    for attempt in attempts:
        info |= read_object(attempt / "info.json") if (attempt / "info.json").exists() else {}
    listed = [
        {"number": int(attempt.name), **{key: run.get(key) for key in ("status", "start_time", "stop_time")}}
        for attempt, run in zip(attempts, runs, strict=True)
    ]
    keys = ("experiment", "command", "host", "status", "result", "fail_trace")
    times = {key: _time(last.get(key)) for key in ("heartbeat", "stop_time")}
    return {
        **{key: last.get(key) for key in keys},
        **times,
        "start_time": _time(runs[0]["start_time"]),
        "format": "MongoObserver-0.7.0",
        "config": read_object(attempts[-1] / "config.json"),
        "meta": {**last["meta"], "uid": uid_of(folder), "folder": str(folder.resolve())},
        "resources": [],
        "captured_out": _output(attempts),
        "info": {**info, "attempts": listed},
    }


def _untracked_entry(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """A document for a run without Sacred's files, from the other files of the folder."""
    config = stored_config(config_columns(record))
    files = [folder / "config.json", *sorted((folder / "rounds").glob("*/metrics.json"))]
    times = sorted(time_written(path) for path in files)
    log, stop = folder / "run.log", stop_of(folder)
    declared = declared_in(folder)
    metrics = {} if declared is None else {NOTE: [asdict(metric) for metric in declared]}
    return {
        "experiment": {"name": "seg_al", "sources": [], "dependencies": [], "repositories": [], "mainfile": None},
        "command": "run_main",
        "host": {},
        "status": SACRED_STATUS[stop.how] if stop else "RUNNING",
        "result": None,
        "fail_trace": stop.traceback.splitlines(keepends=True) if stop and stop.how == "failed" else None,
        "heartbeat": times[-1],
        "stop_time": times[-1],
        "start_time": times[0],
        "format": "MongoObserver-0.7.0",
        "config": config,
        "meta": {
            **({"comment": str(config["notes"])} if config.get("notes") else {}),
            "uid": uid_of(folder),
            "folder": str(folder.resolve()),
        },
        "resources": [],
        "captured_out": capped(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else "",
        "info": {"folder": str(folder.resolve()), "attempts": [], **metrics},
    }


def _metric_columns(path: Path) -> dict[str, MetricColumns]:
    if not path.exists():
        return {}
    return {
        name: MetricColumns(tuple(of["steps"]), tuple(of["values"]), tuple(map(time_of, of["timestamps"])))
        for name, of in read_object(path).items()
    }


def _round_columns(folder: Path, record: Mapping[str, Any]) -> dict[str, MetricColumns]:
    """The metrics that `Recorder` sends after each round, read again from the round's files."""
    from seg_al.recording.recorder import round_scalars  # draws figures, which costs seconds to import

    unit = record.get("cost", "images")
    points_of: dict[str, list[tuple[float, float, datetime]]] = {}
    for path in sorted((folder / "rounds").glob("*/metrics.json")):
        metrics = read_object(path)
        step = metrics["cost"][unit]
        whole = int(step) if float(step).is_integer() else float(step)
        for name, value in round_scalars(path.parent, metrics, record["choices"]["heuristic"], unit).items():
            points_of.setdefault(name, []).append((whole, float(value), time_written(path)))
    return {name: MetricColumns(*zip(*points, strict=True)) for name, points in points_of.items()}


def _merged(parts: Sequence[MetricColumns]) -> MetricColumns:
    """One metric of several attempts, oldest first; where two attempts have a step, the later one counts."""
    if len(parts) == 1:
        return parts[0]
    points: list[tuple[float, float, datetime]] = []
    known: set[float] = set()
    for part in reversed(parts):
        rows = zip(part.steps, part.values, part.timestamps, strict=True)
        new = [row for row in rows if row[0] not in known]
        points = [*new, *points]
        known |= {row[0] for row in new}
    points.sort(key=lambda row: row[0])
    return MetricColumns(*zip(*points, strict=True)) if points else MetricColumns((), (), ())


def _artifacts(folder: Path, attempts: Sequence[Path], runs: Sequence[Mapping[str, Any]]) -> dict[str, Path]:
    """The newest artifact of each name; the files of the rounds where Sacred kept none."""
    artifacts: dict[str, Path] = {}
    if not runs:
        from seg_al.recording.recorder import ROUND_FILES  # draws figures, which costs seconds to import

        rounds = sorted(path.parent for path in (folder / "rounds").glob("*/metrics.json"))
        artifacts |= {f"round_{of.name}_{name}": of / name for of in rounds for name in ROUND_FILES}
        if rounds:
            artifacts[f"round_{rounds[-1].name}_learning_curve.png"] = folder / "learning_curve.png"
        return {name: path for name, path in artifacts.items() if path.exists()}
    for attempt, run in zip(attempts, runs, strict=True):
        artifacts |= {name: attempt / name for name in run["artifacts"]}
    return artifacts


def _output(attempts: Sequence[Path]) -> str:
    """The output of all attempts, each under its number where there are several."""
    texts = []
    for attempt in attempts:
        path = attempt / "cout.txt"
        text = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        texts.append(f"--- attempt {attempt.name} ---\n{text}" if len(attempts) > 1 else text)
    return capped("".join(text if text.endswith("\n") or not text else text + "\n" for text in texts[:-1]) + texts[-1])


def _time(text: str | None) -> datetime | None:
    return time_of(text) if text else None
