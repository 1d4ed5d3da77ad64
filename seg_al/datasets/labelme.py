"""A folder of images with one LabelMe JSON for each: as single objects, or as class maps painted from them."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from tqdm import tqdm

from seg_al.annotators.formats.labelme import LabelmeFile, labelme_file
from seg_al.annotators.formats.shapes import objects_of
from seg_al.datasets.coco_checks import Findings
from seg_al.datasets.coco_file import MOST_CATEGORIES, Listed
from seg_al.datasets.file_listing import Listing
from seg_al.datasets.file_patterns import MatchedFile, Pattern, named
from seg_al.datasets.files.header import read_header
from seg_al.datasets.files.held import Header
from seg_al.datasets.files.json_file import read_annotations
from seg_al.datasets.files.percentiles import window_of
from seg_al.datasets.files.rules import FileReading
from seg_al.datasets.files.window import numbers_of, percentiles_of
from seg_al.datasets.folder_checks import first_few
from seg_al.datasets.folder_splits import By, SplitValues, Wanted
from seg_al.datasets.object_dataset import ObjectDataset, filled, split_up
from seg_al.tasks.objects.objects import Instances

log = logging.getLogger(__name__)

Missing = Literal["refuse", "empty"]
"""How an image without a JSON counts: as a mistake, or as an image without an object."""


def read_labelme(
    root: str,
    run: int,
    images: str,
    annotations: str,
    missing: Missing,
    classes: Sequence[str] | None,
    void: Sequence[str],
    background: str,
    split: By,
    train: SplitValues | None,
    val: SplitValues | float,
    test: SplitValues | float,
    stratify: Sequence[str] | str,
    group: str | None,
    scale: float,
    window: object,
) -> ObjectDataset:
    """Finds, reads, checks and splits the images below `root`; conf/dataset/labelme.yaml says what each value means.

    There are many arguments because they are the keys of that file. Raises one ValueError that lists all that cannot be
    used. What was left out is one warning in the log, with counts.
    """
    wanted, reading = Wanted(split, train, val, test, stratify, group), FileReading(window)
    wrong = _problems(images, annotations, missing, classes, void, background)
    wrong += [*wanted.problems(Pattern(images).fields), *reading.problems()]
    if not (math.isfinite(scale) and scale > 0):
        wrong.append(f"dataset.scale={scale} is not a factor above 0; 1.0 keeps the size, 0.5 halves it")
    if "kind" in stratify and percentiles_of(window) is not None:
        wrong.append("dataset.stratify=[kind] looks at images before the split; set dataset.window=[low, high]")
    if wrong:
        raise ValueError("the dataset is described wrongly:\n" + "\n".join(f"  - {one}" for one in wrong))
    folder, findings = Path(root), Findings()
    found = _found(folder, images, findings)
    files = {name: folder / Pattern(annotations).filled(image.fields) for name, image in found.items()}
    pages = _read(files, missing, findings)
    _tell_lone(folder, annotations, set(files.values()), findings)
    listed = {name: one for name in pages if (one := _listed(folder, found[name], pages[name], reading, findings))}
    names = _classes(pages, classes, void, background, findings)
    objects = {
        name: _instances(files[name].name, pages[name], image.size, names, void, scale, findings)
        for name, image in tqdm(listed.items(), "draw shapes", unit="image", leave=False, disable=None, delay=1)
    }
    findings.settle(folder, "LabelMe")
    fixed = None if numbers_of(window) is None else window_of(window, [], [])
    whole = ObjectDataset(listed, objects, (background, *names), tuple(listed), (), {}, fixed)
    return split_up(whole, wanted, run, folder, window, 0)


def _problems(
    images: str, annotations: str, missing: str, classes: Sequence[str] | None, void: Sequence[str], background: str
) -> list[str]:
    wrong: list[str] = []
    fields = Pattern(images).fields
    strange = [one for one in Pattern(annotations).fields if one not in fields]
    if "name" not in fields:
        wrong.append(f"dataset.images={images} has no {{name}}, by which an image and its JSON find each other")
    if strange:
        known = ", ".join(fields) or "none"
        wrong.append(f"dataset.annotations={annotations} has {{{strange[0]}}}; the fields of dataset.images: {known}")
    if "*" in annotations or "name" not in Pattern(annotations).fields:
        wrong.append(f"dataset.annotations={annotations} must name one file: with {{name}}, without *")
    if missing not in get_args(Missing):
        wrong.append(f"dataset.missing={missing!r} is unknown; choose {' or '.join(get_args(Missing))}")
    for key, words in (("classes", classes), ("void", void)):
        if words is not None and (isinstance(words, str) or not all(isinstance(one, str) for one in words)):
            wrong.append(f"dataset.{key}={words} is no list of labels")
    if not wrong:
        twice = [one for one, count in Counter([background, *(classes or ()), *void]).items() if count > 1]
        wrong += [f"{one} is there twice among dataset.background, classes and void" for one in twice]
    if classes is not None and not 1 <= len(classes) <= MOST_CATEGORIES:
        wrong.append(f"dataset.classes has {len(classes)} labels; from 1 to {MOST_CATEGORIES} are possible, or null")
    return wrong


def _found(root: Path, images: str, findings: Findings) -> dict[str, MatchedFile]:
    if not root.is_dir():
        raise ValueError(f"there is no folder {root} (from {Path.cwd()}); set dataset.root=<folder>")
    listing = Listing(root)
    found, twice = named(Pattern(images).find(listing))
    listing.refuse_strange()
    findings.stop.extend("name of several images; say with dataset.images which ending is meant", twice)
    if not found:
        inside = first_few(sorted(path.name for path in root.iterdir()), 10) or "nothing"
        raise ValueError(f"no image fits dataset.images={images} below {root}, which holds: {inside}")
    return found


def _read(files: Mapping[str, Path], missing: Missing, findings: Findings) -> dict[str, LabelmeFile | None]:
    """The content of each JSON; None for an image that has none, where that is allowed."""
    pages: dict[str, LabelmeFile | None] = {}
    for name, path in tqdm(files.items(), "read annotations", unit="image", leave=False, disable=None, delay=1):
        try:
            pages[name] = labelme_file(read_annotations(path))
        except FileNotFoundError:
            if missing == "empty":
                findings.kept.add("image without a JSON: without an object (dataset.missing=empty)", name)
                pages[name] = None
            else:
                kind = "image without a JSON; label it, or set dataset.missing=empty where it has no object"
                findings.stop.add(kind, f"{name} (no {path.name})")
        except ValueError as error:
            text = str(error) if str(path) in str(error) else f"{path}: {error}"
            findings.stop.add("JSON that cannot be read", text)
    for name, page in pages.items():
        if page is not None:
            findings.stop.extend(
                "shape that cannot be read", [f"{files[name].name} {problem}" for problem in page.problems]
            )
            lines = [shape.label for shape in page.shapes if shape.kind == "line"]
            kind = "point or line, which covers no area: left out"
            findings.kept.extend(kind, [f"{files[name].name} ({label})" for label in lines])
    return pages


def _tell_lone(root: Path, annotations: str, used: set[Path], findings: Findings) -> None:
    """JSON files that belong to no image."""
    whole = re.compile(Pattern(annotations).regex({}))
    lone = [path for path in sorted(root.rglob("*.json")) if path not in used]
    names = [path.relative_to(root).as_posix() for path in lone]
    kind = "JSON without an image: left out (a picture that is only in its imageData must be saved as a file)"
    findings.kept.extend(kind, [name for name in names if whole.fullmatch(name)])


def _listed(
    root: Path, found: MatchedFile, page: LabelmeFile | None, reading: FileReading, findings: Findings
) -> Listed | None:
    """The image, whose size and name must agree with its JSON."""
    path = root / found.file
    try:
        header = read_header(path)
    except ValueError as error:
        findings.stop.add("unreadable image", str(error))
        return None
    if wrong := reading.picture_problem(header):
        findings.stop.add(f"image {wrong}", f"{path} ({header.described})")
        return None
    if page is not None and not _agree(found, page, header, findings):
        return None
    flags = {} if page is None else {key: str(value).lower() for key, value in page.flags.items()}
    fields = {**flags, **{key: value for key, value in found.fields.items() if key != "name"}}
    return Listed(path, found.file, found.fields.get("split", ""), header.size, fields, ())


def _agree(found: MatchedFile, page: LabelmeFile, header: Header, findings: Findings) -> bool:
    own, told = PurePosixPath(found.file), PurePosixPath(page.base_name)
    if told.name != own.name:
        if told.stem != own.stem:
            findings.stop.add("JSON of another image than the one beside it", f"{own.name}: imagePath {page.image}")
            return False
        findings.kept.add("image of another format than when it was labelled", f"{own.name}: imagePath {page.image}")
    if page.size is not None and page.size != header.size:
        sizes = " and ".join(f"{height}x{width}" for height, width in (page.size, header.size))
        turned = f" (turned by its EXIF orientation {header.orientation})" if header.orientation != 1 else ""
        findings.stop.add("image of another size (height x width) than its JSON says", f"{own.name}: {sizes}{turned}")
        return False
    return True


def _classes(
    pages: Mapping[str, LabelmeFile | None],
    classes: Sequence[str] | None,
    void: Sequence[str],
    background: str,
    findings: Findings,
) -> tuple[str, ...]:
    """The labels in the order of their class ids, from 1: those of the config, or all drawn ones, sorted."""
    count = Counter(
        shape.label
        for page in pages.values()
        for shape in (() if page is None else page.shapes)
        if shape.kind != "line" and shape.label not in void and shape.label != background
    )
    if classes is not None:
        strange = [f"{label} ({count[label]:,} shapes)" for label in sorted(count) if label not in classes]
        findings.stop.extend("label that is neither in dataset.classes nor in dataset.void", strange)
        unused = [label for label in classes if label not in count]
        findings.kept.extend("class of which nothing is drawn: kept as a class", unused)
        return tuple(classes)
    if not count and not findings.stop.counts:
        raise ValueError("no shape with an area is drawn, so there are no classes; draw some, or list dataset.classes")
    if len(count) > MOST_CATEGORIES:
        findings.stop.add(f"more than {MOST_CATEGORIES} labels", f"{len(count)}: {first_few(sorted(count))}")
    log.info("classes by the labels that are drawn: %s", ", ".join(sorted(count)))
    return tuple(sorted(count))


def _instances(
    file: str,
    page: LabelmeFile | None,
    size: tuple[int, int],
    names: Sequence[str],
    void: Sequence[str],
    scale: float,
    findings: Findings,
) -> Instances:
    """The objects of an image at the working size; void regions are crowds of every class; background has no object."""
    class_of = {name: place for place, name in enumerate(names, start=1)}
    codes, classes, crowds, labels = [], [], [], []
    try:
        drawn = objects_of(() if page is None else page.shapes, size)
    except ValueError as error:
        findings.stop.add("shape that cannot be drawn", f"{file}: {error}")
        drawn = []
    for place, one in enumerate(drawn):
        own = list(class_of.values()) if one.label in void else [class_of[one.label]] if one.label in class_of else []
        codes += [one.code] * len(own)
        classes += own
        crowds += [one.label in void] * len(own)
        labels += [f"{file} object {place} ({one.label})"] * len(own)
    return filled(Instances.of(size, codes, classes, crowds), labels, scale, findings)
