"""Core-set (arXiv 1708.00489): covers the candidates with balls around labelled and asked units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.diversity import ExactSquaredDistances, SquaredDistances, k_center


@dataclass(frozen=True)
class CoreSet:
    """Greedy k-center on unit features against the labelled set; scores play no part.

    The greedy rule only, without the paper's mixed-integer refinement, which its own figures gain little from.
    """

    descriptor: Descriptor
    reads_known: ClassVar[bool] = True
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        assert candidates.descriptors is not None
        points = candidates.descriptors
        known = points[:0] if candidates.known is None else candidates.known
        return k_center(
            ExactSquaredDistances(np.concatenate((points, known))),
            range(len(points), len(points) + len(known)),
            SquaredDistances.of(points).bound_nearest(known),
            lambda: np.square(points - points.mean(0, dtype=np.float64)).sum(1),
            candidates.costs,
            budget,
        )
