"""Runs, from their folders or from MongoDB, as one study: its tidy table, its settings, and what is missing.

Of several copies of one run the newest complete one counts. What could not be read travels with the table in
`table.attrs["problems"]` and is named by `missing`, so that nothing is averaged away in silence.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timezone
from pathlib import Path
from typing import Any

from seg_al.measuring.curve import AREA
from seg_al.measuring.declarations import EVERY
from seg_al.recording.metric_declarations import NOTE, metrics_of
from seg_al.results.records import Point, Record, record_of
from seg_al.results.run_files import number, read_run
from seg_al.results.study import Study, Where, study_of_records

log = logging.getLogger(__name__)

SERVER_WAIT = 3000  # milliseconds until a MongoDB that does not answer is an error
COST = "cost/"
"""What the names of a round's costs begin with in the tracker."""


def folder_study(paths: Sequence[Path | str], where: Where | None = None) -> Study:
    """All run folders at or below `paths`; copies of one run count once.

    Raises ValueError if a path is not there or if no run that asks remains, saying what is there.
    """
    records: dict[str, Record] = {}
    problems: list[str] = []
    found = {folder.resolve(): folder for path in paths for folder in run_folders(Path(path))}
    for folder in found.values():
        try:
            record = read_run(folder)
        except (OSError, ValueError) as error:
            problems.append(f"{folder}: {error}")
            continue
        known = records.get(record.identity)
        if known is None or record.rank > known.rank:
            records[record.identity] = record
    return study_of_records(list(records.values()), where or {}, problems, ", ".join(map(str, paths)))


def run_folders(path: Path) -> Iterator[Path]:
    """Folders at or below `path` that hold a run: a config.json, or rounds that lost theirs; links in a loop end."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder: give run folders, or the folder that holds them")
    yield from _below(path, frozenset())


def _below(path: Path, above: frozenset[Path]) -> Iterator[Path]:
    if (path / "evaluation.json").exists():  # of a model of another run
        return
    if (path / "config.json").exists() or (path / "rounds").is_dir():
        yield path
        return
    try:
        children = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
    except OSError as error:
        log.warning("%s is left out: it cannot be listed (%s)", path, error.strerror)
        return
    here = above | {path.resolve()}
    for child in children:  # not DirEntry.is_dir, which raises for a link to itself
        if (path / child).is_dir() and (path / child).resolve() not in here:
            yield from _below(path / child, here)


def mongo_study(url: str, database: str, where: Where | None = None) -> Study:
    """The same from what Sacred wrote; of one identity the newest complete run, else the newest.

    A round is known by its step, the labelled images; other costs are NaN where the tracker does not have them.
    Raises ValueError if no server answers or if no run that asks remains.
    """
    import pymongo
    from pymongo.errors import InvalidName, PyMongoError

    wanted = {"config": 1, "status": 1, "start_time": 1, f"info.{NOTE}": 1}
    try:
        with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=SERVER_WAIT) as client:
            runs = list(client[database]["runs"].find({"config.identity": {"$exists": True}}, wanted))
            ids = [run["_id"] for run in runs]
            columns = {"_id": 0, "run_id": 1, "name": 1, "steps": 1, "values": 1}
            series: dict[Any, list[Mapping[str, Any]]] = {}
            for entry in client[database]["metrics"].find({"run_id": {"$in": ids}}, columns):
                series.setdefault(entry["run_id"], []).append(entry)
    except InvalidName as error:
        raise ValueError(f"--database {database} cannot name a database ({error}); choose another") from error
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
    return study_of_records(list(records.values()), where or {}, lost, f"database {database}")


def _read_document(run: Mapping[str, Any], series: Sequence[Mapping[str, Any]], source: str) -> Record:
    entries = run.get("info", {}).get(NOTE)
    declared = None if entries is None else metrics_of(entries)
    areas = {f"test/{metric.name}{AREA}" for metric in declared or EVERY if metric.area}
    by_step: dict[float, dict[str, float]] = {}
    for entry in series:
        for step, value in zip(entry["steps"], entry["values"], strict=True):
            by_step.setdefault(float(step), {})[entry["name"]] = number(value, entry["name"])
    points = []
    for place, step in enumerate(sorted(by_step)):
        values = by_step[step]
        costs = {name.removeprefix(COST): value for name, value in values.items() if name.startswith(COST)}
        scalars = {name: value for name, value in values.items() if not name.startswith(COST)}
        metrics = {name: value for name, value in scalars.items() if name not in areas}
        points.append(Point(float(place), {"images": step, **costs}, metrics))
    if not points:
        raise ValueError(f"no metrics ({run.get('status')})")
    started = run.get("start_time")
    written = started.replace(tzinfo=timezone.utc).timestamp() if started else 0.0
    return record_of(source, run["config"], points, run.get("status") == "COMPLETED", written, "", declared)
