"""BALD: mutual information between prediction and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.heuristics.uncertainty import mutual_information, pixelwise
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class BALD:
    """Predictive entropy less expected entropy, in nats (Houlsby et al., arXiv 1112.5745; Gal et al., 1703.02910)."""

    min_passes: ClassVar[int] = 2
    reads: ClassVar[type[ClassMaps]] = ClassMaps
    single_pixels: ClassVar[bool] = True

    @pixelwise
    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return mutual_information(maps.mean, maps.expected_entropy)
