"""Expected entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class ExpectedEntropy:
    """Mean over the passes of each pass's entropy, in nats: the aleatoric part in Gal et al. (arXiv 1703.02910)."""

    min_passes: ClassVar[int] = 1
    reads: ClassVar[type[ClassMaps]] = ClassMaps

    def __call__(self, maps: ClassMaps) -> Tensor:  # [H, W]
        return maps.expected_entropy
