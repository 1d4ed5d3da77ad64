"""Vote entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.heuristics.uncertainty import entropy, pixelwise
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class VoteEntropy:
    """Entropy of the passes' votes, in nats: query by committee (Dagan and Engelson 1995)."""

    min_passes: ClassVar[int] = 2
    reads: ClassVar[type[ClassMaps]] = ClassMaps
    single_pixels: ClassVar[bool] = True

    @pixelwise
    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return entropy(maps.vote_shares)
