"""The highest scores of each group in turn: of each predicted class, or, as an oracle, of each true one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates, Descriptor
from seg_al.selectors.ranking import ranked


def _in_turn(order: npt.NDArray[np.intp], groups: npt.NDArray[np.int64]) -> Iterator[int]:
    """The best of each group, then the second best of each, and so on; a group that runs out is skipped."""
    queues = [order[groups[order] == group] for group in dict.fromkeys(groups[order])]
    for turn in zip_longest(*queues):
        yield from (int(position) for position in turn if position is not None)


@dataclass(frozen=True)
class TopPerClass:
    """The best unit of each predicted class in turn; the class with the best unit goes first."""

    descriptor: Descriptor
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterator[int]:
        assert candidates.descriptors is not None
        return _in_turn(ranked(candidates.scores, rng), candidates.descriptors[:, 0].astype(np.int64))


@dataclass(frozen=True)
class OracleBalance:
    """The best unit of each true class in turn: the GlaS baselines' balancing by grade.

    An oracle: it reads a true column of unlabelled images, which a person would first have to find out. The reads
    are counted and recorded. Where the predecessor fails when a class runs out, the others go on.
    """

    truth: str
    """The dataset's column with the true classes."""
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterator[int]:
        assert candidates.truth is not None
        groups = np.unique(np.array(candidates.truth), return_inverse=True)[1].astype(np.int64)
        return _in_turn(ranked(candidates.scores, rng), groups)
