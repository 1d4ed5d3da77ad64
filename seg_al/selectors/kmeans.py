"""k-means over scored units: weighted by score (activeInstanceSegment's hybrid), or among the best (KMeans-BALD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.diversity import SquaredDistances, d_squared_seeding, k_means, nearest_members
from seg_al.selectors.ranking import at_least_zero, check_positive, count_for


@dataclass(frozen=True)
class KMeansHybrid:
    """k-means with each unit weighted by its score; of every cluster the member nearest to its centre.

    The predecessor (activeInstanceSegment) clusters the flattened middle of a feature map of whole images; here it is
    whatever descriptor stands in the config. Its random state is fixed at 0, ours comes from `run`.
    """

    descriptor: Descriptor
    restarts: int
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_positive(self.restarts, "restarts")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        assert candidates.descriptors is not None
        weights = at_least_zero(candidates, "k-means weighted by score")
        count = count_for(candidates.costs, budget)
        centres = k_means(candidates.descriptors, weights, count, self.restarts, rng)
        members = nearest_members(candidates.descriptors, centres)
        return members[np.argsort(-candidates.scores[members], kind="stable")]


@dataclass(frozen=True)
class KMeansOfTop:
    """k-means++ seeding among the highest scores (nnActive's KMeansBALD): `oversample` times the budget is kept.

    Every feature is divided by its standard deviation over those kept. The first is drawn evenly.
    """

    descriptor: Descriptor
    oversample: float
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not self.oversample >= 1:
            raise ValueError(f"selector.oversample is at least 1, not {self.oversample}")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        assert candidates.descriptors is not None
        kept = np.argsort(-candidates.scores, kind="stable")[: count_for(candidates.costs, self.oversample * budget)]
        features = candidates.descriptors[kept].astype(np.float64)
        spread = features.std(0)
        features /= np.where(spread > 1e-6 * spread.max(initial=0), spread, np.inf)  # a constant says nothing
        first = int(rng.integers(len(kept)))
        count = count_for(candidates.costs, budget)
        return kept[d_squared_seeding(SquaredDistances.of(features), first, count, rng)]
