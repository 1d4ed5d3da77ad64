"""Shared by several selectors: ranks with random ties, positions that a budget buys, and checks of values."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates


def ranked(scores: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.intp]:  # [M] -> [M]
    """Positions from the highest score to the lowest; equal scores in random order."""
    return np.lexsort((rng.random(len(scores)), -scores))


def bought(order: Iterable[int], costs: npt.NDArray[np.float64], budget: float) -> list[int]:
    """Takes positions in order while budget is left; one that costs more than the rest is skipped."""
    chosen: list[int] = []
    left = budget
    cheapest = costs.min(initial=np.inf)
    for position in order:
        if costs[position] <= left:
            chosen.append(int(position))
            left -= float(costs[position])
        if left <= 0 or left < cheapest:
            break
    return chosen


def count_for(costs: npt.NDArray[np.float64], budget: float) -> int:
    """How many candidates of the median cost the budget buys, at least one and at most all: for those that count."""
    return int(np.clip(budget / np.median(costs), 1, len(costs)))


def at_least_zero(candidates: Candidates, user: str) -> npt.NDArray[np.float64]:
    """The scores [M]; raises ValueError naming the image of a negative one, which `user` has no meaning for."""
    worst = int(candidates.scores.argmin())
    if candidates.scores[worst] < 0:
        raise ValueError(
            f"{user} needs scores of at least 0, but image {candidates.images[worst]!r}, unit "
            f"{candidates.units[worst]}, has {candidates.scores[worst]:.6g}; take another heuristic, or "
            "selector=softmax or softrank, which take any score"
        )
    return candidates.scores


def check_positive(value: float, name: str) -> None:
    if not value > 0:
        raise ValueError(f"selector.{name} is above 0, not {value}")
