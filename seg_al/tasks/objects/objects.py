"""The single objects of an image: the true ones (Instances) and those that a model finds (Detections).

Boxes are [x0, y0, x1, y1] in pixels, with the right and lower edge outside: a box around one pixel is 1 wide. Classes
count from 1, as in the class ids of a dataset: 0 is the background. Masks are codes of seg_al.tasks.objects.rle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco
from scipy.ndimage import find_objects

from seg_al.core import IGNORE, ByteImage, PixelSet
from seg_al.tasks.objects import rle
from seg_al.tasks.pixels.class_labels import LabelledPixels

Boxes = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Instances:
    """The true objects of one image, crowds included, as parallel columns."""

    size: rle.Size
    """Height and width of the image in pixels."""
    boxes: Boxes  # [N, 4]
    classes: Classes  # [N], from 1
    masks: tuple[rle.Code, ...]  # N
    crowd: PixelSet  # [N], regions of objects that are not told apart: neither objects nor background

    def __post_init__(self) -> None:
        count = len(self.masks)
        assert self.boxes.shape == (count, 4)
        assert self.classes.shape == self.crowd.shape == (count,)

    @classmethod
    def of(cls, size: rle.Size, masks: Sequence[rle.Code], classes: Sequence[int], crowd: Sequence[bool]) -> Instances:
        """Objects whose boxes are the tight boxes of their masks."""
        codes = tuple(masks)
        ids, crowds = np.asarray(classes, dtype=np.int64).reshape(-1), np.asarray(crowd, dtype=np.bool_).reshape(-1)
        return cls(size, tight_boxes(codes, size), ids, codes, crowds)

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def areas(self) -> Classes:  # [N]
        """Pixels."""
        return rle.mask_areas(self.masks, self.size)

    def select(self, places: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Instances:
        """The objects with these positions, or where a mask [N] is True."""
        kept = np.arange(len(self))[places]
        codes = tuple(self.masks[place] for place in kept.tolist())
        return Instances(self.size, self.boxes[kept], self.classes[kept], codes, self.crowd[kept])

    def resized(self, size: rle.Size) -> Instances:
        """The objects in an image of another size, with tight boxes; masks that become empty stay, with empty boxes."""
        if size == self.size:
            return self
        codes = [rle.resized_code(code, self.size, size) for code in self.masks]
        return Instances.of(size, codes, self.classes.tolist(), self.crowd.tolist())

    def full(self) -> PixelSet:  # [N, H, W]
        """All masks at the size of the image: N·H·W bytes."""
        return full(self.masks, self.size)

    def crops(self, window: rle.PixelBox) -> PixelSet:  # [N, h, w]
        """All masks within one window of the image."""
        return crops(self.masks, self.size, window)


@dataclass(frozen=True)
class Detections:
    """The objects that a model finds in one image, as parallel columns in any order."""

    size: rle.Size
    """Height and width of the image in pixels."""
    boxes: Boxes  # [N, 4]
    scores: Scores  # [N], higher = more certain
    classes: Classes  # [N], from 1
    masks: tuple[rle.Code, ...] | None  # N; None: the model gives boxes only

    def __post_init__(self) -> None:
        count = len(self.boxes)
        assert self.boxes.shape == (count, 4)
        assert self.scores.shape == self.classes.shape == (count,)
        assert self.masks is None or len(self.masks) == count

    @classmethod
    def of(
        cls, size: rle.Size, masks: Sequence[rle.Code], scores: Sequence[float], classes: Sequence[int]
    ) -> Detections:
        """Objects whose boxes are the tight boxes of their masks."""
        codes = tuple(masks)
        numbers, ids = np.asarray(scores, dtype=np.float64).reshape(-1), np.asarray(classes, dtype=np.int64).reshape(-1)
        return cls(size, tight_boxes(codes, size), numbers, ids, codes)

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, places: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Detections:
        """The detections with these positions, in their order, or where a mask [N] is True."""
        kept = np.arange(len(self))[places]
        codes = None if self.masks is None else tuple(self.masks[place] for place in kept.tolist())
        return Detections(self.size, self.boxes[kept], self.scores[kept], self.classes[kept], codes)

    def full(self) -> PixelSet:  # [N, H, W]
        """All masks at the size of the image: N·H·W bytes."""
        return full(self.codes(), self.size)

    def crops(self, window: rle.PixelBox) -> PixelSet:  # [N, h, w]
        """All masks within one window of the image."""
        return crops(self.codes(), self.size, window)

    def codes(self) -> tuple[rle.Code, ...]:
        """The masks. ValueError where the model gives boxes only."""
        if self.masks is None:
            raise ValueError("these detections have boxes only, and masks are asked for; use a model that gives masks")
        return self.masks


@runtime_checkable
class ListsObjects(Protocol):
    """A dataset that knows the objects of its images one by one."""

    def instances(self, name: str) -> Instances: ...


def instances_of(dataset: LabelledPixels, name: str) -> Instances:
    """The objects of an image: the dataset's own, or those in its maps of objects and classes.

    Raises ValueError where it has neither, or no background as class 0.
    """
    if isinstance(dataset, ListsObjects):
        return dataset.instances(name)
    objects = dataset.objects(name)
    if objects is None:
        raise ValueError(
            f"objects are asked for, but image {name} has no object ids; take a dataset that has them (dataset=glas, "
            "coco, or folder with dataset.objects), or a semantic model"
        )
    if dataset.background != 0:
        raise ValueError(
            f"objects are asked for, but the first class, {dataset.classes[0]}, is no background; take a dataset "
            "whose class 0 is the background, or a semantic model"
        )
    return instances_of_maps(objects, dataset.target(name), range(1, len(dataset.classes)))


def instances_of_maps(
    objects: npt.NDArray[np.integer], classes: ByteImage, void: Sequence[int] = (1,)
) -> Instances:  # [H, W] ids, 0: none; [H, W] class ids
    """The objects of two maps, by ascending id, each of the most frequent class of its pixels (in a tie the first).

    Objects of the background class are left out. Pixels with the class IGNORE that are of no object, or of one all
    of whose pixels are, become a crowd for each of the classes `void` that they may hold.
    """
    size = (objects.shape[0], objects.shape[1])
    ids, places = np.unique(objects, return_inverse=True)
    places = places.reshape(size)
    if ids[0] != 0:
        places, ids = places + 1, np.r_[0, ids]
    counts = np.bincount(places.ravel() * 256 + classes.ravel(), minlength=256 * len(ids)).reshape(len(ids), 256)
    counts[0] = 0
    found = np.where(counts[:, :IGNORE].any(1), counts[:, :IGNORE].argmax(1), IGNORE)
    codes, kept = [], []
    for place, window in enumerate(find_objects(places), start=1):
        if 0 < found[place] < IGNORE:
            codes.append(rle.encode(places[window] == place, size, (window[1].start, window[0].start)))
            kept.append(int(found[place]))
    unknown = (classes == IGNORE) & ((places == 0) | (found == IGNORE)[places])
    crowds = list(void) if unknown.any() else []
    codes += [rle.encode(unknown, size)] * len(crowds)
    return Instances.of(size, codes, [*kept, *crowds], [False] * len(kept) + [True] * len(crowds))


def tight_boxes(codes: tuple[rle.Code, ...], size: rle.Size) -> Boxes:  # [N, 4]
    """The smallest boxes around the pixels of each mask; zeros for an empty mask."""
    if not codes:
        return np.zeros((0, 4), dtype=np.float32)
    boxes = np.asarray(coco.toBbox(rle.pycocotools_masks(codes, size)), dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes[rle.mask_areas(codes, size) == 0] = 0
    return boxes


def full(codes: tuple[rle.Code, ...], size: rle.Size) -> PixelSet:  # [N, H, W]
    masks = np.zeros((len(codes), *size), dtype=np.bool_)
    for place, code in enumerate(codes):
        rle.paint_mask(code, size, True, masks[place])
    return masks


def crops(codes: tuple[rle.Code, ...], size: rle.Size, window: rle.PixelBox) -> PixelSet:  # [N, h, w]
    cuts = [rle.crop(code, size, window) for code in codes]
    x0, y0, x1, y1 = window
    return np.stack(cuts) if cuts else np.zeros((0, y1 - y0, x1 - x0), dtype=np.bool_)


def class_map(instances: Instances) -> ByteImage:  # [H, W]
    """Class ids: 0 outside objects, IGNORE where there is only a crowd.

    Where objects overlap, the smaller is on top, in a tie the later; an object is on top of every crowd.
    """
    painted = np.zeros(instances.size, dtype=np.uint8)
    for place in np.flatnonzero(instances.crowd).tolist():
        rle.paint_mask(instances.masks[place], instances.size, IGNORE, painted)
    for place in _from_large_to_small(instances):
        rle.paint_mask(instances.masks[place], instances.size, instances.classes[place], painted)
    return painted


def object_map(instances: Instances) -> npt.NDArray[np.int32]:  # [H, W]
    """Object ids: the position among the instances, from 1; 0 outside objects. Overlaps as in `class_map`.

    Crowds are no objects; an object that others cover completely has no pixel.
    """
    painted = np.zeros(instances.size, dtype=np.int32)
    for place in _from_large_to_small(instances):
        rle.paint_mask(instances.masks[place], instances.size, place + 1, painted)
    return painted


def void_of(instances: Instances) -> PixelSet:  # [H, W]
    """The pixels that belong to a crowd and to no object."""
    void = np.zeros(instances.size, dtype=np.bool_)
    for place in np.flatnonzero(instances.crowd).tolist():
        rle.paint_mask(instances.masks[place], instances.size, True, void)
    if void.any():
        for place in np.flatnonzero(~instances.crowd).tolist():
            rle.paint_mask(instances.masks[place], instances.size, False, void)
    return void


def _from_large_to_small(instances: Instances) -> list[int]:
    """The positions of the objects without crowds, in the order of painting; in a tie the earlier first."""
    objects = np.flatnonzero(~instances.crowd)
    order: list[int] = objects[np.argsort(-instances.areas[objects], kind="stable")].tolist()
    return order
