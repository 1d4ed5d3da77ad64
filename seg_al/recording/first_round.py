"""Shares the first round among runs with the same start, in a folder named by all that decides its numbers."""

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

from seg_al.recording.files import (
    BASELINES,
    EFFORT,
    METRICS,
    OBJECT,
    WEIGHTS,
    WITHOUT,
    Format,
    loaded,
    write_checked,
    write_json,
)
from seg_al.recording.stages import effort_path

log = logging.getLogger(__name__)

FIRST_ROUND_FILES: dict[str, Format[Any]] = {
    "training.json": OBJECT,
    "weights.pt": WEIGHTS,
    "baselines.json": BASELINES,
    "metrics.json": METRICS,
}
"""The shared files, with the metrics last, which end a round; the queries are drawn again, which costs nothing."""
SAVED = "saved.json"


@dataclass(frozen=True)
class FirstRound:
    """Safe among processes: one trains, the others wait and take its files."""

    folder: Path
    """May be removed when no run is starting; a removed first round is trained again."""

    def fill(self, place: Path, stages: Callable[[Path], Iterable[Callable[[], object]]]) -> None:
        """Puts the files into the folder `place` of the round; calls the stages that make files which are missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            there = self._whole()
            for make in stages(self.folder):
                make()
            efforts = [path for name in FIRST_ROUND_FILES if (path := effort_path(self.folder / name)).exists()]
            if there:
                seconds = sum(loaded(path, EFFORT)["seconds"] for path in efforts)
                write_json(place / SAVED, {"seconds": seconds})
                log.info("round 0: taken from a run with the same start, which saves %.1f s", seconds)
            else:
                for path in efforts:
                    _link(path, place / path.name)
            for name in (name for name in FIRST_ROUND_FILES if (self.folder / name).exists()):
                _link(self.folder / name, place / name)

    def _whole(self) -> bool:
        """Whether the shared files exist and can be read; damaged ones are removed and made again."""
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
        """A lock that one process holds until its end."""
        lock = FileLock(self.folder / ".lock")
        try:
            return lock.acquire(blocking=False)
        except Timeout:
            log.info("round 0: waits for another run with the same start, which trains it")
            return lock.acquire()


def saved_seconds(place: Path) -> float | None:
    """Seconds that were saved because the round in this folder was taken from another run."""
    path = place / SAVED
    return float(loaded(path, EFFORT, WITHOUT)["seconds"]) if path.exists() else None


def _link(source: Path, target: Path) -> None:
    """Links the file under a second name where the disk can do that, else copies it whole."""

    def save(partial: Path) -> None:
        partial.unlink(missing_ok=True)
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)

    write_checked(target, save)
