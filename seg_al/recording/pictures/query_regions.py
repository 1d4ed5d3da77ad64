"""The asked pixels of one image, each with the query that asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seg_al.core import IGNORE, ByteImage, Region


class Placed(Protocol):
    """A query or an answer: a region of an image."""

    @property
    def image(self) -> str: ...
    @property
    def region(self) -> Region: ...


def by_image(asked: Iterable[Placed]) -> dict[str, list[int]]:
    """Positions in `asked` by image; images in the order of their first query."""
    positions: dict[str, list[int]] = {}
    for position, one in enumerate(asked):
        positions.setdefault(one.image, []).append(position)
    return positions


@dataclass(frozen=True)
class QueryRegions:
    """The pixels of the regions 0..n-1 of one image, which share no pixel."""

    size: tuple[int, int]
    """Height and width of the image in pixels."""
    count: int
    pixels: npt.NDArray[np.int64]  # [N] places in row-major order
    owners: npt.NDArray[np.int64]  # [N] the region that each pixel belongs to

    @classmethod
    def of(cls, regions: Sequence[Region]) -> QueryRegions:
        """Raises ValueError where there is no region, or where regions belong to images of different sizes."""
        sizes = {region.size for region in regions}
        if len(sizes) != 1:
            raise ValueError(f"the regions of one image need one size (height, width) in pixels, not {sorted(sizes)}")
        runs = np.array([run for region in regions for run in region.runs], dtype=np.int64).reshape(-1, 2)
        lengths = runs[:, 1] - runs[:, 0]
        owners = np.repeat(np.arange(len(regions)), [len(region.runs) for region in regions])
        starts = runs[:, 0] - (np.cumsum(lengths) - lengths)  # of runs, less the pixels before each
        pixels = np.repeat(starts, lengths) + np.arange(int(lengths.sum()))
        return cls(sizes.pop(), len(regions), pixels, np.repeat(owners, lengths))

    @cached_property
    def areas(self) -> npt.NDArray[np.int64]:  # [n] pixels
        return np.bincount(self.owners, minlength=self.count).astype(np.int64)

    @property
    def share(self) -> float:
        """The asked share of the image's pixels."""
        return len(self.pixels) / (self.size[0] * self.size[1])

    def centres(self) -> npt.NDArray[np.float64]:  # [n, 2] row, column; NaN for a region without pixels
        found = np.full((self.count, 2), np.nan)
        for axis, values in enumerate(np.divmod(self.pixels, self.size[1])):
            sums = np.bincount(self.owners, weights=values, minlength=self.count)
            np.divide(sums, self.areas, out=found[:, axis], where=self.areas > 0)
        return found

    def ids(self) -> npt.NDArray[np.int32]:  # [H, W] the region of each pixel, -1: not asked
        found = np.full(self.size, -1, dtype=np.int32)
        found.reshape(-1)[self.pixels] = self.owners
        return found

    def classes(self, labels: ByteImage) -> npt.NDArray[np.int64]:  # [H, W] -> [n]
        """The most frequent class of each region; IGNORE where no pixel has one."""
        own = self.owners * (IGNORE + 1) + labels.reshape(-1)[self.pixels]
        counts = np.bincount(own, minlength=self.count * (IGNORE + 1)).reshape(self.count, IGNORE + 1)
        counts[:, IGNORE] = counts[:, :IGNORE].max(axis=1) == 0
        found: npt.NDArray[np.int64] = counts.argmax(axis=1)
        return found
