"""Class-balanced scores ("Revisiting Superpixels for Active Learning", Cai et al. 2021): rare classes weigh more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.ranking import ranked


@dataclass(frozen=True)
class ClassBalanced:
    """Highest first of score times exp(-share of the units whose predicted class is the same).

    As in the authors' code the scores are first brought to [0, 1] by their extremes, so that scores of any sign have a
    meaning; scores that are all equal count as 1, and the rarest class goes first. We differ in that extremes and
    shares are those of the candidates, not also of what is known, and in that a unit's class is that of its mean
    probabilities, not of most of its pixels.
    """

    descriptor: Descriptor
    """The predicted class of each unit, [U, 1]."""
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        assert candidates.descriptors is not None
        return ranked(weighted_scores(candidates.scores, candidates.descriptors[:, 0].astype(np.int64)), rng)


def weighted_scores(
    scores: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:  # [M], [M]
    """The weighted scores, 0 to 1."""
    spread = np.ptp(scores)
    within = (scores - scores.min()) / spread if spread > 0 else np.ones_like(scores)
    weights = np.exp(-np.bincount(classes) / len(classes))
    weighted: npt.NDArray[np.float64] = within * weights[classes]
    return weighted
