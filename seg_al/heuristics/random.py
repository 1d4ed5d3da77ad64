"""Random: all units have one score, and the selector breaks the tie by `run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from seg_al.core import Nothing


@dataclass(frozen=True)
class Random:
    """A constant map of ones. Noise painted on pixels would average out over large units; a tie does not."""

    min_passes: ClassVar[int] = 0
    reads: ClassVar[type[Nothing]] = Nothing

    def __call__(self, nothing: Nothing) -> Tensor:  # [H, W]
        return torch.ones(nothing.size)
