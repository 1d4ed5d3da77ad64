"""Runs, from their folders or from MongoDB, as one study: its tidy table, its settings, and what is missing.

Of several copies of one run the newest complete one counts. What could not be read travels with the table in
`table.attrs["problems"]` and is named by `missing`, so that nothing is averaged away in silence.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timezone
from pathlib import Path
from typing import Any

import pandas as pd

from seg_al.agreement import scalars as agreement_scalars
from seg_al.asked import scalars as asked_scalars
from seg_al.results.arms import missing
from seg_al.results.curves import AREA
from seg_al.results.records import Point, Record, Study, Where, record_of, study_of

__all__ = ["folder_study", "missing", "mongo_study", "read_folders", "read_mongo", "run_folders"]

SERVER_WAIT = 3000  # milliseconds until a MongoDB that does not answer is an error
COST = "cost/"
"""Prefix of the scalars that tell a round's costs to the tracker."""


def read_folders(paths: Sequence[Path | str], where: Where | None = None) -> pd.DataFrame:
    """The table of `folder_study`."""
    return folder_study(paths, where).table


def read_mongo(url: str, database: str, where: Where | None = None) -> pd.DataFrame:
    """The table of `mongo_study`."""
    return mongo_study(url, database, where).table


def folder_study(paths: Sequence[Path | str], where: Where | None = None) -> Study:
    """All run folders at or below `paths`; copies of one run count once.

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
    return study_of(list(records.values()), where or {}, problems, ", ".join(map(str, paths)))


def run_folders(path: Path) -> Iterator[Path]:
    """Folders at or below `path` that hold a run: a config.json, or rounds that lost theirs."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder: give run folders, or the folder that holds them")
    if (path / "evaluation.json").exists():  # of a model of another run
        return
    if (path / "config.json").exists() or (path / "rounds").is_dir():
        yield path
        return
    for child in sorted(entry.name for entry in os.scandir(path) if entry.is_dir()):
        if not child.startswith("."):
            yield from run_folders(path / child)


def mongo_study(url: str, database: str, where: Where | None = None) -> Study:
    """The same from what Sacred wrote; of one identity the newest complete run, else the newest.

    A round is known by its step, the labelled images; other costs are NaN where the tracker was not told of them.
    Raises ValueError if no server answers or if no run remains.
    """
    import pymongo
    from pymongo.errors import PyMongoError

    wanted = {"config": 1, "status": 1, "start_time": 1}
    try:
        with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=SERVER_WAIT) as client:
            runs = list(client[database]["runs"].find({"config.identity": {"$exists": True}}, wanted))
            ids = [run["_id"] for run in runs]
            columns = {"_id": 0, "run_id": 1, "name": 1, "steps": 1, "values": 1}
            series: dict[Any, list[Mapping[str, Any]]] = {}
            for entry in client[database]["metrics"].find({"run_id": {"$in": ids}}, columns):
                series.setdefault(entry["run_id"], []).append(entry)
    except PyMongoError as error:
        hosts = re.sub(r"^.*@", "", url.removeprefix("mongodb://"))  # without user and password
        raise ValueError(
            f"MongoDB at {hosts} does not answer ({type(error).__name__}): start it, or correct --url"
        ) from error

    records: dict[str, Record] = {}
    problems: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: (str(run.get("start_time")), str(run["_id"]))):
        source = f"run {run['_id']} of {database}"
        try:
            record = _read_document(run, series.get(run["_id"], []), source)
        except ValueError as error:
            problems[str(run["config"]["identity"])] = f"{source}: {error}"
            continue
        known = records.get(record.identity)
        if known is None or record.complete or not known.complete:
            records[record.identity] = record
    lost = [problem for identity, problem in problems.items() if identity not in records]
    return study_of(list(records.values()), where or {}, lost, f"database {database}")


def _read_folder(folder: Path) -> Record:
    path = str(folder)  # plain strings: a thousand runs have 45,000 files
    config = _read_json(f"{path}/config.json")
    names = sorted(os.listdir(f"{path}/rounds")) if os.path.isdir(f"{path}/rounds") else []
    rounds = {name: entry for name in names if (entry := _optional(f"{path}/rounds/{name}/metrics.json")) is not None}
    if [float(name) for name in rounds] != list(range(len(rounds))):
        raise ValueError(f"rounds without metrics.json in between; found {', '.join(rounds)}")
    if not rounds:
        raise ValueError("no round has metrics yet")
    heuristic = str(config.get("choices", {}).get("heuristic"))
    points = [_point(f"{path}/rounds/{name}", entry, heuristic) for name, entry in rounds.items()]
    done = _optional(f"{path}/finished.json") or {}
    complete = bool(done) and done.get("rounds") == config.get("rounds")  # else it is being extended
    written = os.path.getmtime(f"{path}/rounds/{list(rounds)[-1]}/metrics.json")
    return record_of(path, config, points, complete, written, folder.name)


def _optional(path: str) -> dict[str, Any] | None:
    """The file's object; None where it is not there."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        name = os.path.basename(path)
        raise ValueError(f"{name} is not whole JSON ({error}); delete it and run the same command") from error
    if not isinstance(value, dict):
        raise ValueError(f"{os.path.basename(path)} holds no JSON object")
    return value


def _read_json(path: str) -> dict[str, Any]:
    value = _optional(path)
    if value is None:
        raise ValueError(f"{os.path.basename(path)} is not there")
    return value


def _point(place: str, entry: Mapping[str, Any], heuristic: str) -> Point:
    """One round's metrics with all else that the tracker is told of it."""
    number = os.path.basename(place)
    if not entry.keys() >= {"cost", "metrics"}:
        raise ValueError(f"rounds/{number}/metrics.json lacks cost or metrics")
    effort = _optional(f"{place}/effort.json") or {}
    values = {**entry["metrics"], **{f"effort/{name}": value for name, value in effort.items()}}
    found = _optional(f"{place}/agreement.json")
    if found and heuristic in found.get("spearman", {}):
        values |= agreement_scalars(found, heuristic)
    if asked := _optional(f"{place}/asked.json"):
        values |= asked_scalars(asked)
    if truths := _truths_read(f"{place}/truths_read.json"):
        values["oracle/truths_read"] = truths
    return Point(float(number), entry["cost"], {name: _number(value) for name, value in values.items()})


def _truths_read(path: str) -> float:
    """How many true labels an oracle selector was told; 0 for the honest."""
    try:
        with open(path, "rb") as file:
            return float(json.loads(file.read()))
    except FileNotFoundError:
        return 0.0


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _read_document(run: Mapping[str, Any], series: Sequence[Mapping[str, Any]], source: str) -> Record:
    by_step: dict[float, dict[str, float]] = {}
    for entry in series:
        for step, value in zip(entry["steps"], entry["values"], strict=True):
            by_step.setdefault(float(step), {})[entry["name"]] = _number(value)
    points = []
    for number, step in enumerate(sorted(by_step)):
        values = by_step[step]
        costs = {name.removeprefix(COST): value for name, value in values.items() if name.startswith(COST)}
        told = {name: value for name, value in values.items() if not name.startswith(COST)}
        metrics = {name: value for name, value in told.items() if not name.endswith(AREA)}
        points.append(Point(float(number), {"images": step, **costs}, metrics))
    if not points:
        raise ValueError(f"no metrics ({run.get('status')})")
    started = run.get("start_time")
    written = started.replace(tzinfo=timezone.utc).timestamp() if started else 0.0
    return record_of(source, run["config"], points, run.get("status") == "COMPLETED", written, "")
