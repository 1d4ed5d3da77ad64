"""The members of a dataset that a test has no use for, so that its own one says no more than it needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from seg_al.core import ByteImage, PixelSet


class BareDataset:
    """Black images of which every pixel may be asked about, in no split, without objects; subclasses tell targets."""

    classes: tuple[str, ...] = ()
    background: int | None = None
    pool: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    tests: Mapping[str, tuple[str, ...]] = {}

    def target(self, name: str) -> ByteImage:  # [H, W]
        raise NotImplementedError

    def image(self, name: str) -> ByteImage:  # [H, W, 3]
        return np.zeros((*self.size(name), 3), np.uint8)

    def size(self, name: str) -> tuple[int, int]:
        height, width = self.target(name).shape
        return height, width

    def askable(self, name: str) -> PixelSet | None:
        return None

    def objects(self, name: str) -> npt.NDArray[np.int32] | None:
        return None

    def column(self, key: str) -> Mapping[str, str]:
        return {}
