"""The launcher that starts the jobs of a command, and the sweeper that chooses them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

LEAST = {
    "timeout_min": 1, "cpus_per_task": 1, "array_parallelism": 1, "tasks_per_node": 1, "nodes": 1, "gpus_per_node": 0,
    "max_num_timeout": 0, "signal_delay_s": 0, "mem_gb": 1,
}  # fmt: skip
"""Least values of a launcher's settings."""


@dataclass(frozen=True)
class Launching:
    launcher: Mapping[str, Any]
    """The settings of Hydra's launcher; `sweeper` has those of its sweeper."""
    sweeper: Mapping[str, Any]
    swept: bool
    """Whether the command is a sweep; otherwise the launcher starts nothing."""
    notes: Path
    """A folder for notes that the jobs of a sweep write for its summary."""

    @property
    def by_product(self) -> bool:
        """Whether all jobs are known before the first; other sweepers choose as they go, and count failures."""
        return str(self.sweeper["_target_"]).endswith("BasicSweeper")

    @property
    def most_at_once(self) -> int | None:
        found: int | None = self.sweeper.get("max_batch_size")
        return found

    def starts_with(self, name: str) -> bool:
        """Whether the launcher's class has this name."""
        return str(self.launcher["_target_"]).endswith(f".{name}")

    def require_values(self) -> None:
        """Raises ValueError for values that are never allowed, even where nothing is started."""
        if wrong := self._wrong_values():
            raise ValueError("\n".join(wrong))

    def require_startable(self) -> None:
        """Raises ValueError with a line and a remedy for everything that keeps jobs from starting."""
        wrong = self._wrong_values()
        if self.starts_with("SlurmLauncher") and not (which("sbatch") and which("srun")):
            wrong.append(
                "hydra/launcher=slurm hands runs to sbatch, which is not on this machine: start it where sbatch and "
                "srun work, or take hydra/launcher=local_processes or joblib"
            )
        if wrong:
            raise ValueError("no job of this sweep was started.\n\n" + "\n".join(wrong))

    def _wrong_values(self) -> list[str]:
        wrong = [
            f"hydra.launcher.{key}={self.launcher[key]}: at least {least}"
            for key, least in LEAST.items()
            if isinstance(self.launcher.get(key), int | float) and self.launcher[key] < least
        ]
        from joblib.parallel import BACKENDS  # type: ignore[import-untyped]  # imported late: not needed where a config is only shown

        backend = self.launcher.get("backend")
        if backend not in (None, *BACKENDS):
            wrong.append(f"hydra.launcher.backend={backend}: joblib has {', '.join(BACKENDS)}")
        if self.launcher.get("n_jobs") == 0:
            wrong.append("hydra.launcher.n_jobs=0: at least 1 run at a time; -1 for as many as there are cores")
        if self.most_at_once is not None and self.most_at_once < 1:
            wrong.append(f"hydra.sweeper.max_batch_size={self.most_at_once}: at least 1 job at a time; null for all")
        return wrong


@dataclass(frozen=True)
class Word:
    """A word of the command line that gives a key one value, or several, one after the other."""

    typed: str
    key: str
    values: Callable[[], Iterable[str]]
    several: bool
    bounds: tuple[Any, Any, Any] | None
    """Start, stop and step, where its values are a range; None: they are a list."""

    @property
    def count(self) -> float:
        """The number of values; infinite where they never end. A range is counted without making it."""
        if self.bounds is None:
            return len(list(self.values()))
        start, stop, step = (float(number) for number in self.bounds)
        count = (stop - start) / step if step else math.inf
        return max(0, math.ceil(count)) if math.isfinite(count) else math.inf
