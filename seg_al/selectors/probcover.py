"""ProbCover (arXiv 2205.11320): units whose balls of radius delta cover the most uncovered units."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.metrics import pairwise_distances_argmin_min

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.diversity import SquaredDistances, Vectors, assigned, k_means
from seg_al.selectors.ranking import check_positive

BoolVector = npt.NDArray[np.bool_]

BLOCK = 256
"""Units whose distances to all others are held at once."""


def pure_radius(points: Vectors, classes: int, purity: float, restarts: int, rng: np.random.Generator) -> float:
    """The largest radius at which a share `purity` of the balls holds one pseudo-label only; k-means labels.  # [M, D]

    A ball is pure while its radius is below the distance to the nearest point of another label: the radius is a
    quantile of these distances (the authors search a grid). Less a millionth, to stay clear of rounding.
    """
    label = assigned(points, k_means(points, np.ones(len(points)), classes, restarts, rng))[0]
    nearest = np.full(len(points), np.inf)
    for one in np.unique(label):
        inside = label == one
        if not inside.all():
            nearest[inside] = pairwise_distances_argmin_min(points[inside], points[~inside])[1]
    impure = int((1 - purity) * len(points) + 1e-9)
    return float(np.sort(nearest)[min(impure, len(points) - 1)] * (1 - 1e-6))


def covered_by(distances: SquaredDistances, position: int, delta: float) -> BoolVector:
    return np.asarray(distances.to_member(position) <= delta**2)


@dataclass(frozen=True)
class ProbCover:
    """Greedy maximum coverage; what the labelled set's balls cover counts as covered. Scores play no part.

    Where all is covered, the highest scores take the rest of the budget. No graph is held: covers only shrink, so that
    a unit's old count bounds its new one, and few have to be counted again.
    """

    descriptor: Descriptor
    delta: float | None
    """Radius in units of the descriptor; None: by the purity rule."""
    purity: float
    pseudo_labels: int
    restarts: int
    reads_known: ClassVar[bool] = True
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_positive(self.restarts, "restarts")
        if self.delta is not None:
            check_positive(self.delta, "delta")
        if not 0 < self.purity <= 1:
            raise ValueError(f"selector.purity is a share in (0, 1], not {self.purity}")
        if self.pseudo_labels < 2:
            raise ValueError(f"selector.pseudo_labels is at least 2, not {self.pseudo_labels}")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        assert candidates.descriptors is not None
        points = candidates.descriptors.astype(np.float64)
        known = points[:0] if candidates.known is None else candidates.known.astype(np.float64)
        delta = self.delta
        if delta is None:
            delta = pure_radius(np.concatenate((points, known)), self.pseudo_labels, self.purity, self.restarts, rng)
        distances = SquaredDistances.of(points)
        open_ = distances.to_nearest(known) > delta**2
        return self._cover(distances, delta, open_, candidates, budget)

    def _cover(
        self,
        distances: SquaredDistances,
        delta: float,
        open_: BoolVector,  # [M], not covered yet
        candidates: Candidates,
        budget: float,
    ) -> list[int]:
        heap = [(-count, position) for position, count in enumerate(_counts(distances, delta, open_))]
        heapq.heapify(heap)
        left = budget
        chosen: list[int] = []
        while heap and open_.any():
            bound, position = heapq.heappop(heap)
            if candidates.costs[position] > left:
                continue
            ball = covered_by(distances, position, delta)
            count = int((ball & open_).sum())
            if count < -bound:
                heapq.heappush(heap, (-count, position))
                continue
            if count == 0:
                break
            chosen.append(position)
            left -= float(candidates.costs[position])
            open_ = open_ & ~ball
        return chosen


def _counts(distances: SquaredDistances, delta: float, open_: BoolVector) -> list[int]:
    """How many open points each ball covers, or a few more: [M]."""
    points, norms = distances.points, distances.norms
    slack = 1e-9 * norms.max(initial=0)  # a bound may be too high, never too low
    others, others_norms = points[open_], norms[open_]
    counts: list[int] = []
    for start in range(0, len(points), BLOCK):
        rows = slice(start, start + BLOCK)
        squared = norms[rows, None] + others_norms - 2 * points[rows] @ others.T
        counts.extend((squared <= delta**2 + slack).sum(1).tolist())
    return counts
