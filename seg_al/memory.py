"""How the process holds memory."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
GIBIBYTE = 1 << 30


def keep_freed_memory() -> None:
    """Tells glibc to reuse freed blocks rather than give each large one back to the system at once.

    Training on a CPU frees and asks for the same large blocks at every step, and the page faults of getting them anew
    cost a third of it. Does nothing where the C library is another one.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, GIBIBYTE)
    mallopt(M_TRIM_THRESHOLD, 2 * GIBIBYTE - 1)
