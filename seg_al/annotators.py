"""Who answers: the simulated oracle, which knows everything and bills all that it is asked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seg_al.core import CLASSES, IGNORE, BoolMask, ByteImage, Dataset, Query

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Oracle:
    """Answers from the dataset's targets at once and without error. The only way from the pool to its labels."""

    dataset: Dataset
    truths_read: dict[str, set[str]] = field(default_factory=dict, init=False)
    """Images of which a truth was read without a query, by its name: what an oracle selector cost."""

    def answer(self, queries: Sequence[Query], folder: Path) -> None:
        log.info("the oracle answers %d queries", len(queries))

    def labels(self, name: str, known: BoolMask) -> ByteImage:  # [H, W]
        target = self.dataset.target(name)
        return np.where(known, target, np.uint8(IGNORE))

    def truth(self, key: str, name: str, region: BoolMask) -> str:
        self.truths_read.setdefault(key, set()).add(name)
        if key == CLASSES:
            present = np.unique(self.dataset.target(name)[region])
            return ",".join(str(found) for found in present if found != IGNORE)
        return self.dataset.column(key)[name]
