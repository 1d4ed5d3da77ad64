"""Which names are there, for a message: the one that was meant, else all of a few, of many the nearest."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

SHOWN = 12
"""Most names that a message lists."""


def nearest_names(wanted: str, there: Iterable[str]) -> str:
    """The names in their order; of more than SHOWN the nearest first, and the others counted."""
    names = sorted(set(there))
    if len(names) <= SHOWN:
        return ", ".join(names) or "none"
    near = sorted(names, key=lambda name: -SequenceMatcher(None, wanted, name).ratio())[:SHOWN]
    return f"{len(names)}, the nearest {', '.join(near)}"


def meant(wanted: str, there: Iterable[str], rest: str = "there are") -> str:
    """A question with the name that is almost the wanted one; without one the names, after `rest`."""
    names = sorted(set(there))
    close = get_close_matches(wanted, names, n=1)
    return f"did you mean {close[0]}?" if close else f"{rest} {nearest_names(wanted, names)}"
