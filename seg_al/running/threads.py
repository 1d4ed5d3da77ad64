"""CPU threads of a run: as many as other programs leave cores free, chosen once, and kept in the folder of the run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from seg_al.recording.files import read_json, write_json
from seg_al.running.cores import first_look, look

log = logging.getLogger(__name__)

THREADS_FILE = "threads.json"
SAMPLE = 0.2
"""Least seconds over which the load of the cores is taken; in a run these are those of its imports, and more."""


def with_threads(settings: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The settings with a number in place of threads=auto: the one that the folder keeps, else what is free now.

    The number changes the last bits of a training. So a run keeps it, and the jobs of one process have the same.
    """
    if settings["threads"] != "auto":
        return settings
    path, most = folder / THREADS_FILE, _allowed()
    threads = _kept(path) if path.exists() else free_threads()
    if threads > most:
        log.warning("this run had %d CPU threads; here it gets %d, and its last bits may differ", threads, most)
    return {**settings, "threads": min(threads, most)}


def keep_threads(settings: Mapping[str, Any], folder: Path) -> None:
    """Writes the number of threads into the folder of a run that begins."""
    if not (folder / THREADS_FILE).exists():
        write_json(folder / THREADS_FILE, {"threads": settings["threads"]})


def _kept(path: Path) -> int:
    kept = read_json(path)
    threads = kept.get("threads") if isinstance(kept, dict) else None
    if not isinstance(threads, int) or threads < 1:
        raise ValueError(f"{path} holds no number of threads; remove it to have them chosen anew")
    return threads


@cache
def free_threads() -> int:
    """One for each core that nobody uses, at least one; OMP_NUM_THREADS wins, as a person or a sweep has set it."""
    most = _allowed()
    if most == 1 or "OMP_NUM_THREADS" in os.environ or (begun := first_look()) is None:
        return most
    time.sleep(max(0.0, begun.seconds + SAMPLE - time.perf_counter()))
    threads = most if (now := look()) is None else min(most, begun.free_until(now))
    if threads < most:
        log.info("%d of %d CPU threads, as other programs use cores; threads=N says otherwise", threads, most)
    return threads


def _allowed() -> int:
    """The most threads of this process: OMP_NUM_THREADS, else its cores, or its share of them by a container."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if given.isdigit() and int(given) > 0:
        return int(given)
    from joblib import cpu_count  # type: ignore[import-untyped]  # imported late: a number of threads needs it not

    return int(cpu_count())
