"""Random with a share of foreground (nnActive, arXiv 2511.19183): the baseline that active learning has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seg_al.core import CLASSES, Candidates


@dataclass(frozen=True)
class RandomForeground:
    """Every pick is, with the chance `share`, a random unit of a random foreground class, else any random unit.

    An oracle: it reads the true classes of unlabelled units. The reads are counted and recorded. nnActive centres a
    patch on the class; here a unit of the granularity that holds a pixel of it is drawn, and the class is drawn from
    those that affordable units still hold. Scores play no part.
    """

    share: float
    background: int | None
    """The class that is not foreground; None: all are."""
    truth: ClassVar[str] = CLASSES
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"selector.share is a share in [0, 1], not {self.share}")

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        holds = self._holds(candidates)
        left = budget
        free = np.ones(len(candidates), dtype=np.bool_)
        chosen: list[int] = []
        while (affordable := free & (candidates.costs <= left)).any():
            drawn = affordable
            present = np.flatnonzero((holds & affordable[:, None]).any(0))
            if rng.random() < self.share and len(present):
                drawn = affordable & holds[:, rng.choice(present)]
            position = int(rng.choice(np.flatnonzero(drawn)))
            chosen.append(position)
            free[position] = False
            left -= float(candidates.costs[position])
        return chosen

    def _holds(self, candidates: Candidates) -> npt.NDArray[np.bool_]:  # [M, foreground classes]
        assert candidates.truth is not None
        sets: list[set[int]] = []
        for image, text in zip(candidates.images, candidates.truth, strict=True):
            try:
                sets.append({int(part) for part in text.split(",") if part.strip()} - {self.background})
            except ValueError as error:
                raise ValueError(
                    f"the column {CLASSES!r} of image {image!r} is {text!r}, not class ids such as '1,3'; "
                    "name the column that lists the classes of each unit"
                ) from error
        classes = sorted(set().union(*sets))
        return np.array([[one in found for one in classes] for found in sets], dtype=np.bool_).reshape(len(sets), -1)
