"""Reads COCO JSON files: their categories, images and annotations, with every id made text and checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from seg_al.core import Colour
from seg_al.datasets.coco_checks import Findings
from seg_al.datasets.coco_fields import below, by_number, excerpt, flag, id_text, is_file, leaves, numbers_of_box, side
from seg_al.datasets.files.header import read_header
from seg_al.datasets.files.held import Header
from seg_al.datasets.files.json_file import read_annotations
from seg_al.datasets.files.rules import FileReading

MOST_CATEGORIES = 254
"""Class ids are bytes, of which 0 is the background and 255 is void."""
OWN = ("id", "file_name", "width", "height")
"""Keys of every image record; its other plain values are columns."""

CocoEntry = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """One JSON file and where its images lie."""

    split: str
    """The value of {split}; empty where the pattern has no {split}."""
    annotations: Path
    images: Path
    """The folder that file_name starts at."""


@dataclass(frozen=True)
class Listed:
    """An image that a JSON file lists and whose file exists."""

    path: Path
    file: str
    """Below the root, with forward slashes."""
    split: str
    size: tuple[int, int]
    """Height and width of the file in pixels."""
    fields: Mapping[str, str]
    annotations: Sequence[CocoEntry]
    """The annotations in the order of the file, each with its class (from 1), its crowd flag and where it stands."""
    page: int | None = None
    """The page of the file, from 0; None: the file has one page."""
    file_name: str = ""
    """file_name as the record has it, with forward slashes."""


def load_lists(source: Source) -> dict[str, list[CocoEntry]]:
    """The lists images, annotations and categories. ValueError, naming the file, where it does not have them."""
    path = source.annotations
    try:
        content = read_annotations(path)
    except FileNotFoundError as error:
        there = sorted(one.name for one in path.parent.glob("*.json")) if path.parent.is_dir() else []
        raise ValueError(
            f"there is no file {path} (from {Path.cwd()}); set dataset.root and dataset.annotations; "
            f"JSON files in its folder: {', '.join(there) or 'none'}"
        ) from error
    lists: dict[str, list[CocoEntry]] = {}
    for key in ("images", "annotations", "categories"):
        found = content.get(key) if isinstance(content, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ValueError(f"{path} has no list {key!r} of objects, so it is no COCO file of instances")
        lists[key] = found
    return lists


def categories(records: Sequence[CocoEntry], background: str, where: str, findings: Findings) -> dict[str, str]:
    """Names by id, in the order of the ids: numbers by value, before any other text."""
    names: dict[str, str] = {}
    for place, record in enumerate(records):
        key, name = id_text(record.get("id")), record.get("name")
        if key is None or not isinstance(name, str) or not name:
            findings.stop.add("category without an id or a name", f"{where}: number {place} of the list")
        elif key in names:
            findings.stop.add("id of several categories", f"{where}: {key} ({names[key]}, {name})")
        else:
            names[key] = name
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    findings.stop.extend("name of several categories", [f"{where}: {name}" for name in twice])
    if background in names.values():
        findings.stop.add(
            "category that has the name of the background; set dataset.background to another name",
            f"{where}: {background}",
        )
    if len(names) > MOST_CATEGORIES:
        findings.stop.add(f"more than {MOST_CATEGORIES} categories", f"{where}: {len(names)}")
    return {key: names[key] for key in sorted(names, key=by_number)}


def category_colours(records: Sequence[CocoEntry], names: Sequence[str]) -> tuple[Colour, ...] | None:
    """Black for the background, and each category's field color, as in panoptic files; None where one has no color."""
    found = {record["name"]: record.get("color") for record in records if isinstance(record.get("name"), str)}
    colours = [found.get(name) for name in names]
    fine = [
        (one[0], one[1], one[2])
        for one in colours
        if isinstance(one, list) and len(one) == 3 and all(type(part) is int and 0 <= part <= 255 for part in one)
    ]
    return ((0, 0, 0), *fine) if names and len(fine) == len(names) else None


def listed(
    source: Source,
    lists: Mapping[str, Sequence[CocoEntry]],
    class_of: Mapping[str, int],
    root: Path,
    reading: FileReading,
    findings: Findings,
) -> list[Listed]:
    """The images of one file with their annotations; `class_of` maps category id to class id."""
    name = source.annotations.name
    records = _by_id(lists["images"], name, reading, findings)
    own = _annotations(lists["annotations"], records, class_of, name, findings)
    images: list[Listed] = []
    key_of: dict[tuple[str, int | None], str] = {}
    for key, record in tqdm(
        records.items(), f"read headers of {name}", unit="image", leave=False, disable=None, delay=1
    ):
        path = _path(source, record["file_name"], f"{name}: image {key}", root, findings)
        header = None if path is None else _header(path, reading, findings)
        if path is None or header is None:
            continue
        page = _page(record, header, reading)
        if (page is None) != (header.pages == 1):
            kind = "image of several pages whose record names none of them: give it a page, from 1"
            findings.stop.add(kind, f"{path.name}: {header.pages} pages")
            continue
        if not _sides_agree(record, header, path, f"{name}: image {key}", findings):
            continue
        file = PurePosixPath(relpath(path, root)).as_posix()
        if (file, page) in key_of:
            findings.stop.add("file of several images", f"{name}: {file} ({key_of[file, page]}, {key})")
            continue
        key_of[file, page] = key
        fields = {k: str(v) for k, v in record.items() if k not in OWN and isinstance(v, str | int)}
        text = record["file_name"].replace("\\", "/")
        images.append(Listed(path, file, source.split, header.size, fields, own.get(key, []), page, text))
    return images


def _page(record: CocoEntry, header: Header, reading: FileReading) -> int | None:
    """The page of a file of several pages, from 0, that the record names, from 1; None where it names none."""
    page = record.get("page")
    if reading.pages == "one" or header.pages == 1 or not isinstance(page, int) or isinstance(page, bool):
        return None
    return page - 1 if 1 <= page <= header.pages else None


def _by_id(records: Sequence[CocoEntry], where: str, reading: FileReading, findings: Findings) -> dict[str, CocoEntry]:
    found: dict[str, CocoEntry] = {}
    files: dict[str, str] = {}
    for place, record in enumerate(records):
        key, file = id_text(record.get("id")), record.get("file_name")
        if key is None or not isinstance(file, str) or not file:
            findings.stop.add("image without an id or a file_name", f"{where}: number {place} of the list")
        elif key in found:
            findings.stop.add("id of several images", f"{where}: {key} ({found[key]['file_name']}, {file})")
        elif (part := f"{file} page {record.get('page')}" if reading.pages == "slices" else file) in files:
            findings.stop.add("file of several images", f"{where}: {file} ({files[part]}, {key})")
        else:
            found[key] = record
            files[part] = key
    return found


def _annotations(
    records: Sequence[CocoEntry],
    images: Mapping[str, CocoEntry],
    class_of: Mapping[str, int],
    where: str,
    findings: Findings,
) -> dict[str, list[CocoEntry]]:
    """Annotations by image id, without copies; each gets its class, its crowd flag and where it stands."""
    seen: dict[str, CocoEntry] = {}
    found: dict[str, list[CocoEntry]] = defaultdict(list)
    for place, record in enumerate(records):
        key = id_text(record.get("id"))
        image, category = id_text(record.get("image_id")), id_text(record.get("category_id"))
        label = f"{where}: {'number ' + str(place) if key is None else key}"
        if key is not None and key in seen:
            if record == seen[key]:
                findings.kept.add("copy of another annotation: left out", label)
                continue
            findings.kept.add("id of several annotations: numbered anew", label)
        elif key is None or key == "0":
            findings.kept.add("annotation with the id 0 or none: numbered anew", label)
        if key is not None:
            seen.setdefault(key, record)
        _check_fields(record, label, findings)
        if image is None:
            findings.stop.add("annotation without an image_id: name the id of its image", label)
        elif image not in images:
            findings.kept.add("annotation of an image that is not listed: left out", f"{label} (image {image})")
        elif category is None or category not in class_of:
            findings.stop.add("annotation of an unknown category", f"{label} (category {category})")
        else:
            own = {"class": class_of[category], "label": label, "crowd": bool(flag(record.get("iscrowd")))}
            found[image].append({**record, **own})
    return found


def _check_fields(record: CocoEntry, label: str, findings: Findings) -> None:
    """Notes values of iscrowd and bbox that have no meaning or two."""
    crowd, box = record.get("iscrowd"), record.get("bbox")
    if flag(crowd) is None:
        kind = "iscrowd that is neither 0 nor 1; write 0 for one object, 1 for objects that are not told apart"
        findings.stop.add(kind, f"{label} ({excerpt(str(crowd))})")
    if box not in (None, []) and numbers_of_box(box) is None:
        kind = "bbox that is not [x, y, width, height] in finite numbers; correct it, or leave it out"
        findings.stop.add(kind, f"{label} ({excerpt(str(box))})")


def _sides_agree(record: CocoEntry, header: Header, path: Path, where: str, findings: Findings) -> bool:
    """Whether width and height, where the record has them, are those of the file."""
    given = [record.get(key) for key in ("height", "width")]
    sides = [None if one is None else side(one) for one in given]
    if any(one is not None and found is None for one, found in zip(given, sides, strict=True)):
        kind = "width or height that is no whole number of pixels from 1 on; correct it, or leave both out"
        findings.stop.add(kind, f"{where} (height {excerpt(str(given[0]))}, width {excerpt(str(given[1]))})")
        return False
    if any(one not in (None, true) for one, true in zip(sides, header.size, strict=True)):
        found = "x".join("?" if one is None else str(one) for one in sides)
        turned = f" (turned by its EXIF orientation {header.orientation})" if header.orientation != 1 else ""
        text = f"{path.name}: {found} and {header.size[0]}x{header.size[1]}{turned}"
        findings.stop.add("image of another size (height x width) than its file", text)
        return False
    return True


def _path(source: Source, file: str, where: str, root: Path, findings: Findings) -> Path | None:
    """The image at its path, or else directly in the folder, since exports name folders of another machine.

    None, which is noted, where the file does not exist or would lie outside.
    """
    text = f"{where}: {excerpt(file)}"
    if why := leaves(file):
        findings.stop.add("file_name that is no path below dataset.images", f"{text} ({why})")
        return None
    path = below(source.images, file, root)
    if path is not None and is_file(path):
        return path
    slashed = file.replace("\\", "/")
    path = below(source.images, slashed, root)
    if path is None:
        why = "it leads out of dataset.root; move the image below it"
        findings.stop.add("file_name that is no path below dataset.images", f"{text} ({why})")
        return None
    beside = source.images / PurePosixPath(slashed).name
    if is_file(path):
        return path
    if is_file(beside):
        findings.kept.add("image that is not at its path: the one of the same name in dataset.images is taken", text)
        return beside
    findings.stop.add("image that is not there", f"{where}: {source.images / excerpt(file)}")
    return None


def _header(path: Path, reading: FileReading, findings: Findings) -> Header | None:
    try:
        header = read_header(path)
    except ValueError as error:
        findings.stop.add("unreadable image", str(error))
        return None
    if wrong := reading.picture_problem(header):
        findings.stop.add(f"image {wrong}", f"{path} ({header.described})")
        return None
    return header
