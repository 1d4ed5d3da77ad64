"""ClaSP-PE (arXiv 2601.13677): part of the budget for each class in turn, power noise that fades over the rounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.ranking import at_least_zero, check_positive
from seg_al.selectors.stochastic import log_scores, noisy_order


@dataclass(frozen=True)
class ClaspPE:
    """`foreground_share` of the budget by class scores, one class after the other; the rest by the plain score.

    The plain score is ClaSP-PE's where the heuristic is entropy. beta runs from 1 in the first round that asks by
    score to `last_beta` in the last one, by equal factors. Each class's ranking has noise of its own. The order of the
    classes is drawn anew each round, which gives the odd pick to a random class, as in nnActive; what does not buy a
    whole unit for every class is still spent on classes.
    """

    descriptor: Descriptor
    background: int | None
    """The class without a share of its own; None: all have one."""
    foreground_share: float
    last_beta: float
    rounds: int
    """Trainings of the run, that on the initial set included: rounds 1..rounds-1 ask by score."""
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not 0 <= self.foreground_share <= 1:
            raise ValueError(f"selector.foreground_share is a share in [0, 1], not {self.foreground_share}")
        check_positive(self.last_beta, "last_beta")
        check_positive(self.rounds, "rounds")

    def beta(self, round_: int) -> float:
        """The noise's inverse scale in a round 1..rounds-1; that of the nearest of these outside."""
        progress = (round_ - 1) / max(1, self.rounds - 2)
        return float(self.last_beta ** min(1.0, max(0.0, progress)))

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        assert candidates.descriptors is not None
        beta = self.beta(candidates.round)
        class_scores = candidates.descriptors.astype(np.float64)  # [M, C]
        classes = [c for c in range(class_scores.shape[1]) if c != self.background]
        orders = [
            noisy_order(log_scores(class_scores[:, classes[turn]]), beta, rng).tolist()
            for turn in rng.permutation(len(classes))
        ]
        chosen = _in_turn(orders, candidates.costs, budget * self.foreground_share)
        plain = noisy_order(log_scores(at_least_zero(candidates, "selector=clasp_pe")), beta, rng)
        return [*chosen, *plain.tolist()]


def _in_turn(orders: Sequence[Iterable[int]], costs: npt.NDArray[np.float64], budget: float) -> list[int]:
    """Each order's first that is free and affordable, then each one's second, until the budget is spent."""
    queues = [iter(order) for order in orders]
    left = budget
    chosen: dict[int, None] = {}
    while queues and left >= costs.min(initial=math.inf):
        for queue in list(queues):
            position = next((one for one in queue if one not in chosen and costs[one] <= left), None)
            if position is None:
                queues.remove(queue)
                continue
            chosen[position] = None
            left -= float(costs[position])
    return list(chosen)
