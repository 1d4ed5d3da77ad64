"""Least confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.heuristics.uncertainty import pixelwise
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class LeastConfidence:
    """One less the largest mean probability (Lewis and Gale 1994)."""

    min_passes: ClassVar[int] = 1
    reads: ClassVar[type[ClassMaps]] = ClassMaps
    single_pixels: ClassVar[bool] = True

    @pixelwise
    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return 1 - maps.mean.amax(0)
