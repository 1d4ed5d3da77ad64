"""How unlike anything labelled each place is, by features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import interpolate

from seg_al.predictors.features import LabelledDistances


@dataclass(frozen=True)
class FeatureDistance:
    """Distance to the nearest labelled feature, which greedy core-set (arXiv 1708.00489) makes small, as a score.

    It differs from core-set in that what a round asks about does not change the scores of the rest of it.
    """

    reads: ClassVar[type[LabelledDistances]] = LabelledDistances
    min_passes: ClassVar[int] = 0

    def __call__(self, evidence: LabelledDistances) -> Tensor:  # [H, W], each pixel has its nearest cell's
        return interpolate(evidence.distances[None, None], evidence.size)[0, 0]
