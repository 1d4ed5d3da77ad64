"""TypiClust (arXiv 2202.02794): the most typical unit of every cluster that nothing is labelled in yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.diversity import Vectors, assigned, k_means
from seg_al.selectors.ranking import check_positive, count_for

NO_DISTANCE = 1e-5
"""Added to the mean distance, so that copies have a typicality; as in the authors' code."""


def typicality(vectors: Vectors, neighbours: int) -> npt.NDArray[np.float64]:  # [n, D] -> [n]
    """1 / the mean distance to the nearest `neighbours`, at most half of the others; 0 for one alone."""
    count = min(neighbours, len(vectors) // 2)
    if count == 0:
        return np.zeros(len(vectors))
    distances = NearestNeighbors(n_neighbors=count).fit(vectors).kneighbors()[0]
    return np.asarray(1 / (distances.mean(1) + NO_DISTANCE), dtype=np.float64)


@dataclass(frozen=True)
class TypiClust:
    """k-means into as many clusters as are labelled and asked for; the least labelled, then the largest goes first.

    Neighbours are looked for within the cluster, as in the authors' code. Theirs drops small clusters and fails where
    a cluster runs out; here small ones go last, and the others go on. Scores play no part.
    """

    descriptor: Descriptor
    neighbours: int
    max_clusters: int
    min_cluster: int
    restarts: int
    reads_known: ClassVar[bool] = True
    truth: ClassVar[None] = None

    def __post_init__(self) -> None:
        for name in ("neighbours", "max_clusters", "min_cluster", "restarts"):
            check_positive(getattr(self, name), name)

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        assert candidates.descriptors is not None
        known = candidates.descriptors[:0] if candidates.known is None else candidates.known
        points = np.concatenate((candidates.descriptors, known)).astype(np.float64)
        wanted = min(len(known) + count_for(candidates.costs, budget), self.max_clusters)
        centres = k_means(points, np.ones(len(points)), wanted, self.restarts, rng)
        cluster = assigned(points, centres)[0]
        return self._in_turn(points, cluster, len(candidates))

    def _in_turn(
        self, points: Vectors, cluster: npt.NDArray[np.intp], count: int
    ) -> npt.NDArray[np.intp]:  # [M + L, D], [M + L], M -> [M]
        sizes = np.bincount(cluster)
        labelled = np.bincount(cluster[count:], minlength=len(sizes))
        place = np.empty(len(sizes), dtype=np.intp)
        place[np.lexsort((-sizes, labelled))] = np.arange(len(sizes))
        rank = np.empty(len(points), dtype=np.intp)
        for one in np.unique(cluster[:count]):
            members = np.flatnonzero(cluster == one)
            order = np.argsort(-typicality(points[members], self.neighbours), kind="stable")
            order = order[members[order] < count]
            rank[members[order]] = np.arange(len(order))
        cluster = cluster[:count]
        return np.lexsort((place[cluster], rank[:count], sizes[cluster] < self.min_cluster))
