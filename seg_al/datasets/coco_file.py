"""Reads COCO JSON files: their categories, images and annotations, with every id made text and checked."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from seg_al.datasets.coco_checks import Findings
from seg_al.datasets.files.header import read_header
from seg_al.datasets.files.held import Header
from seg_al.datasets.files.rules import Reading

MOST_CLASSES = 254
"""Class ids are bytes, of which 0 is the background and 255 is void."""
OWN = ("id", "file_name", "width", "height")
"""What every image record has; its other plain values are columns."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """One JSON file and where its images lie."""

    split: str
    """The value of {split}; empty where there is none."""
    annotations: Path
    images: Path
    """The folder that file_name starts at."""


@dataclass(frozen=True)
class Listed:
    """An image that a JSON file lists and that is there."""

    path: Path
    file: str
    """Below the root, with forward slashes."""
    split: str
    size: tuple[int, int]
    """Height and width of the file in pixels."""
    fields: Mapping[str, str]
    annotations: Sequence[Record]
    """In the order of the file; each with its class, from 1."""
    page: int | None = None
    """Of the file, from 0; None: it has one only."""


def identity(value: Any) -> str | None:
    """An id as text, so that 7, 7.0 and "7" are the same; None where it is missing or no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def load(source: Source) -> dict[str, list[Record]]:
    """The lists images, annotations and categories. ValueError, naming the file, where it does not have them."""
    path = source.annotations
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        there = sorted(one.name for one in path.parent.glob("*.json")) if path.parent.is_dir() else []
        raise ValueError(
            f"there is no file {path} (from {Path.cwd()}); set dataset.root and dataset.annotations; "
            f"JSON files in its folder: {', '.join(there) or 'none'}"
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no JSON file ({error})") from error
    lists: dict[str, list[Record]] = {}
    for key in ("images", "annotations", "categories"):
        found = content.get(key) if isinstance(content, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ValueError(f"{path} has no list {key!r} of objects, so it is no COCO file of instances")
        lists[key] = found
    return lists


def categories(records: Sequence[Record], background: str, where: str, findings: Findings) -> dict[str, str]:
    """Names by id, in the order of the ids: numbers by value, before any other text."""
    names: dict[str, str] = {}
    for place, record in enumerate(records):
        key, name = identity(record.get("id")), record.get("name")
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
    if len(names) > MOST_CLASSES:
        findings.stop.add(f"more than {MOST_CLASSES} categories", f"{where}: {len(names)}")
    return {key: names[key] for key in sorted(names, key=_by_number)}


def _by_number(key: str) -> tuple[bool, int, str]:
    return (False, int(key), "") if key.isdecimal() else (True, 0, key)


def listed(
    source: Source,
    lists: Mapping[str, Sequence[Record]],
    class_of: Mapping[str, int],
    root: Path,
    reading: Reading,
    findings: Findings,
) -> list[Listed]:
    """The images of one file with their annotations; `class_of` maps category id to class id."""
    name = source.annotations.name
    records = _by_id(lists["images"], name, reading, findings)
    own = _annotations(lists["annotations"], records, class_of, name, findings)
    images: list[Listed] = []
    for key, record in tqdm(
        records.items(), f"read headers of {name}", unit="image", leave=False, disable=None, delay=1
    ):
        path = _path(source.images, record["file_name"])
        header = None if path is None else _header(path, reading, findings)
        if path is None:
            findings.stop.add("image that is not there", str(source.images / record["file_name"]))
        if path is None or header is None:
            continue
        page = _page(record, header, reading)
        if (page is None) != (header.pages == 1):
            kind = "image of several pages whose record names none of them: give it a page, from 1"
            findings.stop.add(kind, f"{path.name}: {header.pages} pages")
            continue
        given = (record.get("height"), record.get("width"))
        if None not in given and given != header.size:
            sizes = " and ".join(f"{height}x{width}" for height, width in (given, header.size))
            findings.stop.add("image of another size (height x width) than its file", f"{path.name}: {sizes}")
            continue
        file = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        fields = {k: str(v) for k, v in record.items() if k not in OWN and isinstance(v, str | int)}
        images.append(Listed(path, file, source.split, header.size, fields, own.get(key, []), page))
    return images


def _page(record: Record, header: Header, reading: Reading) -> int | None:
    """The page of a file of several pages, from 0, that the record names, from 1; None where it names none."""
    page = record.get("page")
    if reading.pages == "one" or header.pages == 1 or not isinstance(page, int) or isinstance(page, bool):
        return None
    return page - 1 if 1 <= page <= header.pages else None


def _by_id(records: Sequence[Record], where: str, reading: Reading, findings: Findings) -> dict[str, Record]:
    found: dict[str, Record] = {}
    files: dict[str, str] = {}
    for place, record in enumerate(records):
        key, file = identity(record.get("id")), record.get("file_name")
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
    records: Sequence[Record],
    images: Mapping[str, Record],
    class_of: Mapping[str, int],
    where: str,
    findings: Findings,
) -> dict[str, list[Record]]:
    """By image id; copies are left out, and each record tells its class and where it stands."""
    seen: dict[str, Record] = {}
    found: dict[str, list[Record]] = defaultdict(list)
    for place, record in enumerate(records):
        key = identity(record.get("id"))
        image, category = identity(record.get("image_id")), identity(record.get("category_id"))
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
        if image not in images:
            findings.kept.add("annotation of an image that is not listed: left out", f"{label} (image {image})")
        elif category is None or category not in class_of:
            findings.stop.add("annotation of an unknown category", f"{label} (category {category})")
        else:
            found[str(image)].append({**record, "class": class_of[category], "label": label})
    return found


def _path(folder: Path, file: str) -> Path | None:
    """The image: at its place, or else directly in the folder, as many exports name folders of another machine."""
    places = (folder / file, folder / PurePosixPath(file.replace("\\", "/")).name)
    return next((place for place in places if place.is_file()), None)


def _header(path: Path, reading: Reading, findings: Findings) -> Header | None:
    try:
        header = read_header(path)
    except ValueError as error:
        findings.stop.add("unreadable image", str(error))
        return None
    if wrong := reading.picture_problem(header):
        findings.stop.add(f"image {wrong}", f"{path} ({header.described})")
        return None
    return header
