"""Writes COCO JSON for images whose objects are label images, one mask per object, or class-id masks with object ids.

python scripts/make_coco.py --root data/mine --images "{split}/images/{name}.*" --labels "{split}/labels/{name}.*"
python scripts/make_coco.py --root stage1_train --images "{name}/images/*.png" --masks "{name}/masks/*.png" \
    --category nucleus --licence "CC0 1.0"
python scripts/make_coco.py --root data/mine --images "images/{name}.*" --labels "ids/{name}.*" \
    --classes "classes/{name}.*" --category cell=1 --category bud=2 --val 0.1 --test 0.2 --run 0

The images stay where they are: file_name is their path below --root. With {split} in --images there is one JSON for
each of its values; with --val and --test there are instances_train.json, instances_val.json and instances_test.json,
drawn from --run; else there is instances.json. Read them with dataset=coco (docs/datasets.md).
"""

from __future__ import annotations

import argparse
import datetime
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from seg_al.datasets import coco_write
from seg_al.datasets.coco_write import CodedObject, Losses
from seg_al.datasets.file_listing import Listing
from seg_al.datasets.file_patterns import MatchedFile, Partners, Pattern, named, partners
from seg_al.datasets.files.header import read_header
from seg_al.datasets.files.rules import FileReading
from seg_al.datasets.folder_checks import first_few
from seg_al.datasets.folder_splits import Parts, Wanted, draw_parts


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        job = _job(options)
        targets = {split: options.out / _file(split) for split in job.splits}
        there = [str(path) for path in targets.values() if path.exists()]
        if there and not options.force:
            raise ValueError(f"{', '.join(there)} exists already; add --force to replace it, or choose another --out")
        losses = Losses()
        made = {name: _records(job, name, losses) for name in tqdm(job.images, "convert", unit="image", disable=None)}
        for split, names in job.splits.items():
            content = _document(options, job, [(job.images[name].file, made[name]) for name in names])
            coco_write.write_coco(targets[split], content)
            objects = len(content["annotations"])
            empty = sum(not made[name][1] for name in names)
            print(f"{targets[split]}: {len(names)} images ({empty} without an object), {objects} objects")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _tell(losses, options.tolerance)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder below which images and masks lie")
    parser.add_argument("--images", required=True, help="pattern of the images; {field} and * are any text, no slash")
    parser.add_argument("--labels", help="pattern of label images: one integer per object, 0 for none")
    parser.add_argument("--masks", help="pattern of masks of one object each: every pixel that is not 0")
    parser.add_argument("--classes", help="pattern of class-id masks, beside --labels")
    parser.add_argument("--category", action="append", metavar="NAME[=VALUE]",
                        help="name of a category, with its value in --classes where there are several")  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder of the JSON files (default: annotations below --root)")
    parser.add_argument("--coding", default="rle", choices=("rle", "polygon"), help="rle is exact (default)")
    parser.add_argument("--tolerance", default=0.5, type=float,
                        help="pixels a polygon may lie off the outline, Douglas-Peucker (default: 0.5)")  # fmt: skip
    parser.add_argument("--val", default=0.0, type=float, help="share of the images, or how many; 0: none")
    parser.add_argument("--test", default=0.0, type=float, help="likewise, drawn before val")
    parser.add_argument("--run", default=0, type=int, help="number that the draw depends on (default: 0)")
    parser.add_argument("--description", default="", help="what the data is, for the field info")
    parser.add_argument("--url", default="", help="where it comes from, for the field info")
    parser.add_argument("--date", default=datetime.date.today().isoformat(), help="for the field info (default: today)")
    parser.add_argument("--licence", help='terms of the images, such as "CC0 1.0"')
    parser.add_argument("--force", action="store_true", help="replace existing JSON files")
    return parser


@dataclass(frozen=True)
class Job:
    """The images of a conversion and how their shapes are made."""

    root: Path
    images: Mapping[str, MatchedFile]
    shapes: Mapping[str, Any]
    """By image name, the function that makes its shapes, given the losses."""
    names: tuple[str, ...]
    """The ids of the categories."""
    splits: Mapping[str, Sequence[str]]
    coding: coco_write.MaskForm
    tolerance: float


def _job(options: argparse.Namespace) -> Job:
    """Lists and pairs the files. ValueError with all that is missing."""
    if not options.root.is_dir():
        raise ValueError(f"there is no folder {options.root} (from {Path.cwd()})")
    if (options.labels is None) == (options.masks is None):
        raise ValueError("give either --labels or --masks")
    if options.classes and not options.labels:
        raise ValueError("--classes needs --labels, which say where each object is")
    if not 0 <= options.tolerance < math.inf:
        raise ValueError(f"--tolerance {options.tolerance} is not a number of pixels from 0 on")
    if not 0 <= options.run < 2**32:
        raise ValueError(f"--run {options.run} is not a whole number from 0 to {2**32 - 1}")
    for key, pattern in (("labels", options.labels), ("masks", options.masks), ("classes", options.classes)):
        known = Pattern(options.images).fields
        strange = [one for one in Pattern(pattern or "").fields if one not in known]
        if strange:
            given = ", ".join(known) or "none"
            raise ValueError(f"--{key} {pattern} has {{{strange[0]}}}, but the fields of --images are: {given}")
    options.out = options.out or options.root / "annotations"
    categories = _categories(options.category or ["object"], options.classes is not None)
    listing = Listing(options.root)
    images, twice = named(Pattern(options.images).find(listing))
    listing.refuse_strange()
    if twice:
        raise ValueError(f"several images have one name: {first_few(twice)}; put {{name}} where the paths differ")
    if not images:
        raise ValueError(f"no image fits --images {options.images} below {options.root}")
    shapes = _shapes(options, images, categories)
    return Job(
        options.root, images, shapes, tuple(categories), _splits(options, images), options.coding, options.tolerance
    )


def _categories(words: Sequence[str], with_values: bool) -> dict[str, int]:
    """Value by name. ValueError for words that do not fit."""
    pairs = [word.rpartition("=") if "=" in word else (word, "", "") for word in words]
    if with_values and not all(value.strip().isdecimal() for _, _, value in pairs):
        raise ValueError(f"with --classes every --category is NAME=VALUE, not {', '.join(words)}")
    if not with_values and (len(words) > 1 or "=" in words[0]):
        raise ValueError("several categories, or values of them, need --classes, which tells them apart")
    found = {name: int(value or 0) for name, _, value in pairs}
    if len(found) < len(words) or len(set(found.values())) < len(words):
        raise ValueError(f"a name or a value is given twice in --category {', '.join(words)}")
    return found


def _shapes(
    options: argparse.Namespace, images: Mapping[str, MatchedFile], categories: Mapping[str, int]
) -> dict[str, Any]:
    """By image, the function that makes its shapes; ValueError that lists the images without their files."""
    root, found = options.root, list(images.values())
    listing = Listing(root)
    pattern = options.labels or options.masks
    pairs = partners(Pattern(pattern), listing, found)
    classes = partners(Pattern(options.classes), listing, found) if options.classes else None
    place_of = {value: place for place, value in enumerate(categories.values(), start=1)}
    shapes: dict[str, Any] = {}
    wrong: list[str] = []
    for name, image in images.items():
        own = [root / file for file in pairs.of_image[image.file]]
        if options.masks:
            shapes[name] = partial(coco_write.shapes_of_masks, own, category=1)
            continue
        other = [root / file for file in classes.of_image[image.file]] if classes else []
        if len(own) != 1 or (classes and len(other) != 1):
            wrong.append(f"{image.file} ({len(own)} label images{f', {len(other)} class masks' if classes else ''})")
        elif classes:
            shapes[name] = partial(coco_write.shapes_of_classes, own[0], other[0], category_of=place_of)
        else:
            shapes[name] = partial(_of_labels, own[0])
    if wrong:
        raise ValueError(f"{len(wrong)} images do not have one file each: {first_few(wrong)}")
    if not any(pairs.of_image.values()):
        raise ValueError(f"no file fits {pattern} below {root}")
    _refuse_lone(pairs, pattern)
    return shapes


def _of_labels(path: Path, size: tuple[int, int], losses: Losses) -> list[CodedObject]:
    return coco_write.shapes_of_labels(path, size, 1)


def _refuse_lone(pairs: Partners, pattern: str) -> None:
    lone = sorted(file for file in pairs.lone())
    if lone:
        print(f"warning: {len(lone)} files of {pattern} belong to no image: {first_few(lone)}", file=sys.stderr)


def _splits(options: argparse.Namespace, images: Mapping[str, MatchedFile]) -> dict[str, list[str]]:
    """Names by split: the values of {split}, or drawn, or all as one."""
    drawn = options.val != 0 or options.test != 0
    if "split" in next(iter(images.values())).fields:
        if drawn:
            raise ValueError("--images has {split}, so --val and --test are given already; leave one of them out")
        values = sorted({image.fields["split"] for image in images.values()})
        return {value: [name for name, image in images.items() if image.fields["split"] == value] for value in values}
    if not drawn:
        return {"": list(images)}
    if not all(0 <= one < 1 or (float(one).is_integer() and one > 0) for one in (options.val, options.test)):
        raise ValueError("--val and --test are shares below 1, or numbers of images")
    parts = Parts(set(images), None if options.val else set(), None if options.test else {})
    wanted = Wanted("folder", None, options.val or [], options.test or [])
    pool, val, tests = draw_parts(parts, wanted, options.run, lambda key, names: {})  # neither strata nor groups
    return {key: list(those) for key, those in {"train": pool, "val": val, **tests}.items() if those}


def _file(split: str) -> str:
    return f"instances_{split}.json" if split else "instances.json"


def _records(job: Job, name: str, losses: Losses) -> tuple[tuple[int, int], list[dict[str, Any]]]:
    """The size and the annotations of an image."""
    header = read_header(job.root / job.images[name].file)
    if wrong := FileReading(window=True).picture_problem(header):
        raise ValueError(f"{job.images[name].file} ({header.described}) is an image {wrong}")
    size = header.size
    shapes = job.shapes[name](size=size, losses=losses)
    records = [coco_write.annotation(shape, size, job.coding, job.tolerance, losses) for shape in shapes]
    return size, records


def _document(options: argparse.Namespace, job: Job, images: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    info = {
        "description": options.description,
        "url": options.url,
        "version": "1.0",
        "year": int(options.date[:4]) if options.date[:4].isdecimal() else options.date,
        "contributor": "",
        "date_created": options.date,
    }
    sizes = [(file, size) for file, (size, _) in images]
    return coco_write.document(info, options.licence, job.names, sizes, [records for _, (_, records) in images])


def _tell(losses: Losses, tolerance: float) -> None:
    for text, those in (
        ("masks without a pixel are left out", losses.empty_masks),
        ("objects are of several classes and get that of most of their pixels", losses.mixed),
        ("objects are of no --category and are left out", losses.without_class),
    ):
        if those:
            print(f"warning: {len(those)} {text}: {first_few(those)}", file=sys.stderr)
    if losses.agreement:
        print(f"polygons (tolerance {tolerance:g} pixels) agree with their masks at a mean IoU of "
              f"{np.mean(losses.agreement):.4f}, at least {min(losses.agreement):.4f}")  # fmt: skip
    if losses.kept_as_lengths:
        print(f"{losses.kept_as_lengths} objects have no polygon of three points and stay run lengths")


if __name__ == "__main__":
    sys.exit(main())
