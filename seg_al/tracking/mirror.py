"""Brings tracked runs into MongoDB, where doing it twice changes nothing, and lists what a database lacks.

A run is recognised by its uid; a metric's and an artifact's ids are computed from the uid, the name and, for an
artifact, the bytes. Two processes that bring the same run at once therefore write the same documents.
"""

from __future__ import annotations

import hashlib
import logging
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bson import ObjectId
from bson.errors import BSONError
from gridfs import GridFS
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from seg_al.tracking.run_document import MetricColumns, TrackedRun
from seg_al.tracking.server import Document, is_away, reason_of

log = logging.getLogger(__name__)


@dataclass
class BringReport:
    """Which parts of one run were written."""

    number: int
    new: bool
    metrics: int = 0
    artifacts: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """What the server refused, with the reason."""


@dataclass(frozen=True)
class Chunks:
    """The pieces of one file in GridFS; its entry, written last, says how many are needed."""

    there: int
    needed: int | None

    @property
    def whole(self) -> bool:
        return self.there == self.needed


@dataclass
class Mirror:
    """Writes runs into one database. It remembers what it has sent, so that a live run sends only what is new."""

    database: Database[Document]
    _sent: set[tuple[str, str]] = field(default_factory=set)  # (uid, digest of a curve or id of an artifact)
    _numbers: dict[str, int] = field(default_factory=dict)
    _ids: dict[tuple[str, int, int], ObjectId] = field(default_factory=dict)  # (path, mtime, size)

    def __post_init__(self) -> None:
        self._files = GridFS(self.database)

    def forget(self) -> None:
        """Makes the next `bring` compare everything again."""
        self._sent.clear()

    def bring(self, run: TrackedRun) -> BringReport:
        """Writes what the database lacks of the run, and the run document last, which names the rest.

        Raises PyMongoError where the server is away, ValueError where the uid stands for another run.
        """
        number, new = self._number(run)
        if self._numbers.get(run.uid) not in (None, number):  # somebody deleted the run: all of it is sent again
            self.forget()
        self._numbers[run.uid] = number
        brought = BringReport(number, new)
        self._bring_curves(run, brought)
        stored = self._bring_artifacts(run, brought)
        info = {
            **run.entry["info"],
            "metrics": [{"name": name, "id": str(metric_id(run, name))} for name in run.curves],
        }
        entry = {**run.entry, "info": info, "artifacts": stored}
        absent = {key: "" for key, value in entry.items() if value is None}  # an earlier attempt may have had it
        change = {"$set": {key: value for key, value in entry.items() if key not in absent}}
        try:
            self.database["runs"].update_one({"_id": number}, {**change, **({"$unset": absent} if absent else {})})
        except (PyMongoError, BSONError) as error:
            _refuse(brought, "run", error)
        return brought

    def unsent(self, run: TrackedRun) -> list[dict[str, Any]]:
        """The files of the run folder that this mirror has not sent; the run itself comes first."""
        rows: list[dict[str, Any]] = [{"kind": "run", "status": run.status, "number": self._numbers.get(run.uid)}]
        for name, curve in run.curves.items():
            if (run.uid, _digest(name, curve)) not in self._sent:
                rows.append({"kind": "metric", "name": name, "points": len(curve.steps)})
        for name, path in run.artifacts.items():
            if (run.uid, str(self.artifact_id(run, name, path))) not in self._sent:
                rows.append({"kind": "artifact", "name": name, "path": path.relative_to(run.folder).as_posix()})
        return rows

    def _number(self, run: TrackedRun) -> tuple[int, bool]:
        """The run's number, and whether the run was inserted now, under the next free number."""
        runs = self.database["runs"]
        while True:
            known = runs.find_one({"meta.uid": run.uid}, {"config.identity": 1})
            if known is not None:
                if known.get("config", {}).get("identity") != run.identity:
                    raise ValueError(
                        f"{run.folder} bears the mark of run {known['_id']} of database {self.database.name!r}, which "
                        "has other settings; delete its tracking.json if the folder is a run of its own"
                    )
                return known["_id"], False
            last = runs.find_one({"_id": {"$type": "number"}}, {"_id": 1}, sort=[("_id", -1)])
            number = int(last["_id"]) + 1 if last else 1
            try:
                runs.insert_one(
                    {"_id": number, **{k: v for k, v in run.entry.items() if v is not None}, "artifacts": []}
                )
                return number, True
            except DuplicateKeyError:
                continue  # another run has taken the number, or another process has brought this run

    def _bring_curves(self, run: TrackedRun, brought: BringReport) -> None:
        news = {name: curve for name, curve in run.curves.items() if (run.uid, _digest(name, curve)) not in self._sent}
        if not news:
            return
        updates = [
            UpdateOne({"_id": metric_id(run, name)}, {"$set": _columns(brought.number, name, curve)}, upsert=True)
            for name, curve in news.items()
        ]
        try:
            result = self.database["metrics"].bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            for failure in error.details["writeErrors"]:
                name = list(news)[failure["index"]]
                brought.refused[f"metric {name}"] = f"code {failure['code']}"
            news = {name: curve for name, curve in news.items() if f"metric {name}" not in brought.refused}
        except (PyMongoError, BSONError) as error:
            _refuse(brought, "metrics", error)
            return
        else:
            brought.metrics = result.upserted_count + result.modified_count
        self._sent |= {(run.uid, _digest(name, curve)) for name, curve in news.items()}

    def _bring_artifacts(self, run: TrackedRun, brought: BringReport) -> list[dict[str, Any]]:
        """Stores the newest bytes of each name. Older ones stay: Omniboard ends when a file in its list is deleted."""
        ids: dict[str, ObjectId] = {}
        for name, path in run.artifacts.items():
            try:
                ids[name] = self.artifact_id(run, name, path)
            except OSError as error:
                _refuse(brought, f"artifact {name}", error)
        news = [file_id for file_id in ids.values() if (run.uid, str(file_id)) not in self._sent]
        chunks = self.chunks(news)
        stored = []
        for name, file_id in ids.items():
            try:
                if file_id in chunks and not chunks[file_id].whole:
                    if chunks[file_id] != Chunks(0, None):  # an earlier try has left half, or half was lost
                        self._files.delete(file_id)
                    self._put(run, brought.number, name, file_id)
                    brought.artifacts += 1
                self._sent.add((run.uid, str(file_id)))
                stored.append({"name": name, "file_id": file_id})
            except (PyMongoError, OSError) as error:
                _refuse(brought, f"artifact {name}", error)
        return stored

    def _put(self, run: TrackedRun, number: int, name: str, file_id: ObjectId) -> None:
        self._files.put(
            run.artifacts[name].read_bytes(),
            _id=file_id,
            filename=f"artifact://runs/{number}/{name}",
            content_type=mimetypes.guess_type(name)[0],
        )

    def chunks(self, ids: Sequence[ObjectId]) -> dict[ObjectId, Chunks]:
        """How much of each file the database has."""
        if not ids:
            return {}
        entries = self.database["fs.files"].find({"_id": {"$in": ids}}, {"length": 1, "chunkSize": 1})
        needed = {entry["_id"]: -(-entry["length"] // entry["chunkSize"]) for entry in entries}
        grouped = self.database["fs.chunks"].aggregate(
            [{"$match": {"files_id": {"$in": ids}}}, {"$group": {"_id": "$files_id", "count": {"$sum": 1}}}]
        )
        there = {group["_id"]: group["count"] for group in grouped}
        return {one: Chunks(there.get(one, 0), needed.get(one)) for one in ids}

    def artifact_id(self, run: TrackedRun, name: str, path: Path) -> ObjectId:
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key not in self._ids:
            self._ids[key] = _hashed(run.uid, "artifact", name, hashlib.sha256(path.read_bytes()).hexdigest())
        return self._ids[key]


def _refuse(brought: BringReport, what: str, error: Exception) -> None:
    """Keeps the reason of a refusal; raises where the server is away."""
    if is_away(error):
        raise error
    brought.refused[what] = reason_of(error)


def _hashed(*words: str) -> ObjectId:
    """An id of 12 bytes, computed from the words."""
    return ObjectId(hashlib.sha256("\0".join(words).encode()).digest()[:12])


def metric_id(run: TrackedRun, metric: str) -> ObjectId:
    return _hashed(run.uid, "metric", metric)


def _digest(name: str, curve: MetricColumns) -> str:
    return hashlib.sha256(repr((name, curve.steps, curve.values)).encode()).hexdigest()


def _columns(number: int, name: str, curve: MetricColumns) -> Mapping[str, Any]:
    columns = {"steps": list(curve.steps), "values": list(curve.values), "timestamps": list(curve.timestamps)}
    return {"run_id": number, "name": name, **columns}
