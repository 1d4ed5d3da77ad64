"""The pixels that one question is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Region:
    """A set of pixels of one image, as half-open runs [start, stop) of its row-major pixel order."""

    size: tuple[int, int]
    """Height and width of the image in pixels."""
    runs: tuple[tuple[int, int], ...]

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Region:
        return cls(size, ((0, size[0] * size[1]),))

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_]) -> Region:  # [H, W]
        return cls.of_pixels((mask.shape[0], mask.shape[1]), np.flatnonzero(mask))

    @classmethod
    def of_pixels(cls, size: tuple[int, int], pixels: npt.NDArray[np.intp]) -> Region:  # [area], ascending
        """The pixels at these places of the row-major order."""
        if len(pixels) == 0:
            return cls(size, ())
        breaks = np.flatnonzero(np.diff(pixels) > 1)
        starts, stops = pixels[np.r_[0, breaks + 1]], pixels[np.r_[breaks, len(pixels) - 1]] + 1
        return cls(size, tuple(zip(starts.tolist(), stops.tolist(), strict=True)))

    def mask(self) -> npt.NDArray[np.bool_]:  # [H, W]
        mask = np.zeros(self.size, dtype=np.bool_)
        self.fill(mask, True)
        return mask

    def pixels_of(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:  # [H, W] -> [area]
        """The array's values in the region, in row-major order."""
        flat = np.asarray(array).reshape(-1)
        parts = [flat[start:stop] for start, stop in self.runs]
        return np.concatenate(parts) if parts else flat[:0]

    def copy(self, source: npt.NDArray[Any], array: npt.NDArray[Any]) -> None:
        """Copies the region's pixels from one contiguous array [H, W] to another."""
        assert array.flags.c_contiguous
        assert array.shape == source.shape == self.size
        flat, values = array.reshape(-1), np.asarray(source).reshape(-1)
        for start, stop in self.runs:
            flat[start:stop] = values[start:stop]

    def fill(self, array: npt.NDArray[Any], value: Any) -> None:
        """Writes the value into the region's pixels of a contiguous array [H, W]."""
        assert array.flags.c_contiguous
        assert array.shape == self.size
        flat = array.reshape(-1)
        for start, stop in self.runs:
            flat[start:stop] = value

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return sum(stop - start for start, stop in self.runs)
