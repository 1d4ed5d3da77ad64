"""How threads of OpenMP wait for each other, which it reads from the environment when PyTorch is imported."""

from __future__ import annotations

import os

POLICY, SPINS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
FEW = 1000
"""Looks at what a thread waits for before it sleeps. By default these are 300,000, milliseconds in which it keeps a
core from the thread that it waits for, where another program runs; sleeping at once is slow where none does."""


def wait_shortly() -> None:
    """Sets it for this process and those that it starts, unless a person has; without effect once PyTorch is there."""
    if POLICY not in os.environ:
        os.environ.setdefault(SPINS, str(FEW))
