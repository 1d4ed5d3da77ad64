"""Resumes like `make`: a stage whose file exists is not run again."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch

from seg_al.recording.files import Format, loaded, read_json, write_checked, write_json

T = TypeVar("T")


@dataclass(frozen=True)
class Effort:
    """Time and memory of a stage."""

    seconds: float
    peak_mib: float
    """Largest memory during the stage: allocated on the GPU, else resident in the process."""


def effort_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.effort.json")


def stage(
    path: Path, compute: Callable[[], T], form: Format[T], inputs: Sequence[Callable[[], object]] = ()
) -> Callable[[], T]:
    """A function that loads the file, or makes it where there is none; a file that is not asked for is not made.

    It keeps no value, which may be large. The functions in `inputs` are called first, so that their effort is
    not counted as this stage's.
    """

    def value() -> T:
        if path.exists():
            return loaded(path, form)
        for one in inputs:
            one()
        _restart_peak()
        start = time.monotonic()
        made = compute()
        write_json(effort_path(path), asdict(Effort(time.monotonic() - start, _peak_mib())))
        write_checked(path, lambda partial: form.save(made, partial))
        return made

    return value


def _restart_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        with suppress(OSError):  # without this file, the peak is that of the whole process
            Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def finished(folder: Path, rounds: int) -> bool:
    """Whether the run in the folder has finished so many rounds. Raises ValueError where that cannot be read."""
    path = folder / "finished.json"
    return path.exists() and bool(read_json(path) == {"rounds": rounds})
