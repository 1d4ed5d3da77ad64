"""Stochastic batches (arXiv 2301.07670): of many random batches, the one that is wanted most as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates
from seg_al.selectors.ranking import bought, check_positive


@dataclass(frozen=True)
class StochasticBatches:
    """Draws batches at random, each as large as the budget allows, and takes the one with the highest mean score."""

    batches: int
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_positive(self.batches, "batches")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        best, best_mean = np.empty(0, dtype=np.intp), -np.inf
        for _ in range(self.batches):
            batch = np.array(bought(rng.permutation(len(candidates)), candidates.costs, budget), dtype=np.intp)
            mean = candidates.scores[batch].mean() if len(batch) else -np.inf
            if mean > best_mean:
                best, best_mean = batch, mean
        return best[np.argsort(-candidates.scores[best], kind="stable")]
