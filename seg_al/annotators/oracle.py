"""Who answers: the simulated oracle, which knows everything and bills all that it is asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from seg_al.core import CLASSES, IGNORE, Answer, BoolMask, ByteImage, Dataset, Query, Region
from seg_al.tasks.objects.objects import Instances, instances_of
from seg_al.tasks.objects.partial import known_instances
from seg_al.tasks.outlines import pieces

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Oracle:
    """Answers from the dataset's targets at once. The only way from the pool to its labels."""

    dataset: Dataset
    gives: Literal["true", "dominant", "instances"]
    """"true": the class of each pixel that was asked about; "dominant": the most frequent one for all of them, which
    is one click and may be wrong at the border; "instances": all of each object that the region touches, as in the
    superpixel study of SuperAnnotate, where stuff such as road is one object per image."""
    truths_read: dict[str, set[str]] = field(default_factory=dict, init=False)
    """Images of which a truth was read without a query, by its name: what an oracle selector cost."""

    def __post_init__(self) -> None:
        if self.gives != "instances" or not self.dataset.pool:
            return
        if self.dataset.objects(self.dataset.pool[0]) is None:
            raise ValueError("annotator=oracle_instances needs a dataset with object ids; take annotator=oracle")

    def answer(self, queries: Sequence[Query], known: Callable[[str], BoolMask], folder: Path) -> list[Answer]:
        log.info("the oracle answers %d queries", len(queries))
        by_image: dict[str, list[int]] = {}
        for position, query in enumerate(queries):
            by_image.setdefault(query.image, []).append(position)
        answers: dict[int, Answer] = {}
        for name, positions in by_image.items():
            regions = [queries[position].region for position in positions]
            if self.gives == "instances":
                regions = self._whole_objects(name, regions, known(name))
            target = self.dataset.target(name)
            answers |= {
                position: self._answer(name, region, target)
                for position, region in zip(positions, regions, strict=True)
            }
        return [answers[position] for position in range(len(queries))]

    def _answer(self, name: str, region: Region, target: ByteImage) -> Answer:
        labels = region.pixels_of(target)
        if self.gives == "dominant" or len(labels) == 0 or (labels == labels[0]).all():
            return Answer(name, region, int(len(labels) > 0), 0)
        return Answer(name, region, *pieces(target, region.mask()))

    def _whole_objects(self, name: str, regions: Sequence[Region], known: BoolMask) -> list[Region]:
        """What each region reveals, in order: itself and the objects it touches, without what is known by then."""
        objects = self.dataset.objects(name)
        assert objects is not None
        left = (self.dataset.target(name) != IGNORE) & ~known
        revealed = []
        for region in regions:
            touched = np.unique(region.pixels_of(objects))
            mask = left & (np.isin(objects, touched[touched > 0]) | region.mask())
            left &= ~mask
            revealed.append(Region.of(mask))
        return revealed

    def labels(self, name: str, regions: Sequence[Region]) -> ByteImage:  # [H, W]
        target = self.dataset.target(name)
        labels = np.full(target.shape, IGNORE, dtype=np.uint8)
        for region in regions:
            if self.gives == "dominant":
                region.fill(labels, dominant(region.pixels_of(target)))
            else:
                region.copy(target, labels)
        return labels

    def instances(self, name: str, regions: Sequence[Region]) -> tuple[Instances, BoolMask]:  # objects, [H, W]
        """The objects at least half of which the regions show, whole, and the pixels where anything may be."""
        if self.gives == "dominant":
            raise ValueError(
                "annotator=oracle_dominant tells one class per region and no objects; take annotator=oracle or "
                "oracle_instances, or a semantic model"
            )
        truth = instances_of(self.dataset, name)
        known = np.zeros(truth.size, dtype=np.bool_)
        for region in regions:
            region.fill(known, True)
        return known_instances(truth, known)

    def truth(self, key: str, name: str, region: BoolMask) -> str:
        self.truths_read.setdefault(key, set()).add(name)
        if key == CLASSES:
            present = np.unique(self.dataset.target(name)[region])
            return ",".join(str(found) for found in present if found != IGNORE)
        return self.dataset.column(key)[name]


def dominant(labels: npt.NDArray[np.uint8]) -> int:  # [area] class ids
    """The most frequent class, of equals the first; IGNORE where no pixel has one."""
    counts = np.bincount(labels, minlength=IGNORE + 1)[:IGNORE]
    return int(counts.argmax()) if counts.any() else IGNORE
