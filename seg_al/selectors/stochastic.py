"""Noise on unit scores (arXiv 2106.12059): the best units with some chance, so that a batch is not one unit's copies.

Gumbel noise of scale 1/beta is added to ln s (power), s (softmax) or -ln rank (softrank) and the highest are taken:
sampling without replacement in proportion to s^beta, exp(beta s) or rank^-beta. The noise is drawn per unit, after
pixels were joined, as in nnActive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates
from seg_al.selectors.ranking import at_least_zero, check_positive


def log_scores(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ln s, with ln 0 = -inf, which stays last with any noise."""
    return np.log(scores, out=np.full_like(scores, -np.inf), where=scores > 0)


def noisy_order(
    logits: npt.NDArray[np.float64], beta: float, rng: np.random.Generator
) -> npt.NDArray[np.intp]:  # [M] -> [M]
    """Positions by logits plus Gumbel(0, 1/beta), highest first."""
    return np.argsort(-(logits + rng.gumbel(scale=1 / beta, size=len(logits))), kind="stable")


@dataclass(frozen=True)
class Power:
    """Without replacement in proportion to s^beta (PowerBALD, PowerPE); 0 goes last, below 0 is an error."""

    beta: float
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_positive(self.beta, "beta")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        return noisy_order(log_scores(at_least_zero(candidates, "selector=power")), self.beta, rng)


@dataclass(frozen=True)
class Softmax:
    """Without replacement in proportion to exp(beta s)."""

    beta: float
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_positive(self.beta, "beta")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        return noisy_order(candidates.scores, self.beta, rng)


@dataclass(frozen=True)
class SoftRank:
    """Without replacement in proportion to rank^-beta, rank 1 for the highest score; equal scores rank at random."""

    beta: float
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_positive(self.beta, "beta")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        ranks = np.empty(len(candidates))
        ranks[np.argsort(-candidates.scores, kind="stable")] = np.arange(1, len(candidates) + 1)
        return noisy_order(-np.log(ranks), self.beta, rng)
