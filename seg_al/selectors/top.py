"""The units with the highest scores, and those with the lowest, as a negative control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates
from seg_al.selectors.ranking import ranked


@dataclass(frozen=True)
class Top:
    """Highest score first."""

    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """As many as the budget buys at the lowest price, and those that equal the last: millions are not sorted."""
        scores = candidates.scores
        count = int(np.clip(budget // candidates.costs.min(), 1, len(scores)))
        edge = np.partition(scores, len(scores) - count)[len(scores) - count]
        best = np.flatnonzero(scores >= edge)
        return best[ranked(scores[best], rng)]


@dataclass(frozen=True)
class LeastWanted:
    """Lowest score first: a negative control, which must not beat random where the heuristic is worth anything."""

    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        return ranked(-candidates.scores, rng)
