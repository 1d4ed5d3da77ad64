"""Two classes of which half cannot be told apart: uncertainty asks there, learns nothing, and must not win.

An image version of ThreeClust (arXiv 2408.00426): four clusters of points in a plane, of which two, one of each
class, lie in one place. A point is the colour of an image.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from small_pictures import SmallPictures

from seg_al.core import ByteImage
from seg_al.randomness import numpy_rng

SIDE = 16  # pixels
CENTRES = {"a": (0, 0), "b": (4, 3), "c": (0, 6), "d": (4, 3)}
POSITIVE = ("a", "b")
OVERLAPPING = ("b", "d")


@dataclass(frozen=True)
class Overlapping(SmallPictures):
    """Images of 16 x 16 pixels, each of one colour and one class."""

    each: int  # images of each cluster in the pool
    test: int  # test images of each cluster
    seed: int  # of the painting
    constructed: bool  # true: a program paints them, and their runs say so
    side: ClassVar[int] = SIDE
    fact: ClassVar[str] = "cluster"
    classes: ClassVar[tuple[str, ...]] = ("negative", "positive")
    background: ClassVar[int | None] = None

    @cached_property
    def pool(self) -> tuple[str, ...]:
        return self._names("pool", self.each)

    @property
    def val(self) -> tuple[str, ...]:
        return self._names("val", 4)

    @property
    def tests(self) -> Mapping[str, tuple[str, ...]]:
        return {"test": self._names("test", self.test)}

    def _names(self, split: str, each: int) -> tuple[str, ...]:
        return tuple(f"{split}_{cluster}{number:03d}" for cluster in CENTRES for number in range(each))

    def image(self, name: str) -> ByteImage:  # [H, W, 3]
        rng = numpy_rng(self.seed, "point", name)
        across, up = CENTRES[self.fact_of(name)] + rng.normal(0, 1, 2)
        colour = np.array((60 + 20 * across, 60 + 15 * up, 128))
        return (colour + rng.normal(0, 3, (SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)

    def target(self, name: str) -> ByteImage:  # [H, W]
        return np.full((SIDE, SIDE), self.fact_of(name) in POSITIVE, dtype=np.uint8)

    def fact_of(self, name: str) -> str:
        return name.split("_")[1][0]
