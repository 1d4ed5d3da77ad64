"""A run folder as one tracked run, over all its attempts: what Omniboard shows of it is computed from disk alone.

The same reading feeds a live run's document, a later import, and the comparison of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from seg_al.recording.metric_declarations import NOTE, declared_in
from seg_al.recording.stages import finished
from seg_al.tracking.attempts import SACRED, attempts_of, is_running, moment_of, read_object, uid_of, written
from seg_al.tracking.backends import plain_values
from seg_al.tracking.stopped import stop_of

OUTPUT_LIMIT = 4_000_000
"""Bytes of captured output that are kept: a run document holds 16 MB at most."""
SACRED_STATUS = {"failed": "FAILED", "interrupted": "INTERRUPTED", "awaiting": "AWAITING_ANNOTATION"}
"""Sacred's status of a run that Sacred has not seen, by how it stopped."""


@dataclass(frozen=True)
class MetricColumns:
    """One metric: equally long columns in the order in which they were measured, or by step over several attempts."""

    steps: tuple[float, ...]
    values: tuple[float, ...]
    timestamps: tuple[datetime, ...]


@dataclass(frozen=True)
class TrackedRun:
    """All of a run that a tracking database shows."""

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
    """The config as it is stored: first-level keys stay first-level, as Omniboard makes columns of those alone."""
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


def tracked_run(folder: Path, *, live: bool = False) -> TrackedRun:
    """Reads the folder. `live`: its own process asks, which has said all in Sacred's files.

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
    places = attempts_of(folder)
    runs = [read_object(place / "run.json") for place in places]  # first: what it says to be complete is read after it
    record = read_object(folder / "config.json") if (folder / "config.json").exists() else {}
    if not runs and "choices" not in record:
        raise ValueError(f"{folder} holds no run: neither {SACRED}/ nor a config.json of a run")
    curves = [_curves(place / "metrics.json") for place in places]
    if not live and "choices" in record:
        curves.insert(0, _round_curves(folder, record))
    entry = _entry(folder, places, runs) if runs else _untracked_entry(folder, record)
    if not live:
        entry["status"] = _settled(entry["status"], folder, record)
    names = dict.fromkeys(name for one in curves for name in one)
    found = {name: _merged([one[name] for one in curves if name in one]) for name in names}
    return TrackedRun(folder, uid_of(folder), entry, found, _artifacts(folder, places, runs))


def _settled(status: str, folder: Path, record: Mapping[str, Any]) -> str:
    """What became of the run: a finished record is complete however its last process ended."""
    if is_running(folder):
        return status
    if "rounds" in record and finished(folder, record["rounds"]):
        return "COMPLETED"
    return "DIED" if status == "RUNNING" else status


def _entry(folder: Path, places: Sequence[Path], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The newest attempt's document with the info and the output of all."""
    last = runs[-1]
    info: dict[str, Any] = {}
    for place in places:
        info |= read_object(place / "info.json") if (place / "info.json").exists() else {}
    attempts = [
        {"number": int(place.name), **{key: run.get(key) for key in ("status", "start_time", "stop_time")}}
        for place, run in zip(places, runs, strict=True)
    ]
    keys = ("experiment", "command", "host", "status", "result", "fail_trace")
    times = {key: _time(last.get(key)) for key in ("heartbeat", "stop_time")}
    return {
        **{key: last.get(key) for key in keys},
        **times,
        "start_time": _time(runs[0]["start_time"]),
        "format": "MongoObserver-0.7.0",
        "config": read_object(places[-1] / "config.json"),
        "meta": {**last["meta"], "uid": uid_of(folder), "folder": str(folder.resolve())},
        "resources": [],
        "captured_out": _output(places),
        "info": {**info, "attempts": attempts},
    }


def _untracked_entry(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """A document for a run that Sacred has not seen, as far as the folder tells."""
    config = stored_config(config_columns(record))
    files = [folder / "config.json", *sorted((folder / "rounds").glob("*/metrics.json"))]
    times = sorted(written(path) for path in files)
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


def _curves(path: Path) -> dict[str, MetricColumns]:
    if not path.exists():
        return {}
    return {
        name: MetricColumns(tuple(one["steps"]), tuple(one["values"]), tuple(map(moment_of, one["timestamps"])))
        for name, one in read_object(path).items()
    }


def _round_curves(folder: Path, record: Mapping[str, Any]) -> dict[str, MetricColumns]:
    """What `Recorder` tells of each round, read again from the round's files."""
    from seg_al.recording.recorder import told  # draws figures, which costs seconds to import

    unit = record.get("cost", "images")
    found: dict[str, list[tuple[float, float, datetime]]] = {}
    for path in sorted((folder / "rounds").glob("*/metrics.json")):
        metrics = read_object(path)
        step = metrics["cost"][unit]
        whole = int(step) if float(step).is_integer() else float(step)
        for name, value in told(path.parent, metrics, record["choices"]["heuristic"], unit).items():
            found.setdefault(name, []).append((whole, float(value), written(path)))
    return {name: MetricColumns(*zip(*points, strict=True)) for name, points in found.items()}


def _merged(attempts: Sequence[MetricColumns]) -> MetricColumns:
    """One curve of several attempts, oldest first: at a step that a later attempt has told, the later one counts."""
    if len(attempts) == 1:
        return attempts[0]
    points: list[tuple[float, float, datetime]] = []
    told: set[float] = set()
    for one in reversed(attempts):
        rows = zip(one.steps, one.values, one.timestamps, strict=True)
        news = [row for row in rows if row[0] not in told]
        points = [*news, *points]
        told |= {row[0] for row in news}
    points.sort(key=lambda row: row[0])
    return MetricColumns(*zip(*points, strict=True)) if points else MetricColumns((), (), ())


def _artifacts(folder: Path, places: Sequence[Path], runs: Sequence[Mapping[str, Any]]) -> dict[str, Path]:
    """The newest file of each name; those of the rounds where Sacred has kept none."""
    found: dict[str, Path] = {}
    if not runs:
        from seg_al.recording.recorder import FILES  # draws figures, which costs seconds to import

        rounds = sorted(path.parent for path in (folder / "rounds").glob("*/metrics.json"))
        found |= {f"round_{one.name}_{name}": one / name for one in rounds for name in FILES}
        if rounds:
            found[f"round_{rounds[-1].name}_learning_curve.png"] = folder / "learning_curve.png"
        return {name: path for name, path in found.items() if path.exists()}
    for place, run in zip(places, runs, strict=True):
        found |= {name: place / name for name in run["artifacts"]}
    return found


def _output(places: Sequence[Path]) -> str:
    """What all attempts have printed, each under its number where there are several."""
    texts = []
    for place in places:
        path = place / "cout.txt"
        text = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        texts.append(f"--- attempt {place.name} ---\n{text}" if len(places) > 1 else text)
    return capped("".join(text if text.endswith("\n") or not text else text + "\n" for text in texts[:-1]) + texts[-1])


def _time(text: str | None) -> datetime | None:
    return moment_of(text) if text else None
