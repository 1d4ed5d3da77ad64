"""PixelPick (arXiv 2104.06394): a uniform draw from the best-scored units, so that they do not all lie side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates, Ranking


@dataclass(frozen=True)
class PixelPick:
    """Every unit of the best `share` has the same chance; equal scores at its edge are drawn.

    The share is of the units that are given: with a budget per image, of what is unknown of that image, where the
    original counts the known pixels as well. Where it is worth less than the budget, the next best units follow.
    """

    share: float
    """In (0, 1]; rounded down to whole units, at least one."""
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"selector.share is a share in (0, 1], not {self.share}")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        return _drawn(self._count(candidates), candidates, budget, rng)

    def narrowed(self, candidates: Candidates, budget: float) -> tuple[npt.NDArray[np.intp], Ranking]:
        """The best `count` and those that equal the last of them, if no others can be bought; else all positions.

        Of an image's millions of pixels few are left, so that only these are ordered and shuffled.
        """
        count = self._count(candidates)
        best = np.flatnonzero(candidates.scores >= _edge(candidates.scores, count))
        prices = candidates.costs
        enough = prices.min() == prices.max() and len(best) >= budget // prices[0]
        return best if enough else np.arange(len(candidates)), partial(_drawn, count)

    def _count(self, candidates: Candidates) -> int:
        return max(1, int(self.share * len(candidates)))


def _edge(scores: npt.NDArray[np.float64], count: int) -> float:
    """The count-th highest score."""
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])


def _drawn(count: int, rows: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    edge = _edge(rows.scores, count)
    above = np.flatnonzero(rows.scores > edge)
    level = np.flatnonzero(rows.scores == edge)[: count - len(above)]  # of rows that are shuffled
    return rng.permutation(np.concatenate((above, level)))
