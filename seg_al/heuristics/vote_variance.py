"""Variance of the passes' votes, plain or weighted by the distance from the outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from seg_al.heuristics.uncertainty import pixelwise, vote_variance
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class VoteVariance:
    """Variance over the passes of the predicted label, as in the axon-myelin study (arXiv 1907.05143).

    For two classes it is f (1 - f) with f the share of foreground votes. That study's successors take the variance of
    the class index, which for more classes depends on how they are numbered; we take the mean over classes of the
    variance of each class's vote, which equals it for two. With `distance_weight` each pixel is multiplied by its
    Euclidean distance to the nearest pixel that at most half of the passes call foreground, divided by the largest
    such distance: outlines, always uncertain, count less. An image without foreground has the weight 0 everywhere.
    """

    distance_weight: bool
    background: int
    min_passes: ClassVar[int] = 2
    reads: ClassVar[type[ClassMaps]] = ClassMaps

    @property
    def single_pixels(self) -> bool:
        return not self.distance_weight

    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        variance = self._variance(maps)
        if not self.distance_weight:
            return variance
        foreground = (2 * maps.votes[self.background].int() < maps.passes).cpu().numpy()
        if foreground.all():
            return variance  # no outline to be far from
        distance = torch.as_tensor(distance_transform_edt(foreground), dtype=variance.dtype)
        return variance * (distance / distance.max().clamp_min(1)).to(variance.device)

    @pixelwise
    def _variance(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return vote_variance(maps.vote_shares)
