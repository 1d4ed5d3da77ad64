"""Variation ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.heuristics.uncertainty import pixelwise
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class VariationRatio:
    """The share of passes that do not vote for the winning class (Freeman 1965; Gal et al., arXiv 1703.02910)."""

    min_passes: ClassVar[int] = 2
    reads: ClassVar[type[ClassMaps]] = ClassMaps
    single_pixels: ClassVar[bool] = True

    @pixelwise
    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return 1 - maps.vote_shares.amax(0)
