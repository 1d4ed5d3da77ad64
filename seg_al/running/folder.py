"""The folder of a run: named by its settings, used by one process at a time, refused to another config."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from filelock import FileLock, Timeout

from seg_al.recording.files import write_json
from seg_al.running.groups import flat
from seg_al.running.identity import goes_on, identity_in

NEEDED_MIB = 256
"""Free disk that a run needs to begin: weights of two rounds, pictures and files of an average experiment."""
ABSENT = "(absent)"


def writable(folder: Path) -> None:
    """Makes the folder. Raises ValueError where it cannot be written, or its disk is too full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / 2**20
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written: {error.strerror}; choose another place with runs=FOLDER"
        ) from error
    if free < NEEDED_MIB:
        raise ValueError(
            f"{folder} has {free:.0f} MiB of free disk, and a run needs about {NEEDED_MIB}; "
            "make room or choose another place with runs=FOLDER"
        )


@contextmanager
def claimed(folder: Path, config: Mapping[str, Any], identity: Mapping[str, Any]) -> Iterator[None]:
    """Holds the folder for this process, with config.json written into it.

    `identity` is the part of the config that decides the numbers. Raises ValueError where the folder belongs to
    another identity (naming the keys), is held by another process, cannot be written, or has no room left.
    """
    writable(folder)
    _require_ours(folder)  # before a lock file is written into it
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"another process is running {folder}; wait for it, or stop it and run again") from None
    try:
        _compare(folder / "config.json", identity)
        _keep(folder / "config.json", {**config, "identity": identity_in(folder, identity), "decides": identity})
        yield
        if not (folder / "config.json").exists():
            raise ValueError(
                f"{folder} was removed while the run was working, and is no longer complete: remove it, and "
                "run the same command again"
            )
    finally:
        lock.release()


def _require_ours(folder: Path) -> None:
    """Raises ValueError for a folder that holds files but no run."""
    others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if others and not (folder / "config.json").exists():
        raise ValueError(
            f"{folder} is not the folder of a run: it has {', '.join(others[:5])} but no config.json; "
            "move it away, or choose an empty one with folder=FOLDER"
        )


@contextmanager
def gone_if_refused(folder: Path, new: bool) -> Iterator[None]:
    """Removes a `new` folder of this process if the block raises ValueError before a round has begun."""
    try:
        yield
    except ValueError:
        if new and not (folder / "rounds").exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _keep(path: Path, record: Mapping[str, Any]) -> None:
    """Writes the config unless it is written already, so that a finished run stays unchanged."""
    if not path.exists() or json.loads(path.read_text()) != json.loads(json.dumps(record)):
        write_json(path, record)


def _compare(path: Path, identity: Mapping[str, Any]) -> None:
    if not path.exists():
        _require_ours(path.parent)
        return
    try:
        then = flat(json.loads(path.read_text())["decides"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OSError) as error:
        raise ValueError(f"{path} is damaged; move the folder away and run again") from error
    now = flat(json.loads(json.dumps(identity)))
    keys = sorted(
        key
        for key in then.keys() | now.keys()
        if then.get(key, ABSENT) != now.get(key, ABSENT)
        and not (key == "budget" and goes_on(then.get(key), now.get(key)))
    )
    if keys:
        rows = "\n".join(f"  - {key}: {then.get(key, ABSENT)} there, {now.get(key, ABSENT)} here" for key in keys)
        raise ValueError(
            f"{path.parent} belongs to a run with other settings:\n{rows}\n"
            "run it with those, or leave out folder= so that this run gets a folder of its own"
        )
