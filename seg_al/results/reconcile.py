"""Run folders and MongoDB brought to the same state: import, comparison, and the end of runs that died."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pymongo.database import Database

from seg_al.results.database_differences import differences_from_folder
from seg_al.results.reader import run_folders
from seg_al.tracking.attempts import MARK, is_running, mark_dead, one_at_a_time, read_object
from seg_al.tracking.backlog import remove_backlog
from seg_al.tracking.mirror import BringReport, Mirror
from seg_al.tracking.run_document import read_tracked_run
from seg_al.tracking.server import Document


@dataclass(frozen=True)
class Repair:
    """What was done about a run that says RUNNING and has been silent."""

    number: int
    folder: str
    died: bool
    words: str


def folders_at(paths: Sequence[Path]) -> list[Path]:
    """Every run folder at or below the paths, once; ValueError where there is none."""
    found = {folder.resolve(): folder for path in paths for folder in run_folders(path)}
    if not found:
        raise ValueError(f"no run folder at or below {', '.join(map(str, paths))}")
    return list(found.values())


def bring(folder: Path, database: Database[Document]) -> BringReport:
    """Adds the run, or what the database lacks of it; a second time changes nothing.

    Raises ValueError where the folder cannot be read or marked, and PyMongoError where the server is away.
    """
    try:
        with one_at_a_time(folder):
            brought = Mirror(database).bring(read_tracked_run(folder))
            if not brought.refused:
                remove_backlog(folder)
            return brought
    except OSError as error:
        raise ValueError(f"{folder}: {error.strerror or error} ({error.filename})") from error


def differences_of_folder(folder: Path, database: Database[Document]) -> list[str]:
    """How the run in the database differs from its folder; a folder without a mark was never imported."""
    if not (folder / MARK).exists():
        return ["the run is not in the database"]
    return differences_from_folder(read_tracked_run(folder), Mirror(database))


def shortened(differences: Sequence[str], most: int = 3) -> list[str]:
    """The differences of a run as people read them: more than `most` metrics, or artifacts, are summed in one line."""
    rest = list(differences)
    for kind in ("metric", "artifact"):
        alike = [one for one in rest if one.startswith(f"{kind} ")]
        if len(alike) > most:
            first = alike[0].removeprefix(f"{kind} ")
            rest[rest.index(alike[0])] = f"{len(alike)} {kind}s differ: {first}, and {len(alike) - 1} more"
            rest = [one for one in rest if one not in alike]
    return rest


def silent_runs(database: Database[Document], seconds: float) -> list[dict[str, Any]]:
    """Runs of this harness that say RUNNING and have written nothing for so long."""
    since = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(seconds=seconds)
    old = {"$or": [{"heartbeat": {"$lt": since}}, {"heartbeat": None, "start_time": {"$lt": since}}]}
    wanted = {"status": "RUNNING", "meta.uid": {"$exists": True}, **old}
    return list(database["runs"].find(wanted, {"meta": 1, "heartbeat": 1, "start_time": 1, "host.hostname": 1}))


def end_silent_run(run: Document, database: Database[Document], elsewhere: bool) -> Repair:
    """Ends a silent run with the status that its folder shows, and adds what the database lacks of it.

    Where the folder is not on this machine nothing proves its death: it ends as DIED only if `elsewhere`.
    """
    number, folder = int(run["_id"]), Path(run["meta"].get("folder", ""))
    here = (folder / MARK).exists() and read_object(folder / MARK).get("uid") == run["meta"]["uid"]
    if here and is_running(folder):
        return Repair(number, str(folder), False, "is alive: a process holds its folder; nothing was changed")
    if here:
        mark_dead(folder)
        bring(folder, database)
        found = database["runs"].find_one({"_id": number}, {"status": 1})
        status = "gone" if found is None else found["status"]
        return Repair(number, str(folder), True, f"is {status} now, complete as its folder tells")
    host = run.get("host", {}).get("hostname", "an unknown machine")
    if not elsewhere:
        words = f"ran on {host}; its folder is not here. Repair it there, or with --elsewhere if it is surely dead"
        return Repair(number, str(folder), False, words)
    unchanged = {key: run.get(key) for key in ("_id", "heartbeat")}  # else it has spoken meanwhile
    last = run.get("heartbeat") or run.get("start_time")
    result = database["runs"].update_one(
        {**unchanged, "status": "RUNNING"}, {"$set": {"status": "DIED", "stop_time": last}}
    )
    done = result.modified_count == 1
    return Repair(number, str(folder), done, f"ran on {host}; it is DIED now" if done else "has spoken meanwhile")


def missing_folders(database: Database[Document], folders: Sequence[Path]) -> Iterator[str]:
    """Runs of the database that say to lie in one of the parents of the folders, and do not."""
    parents = {str(folder.resolve().parent) for folder in folders}
    known = {str(folder.resolve()) for folder in folders}
    for run in database["runs"].find({"meta.uid": {"$exists": True}}, {"meta.folder": 1}):
        place = str(run["meta"].get("folder", ""))
        if str(Path(place).parent) in parents and place not in known and not Path(place).exists():
            yield f"run {run['_id']}: its folder {place} is gone"
