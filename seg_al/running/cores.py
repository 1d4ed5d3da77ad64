"""The cores of the machine: which are idle, and how threads of OpenMP that wait for each other use them.

It imports nothing that takes long: a program looks at the cores before it does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

POLICY, SPINS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
SHORT_WAIT = 1000
"""Looks at what a thread waits for before it sleeps. By default these are 300,000, milliseconds in which it keeps a
core from the thread that it waits for, where another program runs; sleeping at once is slow where none does."""
SMALL_WORK = 0.25
"""Part of a core that small work of others may use without a thread less: a thread that waits for it delays all."""


def wait_shortly() -> None:
    """Sets it for this process and those that it starts, unless a person has; without effect once PyTorch is there."""
    if POLICY not in os.environ:
        os.environ.setdefault(SPINS, str(SHORT_WAIT))


@dataclass(frozen=True)
class CoreTimes:
    """What the cores had done at one moment."""

    seconds: float
    """The time."""
    own: float
    """Processor seconds of this process."""
    idle: Mapping[int, float]
    """Seconds in which each core was idle, of those that this process may use."""

    def free_until(self, later: CoreTimes) -> int:
        """The cores that others have left free since this look, at least one; a run that begins beside counts too."""
        passed = later.seconds - self.seconds
        idle = sum(min(1.0, (later.idle[core] - self.idle[core]) / passed) for core in self.idle.keys() & later.idle)
        return max(1, int(idle + (later.own - self.own) / passed + SMALL_WORK))


@cache
def first_look() -> CoreTimes | None:
    """The cores as they were when the program began, which calls it then."""
    return look()


def look() -> CoreTimes | None:
    """None where it is unknown."""
    if sys.platform != "linux":
        return None
    ours, ticks, idle = os.sched_getaffinity(0), os.sysconf("SC_CLK_TCK"), dict[int, float]()
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counts = line.split()
        core = name.removeprefix("cpu")
        if core.isdigit() and int(core) in ours:
            idle[int(core)] = (int(counts[3]) + int(counts[4])) / ticks  # idle, and waiting for a disk
    return CoreTimes(time.perf_counter(), time.process_time(), idle)
