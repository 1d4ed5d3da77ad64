"""Labels where each pixel has a class: the answers of an oracle, their cost for a person, and their classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from seg_al.core import IGNORE, Answer, ByteImage, Dataset, PixelSet, Region
from seg_al.tasks.pixels.outlines import pieces

Gives = Literal["true", "dominant", "instances"]
"""How an oracle answers. "true": the class of each pixel that was asked about; "dominant": the most frequent one for
all of them, which is one click and may be wrong at the border; "instances": all of each object that the region touches,
as in the superpixel study of SuperAnnotate, where stuff such as road is one object per image."""
GIVES: tuple[Gives, ...] = get_args(Gives)


@runtime_checkable
class LabelledPixels(Dataset, Protocol):
    """A dataset that knows the class of each pixel, and perhaps its object."""

    @property
    def background(self) -> int | None: ...  # the class that foreground metrics leave out; None: none
    def target(self, name: str) -> ByteImage: ...  # [H, W] class ids, IGNORE where void
    def objects(self, name: str) -> npt.NDArray[np.int32] | None: ...  # [H, W] object ids, 0: none


def labelled_pixels(dataset: Dataset) -> LabelledPixels:
    """The dataset itself. Raises ValueError where it is no dataset of class maps."""
    if not isinstance(dataset, LabelledPixels):
        absent = [name for name in ("target", "objects", "background") if name not in dir(dataset)]
        raise ValueError(
            f"{type(dataset).__name__} tells no class of pixels, which this task reads: it has no "
            f"{' and no '.join(absent)}; add it (tasks/pixels/class_labels.py says what it is), or take another dataset"
        )
    return dataset


def problems_of_answers(dataset: LabelledPixels, gives: str, allowed: Sequence[str]) -> list[str]:
    """Why an oracle cannot answer in this way."""
    if gives not in allowed:
        return [
            f"annotator.gives={gives} is no answer that this task can learn from; choose {' or '.join(allowed)}, as in "
            "annotator=oracle"
        ]
    if gives == "instances" and dataset.pool and dataset.objects(dataset.pool[0]) is None:
        return ["annotator=oracle_instances needs a dataset with object ids; take annotator=oracle"]
    return []


def class_answers(
    dataset: LabelledPixels, name: str, regions: Sequence[Region], known: PixelSet, gives: str
) -> list[Answer]:
    """An answer for each region: what became known, with its clicks and corners."""
    if gives == "instances":
        regions = _whole_objects(dataset, name, regions, known)
    target = dataset.target(name)
    return [_answer(name, region, target, gives) for region in regions]


def _answer(name: str, region: Region, target: ByteImage, gives: str) -> Answer:
    labels = region.pixels_of(target)
    if gives == "dominant" or len(labels) == 0 or (labels == labels[0]).all():
        return Answer(name, region, int(len(labels) > 0), 0)
    return Answer(name, region, *pieces(target, region.pixels()))


def _whole_objects(dataset: LabelledPixels, name: str, regions: Sequence[Region], known: PixelSet) -> list[Region]:
    """The pixels that each region reveals, in order: itself and the objects it touches, without known pixels."""
    objects = dataset.objects(name)
    assert objects is not None
    left = (dataset.target(name) != IGNORE) & ~known
    revealed = []
    for region in regions:
        touched = np.unique(region.pixels_of(objects))
        mask = left & (np.isin(objects, touched[touched > 0]) | region.pixels())
        left &= ~mask
        revealed.append(Region.of(mask))
    return revealed


def class_labels(dataset: LabelledPixels, name: str, regions: Sequence[Region], gives: str) -> ByteImage:  # [H, W]
    """Class ids in the regions, each of which is one answer; IGNORE elsewhere."""
    target = dataset.target(name)
    labels = np.full(target.shape, IGNORE, dtype=np.uint8)
    for region in regions:
        if gives == "dominant":
            region.fill(labels, dominant(region.pixels_of(target)))
        else:
            region.copy(target, labels)
    return labels


def dominant(labels: npt.NDArray[np.uint8]) -> int:  # [area] class ids
    """The most frequent class, in a tie the first; IGNORE where no pixel has one."""
    counts = np.bincount(labels, minlength=IGNORE + 1)[:IGNORE]
    return int(counts.argmax()) if counts.any() else IGNORE


def classes_within(dataset: LabelledPixels, name: str, region: PixelSet) -> list[int]:  # [H, W]
    """The ids of the true classes in the region, ascending."""
    present = np.unique(dataset.target(name)[region])
    return [int(one) for one in present if one != IGNORE]


def pixels_of_classes(labels: ByteImage, classes: int) -> npt.NDArray[np.int64]:  # [H, W] -> [C]
    """How many pixels have each class."""
    counts: npt.NDArray[np.int64] = np.bincount(labels.ravel(), minlength=IGNORE + 1)[:classes].astype(np.int64)
    return counts
