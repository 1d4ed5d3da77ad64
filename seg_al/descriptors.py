"""What a selector may know of a unit beyond its score: one vector per unit, made while its image is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from seg_al.beliefs import Beliefs


class Descriptor(Protocol):
    """Describes the units 0..count-1 of ids [H, W] (-1: in none) by [U, D]; writes to nothing."""

    needs_features: ClassVar[bool]
    """Whether Beliefs.features and Beliefs.penultimate must be there (one more pass, with dropout off)."""

    def __call__(self, beliefs: Beliefs, ids: Tensor, count: int) -> Tensor: ...


def mean_over_units(maps: Tensor, ids: Tensor, count: int) -> Tensor:  # [D, H, W] -> [U, D]
    """The mean of each map over each unit."""
    inside = ids >= 0
    units = ids[inside]
    sums = torch.zeros(count, len(maps), device=maps.device)
    sums.index_add_(0, units, maps[:, inside].T.float())
    return sums / torch.bincount(units, minlength=count).clamp_min(1)[:, None]


@dataclass(frozen=True)
class PredictedClass:
    """The class with the largest mean probability over the unit, as [U, 1]."""

    without_background: bool
    """Whether class 0 is left out, so that an image belongs to its largest foreground class."""
    needs_features: ClassVar[bool] = False

    def __call__(self, beliefs: Beliefs, ids: Tensor, count: int) -> Tensor:
        shares = mean_over_units(beliefs.mean, ids, count)
        first = 1 if self.without_background and shares.shape[1] > 1 else 0
        return (shares[:, first:].argmax(1, keepdim=True) + first).float()
