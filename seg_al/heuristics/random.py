"""Random: nothing is known of any unit, so all are wanted alike and the selector breaks the tie from `run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from seg_al.predictors.class_maps import Beliefs


@dataclass(frozen=True)
class Random:
    """A constant map of ones. Noise painted on pixels would average out over large units; a tie does not."""

    min_passes: ClassVar[int] = 0

    def __call__(self, beliefs: Beliefs) -> Tensor:  # [H, W]
        return torch.ones(beliefs.size, device=beliefs.mean.device)
