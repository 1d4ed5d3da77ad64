"""Which names are there, for a message: all of a few, of many the nearest to what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

SHOWN = 12
"""Most names that a message lists."""


def nearest_names(wanted: str, there: Iterable[str]) -> str:
    """The names in their order; of more than SHOWN the nearest first, and the others counted."""
    names = sorted(set(there))
    if len(names) <= SHOWN:
        return ", ".join(names) or "none"
    near = sorted(names, key=lambda name: -SequenceMatcher(None, wanted, name).ratio())[:SHOWN]
    return f"{len(names)}, the nearest {', '.join(near)}"
