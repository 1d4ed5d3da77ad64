"""Predictive entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.heuristics.uncertainty import entropy, pixelwise
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class Entropy:
    """Entropy of the mean probability, in nats; "max entropy" of Gal et al. (arXiv 1703.02910)."""

    min_passes: ClassVar[int] = 1
    reads: ClassVar[type[ClassMaps]] = ClassMaps
    single_pixels: ClassVar[bool] = True

    @pixelwise
    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return entropy(maps.mean)
