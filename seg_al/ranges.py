"""Which numbers a setting may be: stated in the annotation of what it is for, and checked before anything is built.

`width: Count` in a class that a `_target_` names is all it takes; running/signatures.py reads it and tells the key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, get_args


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included unless they are said to be open."""

    low: float
    high: float = math.inf
    above: bool = False
    """Whether `low` itself is left out."""
    below: bool = False
    """Whether `high` itself is left out; of a range without an upper end, infinity."""

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.above else self.low <= value) and (
            value < self.high if self.below else value <= self.high
        )

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        if math.isinf(self.high):
            return f"{low} and finite" if self.below else low
        if not self.above and not self.below:
            return f"from {self.low:g} to {self.high:g}"
        return f"{low} and {'below' if self.below else 'at most'} {self.high:g}"


Count = Annotated[int, Range(1)]
CountOrNone = Annotated[int, Range(0)]
"""A number of things, of which there may be none."""
Weight = Annotated[float, Range(0, below=True)]
Positive = Annotated[float, Range(0, above=True, below=True)]
Share = Annotated[float, Range(0, 1)]
PositiveShare = Annotated[float, Range(0, 1, above=True)]
ShareBelowOne = Annotated[float, Range(0, 1, below=True)]

Hue = Annotated[float, Range(0, 0.5)]
"""A share of the colour circle, to either side."""
Width = Annotated[int, Range(1, 1024)]
"""Channels of a network's finest level; more fit no memory."""
BatchSize = Annotated[int, Range(1, 65536)]
"""Images of one step."""

OPTIMIZER = {
    "lr": Range(0, above=True, below=True),
    "momentum": Range(0, 1, below=True),
    "dampening": Range(0, 1),
    "weight_decay": Range(0, below=True),
    "eps": Range(0, below=True),
    "betas": Range(0, 1, below=True),
    "alpha": Range(0, 1, below=True),
}
"""Of the optimizers of PyTorch, whose annotations state none, by the names that they share."""


def ranges_in(hint: Any) -> list[Range]:
    """Those that an annotation states, of the numbers in a list too."""
    stated = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Range)]
    return [*stated, *(found for arm in get_args(hint) for found in ranges_in(arm))]


def out_of(ranges: list[Range], value: Any) -> str | None:
    """A sentence where a number, or one in a list, is outside of one of the ranges."""
    if isinstance(value, list):
        return next(filter(None, (out_of(ranges, one) for one in value)), None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return next((f"a number {one} is needed" for one in ranges if value not in one), None)
