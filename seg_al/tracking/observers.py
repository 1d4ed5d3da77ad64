"""Sacred's two observers, changed so that nothing is lost. Imported only by a run that is tracked.

Files are written first and are complete; a thread of its own copies them into MongoDB, which may be away.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from sacred.observers import FileStorageObserver, RunObserver
from sacred.serializer import flatten
from sacred.utils import apply_backspaces_and_linefeeds

from seg_al.tracking.attempts import SACRED, is_running, mark_dead, one_at_a_time, uid_of
from seg_al.tracking.backlog import folders_waiting, has_backlog, remove_backlog, write_backlog
from seg_al.tracking.mirror import Mirror
from seg_al.tracking.output import Output
from seg_al.tracking.run_document import TrackedRun, capped, read_tracked_run
from seg_al.tracking.server import Document, Server, is_away, prepare, reason_of

log = logging.getLogger(__name__)

FILES_FIRST = 40
"""Sacred calls observers with a higher priority first."""
RETRY_SECONDS = 0.5
"""Seconds between two tries at the end of a run."""


def tidy_output(text: str) -> str:
    """Output as a terminal would show it, capped."""
    marks = [at for at in (text.find("\r"), text.find("\b")) if at >= 0]
    if marks:  # Sacred's filter walks every character: spare it what it has seen at an earlier beat
        start = text.rfind("\n", 0, min(marks)) + 1
        text = text[:start] + apply_backspaces_and_linefeeds(text[start:])
    return capped(text)


class FileObserver(FileStorageObserver):  # type: ignore[misc]  # Sacred has no types
    """Writes Sacred's folder of a run: each attempt has its own number, and each file is complete at any time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / SACRED, copy_sources=False, priority=FILES_FIRST)
        self._lock = threading.RLock()  # the main thread adds artifacts, Sacred's thread beats
        self._curves: dict[str, dict[str, list[Any]]] = {}
        self._notes: dict[str, Any] = {}
        self._over = False

    def path(self, name: str) -> Path:
        return Path(self.dir) / name

    def _make_run_dir(self, _id: object) -> None:
        folder = Path(self.basedir).parent
        with one_at_a_time(folder):
            uid_of(folder)
            mark_dead(folder)  # this process holds the run now
        super()._make_run_dir(None)
        self.output = Output(Path(self.dir), tidy_output)

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

    def scalars(self, values: Mapping[str, float], step: float) -> None:
        """Kept for the next beat, or the end; Sacred's own way may still be writing when a run has ended."""
        now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat()
        whole = int(step) if float(step).is_integer() else float(step)
        with self._lock:
            for name, value in values.items():
                curve = self._curves.setdefault(name, {"steps": [], "values": [], "timestamps": []})
                curve["steps"].append(whole)
                curve["values"].append(value)
                curve["timestamps"].append(now)

    def note(self, key: str, value: Any) -> None:
        with self._lock:
            self._notes[key] = value

    def log_metrics(self, metrics_by_name: object, info: object) -> None:
        """Sacred has none: they come by `scalars`."""

    def heartbeat_event(self, info: object, captured_out: str, beat_time: datetime, result: object) -> None:
        with self._lock:
            if not self._over:  # Sacred's thread may come late
                self._save(beat_time, result)

    def completed_event(self, stop_time: datetime, result: object) -> None:
        with self._ending(stop_time, result):
            super().completed_event(stop_time, result)

    def interrupted_event(self, interrupt_time: datetime, status: str) -> None:
        with self._ending(interrupt_time, None):
            super().interrupted_event(interrupt_time, status)

    def failed_event(self, fail_time: datetime, fail_trace: list[str]) -> None:
        with self._ending(fail_time, None):
            super().failed_event(fail_time, fail_trace)

    @contextmanager
    def _ending(self, stop_time: datetime, result: object) -> Iterator[None]:
        """All that a beat writes is written before the end is."""
        with self._lock:
            self._save(stop_time, result)
            self._over = True
            yield
            self.output.remove()

    def _save(self, beat_time: datetime, result: object) -> None:
        self.save_json(self._curves, "metrics.json")
        super().heartbeat_event(self._notes, self.output.text(), beat_time, result)

    def artifact_event(
        self, name: str, filename: str, metadata: object = None, content_type: str | None = None
    ) -> None:
        with self._lock:
            if name in self.run_entry["artifacts"]:
                self.run_entry["artifacts"].remove(name)
            super().artifact_event(name, filename, metadata, content_type)


class MirrorObserver(RunObserver):  # type: ignore[misc]  # Sacred has no types
    """Lets a thread bring the run folder into MongoDB at every beat; no event but the end waits for the server.

    The end waits `patience` seconds at most. What the server lacks then is listed in the run folder (see backlog.py),
    and sent by the next run in the same folder of runs that reaches the server, or by an import.
    """

    def __init__(self, client: MongoClient[Document], server: Server, folder: Path, patience: float) -> None:
        self._server, self._folder, self._patience = server, folder, patience
        self._mirror = Mirror(client[server.database])
        self._away = False
        self._told = False
        self._helper: threading.Thread | None = None
        self._wake, self._ending, self._given_up, self._done = (threading.Event() for _ in range(4))
        self._noting = threading.Lock()  # an older try must not touch the note of the end
        self._thread = threading.Thread(target=self._work, name="seg_al mongo", daemon=True)

    def started_event(
        self,
        ex_info: dict[str, Any],
        command: str,
        host_info: dict[str, Any],
        start_time: datetime,
        config: dict[str, Any],
        meta_info: dict[str, Any],
        _id: object,
    ) -> None:
        self._thread.start()
        self._wake.set()

    def heartbeat_event(self, info: dict[str, Any], captured_out: str, beat_time: datetime, result: object) -> None:
        self._wake.set()

    def completed_event(self, stop_time: datetime, result: object) -> None:
        self._end()

    def interrupted_event(self, interrupt_time: datetime, status: str) -> None:
        self._end()

    def failed_event(self, fail_time: datetime, fail_trace: list[str]) -> None:
        self._end()

    def _end(self) -> None:
        if not self._thread.ident:
            return  # the start of the run failed
        with self._noting:  # first: after a server that hangs nothing else may run
            self._ending.set()
            try:
                run = read_tracked_run(self._folder, live=True)
                write_backlog(self._folder, self._server, self._mirror.unsent(run), "not sent when the run ended")
            except (OSError, ValueError) as error:  # such as a full disk: the server may still take the rest
                log.warning("what MongoDB lacks of %s could not be noted (%s)", self._folder, reason_of(error))
        self._wake.set()
        deadline = time.monotonic() + self._patience
        if not self._done.wait(self._patience) or has_backlog(self._folder):
            log.error(
                "%s is not complete in MongoDB; all of it is in the folder. Bring it there by: "
                "python scripts/tracking.py import %s",
                self._folder,
                self._folder,
            )
        elif self._helper:
            self._helper.join(max(0.0, deadline - time.monotonic()))
        self._given_up.set()
        self._wake.set()

    def _work(self) -> None:
        while not self._given_up.is_set():
            self._wake.wait()
            self._wake.clear()
            ending = self._ending.is_set()  # asked before reading: then the files hold all of the run
            if ending:
                self._mirror.forget()  # the last time, everything is compared
            delivered = self._deliver(ending)
            if ending and delivered:
                self._done.set()
                return
            if ending:
                self._given_up.wait(RETRY_SECONDS)
                self._wake.set()

    def _deliver(self, ending: bool) -> bool:
        """Tries once; False where the server is away and another try may succeed."""
        back = self._away or self._helper is None
        try:
            with one_at_a_time(self._folder):
                self._bring(ending)
        except (PyMongoError, ValueError, OSError) as error:
            self._say_away(error)
            return not (isinstance(error, ValueError | OSError) or is_away(error))
        if self._away:
            log.warning("%s is up to date in MongoDB again", self._folder)
        self._away = False
        if back and not (self._helper and self._helper.is_alive()):
            self._helper = threading.Thread(target=self._help, name="seg_al mongo helper", daemon=True)
            self._helper.start()
        return True

    def _bring(self, ending: bool) -> None:
        run = read_tracked_run(self._folder, live=True)
        try:
            brought = self._mirror.bring(run)
        except (PyMongoError, ValueError) as error:
            self._leave(run, reason_of(error), ending)
            raise
        if not brought.refused:
            with self._noting:
                if ending or not self._ending.is_set():
                    remove_backlog(self._folder)
            return
        reasons = "; ".join(f"{what} ({reason})" for what, reason in sorted(brought.refused.items()))
        self._leave(run, reasons, ending)
        if not self._told:
            log.warning(
                "MongoDB does not take all of %s: %s. Has the user the role readWrite, is the server's disk full? The "
                "run goes on, and its folder is complete",
                self._folder,
                reasons,
            )
            self._told = True

    def _leave(self, run: TrackedRun, reason: str, ending: bool) -> None:
        with self._noting:
            if ending or not self._ending.is_set():
                write_backlog(self._folder, self._server, self._mirror.unsent(run), reason)

    def _help(self) -> None:
        """Makes the indexes, then sends the backlog of earlier runs beside this one; living runs send their own."""
        try:
            prepare(self._mirror.database)
        except PyMongoError as error:
            log.info("no indexes were made (%s)", reason_of(error))
        for folder in folders_waiting(self._folder.parent, self._server):
            if self._given_up.is_set():
                return
            if is_running(folder):
                continue
            try:
                with one_at_a_time(folder, seconds=0.0):
                    brought = Mirror(self._mirror.database).bring(read_tracked_run(folder))
                    if not brought.refused:
                        remove_backlog(folder)
            except (PyMongoError, ValueError, OSError) as error:
                log.info("%s still waits for MongoDB (%s)", folder, reason_of(error))

    def _say_away(self, error: Exception) -> None:
        if not self._away and not self._given_up.is_set():
            log.warning(
                "%s cannot be written to MongoDB now (%s). The run goes on; its folder is complete, and what is "
                "missing is sent again at every beat",
                self._folder,
                reason_of(error),
            )
        self._away = True
