"""Images with their objects one by one, from COCO JSON files of instances: COCO itself, DSB2018, your own."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from seg_al.core import IGNORE, BoolMask, ByteImage
from seg_al.datasets.coco_checks import Findings
from seg_al.datasets.coco_file import Listed, Source, categories, listed, load
from seg_al.datasets.coco_masks import Unusable, box_code, code_of, is_flat
from seg_al.datasets.coco_splits import Splits, split_of
from seg_al.datasets.file_patterns import Found, named
from seg_al.datasets.files.percentiles import window_of
from seg_al.datasets.files.pixels import read_picture
from seg_al.datasets.files.resize import resized
from seg_al.datasets.files.rules import Pages, Reading
from seg_al.datasets.files.window import Window, numbers_of, percentiles_of
from seg_al.datasets.folder_checks import shortened
from seg_al.datasets.folder_splits import By, Wanted, Where
from seg_al.datasets.picture_kind import kind_of
from seg_al.instances.nouns import Instances, class_map, object_map

logger = logging.getLogger(__name__)

DERIVED = ("kind", "size")
"""Columns that every image has: kind of microscopy (picture_kind.py), and height x width in pixels."""
BOX_ONLY = "without a mask: its box is void, as a crowd"


@dataclass(frozen=True)
class CocoDataset:
    """The images of one split, decoded on every call; `read_coco` builds it. Objects are held, at the working size."""

    images: Mapping[str, Listed]
    objects_of: Mapping[str, Instances]
    classes: tuple[str, ...]
    """With the background first."""
    pool: tuple[str, ...]
    val: tuple[str, ...]
    tests: Mapping[str, tuple[str, ...]]
    window: Window | None = None
    """Of the images' grey levels; None: they have 8 bits."""
    _kinds: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def background(self) -> int:
        return 0

    def size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels after scaling, without decoding."""
        return self.objects_of[name].size

    def image(self, name: str) -> ByteImage:
        """RGB [H, W, 3], resized bilinearly over all that a pixel covers. ValueError if the file is corrupt."""
        image = self.images[name]
        return resized(read_picture(image.path, self.window, image.page), self.size(name))

    def instances(self, name: str) -> Instances:
        """The objects and crowds in the order of the file."""
        return self.objects_of[name]

    def target(self, name: str) -> ByteImage:
        """[H, W] class ids: the smaller object on top, background where none is, IGNORE where only a crowd is."""
        return class_map(self.objects_of[name])

    def askable(self, name: str) -> BoolMask | None:
        """[H, W], all but the pixels of crowds; None where the image has no crowd."""
        return self.target(name) != IGNORE if self.objects_of[name].crowd.any() else None

    def objects(self, name: str) -> npt.NDArray[np.int32]:
        """[H, W] the place of the object among `instances`, from 1; 0: none."""
        return object_map(self.objects_of[name])

    def column(self, key: str) -> Mapping[str, str]:
        """For each image of the pool: kind, size, or a plain value that every image record of the JSON has."""
        return self.values(key, self.pool)

    def values(self, key: str, names: Sequence[str]) -> dict[str, str]:
        """The same for any images. ValueError where there is no such column."""
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


def read_coco(
    root: str,
    run: int,
    annotations: str,
    images: str,
    background: str,
    split: By,
    train: Where | None,
    val: Where | float,
    test: Where | float,
    stratify: Sequence[str],
    scale: float,
    window: object = None,
    pages: Pages = "one",
    group: str | None = None,
) -> CocoDataset:
    """Reads, checks and splits the images below `root`; conf/dataset/coco.yaml says what each value means.

    The arguments are many because they mirror that file. Raises one ValueError that lists everything that cannot be
    used; what could be mended or left out is one warning in the log, with counts.
    """
    wanted = Wanted(split, train, val, test, stratify, group)
    reading = Reading(window, pages)
    wrong = [*_problems(annotations, images, wanted, scale), *reading.problems()]
    if "kind" in stratify and percentiles_of(window) is not None:
        wrong.append("dataset.stratify=[kind] looks at images before the split, and percentiles are of the pool; set "
                     "dataset.window=[low, high], or leave kind out")  # fmt: skip
    if wrong:
        raise ValueError("the dataset is described wrongly:\n" + "\n".join(f"  - {one}" for one in wrong))
    folder, findings = Path(root), Findings()
    found, names = _read(folder, _sources(folder, annotations, images, wanted), background, reading, findings)
    objects = {name: _instances(name, image, scale, findings) for name, image in _progress(found)}
    found = {name: replace(image, annotations=()) for name, image in found.items()}  # as much memory as the file
    fixed = None if numbers_of(window) is None else window_of(window, [], [])
    whole = CocoDataset(found, objects, (background, *names), tuple(found), (), {}, fixed)
    findings.settle(folder)
    splits = split_of(found, wanted, whole.values, run, folder)
    _check_splits(whole, splits, findings.kept.counts[BOX_ONLY])
    reported = ", ".join(f"{len(those)} {key}" for key, those in splits.tests.items())
    logger.info("%s of %s: %d pool, %d val, %s", annotations, folder, len(splits.pool), len(splits.val), reported)
    others = {*splits.val, *(name for those in splits.tests.values() for name in those)}
    seen = [[(found[name].path, found[name].page) for name in names] for names in (splits.pool, sorted(others))]
    return replace(whole, pool=splits.pool, val=splits.val, tests=splits.tests, window=window_of(window, *seen))


def _problems(annotations: str, images: str, wanted: Wanted, scale: float) -> list[str]:
    fields = ("split",) if "{split}" in annotations else ()
    wrong = [one.replace("dataset.images", "dataset.annotations") for one in wanted.problems(fields)]
    if wanted.split == "folder" and wanted.train is None and fields:
        wrong.append("dataset.train=null: say which value of {split} in dataset.annotations is trained on")
    if wanted.split == "list" and fields:
        wrong.append(f"dataset.split=list reads one JSON file, but dataset.annotations={annotations} has {{split}}")
    if "{split}" in images and not fields:
        wrong.append(f"dataset.images={images} has {{split}}, but dataset.annotations={annotations} has not")
    if not (math.isfinite(scale) and scale > 0):
        wrong.append(f"dataset.scale={scale} is not a factor above 0; 1.0 keeps the size, 0.5 halves it")
    return wrong


def _sources(root: Path, annotations: str, images: str, wanted: Wanted) -> list[Source]:
    """The JSON files that the splits need, that of the training images first."""
    if "{split}" not in annotations:
        return [Source("", root / annotations, root / images)]
    words: list[str] = []
    for where in (wanted.train, wanted.val, wanted.test):
        if where is not None and not isinstance(where, int | float):
            words += [where] if isinstance(where, str) else where
    return [
        Source(word, root / annotations.replace("{split}", word), root / images.replace("{split}", word))
        for word in dict.fromkeys(words)
    ]


def _read(
    root: Path, sources: Sequence[Source], background: str, reading: Reading, findings: Findings
) -> tuple[dict[str, Listed], list[str]]:
    """All images by name, sorted, and the names of the classes without the background."""
    every: list[Listed] = []
    names: list[str] = []
    for number, source in enumerate(sources):
        lists = load(source)
        of_id = categories(lists["categories"], background, source.annotations.name, findings)
        names = names or list(of_id.values())
        unknown = [f"{source.annotations.name}: {name}" for name in of_id.values() if name not in names]
        findings.stop.extend("category that the training images do not have", unknown)
        class_of = {key: names.index(name) + 1 for key, name in of_id.items() if name in names}
        images = listed(source, lists, class_of, root, reading, findings)
        if number == 0:
            there = {record["class"] for image in images for record in image.annotations}
            without = [name for place, name in enumerate(names, start=1) if place not in there]
            findings.kept.extend("category without an annotation in the training file: kept as a class", without)
        if not images and not findings.stop.counts:
            findings.stop.add("file without an image", source.annotations.name)
        every += images
    files = {(image.file, image.page): image for image in every}
    twice = [
        f"{image.file} ({image.split} and {files[image.file, image.page].split})"
        for image in every
        if image is not files[image.file, image.page]
    ]
    findings.stop.extend("image in two splits", twice)
    found, twice = named([Found(file, {}, page) for file, page in files])
    findings.stop.extend("name of several images", twice)
    return {name: files[one.file, one.page] for name, one in found.items()}, names


def _progress(images: Mapping[str, Listed]) -> tqdm[tuple[str, Listed]]:
    return tqdm(images.items(), "read objects", unit="image", leave=False, disable=None, delay=1)


def _instances(name: str, image: Listed, scale: float, findings: Findings) -> Instances:
    """The objects of an image at the working size; those without a pixel are left out."""
    codes, classes, crowds, labels = [], [], [], []
    for record in image.annotations:
        label = record["label"]
        try:
            code = code_of(record.get("segmentation"), image.size, label, findings.kept)
        except Unusable as error:
            findings.stop.add("mask that cannot be read", f"{label}: {error}")
            continue
        crowd = record["crowd"]
        if code is None:
            code, crowd = box_code(record.get("bbox"), image.size), True
            findings.kept.add("without a mask or a box: left out" if code is None else BOX_ONLY, label)
        elif is_flat(record.get("bbox")):
            findings.kept.add("box of zero area: taken from the mask", label)
        if code is not None:
            codes.append(code)
            classes.append(record["class"])
            crowds.append(crowd)
            labels.append(label)
    whole = _filled(Instances.of(image.size, codes, classes, crowds), labels, "mask without a pixel", findings)
    height, width = (max(1, round(side * scale)) for side in image.size)
    return _filled(whole.resized((height, width)), labels, f"mask without a pixel at dataset.scale={scale}", findings)


def _filled(instances: Instances, labels: list[str], kind: str, findings: Findings) -> Instances:
    """Without the empty masks, which also leave `labels`."""
    filled = instances.areas > 0
    if filled.all():
        return instances
    findings.kept.extend(f"{kind}: left out", [label for label, fine in zip(labels, filled, strict=True) if not fine])
    labels[:] = [label for label, fine in zip(labels, filled, strict=True) if fine]
    return instances.select(filled)


def _check_splits(dataset: CocoDataset, splits: Splits, boxes: int) -> None:
    """ValueError where a split has no object, so that nothing is learned or measured. Images without one stay.

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
        logger.info("%d pool images have no object and stay as background: %s", len(names), shortened(names))
