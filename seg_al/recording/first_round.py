"""Runs that begin alike train their first round once: it lies in a folder that is named by all that decides it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seg_al.recording.files import EFFORT, METRICS, WEIGHTS, WITHOUT, Format, loaded, write_checked, write_json
from seg_al.recording.stages import effort_path

log = logging.getLogger(__name__)

FIRST_ROUND_FILES: dict[str, Format[Any]] = {"weights.pt": WEIGHTS, "metrics.json": METRICS}
"""What is shared, the metrics last, which end a round; what was asked is drawn again, which costs nothing."""
SAVED = "saved.json"


@dataclass(frozen=True)
class FirstRound:
    """Safe among processes: one trains, the others wait for it and take what it made."""

    folder: Path
    """May be removed at any time when no run begins: what is gone is trained again."""

    def fill(self, place: Path, stages: Callable[[Path], Iterable[Callable[[], object]]]) -> None:
        """Puts the files into the round's folder `place`. The stages of a folder, called, make those that it lacks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            there = self._whole()
            for make in stages(self.folder):
                make()
            efforts = [path for name in FIRST_ROUND_FILES if (path := effort_path(self.folder / name)).exists()]
            if there:
                seconds = sum(loaded(path, EFFORT)["seconds"] for path in efforts)
                write_json(place / SAVED, {"seconds": seconds})
                log.info("round 0: taken from a run that begins alike, which saves %.1f s", seconds)
            else:
                for path in efforts:
                    _link(path, place / path.name)
            for name in FIRST_ROUND_FILES:
                _link(self.folder / name, place / name)

    def _whole(self) -> bool:
        """Whether the shared files are there and can be read; damaged ones are removed, to be made again."""
        try:
            for name, form in FIRST_ROUND_FILES.items():
                loaded(self.folder / name, form)
        except FileNotFoundError:
            return False
        except ValueError as error:
            log.warning("round 0 is trained again: %s", error)
            for name in FIRST_ROUND_FILES:
                (self.folder / name).unlink(missing_ok=True)
            return False
        return True

    def _alone(self) -> AbstractContextManager[object]:
        """Held by one process; it is let go when that process ends, however it does."""
        lock = FileLock(self.folder / ".lock")
        try:
            return lock.acquire(blocking=False)
        except Timeout:
            log.info("round 0: waits for another run that begins alike and trains it")
            return lock.acquire()


def saved_seconds(place: Path) -> float | None:
    """What the round in this folder would have taken, had it not been taken from another run."""
    path = place / SAVED
    return float(loaded(path, EFFORT, WITHOUT)["seconds"]) if path.exists() else None


def _link(source: Path, target: Path) -> None:
    """The same file under a second name where the disk can do that, else a copy; whole either way."""

    def save(partial: Path) -> None:
        partial.unlink(missing_ok=True)
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)

    write_checked(target, save)
