"""A pool of easy discs with two rare classes, rings and crosses, that no disc prepares for; tests have all alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.ndimage import gaussian_filter
from small_pictures import SmallPictures

from seg_al.core import ByteImage
from seg_al.randomness import numpy_rng

SIDE = 32  # pixels
KINDS = ("disc", "ring", "cross")


@dataclass(frozen=True)
class RareShapes(SmallPictures):
    """Images of 32 x 32 pixels, each with shapes of one kind."""

    common: int  # discs in the pool
    rare: int  # rings in the pool, and as many crosses
    test: int  # test images of each kind
    seed: int  # of the painting
    shuffled: bool  # whether each image of the pool has the labels of another one
    constructed: bool  # true: a program paints them, and their runs say so
    side: ClassVar[int] = SIDE
    fact: ClassVar[str] = "kind"
    classes: ClassVar[tuple[str, ...]] = ("ground", *KINDS)
    background: ClassVar[int | None] = 0

    @cached_property
    def pool(self) -> tuple[str, ...]:
        return self._names("pool", self.common, self.rare)

    @property
    def val(self) -> tuple[str, ...]:
        return self._names("val", 2, 2)

    @property
    def tests(self) -> Mapping[str, tuple[str, ...]]:
        return {"test": self._names("test", self.test, self.test)}

    def _names(self, split: str, common: int, rare: int) -> tuple[str, ...]:
        counts = zip(KINDS, (common, rare, rare), strict=True)
        return tuple(sorted(f"{split}_{kind}{number:03d}" for kind, count in counts for number in range(count)))

    def image(self, name: str) -> ByteImage:  # [H, W, 3]
        return self._painted(name)[0]

    def target(self, name: str) -> ByteImage:  # [H, W]
        return self._painted(self._answered(name))[1]

    def _answered(self, name: str) -> str:
        """The image whose labels the oracle gives for `name`."""
        if not self.shuffled or name not in self.pool:
            return name
        others = numpy_rng(self.seed, "shuffled").permutation(self.pool).tolist()
        return str(others[self.pool.index(name)])

    def _painted(self, name: str) -> tuple[ByteImage, ByteImage]:
        rng = numpy_rng(self.seed, "shapes", name)
        kind = self.fact_of(name)
        return _disc(rng) if kind == "disc" else _rare(rng, kind)

    def fact_of(self, name: str) -> str:
        return next(kind for kind in KINDS if f"_{kind}" in name)


def _disc(rng: np.random.Generator) -> tuple[ByteImage, ByteImage]:
    rows, columns = np.indices((SIDE, SIDE))
    row, column = rng.uniform(9, SIDE - 9, 2)
    inside = np.hypot(rows - row, columns - column) < rng.normal(7.5, 0.5)
    image = np.where(inside[..., None], (200.0, 90.0, 90.0), 150.0) + rng.normal(0, 4, (SIDE, SIDE, 3))
    return image.clip(0, 255).astype(np.uint8), inside.astype(np.uint8)


def _rare(rng: np.random.Generator, kind: str) -> tuple[ByteImage, ByteImage]:
    """Two or three striped shapes on spotted ground."""
    rows, columns = np.indices((SIDE, SIDE))
    spots = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE, 3)), (2, 2, 0)) * 40
    image = rng.uniform(110, 170, 3) + spots + rng.normal(0, 10, (SIDE, SIDE, 3))
    target = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for _ in range(rng.integers(2, 4)):
        (row, column), radius, turn = rng.uniform(8, 24, 2), rng.uniform(5, 7.5), rng.uniform(0, np.pi)
        down, right = rows - row, columns - column
        along, across = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
        bars = [(abs(one) < 2) & (abs(other) < radius) for one, other in ((along, across), (across, along))]
        shape = abs(np.hypot(down, right) - radius) < 2 if kind == "ring" else bars[0] | bars[1]
        colour = np.array((60, 90, 220) if kind == "ring" else (90, 210, 60)) + rng.normal(0, 15, 3)
        stripes = np.where(np.sin(2 * along)[..., None] > 0, colour, 0.75 * colour)
        image[shape] = (stripes + rng.normal(0, 10, stripes.shape))[shape]
        target[shape] = 1 + KINDS.index(kind)
    return image.clip(0, 255).astype(np.uint8), target
