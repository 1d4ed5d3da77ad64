"""Turns the grey levels of a file into the 8 bits that networks and pictures take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from seg_al.core import ByteImage

ROWS = 64
"""Rows that are computed at a time, because float64 takes eight times the memory of the picture."""


@dataclass(frozen=True)
class ValueWindow:
    """Values up to `low` become black, from `high` on white, and those between lie on a line, rounded."""

    low: float
    high: float

    def __call__(self, values: npt.NDArray[Any]) -> ByteImage:
        """Bytes of the same shape. ValueError where a value is no number (NaN)."""
        missing = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
        if missing:
            raise ValueError(f"{missing:,} of its values are no number (NaN); fill them")
        shown = np.empty(values.shape, dtype=np.uint8)
        for first in range(0, len(values), ROWS):
            part = values[first : first + ROWS].astype(np.float64)
            share = np.clip((part - self.low) / (self.high - self.low), 0.0, 1.0)
            shown[first : first + ROWS] = np.floor(share * 255 + 0.5)
        return shown


def window_problem(given: object) -> str | None:
    """What is wrong with the value of a config: None, [low, high] or {"percentiles": [low, high]}."""
    if given is None or numbers_of(given) is not None:
        return None
    percentiles = percentiles_of(given)
    if percentiles is not None and percentiles[0] >= 0 and percentiles[1] <= 100:
        return None
    return (
        f"dataset.window={given} is none of null, [low, high] with the grey levels that become black and white, and "
        "{percentiles: [low, high]} with percentages of all training images, such as [1, 99]"
    )


def numbers_of(given: object) -> tuple[float, float] | None:
    """Two numbers, the lower one first; None where it is something else."""
    if not isinstance(given, list | tuple) or len(given) != 2:
        return None
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in given):
        return None
    low, high = (float(one) for one in given)
    return (low, high) if low < high else None


def percentiles_of(given: object) -> tuple[float, float] | None:
    """The percentiles in {"percentiles": [low, high]}; None where it is something else."""
    return numbers_of(given["percentiles"]) if isinstance(given, Mapping) and set(given) == {"percentiles"} else None


@runtime_checkable
class Windowed(Protocol):
    """A dataset whose files may hold more than 8 bits."""

    @property
    def window(self) -> ValueWindow | None: ...  # which grey levels are black and white; None: 8 bits as they are
