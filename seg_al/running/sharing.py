"""Divides CPU threads and GPUs among runs side by side on one machine."""

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
"""Seconds between two searches for a free GPU."""


def threads_each(cores: int, at_once: int) -> int:
    """The cores of each of `runs` runs, at least one."""
    return max(1, cores // at_once)


def share_threads(launching: Launching, jobs: int) -> int:
    """Sets OMP_NUM_THREADS for the processes that this one starts, unless it is set already.

    `jobs` is the number of jobs; 0: unknown. Returns how many run at once.
    """
    at_once = 1
    if launching.starts_with("JoblibLauncher"):
        at_once = min(effective_n_jobs(launching.launcher["n_jobs"]), jobs or sys.maxsize)
    elif launching.starts_with("LocalLauncher"):  # submitit starts all at once
        at_once = launching.most_at_once or jobs or 1
    given = launching.launcher.get("cpus_per_task")
    threads = given or (threads_each(cpu_count(), at_once) if at_once > 1 else None)
    if threads:
        each = os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        log.info("%d at once, %s CPU threads each unless threads=N says otherwise", at_once, each)
    return at_once


def visible_gpus() -> tuple[str, ...]:
    """The GPUs' names in CUDA_VISIBLE_DEVICES, or the numbers of all; found without starting CUDA."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return tuple(str(number) for number in range(torch.cuda.device_count()))
    return tuple(name.strip() for name in named.split(",") if name.strip())


def require_gpu() -> None:
    """Raises ValueError for gpus=one_each on a machine without a GPU."""
    if not visible_gpus():
        raise ValueError("gpus=one_each, but this machine shows no GPU; use gpus=shared, and device=cpu or device=auto")


def free_gpu(gpus: Sequence[str], folder: Path) -> tuple[str, FileLock]:
    """Waits for a GPU that no living process holds; returns its name and the lock that holds it."""
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
    """Takes a GPU for this process until it ends; call it before CUDA is used. None: there is no GPU."""
    gpus = visible_gpus()
    if not gpus:
        return None
    taken = free_gpu(gpus, Path(gettempdir()) / f"seg_al_gpus_{getpass.getuser()}")
    os.environ["CUDA_VISIBLE_DEVICES"] = taken[0]
    log.info("takes GPU %s", taken[0])
    return taken
