"""Margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.heuristics.uncertainty import pixelwise, top_two_gap
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class Margin:
    """One less the gap between the two largest mean probabilities (Scheffer et al. 2001).

    We differ by the sign and the one, so that higher = more wanted and no score is negative.
    """

    min_passes: ClassVar[int] = 1
    reads: ClassVar[type[ClassMaps]] = ClassMaps
    single_pixels: ClassVar[bool] = True

    @pixelwise
    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return 1 - top_two_gap(maps.mean)
