"""Mean variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.heuristics.uncertainty import pixelwise
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class MeanVariance:
    """Mean over classes of the probability's population variance over the passes (SuperAnnotate's DRN study)."""

    min_passes: ClassVar[int] = 2
    reads: ClassVar[type[ClassMaps]] = ClassMaps
    single_pixels: ClassVar[bool] = True

    @pixelwise
    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return maps.variance.mean(0)
