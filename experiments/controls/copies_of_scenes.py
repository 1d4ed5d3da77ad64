"""A pool of few scenes and many copies of each: who asks for a copy of what is known wastes the question."""

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


@dataclass(frozen=True)
class Copies(SmallPictures):
    """Images of 32 x 32 pixels; a scene has ground and an object of its own colours, its copies differ by noise."""

    scenes: int
    copies: int  # of each scene in the pool
    seed: int  # of the painting
    constructed: bool  # true: a program paints them, and their runs say so
    side: ClassVar[int] = SIDE
    fact: ClassVar[str] = "scene"
    classes: ClassVar[tuple[str, ...]] = ("ground", "object")
    background: ClassVar[int | None] = 0

    @cached_property
    def pool(self) -> tuple[str, ...]:
        return self._names("pool", self.copies)

    @property
    def val(self) -> tuple[str, ...]:
        return self._names("val", 1)[:4]

    @property
    def tests(self) -> Mapping[str, tuple[str, ...]]:
        return {"test": self._names("test", 2)}

    def _names(self, split: str, copies: int) -> tuple[str, ...]:
        return tuple(f"{split}_{scene:02d}_{copy:02d}" for scene in range(self.scenes) for copy in range(copies))

    def _scene(self, name: str) -> tuple[ByteImage, np.ndarray]:
        """Its target, and its picture [H, W, 3] without noise."""
        rng = numpy_rng(self.seed, "scene", name.split("_")[1])
        field = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), 5, mode="wrap")
        target = (field > np.quantile(field, rng.uniform(0.5, 0.75))).astype(np.uint8)
        ground, thing = rng.uniform(20, 235, 3), rng.uniform(20, 235, 3)
        return target, np.where(target[..., None] == 1, thing, ground)

    def image(self, name: str) -> ByteImage:  # [H, W, 3]
        noise = numpy_rng(self.seed, "copy", name).normal(0, 6, (SIDE, SIDE, 3))
        return (self._scene(name)[1] + noise).clip(0, 255).astype(np.uint8)

    def target(self, name: str) -> ByteImage:  # [H, W]
        return self._scene(name)[0]

    def fact_of(self, name: str) -> str:
        return name.split("_")[1]
