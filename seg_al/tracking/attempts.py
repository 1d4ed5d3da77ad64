"""The attempts in a run folder: locks, the mark that identifies the run, and attempts whose process died."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seg_al.recording.files import write_json

SACRED = "sacred"
"""The folder of Sacred's files in a run folder; one numbered folder per attempt."""
MARK = "tracking.json"
"""The file with the run's uid, by which its document is recognised; it is copied with the folder."""
BUSY_SECONDS = 60.0
"""Seconds that a process waits for another one that brings the same run into a database."""


def is_running(folder: Path) -> bool:
    """Whether a living process runs the folder."""
    if not (folder / ".lock").exists():
        return False
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
def one_at_a_time(folder: Path, seconds: float = BUSY_SECONDS) -> Iterator[None]:
    """Lets one process at a time bring a folder into a database, so that no older state overwrites a newer one.

    Raises ValueError where another process needs longer than `seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".tracking.lock", timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"another process is bringing {folder} into MongoDB; wait for it and try again") from None
    try:
        yield
    finally:
        lock.release()


def uid_of(folder: Path) -> str:
    """The mark of the run, written where there is none; call it inside `one_at_a_time`."""
    path = folder / MARK
    if not path.exists():
        write_json(path, {"uid": uuid.uuid4().hex})
    return str(read_object(path)["uid"])


def attempts_of(folder: Path) -> list[Path]:
    """Sacred's folders of the run, oldest first."""
    home = folder / SACRED
    numbers = sorted(int(entry.name) for entry in home.iterdir() if entry.name.isdigit()) if home.is_dir() else []
    return [home / str(number) for number in numbers if (home / str(number) / "run.json").exists()]


def mark_dead(folder: Path) -> int:
    """Writes DIED into attempts that still say RUNNING, and returns how many; call it where no process runs them."""
    dead = 0
    for place in attempts_of(folder):
        run = read_object(place / "run.json")
        if run.get("status") == "RUNNING":
            write_json(place / "run.json", {**run, "status": "DIED", "stop_time": run.get("heartbeat")})
            dead += 1
    return dead


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError, naming the file, where it is none."""
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is not there") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); move it away and try again") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not whole JSON ({error}); move it away and try again") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object; move it away and try again")
    return value


def time_of(text: str) -> datetime:
    """The time of an ISO text, in UTC but without a time zone."""
    return _in_milliseconds(datetime.fromisoformat(text))


def time_written(path: Path) -> datetime:
    """When the file was written, in UTC."""
    return _in_milliseconds(datetime.fromtimestamp(os.stat(path).st_mtime, timezone.utc).replace(tzinfo=None))


def _in_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)  # MongoDB stores no more digits
