"""Writes into the run's folder why an attempt ended early, for sweeps and tracking, which read it later."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from seg_al.core import AwaitingAnnotation
from seg_al.recording.files import read_json, write_json

NO_ROOM = 1 << 20
"""Bytes of free disk below which an error is taken for that of a full disk."""
STOP_FILE = "stopped.json"
"""Exists in the folder from the end of a broken attempt to the start of the next."""


@dataclass(frozen=True)
class Stop:
    how: Literal["failed", "interrupted", "awaiting"]
    reason: str
    traceback: str


class RunLog(logging.FileHandler):
    """Skips log lines when the disk is full: the terminal shows them, and the run's own next file will fail."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def noted(folder: Path) -> Iterator[None]:
    """Copies the log into run.log, and writes stopped.json if the block raises; the exception is raised unchanged.

    Only on a full disk, where the first error can be any, a ValueError with the remedy takes its place.
    """
    (folder / STOP_FILE).unlink(missing_ok=True)
    handler = RunLog(folder / "run.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    except BaseException as error:
        full = _full(folder, error)
        with suppress(OSError):  # a full disk must not hide the error
            write_json(folder / STOP_FILE, asdict(_stop(full or error)))
        if full is not None:
            raise full from error
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _full(folder: Path, error: BaseException) -> ValueError | None:
    if not isinstance(error, Exception) or shutil.disk_usage(folder).free >= NO_ROOM:
        return None
    for partial in sorted(folder.rglob(".*.partial*")):
        with suppress(OSError):
            partial.unlink()
    return ValueError(f"the disk of {folder} is full; make room, and run the same command again: it goes on")


def stop_of(folder: Path) -> Stop | None:
    """How the last attempt ended; None where no file says it. Raises ValueError for a file that was changed."""
    path = folder / STOP_FILE
    if not path.exists():
        return None
    found = read_json(path)
    try:
        return Stop(**found)
    except TypeError as error:
        raise ValueError(f"{path} was changed ({error}); remove it") from error


def _stop(error: BaseException) -> Stop:
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, AwaitingAnnotation):
        return Stop("awaiting", str(error), trace)
    if isinstance(error, ValueError):  # its message is written for people
        return Stop("failed", str(error), trace)
    reason = f"{type(error).__name__}: {error}"
    return Stop("failed" if isinstance(error, Exception) else "interrupted", reason, trace)
