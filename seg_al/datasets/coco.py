"""Images with their objects one by one, from COCO JSON files of instances: COCO itself, DSB2018, your own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from seg_al.core import Colour
from seg_al.datasets.coco_checks import Findings
from seg_al.datasets.coco_file import Listed, Source, categories, category_colours, listed, load_lists
from seg_al.datasets.coco_masks import Unusable, box_code, is_flat, mask_code
from seg_al.datasets.file_patterns import MatchedFile, Pattern, named
from seg_al.datasets.files.percentiles import window_of
from seg_al.datasets.files.rules import FileReading, Pages
from seg_al.datasets.files.window import numbers_of, percentiles_of
from seg_al.datasets.folder_splits import By, SplitValues, Wanted
from seg_al.datasets.object_dataset import ObjectDataset, filled, split_up
from seg_al.tasks.objects.objects import Instances

BOX_ONLY = "without a mask: its box is void, as a crowd"


def read_coco(
    root: str,
    run: int,
    annotations: str,
    images: str,
    background: str,
    split: By,
    train: SplitValues | None,
    val: SplitValues | float,
    test: SplitValues | float,
    stratify: Sequence[str],
    scale: float,
    window: object = None,
    pages: Pages = "one",
    group: str | None = None,
    file_name: str | None = None,
) -> ObjectDataset:
    """Reads, checks and splits the images below `root`; conf/dataset/coco.yaml says what each value means.

    There are many arguments because they are the keys of that file. Raises one ValueError that lists all that cannot be
    used. What was repaired or left out is one warning in the log, with counts.
    """
    wanted = Wanted(split, train, val, test, stratify, group)
    reading = FileReading(window, pages)
    wrong = [*_problems(annotations, images, wanted, scale), *reading.problems()]
    if "kind" in stratify and percentiles_of(window) is not None:
        wrong.append("dataset.stratify=[kind] looks at images before the split, and percentiles are of the pool; set "
                     "dataset.window=[low, high], or leave kind out")  # fmt: skip
    if wrong:
        raise ValueError("the dataset is described wrongly:\n" + "\n".join(f"  - {one}" for one in wrong))
    folder, findings = Path(root), Findings()
    sources = _sources(folder, annotations, images, wanted)
    found, names, colours = _read(folder, sources, background, reading, findings)
    found = _with_fields(found, file_name, findings)
    objects = {name: _instances(name, image, scale, findings) for name, image in _progress(found)}
    found = {name: replace(image, annotations=()) for name, image in found.items()}  # as much memory as the file
    fixed = None if numbers_of(window) is None else window_of(window, [], [])
    whole = ObjectDataset(found, objects, (background, *names), tuple(found), (), {}, fixed, colours)
    findings.settle(folder)
    return split_up(whole, wanted, run, folder, window, findings.kept.counts[BOX_ONLY])


def _problems(annotations: str, images: str, wanted: Wanted, scale: float) -> list[str]:
    fields = ("split",) if "{split}" in annotations else ()
    wrong = [one.replace("dataset.images", "dataset.annotations") for one in wanted.problems(fields)]
    if wanted.split == "folder" and wanted.train is None and fields:
        wrong.append("dataset.train=null: name the value of {split} in dataset.annotations that is trained on")
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
    root: Path, sources: Sequence[Source], background: str, reading: FileReading, findings: Findings
) -> tuple[dict[str, Listed], list[str], tuple[Colour, ...] | None]:
    """All images by name, sorted, and the names of the classes without the background, and the colours of all."""
    every: list[Listed] = []
    names: list[str] = []
    colours: tuple[Colour, ...] | None = None
    for number, source in enumerate(sources):
        lists = load_lists(source)
        of_id = categories(lists["categories"], background, source.annotations.name, findings)
        names = names or list(of_id.values())
        colours = colours or category_colours(lists["categories"], names)
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
    found, twice = named([MatchedFile(file, {}, page) for file, page in files])
    findings.stop.extend("name of several images", twice)
    return {name: files[one.file, one.page] for name, one in found.items()}, names, colours


def _with_fields(images: Mapping[str, Listed], pattern: str | None, findings: Findings) -> dict[str, Listed]:
    """The same with the columns that a pattern of file_name gives."""
    if pattern is None:
        return dict(images)
    whole = re.compile(Pattern(pattern).regex({}))
    matches = {name: whole.fullmatch(image.file_name) for name, image in images.items()}
    other = [images[name].file_name for name, match in matches.items() if match is None]
    findings.stop.extend(f"file_name that does not fit dataset.file_name={pattern}", other)
    return {
        name: replace(image, fields={**image.fields, **match.groupdict()})
        for name, image in images.items()
        if (match := matches[name]) is not None
    }


def _progress(images: Mapping[str, Listed]) -> tqdm[tuple[str, Listed]]:
    return tqdm(images.items(), "read objects", unit="image", leave=False, disable=None, delay=1)


def _instances(name: str, image: Listed, scale: float, findings: Findings) -> Instances:
    """The objects of an image at the working size; those without a pixel are left out."""
    codes, classes, crowds, labels = [], [], [], []
    for record in image.annotations:
        label = record["label"]
        try:
            code = mask_code(record.get("segmentation"), image.size, label, findings.kept)
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
    return filled(Instances.of(image.size, codes, classes, crowds), labels, scale, findings)
