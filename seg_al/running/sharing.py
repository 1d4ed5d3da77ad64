"""Runs beside each other on one machine: how many CPU threads each takes, and which GPU."""

from __future__ import annotations

import getpass
import logging
import os
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import gettempdir

import torch
from filelock import FileLock, Timeout
from joblib import cpu_count, effective_n_jobs  # type: ignore[import-untyped]

from seg_al.running.launching import Launching

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""Between two looks for a GPU that has become free."""


def threads_each(cores: int, at_once: int) -> int:
    """The share of the cores of each of so many runs, at least one."""
    return max(1, cores // at_once)


def share_threads(launching: Launching, jobs: int) -> int:
    """Gives processes that this one starts their CPU threads by OMP_NUM_THREADS, unless it is set already.

    `jobs` is how many there are; 0: nobody knows. Returns how many run at once.
    """
    at_once = 1
    if launching.starts_with("JoblibLauncher"):
        at_once = min(effective_n_jobs(launching.launcher["n_jobs"]), jobs or sys.maxsize)
    elif launching.starts_with("LocalLauncher"):  # submitit starts all
        at_once = launching.most_at_once or jobs or 1
    given = launching.launcher.get("cpus_per_task")
    threads = given or (threads_each(cpu_count(), at_once) if at_once > 1 else None)
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
