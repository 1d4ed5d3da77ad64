"""A selector of one's own: the best unit of each image, then the second best of each, and so on."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates


@dataclass(frozen=True)
class OnePerImage:
    """Spreads a query over images; within a turn the highest score goes first."""

    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        order = np.argsort(-candidates.scores, kind="stable")  # rows come shuffled, so that ties are fair
        seen: Counter[str] = Counter()
        turns = np.empty(len(order), dtype=int)
        for place, candidate in enumerate(order):
            image = candidates.images[candidate]
            turns[place] = seen[image]
            seen[image] += 1
        return order[np.argsort(turns, kind="stable")]
