"""RIPU (arXiv 2111.12940): where a window's pixels are predicted as many classes, and unsurely.

Impurity is the entropy of the shares of the predicted classes in the square around a pixel; uncertainty that of the
mean probabilities. Both are divided by ln C, so that they lie in [0, 1]. A square ends at the border, and its shares
are of what is left of it. With one class there is nothing to ask. The paper has both for regions and, in its code, the
uncertainty of the pixel alone for single pixels, without the division; C is that of the maps, where the code has 19.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from seg_al.heuristics.entropy import Entropy
from seg_al.predictors.class_maps import ClassMaps


def box_sums(values: Tensor, radius: int) -> Tensor:  # [H, W] -> [H, W]
    """The sum over the square of (2 radius + 1)^2 around each pixel; what lies outside the map counts as 0.

    Differences of running sums along one axis and then the other: the time does not depend on the radius. Whole numbers
    stay whole in int32; others are summed in float64.
    """
    number = torch.float64 if values.is_floating_point() else torch.int32
    for axis in (0, 1):
        running = pad(values.cumsum(axis, dtype=number), (0, 0, 1, 0) if axis == 0 else (1, 0))
        places = torch.arange(values.shape[axis], device=values.device)
        last = (places + radius + 1).clamp_max(values.shape[axis])
        values = running.index_select(axis, last) - running.index_select(axis, (places - radius).clamp_min(0))
    return values


@lru_cache(maxsize=8)
def square_areas(size: tuple[int, int], radius: int, device: torch.device) -> Tensor:  # [H, W], int32
    """How many pixels of the image the square around each pixel holds."""
    sides = []
    for length in size:
        places = torch.arange(length, dtype=torch.int32, device=device)
        sides.append((places + radius + 1).clamp_max(length) - (places - radius).clamp_min(0))
    return sides[0][:, None] * sides[1]


def impurity(maps: ClassMaps, radius: int) -> Tensor:  # [H, W], 0 to 1
    predicted = maps.mean.max(0).indices
    total = torch.zeros(maps.size, device=predicted.device)
    whole = square_areas(maps.size, radius, predicted.device)
    for label in torch.unique(predicted):  # a class that is predicted nowhere adds nothing
        total += torch.special.entr(box_sums(predicted == label, radius) / whole)
    return total / _unit(maps)


def _unit(maps: ClassMaps) -> float:
    """ln C, the largest entropy; 1 where there is but one class, whose entropy is 0."""
    return math.log(len(maps.mean)) or 1.0


def _check(radius: int) -> None:
    if radius < 1:
        raise ValueError(f"heuristic.radius is at least 1 pixel, not {radius}: a single pixel is of a single class")


@dataclass(frozen=True)
class RIPU:
    """Impurity of the window times its mean uncertainty, for regions (RA); with granularity=window of equal radius."""

    radius: int
    """Pixels from the centre to the side of the window."""
    min_passes: ClassVar[int] = 1
    reads: ClassVar[type[ClassMaps]] = ClassMaps

    def __post_init__(self) -> None:
        _check(self.radius)

    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        uncertainty = Entropy()(maps)
        whole = square_areas(maps.size, self.radius, uncertainty.device)
        mean = (box_sums(uncertainty, self.radius) / whole).float()
        return impurity(maps, self.radius) * mean / _unit(maps)


@dataclass(frozen=True)
class RIPUPixel:
    """Impurity of the window times the uncertainty of the pixel itself, for single pixels (PA)."""

    radius: int
    """Pixels from the centre to the side of the window."""
    min_passes: ClassVar[int] = 1
    reads: ClassVar[type[ClassMaps]] = ClassMaps

    def __post_init__(self) -> None:
        _check(self.radius)

    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return impurity(maps, self.radius) * Entropy()(maps) / _unit(maps)
