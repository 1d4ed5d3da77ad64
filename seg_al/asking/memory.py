"""Tunes how the process keeps and returns memory."""

from __future__ import annotations

import atexit
import ctypes
import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
GIBIBYTE = 1 << 30
TRIM_EVERY = 50
"""Number of images after which freed memory goes back to the system, so that a larger pool needs no more."""


def _libc() -> ctypes.CDLL | None:
    """glibc; None where the C library is another one."""
    if sys.platform != "linux":
        return None
    try:
        libc = ctypes.CDLL("libc.so.6")
        return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
    except OSError:
        return None


def keep_freed_memory(largest: int = GIBIBYTE) -> None:
    """Tells glibc to reuse freed blocks of up to `largest` bytes rather than give each back to the system at once.

    Training on a CPU frees and asks for the same large blocks at every step, and the page faults of getting them anew
    cost a third of it.
    """
    if libc := _libc():
        libc.mallopt(M_MMAP_THRESHOLD, largest)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * GIBIBYTE - 1)


@contextmanager
def thrifty(area: int) -> Iterator[None]:
    """Within the block, large freed pieces of memory go back to the system, for work on images of `area` pixels.

    The peak of few very large blocks, as in the query of a street scene, is then no more than what is in use. For
    images of a million pixels and more, whose passes take seconds, a block counts as large from 2 MiB; else from 32.
    """
    give_freed_memory_back()
    keep_freed_memory((2 if area >= 1 << 20 else 32) << 20)
    try:
        yield
    finally:
        keep_freed_memory()


def give_freed_memory_back() -> None:
    """Returns what is freed to the system, once; small results that are kept between large blocks split the heap."""
    if libc := _libc():
        libc.malloc_trim(0)


def trimmed(batches: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Names of images that are looked at in batches; now and then freed memory goes back between two of them."""
    images = 0
    for batch in batches:
        if images >= TRIM_EVERY:
            give_freed_memory_back()
            images = 0
        images += len(batch)
        yield batch


@cache
def keep_imports() -> None:
    """Once tells the garbage collector that all there is by now stays to the end: half a million things of imports.

    They are searched neither while a run goes on nor when the process ends, which would take more than a second.
    """
    gc.freeze()
    atexit.register(gc.freeze)
