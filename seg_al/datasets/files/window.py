"""From the grey levels of a file to the 8 bits that networks and pictures take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seg_al.core import ByteImage


@dataclass(frozen=True)
class Window:
    """Values up to `low` become black, from `high` on white, and those between lie on a line, rounded."""

    low: float
    high: float

    def __call__(self, values: npt.NDArray[Any]) -> ByteImage:
        """The same shape. ValueError where a value is no number (NaN)."""
        numbers = values.astype(np.float64)
        if np.isnan(numbers).any():
            raise ValueError(f"{int(np.isnan(numbers).sum()):,} of its values are no number (NaN); fill them")
        share = np.clip((numbers - self.low) / (self.high - self.low), 0.0, 1.0)
        return np.floor(share * 255 + 0.5).astype(np.uint8)
