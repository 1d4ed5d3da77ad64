"""Runs beside each other on one machine: how many CPU threads each takes, and which GPU."""

from __future__ import annotations

import getpass
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from shutil import which
from tempfile import gettempdir
from typing import Any

import torch
from filelock import FileLock, Timeout
from joblib import cpu_count, effective_n_jobs  # type: ignore[import-untyped]
from joblib.parallel import BACKENDS  # type: ignore[import-untyped]

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""Between two looks for a GPU that has become free."""


def threads_each(cores: int, at_once: int) -> int:
    """The share of the cores of each of so many runs, at least one."""
    return max(1, cores // at_once)


LEAST = {
    "timeout_min": 1, "cpus_per_task": 1, "array_parallelism": 1, "tasks_per_node": 1, "nodes": 1, "gpus_per_node": 0,
    "max_num_timeout": 0, "signal_delay_s": 0, "mem_gb": 1,
}  # fmt: skip
"""Of the values of a launcher."""


def launcher_problems(launcher: Mapping[str, Any], sweeper: Mapping[str, Any]) -> str:
    """What keeps Hydra's launcher and sweeper from starting jobs, a line each with its remedy; "": nothing."""
    wrong = wrong_values(launcher, sweeper)
    if launcher["_target_"].endswith("SlurmLauncher") and not (which("sbatch") and which("srun")):
        wrong.append(
            "hydra/launcher=slurm hands runs to sbatch, which is not on this machine: start it where sbatch and srun "
            "work, or take hydra/launcher=local_processes or joblib"
        )
    return "\n".join(wrong)


def wrong_values(launcher: Mapping[str, Any], sweeper: Mapping[str, Any]) -> list[str]:
    """Values that neither may have, a sentence each, also where they start nothing."""
    wrong = [
        f"hydra.launcher.{key}={launcher[key]}: at least {least}"
        for key, least in LEAST.items()
        if isinstance(launcher.get(key), int | float) and launcher[key] < least
    ]
    backend = launcher.get("backend")
    if backend not in (None, *BACKENDS):
        wrong.append(f"hydra.launcher.backend={backend}: joblib has {', '.join(BACKENDS)}")
    if launcher.get("n_jobs") == 0:
        wrong.append("hydra.launcher.n_jobs=0: at least 1 run at a time; -1 for as many as there are cores")
    batch = sweeper.get("max_batch_size")
    if batch is not None and batch < 1:
        wrong.append(f"hydra.sweeper.max_batch_size={batch}: at least 1 job at a time; null for all")
    return wrong


def share_threads(launcher: Mapping[str, Any], batch: int | None, jobs: int) -> int:
    """Gives processes that this one starts their CPU threads by OMP_NUM_THREADS, unless it is set already.

    `launcher` has the values of Hydra's, `batch` the most jobs that it gets at a time; None: all `jobs`, whose number
    may be unknown (0). Returns how many run at once.
    """
    at_once = 1
    if launcher["_target_"].endswith("JoblibLauncher"):
        at_once = min(effective_n_jobs(launcher["n_jobs"]), jobs or sys.maxsize)
    elif launcher["_target_"].endswith("LocalLauncher"):  # submitit starts all
        at_once = batch or jobs or 1
    threads = launcher.get("cpus_per_task") or (threads_each(cpu_count(), at_once) if at_once > 1 else None)
    if threads:
        each = os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        log.info("%d at once, %s CPU threads each unless threads=N says otherwise", at_once, each)
    return at_once


def visible_gpus() -> tuple[str, ...]:
    """The names CUDA_VISIBLE_DEVICES gives them, or the numbers of all; asks no driver that would then be fixed."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return tuple(str(number) for number in range(torch.cuda.device_count()))
    return tuple(name.strip() for name in named.split(",") if name.strip())


def require_gpu() -> None:
    """Raises ValueError where gpus=one_each finds none on this machine."""
    if not visible_gpus():
        raise ValueError("gpus=one_each, but this machine shows no GPU; use gpus=shared, and device=cpu or device=auto")


def free_gpu(gpus: Sequence[str], folder: Path) -> tuple[str, FileLock]:
    """The first of the GPUs that no living process holds, and the lock by which this one holds it; waits for one."""
    folder.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        for gpu in gpus:
            lock = FileLock(folder / f"{gpu.replace('/', '_')}.lock", blocking=False)
            try:
                lock.acquire()
            except Timeout:
                continue
            return gpu, lock
        if not told:
            log.info("waits for one of the GPUs %s: each is taken by another run", ", ".join(gpus))
            told = True
        time.sleep(WAIT_SECONDS)


@cache
def take_gpu() -> tuple[str, FileLock] | None:
    """Holds a GPU of its own for this process until it ends; call it before CUDA is used. None: there is no GPU."""
    gpus = visible_gpus()
    if not gpus:
        return None
    taken = free_gpu(gpus, Path(gettempdir()) / f"seg_al_gpus_{getpass.getuser()}")
    os.environ["CUDA_VISIBLE_DEVICES"] = taken[0]
    log.info("takes GPU %s", taken[0])
    return taken
