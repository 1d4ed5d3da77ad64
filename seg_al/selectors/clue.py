"""CLUE (arXiv 2010.08666): clusters weighted by uncertainty, and the unit nearest to each centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.diversity import SquaredDistances, Vectors, k_means
from seg_al.selectors.ranking import at_least_zero, check_positive, count_for


def nearest_apart(
    vectors: Vectors, centres: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> list[int]:  # [M, D], [k, D], [M] -> [k], k <= M
    """For each centre, from that with most weight nearest to it, the nearest vector that none before has taken."""
    distances = SquaredDistances.of(vectors.astype(np.float64))
    away = np.stack([distances.to_vector(centre) for centre in centres])  # [k, M]
    mass = np.bincount(away.argmin(0), weights, minlength=len(centres))
    chosen: list[int] = []
    for cluster in np.argsort(-mass, kind="stable"):
        away[cluster, chosen] = np.inf
        chosen.append(int(away[cluster].argmin()))
    return chosen


@dataclass(frozen=True)
class Clue:
    """k-means weighted by the score, which is CLUE where the heuristic is entropy; nearest unit to each centre.

    Unlike the k-means hybrid's, the nearest unit may belong to another cluster; a unit that a centre before has taken
    is passed over. The heaviest cluster chooses first (the authors' code lets the centres choose in turn). Its softmax
    temperature is the heuristic's business.
    """

    descriptor: Descriptor
    restarts: int
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_positive(self.restarts, "restarts")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        assert candidates.descriptors is not None
        weights = at_least_zero(candidates, "CLUE")
        centres = k_means(candidates.descriptors, weights, count_for(candidates.costs, budget), self.restarts, rng)
        return nearest_apart(candidates.descriptors, centres, weights)
