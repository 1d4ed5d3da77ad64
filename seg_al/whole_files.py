"""A file has its name only when all of it is on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, save: Callable[[Path], None]) -> None:
    """Saves under a temporary name beside `path`, flushes it to the disk and renames it: a named file is whole."""
    flushed(path, save).replace(path)


def flushed(path: Path, save: Callable[[Path], None]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    save(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    return partial
