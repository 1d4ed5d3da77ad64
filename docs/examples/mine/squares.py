"""A data set of one's own: a bright square in each image, made from the image's name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seg_al.core import ByteImage, PixelSet


@dataclass(frozen=True)
class Squares:
    """Images of 64 x 64 pixels."""

    side: int  # of a square, pixels
    pool: ClassVar[tuple[str, ...]] = tuple(f"pool{number:02d}" for number in range(20))  # sorted
    val: ClassVar[tuple[str, ...]] = ("val0", "val1")
    tests: ClassVar[Mapping[str, tuple[str, ...]]] = {"test": ("test0", "test1")}
    classes: ClassVar[tuple[str, ...]] = ("background", "square")  # in the order of their ids
    background: ClassVar[int | None] = 0  # the class id that foreground metrics leave out; None: no class

    def image(self, name: str) -> ByteImage:  # [H, W, 3]
        noise = np.random.default_rng([*name.encode()]).integers(0, 120, (*self.size(name), 3))
        return (noise + 100 * self.target(name)[..., None]).astype(np.uint8)

    def target(self, name: str) -> ByteImage:  # [H, W], class ids; 255: void
        row, column = np.random.default_rng([*name.encode()]).integers(0, 64 - self.side, 2)
        target = np.zeros(self.size(name), dtype=np.uint8)
        target[row : row + self.side, column : column + self.side] = 1
        return target

    def size(self, name: str) -> tuple[int, int]:  # known before the image is decoded
        return 64, 64

    def askable(self, name: str) -> PixelSet | None:  # [H, W], where the target is not void; None: everywhere
        return None

    def objects(self, name: str) -> None:  # [H, W], int32 ids of objects, 0: none; None: they are not known
        return None

    def column(self, key: str) -> Mapping[str, str]:  # a value for each image of the pool
        raise ValueError(f"these images have no column {key}")
