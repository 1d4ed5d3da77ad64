"""Makes COCO annotations from label images, from one mask per object, or from class-id masks with object ids."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco
from scipy.ndimage import find_objects
from skimage.measure import approximate_polygon, find_contours

from seg_al.core import PixelSet
from seg_al.datasets.files.pixels import read_ids
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import tight_boxes

MaskForm = Literal["rle", "polygon"]


@dataclass
class Losses:
    """What a conversion could not keep exactly, counted."""

    empty_masks: list[str] = field(default_factory=list)
    """Files without a pixel."""
    mixed: list[str] = field(default_factory=list)
    """Objects with pixels of several classes, which get the class of most of them."""
    without_class: list[str] = field(default_factory=list)
    """Objects that are left out, because most of their pixels are of no listed class."""
    kept_as_lengths: int = 0
    """Objects that stay run lengths, because no polygon of three points fits them."""
    agreement: list[float] = field(default_factory=list)
    """IoU of each polygon, as pycocotools fills it, with its mask."""


@dataclass(frozen=True)
class CodedObject:
    """One object: its code, and the id of its category."""

    code: rle.Code
    category: int


def shapes_of_labels(path: Path, size: rle.Size, category: int) -> list[CodedObject]:
    """The objects of a label image, all of one category, in the order of their ids."""
    return [CodedObject(rle.encode(cut, size, corner), category) for _, cut, corner in _objects(_ids(path, size), path)]


def shapes_of_masks(paths: Sequence[Path], size: rle.Size, category: int, losses: Losses) -> list[CodedObject]:
    """One object per file: every pixel that is not 0."""
    shapes: list[CodedObject] = []
    for path in paths:
        mask = _ids(path, size) != 0
        if mask.any():
            shapes.append(CodedObject(rle.encode(mask, size), category))
        else:
            losses.empty_masks.append(str(path))
    return shapes


def shapes_of_classes(
    labels: Path, classes: Path, size: rle.Size, category_of: Mapping[int, int], losses: Losses
) -> list[CodedObject]:
    """The objects of a label image, each of the class that most of its pixels have in the class-id mask.

    `category_of` maps a value of the class-id mask to the id of its category. In a tie the lowest wins.
    """
    values = _ids(classes, size)
    shapes: list[CodedObject] = []
    for one, cut, (x, y) in _objects(_ids(labels, size), labels):
        inside = values[y : y + cut.shape[0], x : x + cut.shape[1]][cut]
        found, counts = np.unique(inside, return_counts=True)
        value = int(found[counts.argmax()])
        if len(found) > 1:
            losses.mixed.append(f"{labels} object {one}")
        if value in category_of:
            shapes.append(CodedObject(rle.encode(cut, size, (x, y)), category_of[value]))
        else:
            losses.without_class.append(f"{labels} object {one} (value {value})")
    return shapes


def _ids(path: Path, size: rle.Size) -> npt.NDArray[np.integer]:  # [H, W]
    """ValueError where the file has another size than its image."""
    values: npt.NDArray[np.integer] = read_ids(path)
    if values.shape != size:
        here, there = ("x".join(map(str, one)) for one in (values.shape, size))
        raise ValueError(f"{path} has {here} pixels (height x width), but its image {there}")
    return values


def _objects(labels: npt.NDArray[np.integer], path: Path) -> Iterator[tuple[int, PixelSet, tuple[int, int]]]:
    """Each id above 0 in rising order, with its pixels in the smallest window and the window's corner x, y.

    The pixels of an object need not touch. ValueError for ids that are not whole numbers of at least 0.
    """
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ValueError(f"{path} holds {labels.dtype} values from {labels.min()} on; object ids are whole, 0 is none")
    ids, codes = np.unique(labels, return_inverse=True)
    codes = codes.reshape(labels.shape) + 1
    for place, window in enumerate(find_objects(codes), start=1):
        if ids[place - 1] != 0:
            yield int(ids[place - 1]), codes[window] == place, (window[1].start, window[0].start)


def annotation(
    shape: CodedObject, size: rle.Size, coding: MaskForm, tolerance: float, losses: Losses
) -> dict[str, Any]:
    """The record of an object, without its ids; box and area are those of the mask."""
    x0, y0, x1, y1 = tight_boxes((shape.code,), size)[0].tolist()
    segmentation: Any = {"size": list(size), "counts": shape.code.decode()}
    if coding == "polygon":
        polygons = polygons_of(shape.code, size, tolerance)
        if polygons:
            segmentation = polygons
            losses.agreement.append(_agreement(polygons, shape.code, size))
        else:
            losses.kept_as_lengths += 1
    return {
        "category_id": shape.category,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(rle.mask_areas((shape.code,), size)[0]),
        "iscrowd": 0,
        "segmentation": segmentation,
    }


def polygons_of(code: rle.Code, size: rle.Size, tolerance: float) -> list[list[float]]:
    """The outer outlines as polygons [x0, y0, x1, y1, ...], simplified by Douglas and Peucker.

    They run half a pixel outside the centres of the border pixels. No corner of the outline lies further than
    `tolerance` pixels from its polygon. Holes are filled: COCO's polygons have none.
    """
    (left, top, _, _), cut = rle.tight(code, size)
    polygons: list[list[float]] = []
    for contour in find_contours(np.pad(cut, 1).astype(np.float64), 0.5, positive_orientation="high"):
        rows, columns = contour[:-1].T
        if (rows * np.roll(columns, -1) - columns * np.roll(rows, -1)).sum() < 0:  # runs around a hole
            continue
        points = approximate_polygon(contour, tolerance)[:-1]
        if len(points) >= 3:
            corners = points[:, ::-1] + (left - 0.5, top - 0.5)
            polygons.append(np.clip(corners, 0, (size[1], size[0])).round(2).ravel().tolist())
    return polygons


def _agreement(polygons: list[list[float]], code: rle.Code, size: rle.Size) -> float:
    filled = coco.merge(coco.frPyObjects(polygons, *size))
    return float(coco.iou([filled], rle.pycocotools_masks((code,), size), [0])[0, 0])


def document(
    info: Mapping[str, Any], licence: str | None, names: Sequence[str], images: Sequence[tuple[str, rle.Size]],
    annotations: Sequence[Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:  # fmt: skip
    """The content of a COCO file, with ids that count from 1; `annotations` lists those of each image."""
    licences = [] if licence is None else [{"id": 1, "name": licence, "url": ""}]
    own = {"license": 1} if licences else {}
    flat = [(place, one) for place, those in enumerate(annotations, start=1) for one in those]
    return {
        "info": dict(info),
        "licenses": licences,
        "images": [
            {"id": place, "file_name": file, "height": size[0], "width": size[1], **own}
            for place, (file, size) in enumerate(images, start=1)
        ],
        "annotations": [{"id": number, "image_id": place, **one} for number, (place, one) in enumerate(flat, start=1)],
        "categories": [{"id": place, "name": name} for place, name in enumerate(names, start=1)],
    }


def write_coco(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the JSON whole under another name, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)
