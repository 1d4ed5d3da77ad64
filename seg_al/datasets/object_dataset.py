"""Images with their single objects, whether they were read from COCO or from LabelMe files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from seg_al.core import IGNORE, ByteImage, Colour, PixelSet
from seg_al.datasets.coco_checks import Findings
from seg_al.datasets.coco_file import Listed
from seg_al.datasets.coco_splits import Splits, split_of
from seg_al.datasets.files.percentiles import window_of
from seg_al.datasets.files.pixels import read_picture
from seg_al.datasets.files.resize import resized
from seg_al.datasets.files.window import ValueWindow
from seg_al.datasets.folder_checks import first_few
from seg_al.datasets.folder_splits import Wanted
from seg_al.datasets.picture_kind import kind_of
from seg_al.tasks.objects.objects import Instances, class_map, object_map

log = logging.getLogger(__name__)

DERIVED = ("kind", "size")
"""Columns that every image has: kind of microscopy (picture_kind.py), and height x width in pixels."""


@dataclass(frozen=True)
class ObjectDataset:
    """The images of one split, decoded on every call. Objects are kept in memory, at the working size."""

    images: Mapping[str, Listed]
    objects_of: Mapping[str, Instances]
    classes: tuple[str, ...]
    """The names of the classes, with the background first."""
    pool: tuple[str, ...]
    val: tuple[str, ...]
    tests: Mapping[str, tuple[str, ...]]
    window: ValueWindow | None = None
    """The window of the images' grey levels; None: they have 8 bits."""
    colours: tuple[Colour, ...] | None = None
    """The colours of the classes in pictures; None: the default ones."""
    _kinds: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def background(self) -> int:
        return 0

    def size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels after scaling, without decoding."""
        return self.objects_of[name].size

    def image(self, name: str) -> ByteImage:
        """RGB [H, W, 3], resized bilinearly. ValueError if the file is corrupt."""
        image = self.images[name]
        return resized(read_picture(image.path, self.window, image.page), self.size(name))

    def instances(self, name: str) -> Instances:
        """The objects and crowds in the order of the file."""
        return self.objects_of[name]

    def target(self, name: str) -> ByteImage:
        """[H, W] class ids: the smaller object on top, background without an object, IGNORE where only a crowd is."""
        return class_map(self.objects_of[name])

    def askable(self, name: str) -> PixelSet | None:
        """[H, W], the pixels outside crowds; None where the image has no crowd."""
        return self.target(name) != IGNORE if self.objects_of[name].crowd.any() else None

    def objects(self, name: str) -> npt.NDArray[np.int32]:
        """[H, W] the number of the object among `instances`, from 1; 0: no object."""
        return object_map(self.objects_of[name])

    def column(self, key: str) -> Mapping[str, str]:
        """For each image of the pool, its kind, its size, or another value that the files state."""
        return self.values(key, self.pool)

    def values(self, key: str, names: Sequence[str]) -> dict[str, str]:
        """The value of the column `key` for each of `names`. ValueError where there is no such column."""
        own = set.intersection(*(set(image.fields) for image in self.images.values())) - {*DERIVED}
        if key not in own and key not in DERIVED:
            raise ValueError(f"this dataset has no column {key!r}; choose {', '.join((*DERIVED, *sorted(own)))}")
        if key == "size":
            return {name: "{}x{}".format(*self.images[name].size) for name in names}
        if key != "kind":
            return {name: self.images[name].fields[key] for name in names}
        missing = [name for name in names if name not in self._kinds]
        for name in tqdm(missing, "look at images", unit="image", leave=False, disable=None, delay=1):
            image = self.images[name]
            self._kinds[name] = kind_of(read_picture(image.path, self.window, image.page))
        return {name: self._kinds[name] for name in names}


def split_up(whole: ObjectDataset, wanted: Wanted, run: int, root: Path, window: object, boxes: int) -> ObjectDataset:
    """The images by split, with their window. ValueError where they cannot be split, or a split has no object.

    `boxes` counts the annotations that have a box and no mask.
    """
    images = whole.images
    splits = split_of(images, wanted, whole.values, run, root)
    _check_splits(whole, splits, boxes)
    reported = ", ".join(f"{len(those)} {key}" for key, those in splits.tests.items())
    log.info("%s: %d pool, %d val, %s", root, len(splits.pool), len(splits.val), reported)
    others = {*splits.val, *(name for those in splits.tests.values() for name in those)}
    seen = [[(images[name].path, images[name].page) for name in names] for names in (splits.pool, sorted(others))]
    return replace(whole, pool=splits.pool, val=splits.val, tests=splits.tests, window=window_of(window, *seen))


def _check_splits(dataset: ObjectDataset, splits: Splits, boxes: int) -> None:
    """ValueError where a split has no object, so that nothing can be learned or measured.

    `boxes` counts the annotations that have a box and no mask.
    """
    parts = {"train": splits.pool, "val": splits.val, **splits.tests}
    empty = [key for key, names in parts.items() if all(dataset.objects_of[name].crowd.all() for name in names)]
    if empty:
        crowds = sum(len(dataset.objects_of[name]) for name in parts[empty[0]])
        if crowds and boxes:
            why = (
                f"{boxes:,} annotations are boxes without masks, and a box does not say which pixels are the object's; "
                "no task here learns from boxes alone yet: give each annotation a segmentation"
            )
        elif crowds:
            why = f"all of their {crowds:,} annotations are crowds (iscrowd 1), which are void: give objects iscrowd 0"
        else:
            why = "labels of official test sets are often held back: choose another split"
        raise ValueError(
            f"there is no object in the {len(parts[empty[0]])} images of {' and '.join(empty)}, so that nothing can be "
            f"learned or measured; {why}"
        )
    names = [name for name in splits.pool if len(dataset.objects_of[name]) == 0]
    if names:
        log.info("%d pool images have no object and stay as background: %s", len(names), first_few(names))


def filled(instances: Instances, labels: Sequence[str], scale: float, findings: Findings) -> Instances:
    """The objects at the working size, without those that have no pixel before or after; `labels` name them."""
    labels = list(labels)
    whole = _without_empty(instances, labels, "mask without a pixel", findings)
    height, width = (max(1, round(side * scale)) for side in instances.size)
    kind = f"mask without a pixel at dataset.scale={scale}"
    return _without_empty(whole.resized((height, width)), labels, kind, findings)


def _without_empty(instances: Instances, labels: list[str], kind: str, findings: Findings) -> Instances:
    """The objects without empty masks, whose `labels` are removed too."""
    full = instances.areas > 0
    if full.all():
        return instances
    findings.kept.extend(f"{kind}: left out", [label for label, fine in zip(labels, full, strict=True) if not fine])
    labels[:] = [label for label, fine in zip(labels, full, strict=True) if fine]
    return instances.select(full)
