"""Sacred's two observers, made to lose nothing. Imported only by a run that is tracked.

The files come first and are complete; MongoDB is fed from memory and from them, and may be away for a while.
"""

from __future__ import annotations

import json
import logging
import mimetypes
import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bson import ObjectId
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from sacred.observers import FileStorageObserver, MongoObserver
from sacred.serializer import flatten

log = logging.getLogger(__name__)

FILES_FIRST = 40
"""Sacred calls observers by falling priority; its MongoObserver has 30."""


class FileObserver(FileStorageObserver):  # type: ignore[misc]  # Sacred has no types
    """Sacred's folder of a run, where each attempt has its own number and each file is whole at any time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, copy_sources=False, priority=FILES_FIRST)
        self._lock = threading.RLock()  # artifacts come from the main thread, beats from Sacred's

    def path(self, name: str) -> Path:
        return Path(self.dir) / name

    def _make_run_dir(self, _id: object) -> None:
        super()._make_run_dir(None)  # another observer's number may be taken here by an earlier attempt

    def save_json(self, obj: object, filename: str) -> None:
        self._write(filename, json.dumps(flatten(obj), sort_keys=True, indent=2))

    def save_cout(self) -> None:
        self._write("cout.txt", self.cout)  # whole: Sacred appends, but a progress bar rewrites its line

    def save_file(self, filename: str, target_name: str | None = None) -> None:
        target = self.path(target_name or os.path.basename(filename))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        shutil.copyfile(filename, partial)
        os.replace(partial, target)

    def _write(self, name: str, text: str) -> None:
        with self._lock:
            partial = self.path(name + ".partial")
            partial.write_text(text, encoding="utf-8", newline="")
            os.replace(partial, self.path(name))

    def heartbeat_event(self, info: dict[str, Any], captured_out: str, beat_time: datetime, result: object) -> None:
        with self._lock:
            super().heartbeat_event(info, captured_out, beat_time, result)

    def artifact_event(
        self, name: str, filename: str, metadata: object = None, content_type: str | None = None
    ) -> None:
        with self._lock:
            if name in self.run_entry["artifacts"]:
                self.run_entry["artifacts"].remove(name)
            super().artifact_event(name, filename, metadata, content_type)


@dataclass
class Curve:
    """One metric of one run, under the id that it has in MongoDB from the start."""

    id: ObjectId = field(default_factory=ObjectId)
    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    timestamps: list[datetime] = field(default_factory=list)


class PatientMongoObserver(MongoObserver):  # type: ignore[misc]  # Sacred has no types
    """Feeds MongoDB at every beat with all it does not have yet; what fails is sent again at the next beat.

    A metric is written as a whole, under an id chosen here, so that a repeated write changes nothing. No event but the
    start raises, since Sacred drops an observer for good at its first error. Only beats and the end use the network.
    """

    def __init__(
        self, client: MongoClient[dict[str, Any]], database: str, files: FileObserver, patience: float
    ) -> None:
        super().__init__(client=client, db_name=database, failure_dir=files.basedir)
        self._files = files
        self._patience = patience  # seconds that the end of a run waits for a server that is away
        self._curves: dict[str, Curve] = {}
        self._unsent_curves: set[str] = set()
        self._unsent_artifacts: dict[str, ObjectId] = {}
        self._lock = threading.Lock()  # guards _unsent_artifacts
        self._away = False

    def started_event(
        self,
        ex_info: dict[str, Any],
        command: str,
        host_info: dict[str, Any],
        start_time: datetime,
        config: dict[str, Any],
        meta_info: dict[str, Any],
        _id: object,
    ) -> int:
        """Inserts the run under the next free number; ValueError if the database does not take it."""
        try:
            self.metrics.create_index([("run_id", 1), ("name", 1)])
            super().started_event(ex_info, command, host_info, start_time, config, meta_info, None)
        except PyMongoError as error:
            raise ValueError(
                f"MongoDB does not take a new run in database {self.runs.database.name!r} ({type(error).__name__}). "
                "Check that it runs (`python scripts/mongo.py status`) and that the user may write, or use "
                "tracking=file"
            ) from error
        return int(self.run_entry["_id"])

    def log_metrics(self, metrics_by_name: Mapping[str, Mapping[str, Sequence[Any]]], info: dict[str, Any]) -> None:
        for name, news in metrics_by_name.items():
            curve = self._curves.setdefault(name, Curve())
            curve.steps.extend(news["steps"])
            curve.values.extend(news["values"])
            curve.timestamps.extend(news["timestamps"])
            self._unsent_curves.add(name)

    def artifact_event(
        self, name: str, filename: str, metadata: object = None, content_type: str | None = None
    ) -> None:
        with self._lock:
            self._unsent_artifacts[name] = ObjectId()  # the bytes are in the files already

    def heartbeat_event(self, info: dict[str, Any], captured_out: str, beat_time: datetime, result: object) -> None:
        curves = [{"name": name, "id": str(curve.id)} for name, curve in self._curves.items()]
        self.run_entry["info"] = {**flatten(info), **({"metrics": curves} if curves else {})}
        self.run_entry["captured_out"] = captured_out
        self.run_entry["heartbeat"] = beat_time
        self.run_entry["result"] = flatten(result)
        self._send()

    def final_save(self, attempts: int) -> None:
        """Sends until all is there or the patience is spent; then leaves a note beside the files."""
        if self.run_entry.get("_id") is None:
            return  # the start failed: there is nothing to finish
        deadline = time.monotonic() + self._patience
        while not self._send():
            left = deadline - time.monotonic()
            if left <= 0:
                self._leave_note()
                return
            time.sleep(min(1.0, left))

    def _send(self) -> bool:
        """One try, in the order in which a reader may look: metrics and artifacts before the run that names them."""
        try:
            for name in sorted(self._unsent_curves):
                self._send_curve(name)
            with self._lock:
                artifacts = dict(self._unsent_artifacts)
            for name, file_id in artifacts.items():
                self._send_artifact(name, file_id)
            self.runs.update_one({"_id": self.run_entry["_id"]}, {"$set": self.run_entry}, upsert=True)
        except (PyMongoError, BSONError, OSError) as error:
            if not self._away:
                log.warning(
                    "run %s cannot be written to MongoDB now (%s). It goes on; its files in %s are complete, and "
                    "what is missing is sent again at every beat",
                    self.run_entry["_id"],
                    type(error).__name__,
                    self._files.dir,
                )
            self._away = True
            return False
        if self._away:
            log.warning("run %s is up to date in MongoDB again", self.run_entry["_id"])
        self._away = False
        return True

    def _send_curve(self, name: str) -> None:
        curve = self._curves[name]
        document = {
            "run_id": self.run_entry["_id"],
            "name": name,
            "steps": curve.steps,
            "values": curve.values,
            "timestamps": curve.timestamps,
        }
        self.metrics.update_one({"_id": curve.id}, {"$set": document}, upsert=True)
        self._unsent_curves.discard(name)

    def _send_artifact(self, name: str, file_id: ObjectId) -> None:
        """Stores the newest bytes of a name. Older ones stay in GridFS: Omniboard dies when a file it lists is gone."""
        self.fs.delete(file_id)  # what an earlier try may have left half
        self.fs.put(
            self._files.path(name).read_bytes(),
            _id=file_id,
            filename=f"artifact://{self.runs.name}/{self.run_entry['_id']}/{name}",
            content_type=mimetypes.guess_type(name)[0],
        )
        others = [entry for entry in self.run_entry["artifacts"] if entry["name"] != name]
        self.run_entry["artifacts"] = [*others, {"name": name, "file_id": file_id}]
        with self._lock:
            if self._unsent_artifacts.get(name) == file_id:
                del self._unsent_artifacts[name]

    def _leave_note(self) -> None:
        """Says, for a later import, which run of which database these files complete."""
        note = {
            "database": self.runs.database.name,
            "run": self.run_entry["_id"],
            "metrics": sorted(self._unsent_curves),
            "artifacts": sorted(self._unsent_artifacts),
        }
        self._files.save_json(note, "unsent.json")
        log.error(
            "run %s is not complete in MongoDB, which does not take it; all of it is in %s",
            self.run_entry["_id"],
            self._files.dir,
        )
