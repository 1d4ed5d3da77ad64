"""A heuristic of one's own: Tsallis entropy."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class Tsallis:
    """(1 - sum over classes of p^order) / (order - 1) of the mean probability p (Tsallis 1988)."""

    order: float
    reads: ClassVar[type[ClassMaps]] = ClassMaps
    min_passes: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.order <= 1:
            raise ValueError(f"heuristic.order is above 1, not {self.order:g}; 2 is the Gini index")

    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return (1 - maps.mean.pow(self.order).sum(0)) / (self.order - 1)  # mean: [C, H, W]
