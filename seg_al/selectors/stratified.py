"""Random, in proportion to the strata of an image-level column: a grade, a patient, a scanner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates


@dataclass(frozen=True)
class RandomStratified:
    """Systematic sampling: every beginning of the order has each stratum's share of the candidates, to within two.

    Scores play no part; every unit has the same chance. Honest only for columns that are known before anyone labels:
    patient, slide, scanner, video, place, date. A column that an expert fills in by looking at the image (grade,
    diagnosis, classes) makes an oracle of it. Either way the reads are counted and recorded, as for oracles.
    """

    truth: str
    """The dataset's column with the strata."""
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        assert candidates.truth is not None
        strata = np.unique(np.array(candidates.truth), return_inverse=True)[1]
        sizes = np.bincount(strata)
        place = np.empty(len(strata))
        for stratum, size in enumerate(sizes):
            place[strata == stratum] = (np.arange(size) + rng.random()) / size
        return np.argsort(place, kind="stable")
