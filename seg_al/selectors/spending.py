"""What every selector does with a ranking: break ties from `run`, and stop where the budget ends."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def ranked(scores: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.intp]:  # [M] -> [M]
    """Positions from the highest score to the lowest; equal scores in random order."""
    return np.lexsort((rng.random(len(scores)), -scores))


def spend(order: Iterable[int], costs: npt.NDArray[np.float64], budget: float) -> list[int]:
    """Takes positions in order as long as money is left; one that costs more than what is left is passed over."""
    chosen: list[int] = []
    left = budget * (1 + 1e-9)  # shares of an image add up with rounding
    for position in order:
        if costs[position] <= left:
            chosen.append(int(position))
            left -= float(costs[position])
        if left <= 0:
            break
    return chosen
