"""BADGE (arXiv 1906.03671) for segmentation: gradients that are large and differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.diversity import SquaredDistances, d_squared_seeding
from seg_al.selectors.ranking import count_for


@dataclass(frozen=True)
class Badge:
    """k-means++ seeding on gradient embeddings; the first is the largest gradient, as in the authors' code.

    Scores play no part: how unsure the model is stands in the length of the gradient. Where all that is left are
    copies, the highest scores take the rest of the budget.
    """

    descriptor: Descriptor
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        gradients = candidates.descriptors
        assert gradients is not None
        first = int(np.einsum("md,md->m", gradients, gradients).argmax())
        return d_squared_seeding(SquaredDistances.of(gradients), first, count_for(candidates.costs, budget), rng)
