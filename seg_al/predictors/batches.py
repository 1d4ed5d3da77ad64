"""Puts images of one size together, which networks get at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Size = tuple[int, int]


def batches(names: Iterable[str], size: Callable[[str], Size], at_once: Callable[[Size], int]) -> list[tuple[str, ...]]:
    """Names of images of one size, as many as go together; in the order of their first ones."""
    filled: list[list[str]] = []
    open_of: dict[Size, list[str]] = {}
    for name in names:
        own = size(name)
        batch = open_of.get(own)
        if batch is None or len(batch) >= at_once(own):
            batch = open_of[own] = []
            filled.append(batch)
        batch.append(name)
    return [tuple(batch) for batch in filled]
