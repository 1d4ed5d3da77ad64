"""Contextual diversity (CDAL, arXiv 2008.05723): images that confuse classes in ways not seen yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.diversity import k_center

SMALLEST = 1e-8
"""Probabilities below this count as this, so that a divergence is finite."""


@dataclass(frozen=True)
class SymmetricKL:
    """Mean over common classes of (KL(p||q) + KL(q||p)) / 2 between class mixtures, by two matrix products.

    Units without a common class are infinitely far apart: they show different things. (The authors' code puts them at
    distance 0, and leaves out classes in which one probability is 0.)
    """

    terms: npt.NDArray[np.float64]  # [N, 2 C C + 2 C]: p, ln p, present, sum p ln p; zeros where a class is absent
    present: npt.NDArray[np.float64]  # [N, C], 0 or 1

    @classmethod
    def of(cls, mixtures: npt.NDArray[np.floating[Any]]) -> SymmetricKL:  # [N, C C], rows of zeros where absent
        classes = math.isqrt(mixtures.shape[1])
        p = mixtures.reshape(-1, classes, classes).astype(np.float64)
        present = (p.sum(2) > 0).astype(np.float64)
        p = p.clip(min=SMALLEST)
        logs = np.log(p) * present[..., None]
        p *= present[..., None]
        own = np.einsum("ncd,ncd->nc", p, logs)
        terms = np.concatenate((p.reshape(len(p), -1), logs.reshape(len(p), -1), present, own), axis=1)
        return cls(terms, present)

    def __call__(
        self, rows: npt.NDArray[np.intp], others: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float64]:  # [r], [c] -> [r, c]
        classes = self.present.shape[1]
        p, logs, present, own = np.split(self.terms[others], np.cumsum([classes**2, classes**2, classes]), axis=1)
        divergence = self.terms[rows] @ np.concatenate((-logs, -p, own, present), axis=1).T / 2
        common = self.present[rows] @ self.present[others].T
        mean = np.divide(divergence, common, out=np.full_like(common, np.inf), where=common > 0)
        return mean.clip(min=0)


def mean_mixture(mixtures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # [M, C C] -> [1, C C]
    """For each class its mean mixture over the units that have it."""
    classes = math.isqrt(mixtures.shape[1])
    p = mixtures.reshape(-1, classes, classes).astype(np.float64)
    present = (p.sum(2) > 0).sum(0).clip(min=1)
    return np.asarray((p.sum(0) / present[:, None]).reshape(1, -1), dtype=np.float32)


@dataclass(frozen=True)
class CDAL:
    """Greedy k-center under the contextual distance, against the labelled set; scores play no part.

    The authors' code draws the first at random even where something is labelled; here it is the farthest from that.
    """

    descriptor: Descriptor
    reads_known: ClassVar[bool] = True
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        mixtures = candidates.descriptors
        assert mixtures is not None
        known = mixtures[:0] if candidates.known is None else candidates.known
        count, end = len(mixtures), len(mixtures) + len(known)
        distances = SymmetricKL.of(np.concatenate((mixtures, known, mean_mixture(mixtures))))
        return k_center(
            distances,
            range(count, end),
            np.full(count, np.inf),
            lambda: distances(np.arange(count), np.array([end]))[:, 0],
            candidates.costs,
            budget,
        )
