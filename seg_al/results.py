"""Runs, from their folders or from MongoDB, as one tidy table for figures and statistics.

One row per run, round and metric. What could not be read travels with the table in `table.attrs["problems"]`
and is named by `missing`, so that nothing is averaged away in silence.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seg_al.arms import CHOICES, labels, missing, shown
from seg_al.core import COST_UNITS

__all__ = ["missing", "read_folders", "read_mongo", "run_folders"]

log = logging.getLogger(__name__)

COLUMNS = (*CHOICES[:-1], "run", "mc_iters", "identity", "label", "round", *COST_UNITS, "metric", "value")
SERVER_WAIT = 3000  # milliseconds until a MongoDB that does not answer is an error

Where = Mapping[str, Collection[str]]
"""Allowed values by setting, as on the command line: {"heuristic": ["bald", "random"], "model.width": ["16"]}."""


@dataclass(frozen=True)
class Point:
    round: float
    """NaN where only the cost is known (MongoDB)."""
    cost: Mapping[str, float]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Record:
    """One run as it was found."""

    source: str
    identity: str
    """The hash of all settings that decide the numbers."""
    settings: Mapping[str, Any]
    """Flat: the choices and top-level values under their names, details as "model.width"."""
    points: tuple[Point, ...]
    complete: bool

    @property
    def rank(self) -> tuple[bool, int]:
        """Of two copies of one run the better one: complete first, then the longer."""
        return self.complete, len(self.points)


def read_folders(paths: Sequence[Path | str], where: Where | None = None) -> pd.DataFrame:
    """The table of all run folders at or below `paths`; copies of one run count once.

    Raises ValueError if a path is not there or if no run remains, saying what is there.
    """
    records: dict[str, Record] = {}
    problems: list[str] = []
    found = {folder.resolve(): folder for path in paths for folder in run_folders(Path(path))}
    for folder in found.values():
        try:
            record = _read_folder(folder)
        except (OSError, ValueError, TypeError) as error:
            problems.append(f"{folder}: {error}")
            continue
        known = records.get(record.identity)
        if known is None or record.rank > known.rank:
            records[record.identity] = record
    return _table(list(records.values()), where or {}, problems, ", ".join(map(str, paths)))


def run_folders(path: Path) -> Iterator[Path]:
    """Folders at or below `path` that hold a run: a config.json, or rounds that lost theirs."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder: give run folders, or the folder that holds them")
    if (path / "config.json").exists() or (path / "rounds").is_dir():
        yield path
        return
    for child in sorted(path.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            yield from run_folders(child)


def read_mongo(url: str, database: str, where: Where | None = None) -> pd.DataFrame:
    """The same table from what Sacred wrote; of one identity the newest complete run, else the newest.

    Cost is the step, in labelled images; pixels, regions and round are NaN. Raises ValueError if no server
    answers or if no run remains.
    """
    import pymongo
    from pymongo.errors import PyMongoError

    try:
        with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=SERVER_WAIT) as client:
            runs = list(client[database]["runs"].find({"config.identity": {"$exists": True}}))
            ids = [run["_id"] for run in runs]
            series = list(client[database]["metrics"].find({"run_id": {"$in": ids}}))
    except PyMongoError as error:
        hosts = re.sub(r"^.*@", "", url.removeprefix("mongodb://"))  # without user and password
        raise ValueError(
            f"MongoDB at {hosts} does not answer ({type(error).__name__}): start it, or correct --url"
        ) from error

    records: dict[str, Record] = {}
    problems: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: (str(run.get("start_time")), str(run["_id"]))):
        source = f"run {run['_id']} of {database}"
        own = [entry for entry in series if entry["run_id"] == run["_id"]]
        try:
            record = _read_document(run, own, source)
        except ValueError as error:
            problems[str(run["config"]["identity"])] = f"{source}: {error}"
            continue
        known = records.get(record.identity)
        if known is None or record.complete or not known.complete:
            records[record.identity] = record
    lost = [problem for identity, problem in problems.items() if identity not in records]
    return _table(list(records.values()), where or {}, lost, f"database {database}")


def _read_folder(folder: Path) -> Record:
    config = _read_json(folder / "config.json")
    rounds = sorted((folder / "rounds").glob("*/metrics.json"))
    points = [_point(float(path.parent.name), _read_json(path), path) for path in rounds]
    if [point.round for point in points] != list(range(len(points))):
        found = ", ".join(path.parent.name for path in rounds)
        raise ValueError(f"rounds without metrics.json in between; found {found}")
    if not points:
        raise ValueError("no round has metrics yet")
    done = _read_json(folder / "finished.json") if (folder / "finished.json").exists() else {}
    complete = bool(done) and done.get("rounds") == config.get("rounds")  # else it is being extended
    return _record(str(folder), str(config.get("identity", folder.name)), config, points, complete)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path.name} is not there") from None
    except ValueError as error:
        raise ValueError(f"{path.name} is not whole JSON ({error}); delete it and run the same command") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return value


def _point(number: float, entry: Mapping[str, Any], path: Path) -> Point:
    if not entry.keys() >= {"cost", "metrics"}:
        raise ValueError(f"rounds/{path.parent.name}/metrics.json lacks cost or metrics")
    effort = path.with_name("effort.json")
    efforts = {f"effort/{name}": value for name, value in _read_json(effort).items()} if effort.exists() else {}
    values = {**entry["metrics"], **efforts}
    return Point(number, entry["cost"], {name: _number(value) for name, value in values.items()})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _read_document(run: Mapping[str, Any], series: Sequence[Mapping[str, Any]], source: str) -> Record:
    by_step: dict[float, dict[str, float]] = {}
    for entry in series:
        for step, value in zip(entry["steps"], entry["values"], strict=True):
            by_step.setdefault(float(step), {})[entry["name"]] = _number(value)
    points = [Point(math.nan, {"images": step}, by_step[step]) for step in sorted(by_step)]
    if not points:
        raise ValueError(f"no metrics ({run.get('status')})")
    identity = str(run["config"]["identity"])
    return _record(source, identity, run["config"], points, run.get("status") == "COMPLETED")


def _record(source: str, identity: str, config: Mapping[str, Any], points: Sequence[Point], complete: bool) -> Record:
    settings = {**_flat(config), **config.get("choices", {})}
    if "heuristic" not in settings or not isinstance(settings.get("run"), int):
        raise ValueError("the config names no heuristic or no run, so it is not one of this harness")
    return Record(source, identity, settings, tuple(points), complete)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names; a group's details stand under its name, or under <group>_options."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            if key not in ("choices", "decides"):  # which repeat the others
                flat |= _flat(value, f"{prefix}{key.removesuffix('_options')}.")
        else:
            flat[prefix + key] = value
    return flat


def _table(records: list[Record], where: Where, problems: list[str], place: str) -> pd.DataFrame:
    for problem in problems:
        log.warning("not read: %s", problem)
    kept = [record for record in records if _matches(record, where, records)]
    if not kept:
        raise ValueError(_nothing(records, where, problems, place))
    rows: list[dict[str, Any]] = []
    for record, label in zip(kept, labels([record.settings for record in kept]), strict=True):
        shared: dict[str, Any] = {name: record.settings.get(name) for name in (*CHOICES[:-1], "run", "mc_iters")}
        shared |= {"identity": record.identity, "label": label, "complete": record.complete}
        for point in record.points:
            costs: dict[str, float] = {unit: point.cost.get(unit, math.nan) for unit in COST_UNITS}
            for metric, value in point.metrics.items():
                rows.append({**shared, "round": point.round, **costs, "metric": metric, "value": value})
    table = pd.DataFrame(rows, columns=[*COLUMNS, "complete"])
    table["baseline"] = table["heuristic"] != "random"  # random leads, for a stable colour and a first look
    order = ["baseline", "label", "run", "identity", "images", "metric"]
    table = table.sort_values(order, ignore_index=True, kind="stable").drop(columns="baseline")
    table.attrs["problems"] = problems
    return table


def _matches(record: Record, where: Where, records: Sequence[Record]) -> bool:
    for name, allowed in where.items():
        if not any(name in other.settings for other in records):
            raise ValueError(f"no run has a setting {name!r}; there are {', '.join(sorted(record.settings))}")
        if shown(record.settings.get(name)) not in allowed:
            return False
    return True


def _nothing(records: Sequence[Record], where: Where, problems: Sequence[str], place: str) -> str:
    wanted = " ".join(f"{name}={','.join(allowed)}" for name, allowed in where.items())
    lines = [f"no run matches {wanted} in {place}" if wanted else f"no run with results in {place}"]
    for name in dict.fromkeys((*where, "dataset", "model", "heuristic", "run")):
        if there := sorted({shown(record.settings.get(name)) for record in records}):
            lines.append(f"  {name}: {', '.join(there)}")
    return "\n".join([*lines, *(f"  not read: {problem}" for problem in problems)])
