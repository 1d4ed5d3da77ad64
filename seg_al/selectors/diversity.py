"""The numerical kernels of the diverse selectors: distances by matrix-vector products, k-center, D^2, k-means.

Rows are taken in the order given and the first of equals wins: callers shuffle them from `run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin_min
from threadpoolctl import threadpool_limits

Vectors = npt.NDArray[np.floating[Any]]
Positions = npt.NDArray[np.intp]

CLOSE = 1e-3
"""Squared distances below this share of the two squared norms lose digits to cancellation: they are taken anew."""
KNOWN_BLOCK = 256
"""Labelled vectors that are compared at once, so that memory is this many columns and not the labelled set."""
LARGEST_BLOCK = 1024
"""Candidates whose gaps are brought up to date at once, at most."""
GRID = 2.0**20
"""Points that agree to one part in this of the largest coordinate are one point to k-means."""


@dataclass(frozen=True)
class SquaredDistances:
    """Squared Euclidean distances to fixed points, O(M D) a time, in the precision of the points."""

    points: Vectors  # [M, D], less their mean: small norms lose fewer digits
    norms: Vectors  # [M], squared
    mean: Vectors  # [D]

    @classmethod
    def of(cls, vectors: Vectors) -> SquaredDistances:  # [M, D]
        mean = vectors.mean(0, dtype=np.float64).astype(vectors.dtype)
        points = np.ascontiguousarray(vectors - mean)
        return cls(points, np.einsum("md,md->m", points, points), mean)

    def to_member(self, position: int) -> Vectors:  # [M]
        return self._to(self.points[position])

    def to_vector(self, vector: Vectors) -> Vectors:  # [D] -> [M]
        return self._to((vector - self.mean).astype(self.points.dtype))

    def _to(self, point: Vectors) -> Vectors:
        scale = self.norms + point @ point
        squared = scale - 2 * (self.points @ point)
        close = np.flatnonzero(squared < CLOSE * scale)
        squared[close] = np.square(self.points[close] - point).sum(1)
        return squared

    def to_nearest(self, others: Vectors) -> Vectors:  # [L, D] -> [M]
        """The squared distance to the nearest of the others; infinity without any."""
        nearest = np.full(len(self.points), np.inf, dtype=self.points.dtype)
        for start in range(0, len(others), KNOWN_BLOCK):
            block = (others[start : start + KNOWN_BLOCK] - self.mean).astype(self.points.dtype)
            norms = np.einsum("ld,ld->l", block, block)
            squared = norms - 2 * (self.points @ block.T)
            who = squared.argmin(1)
            least = squared[np.arange(len(who)), who] + self.norms
            close = np.flatnonzero(least < CLOSE * (self.norms + norms[who]))
            least[close] = np.square(self.points[close] - block[who[close]]).sum(1)
            np.minimum(nearest, least, out=nearest)
        return nearest

    def bound_nearest(self, others: Vectors) -> Vectors:  # [L, D] -> [M]
        """`to_nearest`, raised by a part in 10^5 of the squared norms: an upper bound in spite of rounding."""
        reach = np.square(others - self.mean).sum(1).max(initial=0)
        return np.asarray(self.to_nearest(others) + 1e-5 * (self.norms + reach))


@dataclass(frozen=True)
class ExactSquaredDistances:
    """Squared Euclidean distances between chosen rows, in float64 whatever the precision of the points."""

    points: Vectors  # [N, D]

    def __call__(self, rows: Positions, centres: Positions) -> npt.NDArray[np.float64]:  # [r], [c] -> [r, c]
        one, other = self.points[rows].astype(np.float64), self.points[centres].astype(np.float64)
        scale = np.einsum("rd,rd->r", one, one)[:, None] + np.einsum("cd,cd->c", other, other)
        squared: npt.NDArray[np.float64] = scale - 2 * one @ other.T
        squared[squared < 1e-13 * scale] = 0
        return squared


def k_center(
    between: Callable[[Positions, Positions], npt.NDArray[np.float64]],  # [r], [c] -> distances [r, c]
    labelled: Iterable[int],  # positions that `between` knows what is labelled by, M and above
    bounds: Vectors,  # [M], upper bounds of the distances to the nearest labelled; infinity will do
    to_mean: Callable[[], Vectors],  # distances [M] to the mean of the candidates, for where nothing is labelled
    costs: npt.NDArray[np.float64],  # [M]
    budget: float,
) -> list[int]:
    """Greedy k-center (arXiv 1708.00489): always the affordable candidate that is farthest from all that is known.

    Where nothing is known the first is the one nearest to the mean: one centre has to stand for all, so that it is the
    most central one; the farthest would start from an outlier. The farthest come from the second on.
    """
    gaps = _Gaps(between, list(labelled), bounds)
    left = budget
    affordable = costs <= left
    chosen: list[int] = []
    while affordable.any():
        start = not gaps.centres
        position = int(np.where(affordable, to_mean(), np.inf).argmin()) if start else gaps.widest(affordable)
        chosen.append(position)
        gaps.centres.append(position)
        left -= costs[position]
        affordable &= costs <= left
        affordable[position] = False
    return chosen


class _Gaps:
    """Distances to the nearest centre, each brought up to date only when it may be the widest.

    A gap only shrinks when a centre is added, so that an old one bounds it from above: most are never looked at again,
    and what is looked at comes in blocks. The result is that of updating all of them at every pick.
    """

    def __init__(self, between: Callable[[Positions, Positions], Vectors], centres: list[int], bounds: Vectors) -> None:
        self.between = between
        self.centres = centres
        self.bounds = bounds.astype(np.float64)
        self.seen = np.zeros(len(bounds), dtype=np.intp)  # centres that a bound takes into account

    def widest(self, among: npt.NDArray[np.bool_]) -> int:  # [M]
        """The first of those with the widest gap."""
        size = 1
        while True:
            bounds = np.where(among, self.bounds, -1)
            position = int(bounds.argmax())
            if self.seen[position] == len(self.centres):
                return position
            rows = np.array([position])
            if size > 1:
                rows = np.append(rows, np.argpartition(-bounds, size - 1)[:size])
                rows = np.unique(rows[among[rows] & (self.seen[rows] < len(self.centres))])
            self._update(rows)
            size = min(8 * size, LARGEST_BLOCK, len(bounds))

    def _update(self, rows: Positions) -> None:
        centres = np.array(self.centres[self.seen[rows].min() :])
        self.bounds[rows] = np.minimum(self.bounds[rows], self.between(rows, centres).min(1))
        self.seen[rows] = len(self.centres)


def d_squared_seeding(distances: SquaredDistances, first: int, count: int, rng: np.random.Generator) -> list[int]:
    """k-means++ seeding: each next one drawn in proportion to the squared distance to the nearest one chosen.

    Ends early where all that is left are copies of what was chosen.
    """
    chosen = [first]
    nearest = distances.to_member(first).astype(np.float64)
    while len(chosen) < count:
        cumulative = nearest.cumsum()
        if cumulative[-1] <= 0:
            break
        drawn = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
        chosen.append(min(drawn, int(np.flatnonzero(nearest)[-1])))
        np.minimum(nearest, distances.to_member(chosen[-1]), out=nearest)
    return chosen


def k_means(
    vectors: Vectors,  # [M, D]
    weights: npt.NDArray[np.float64],  # [M], at least 0
    count: int,
    restarts: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:  # [k, D], k <= count
    """The centres of weighted k-means; fewer where fewer distinct points have weight; all weights 0 count as equal.

    One thread: several add up in any order, which is another result on another day.
    """
    points, mass = _distinct(vectors.astype(np.float64), weights, rng)
    if len(points) <= count:
        return points
    seed = int(rng.integers(2**31))
    with threadpool_limits(limits=1):
        fitted = KMeans(count, n_init=restarts, random_state=seed).fit(points, sample_weight=mass / mass.mean())
    centres: npt.NDArray[np.float64] = fitted.cluster_centers_
    return centres


def _distinct(
    points: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:  # [M, D], [M] -> [m, D], [m]
    """Points with weight, copies merged: k-means cannot part copies, and scikit-learn warns when it is asked to."""
    if not weights.any():
        weights = np.ones_like(weights)
    points, weights = points[weights > 0], weights[weights > 0]
    spread = points - points.mean(0)
    cells = np.rint(spread * (GRID / max(np.abs(spread).max(), np.finfo(np.float64).tiny * GRID))).astype(np.int64)
    keys = cells @ rng.integers(-(2**62), 2**62, size=cells.shape[1])  # wraps around: a 64-bit hash of each row
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return points[first], np.asarray(np.bincount(group, weights), dtype=np.float64)


def nearest_members(vectors: Vectors, centres: npt.NDArray[np.float64]) -> Positions:  # [M, D], [k, D]
    """The position of the member nearest to its centre, for every cluster that has members; [<= k]."""
    cluster, distance = assigned(vectors, centres)
    order = np.lexsort((distance, cluster))
    first = np.unique(cluster[order], return_index=True)[1]
    return order[first]


def assigned(
    vectors: Vectors, centres: npt.NDArray[np.float64]
) -> tuple[Positions, npt.NDArray[np.float64]]:  # [M, D], [k, D] -> [M], [M]
    """The nearest centre of each vector, and the distance to it."""
    cluster, distance = pairwise_distances_argmin_min(vectors.astype(np.float64), centres)
    return cluster, distance
