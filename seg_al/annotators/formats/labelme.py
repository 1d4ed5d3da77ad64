"""LabelMe's JSON (github.com/wkentaro/labelme, versions 3 to 7), one file per image: read into shapes, and written.

Coordinates are those of the upright picture: LabelMe turns it by its EXIF orientation.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from seg_al.annotators.formats.shapes import Corner, Shape, ShapeKind
from seg_al.core import PixelSet
from seg_al.datasets.files.pixels import values_in
from seg_al.tasks.objects import rle

LABELME_VERSION = "5.8.3"
"""The version in written files: versions 5.x, 6.x and 7.x open them."""
SHAPE_KINDS: dict[str, tuple[ShapeKind, int, int | None]] = {
    "polygon": ("polygon", 3, None),
    "oriented_rectangle": ("polygon", 4, 4),
    "rectangle": ("rectangle", 2, 2),
    "circle": ("circle", 2, 2),
    "mask": ("mask", 2, 2),
    "line": ("line", 2, 2),
    "linestrip": ("line", 2, None),
    "point": ("line", 1, 1),
    "points": ("line", 1, None),
}
"""By shape_type: the kind, and the least and most number of points. Points and lines cover no area."""


@dataclass(frozen=True)
class LabelmeFile:
    """The content of one file about its image."""

    image: str
    """imagePath with slashes: relative to the folder of the JSON, or a path of another machine."""
    size: rle.Size | None
    """imageHeight and imageWidth; None: old files do not have them."""
    shapes: tuple[Shape, ...]
    flags: Mapping[str, bool] = field(default_factory=dict)
    """Flags of the whole image."""
    problems: tuple[str, ...] = ()
    """Shapes that could not be read: a sentence for each, with its number."""

    @property
    def base_name(self) -> str:
        return PureWindowsPath(self.image).name


def labelme_file(content: Any) -> LabelmeFile:
    """Reads the content of a file. ValueError where it is no file of LabelMe."""
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise ValueError("it has no list of shapes, so it is no file of LabelMe")
    path = content.get("imagePath")
    if not isinstance(path, str) or not path:
        raise ValueError("it has no imagePath, so it is no file of LabelMe")
    problems: list[str] = []
    shapes: list[Shape] = []
    for place, record in enumerate(content["shapes"]):
        try:
            shapes.append(_shape(record))
        except ValueError as error:
            problems.append(f"shape {place}: {error}")
    sides = [content.get("imageHeight"), content.get("imageWidth")]
    whole = [one for one in sides if isinstance(one, int) and not isinstance(one, bool) and one > 0]
    if len(whole) < 2 and sides != [None, None]:
        problems.append("imageHeight or imageWidth is no whole number of pixels from 1 on")
    size = (whole[0], whole[1]) if len(whole) == 2 else None
    return LabelmeFile(path.replace("\\", "/"), size, tuple(shapes), _flags(content.get("flags")), tuple(problems))


def _shape(record: Any) -> Shape:
    """Reads one shape. ValueError that says what is wrong with it."""
    label = record.get("label") if isinstance(record, dict) else None
    if not isinstance(label, str) or not label:
        raise ValueError("it has no label")
    name = record.get("shape_type", "polygon")  # files before 5.9 may leave it out
    if not isinstance(name, str) or name not in SHAPE_KINDS:
        raise ValueError(f"its shape_type {str(name)[:40]!r} is unknown; known are {', '.join(SHAPE_KINDS)}")
    kind, least, most = SHAPE_KINDS[name]
    points = _points(record.get("points"))
    if len(points) < least or (most is not None and len(points) > most):
        raise ValueError(f"a {name} has {least} points{' or more' if most is None else ''}, not {len(points)}")
    group = record.get("group_id")
    if isinstance(group, bool) or not isinstance(group, int | str | None):
        raise ValueError(f"its group_id {str(group)[:40]} is no whole number")
    mask = _mask(record.get("mask")) if kind == "mask" else None
    note = record.get("description")
    return Shape(
        label,
        kind,
        points[:1] if kind == "mask" else points,
        None if group is None else str(group),
        mask,
        note if isinstance(note, str) else "",
        _flags(record.get("flags")),
    )


def _points(value: Any) -> tuple[Corner, ...]:
    if not isinstance(value, list) or not all(isinstance(one, list) and len(one) == 2 for one in value):
        raise ValueError("its points are no list of [x, y]")
    flat = [one for point in value for one in point]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e9 for one in flat):
        raise ValueError("a coordinate is no finite number")  # NaN is not below 1e9 either
    return tuple((float(x), float(y)) for x, y in value)


def _flags(value: Any) -> dict[str, bool]:
    return {key: one for key, one in value.items() if isinstance(one, bool)} if isinstance(value, dict) else {}


def _mask(text: Any) -> PixelSet:  # [h, w]
    """ValueError where it is no PNG of one channel in base64."""
    if not isinstance(text, str) or not text:
        raise ValueError("a mask without its picture in the field mask")
    try:
        values = values_in(base64.b64decode("".join(text.split()), validate=True))
    except ValueError as error:
        raise ValueError(f"its mask is no whole PNG in base64 ({' '.join(str(error).split())[:80]})") from error
    if values.ndim != 2:
        raise ValueError("its mask is a coloured picture, not one of 0 and 1")
    return np.asarray(values != 0, dtype=np.bool_)


def content_of(found: LabelmeFile) -> dict[str, Any]:
    """The content of a JSON as LabelMe writes it, without the picture; `labelme_file` reads it."""
    height, width = found.size if found.size is not None else (None, None)
    return {
        "version": LABELME_VERSION,
        "flags": dict(found.flags),
        "shapes": [_record(shape) for shape in found.shapes],
        "imagePath": found.image,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _record(shape: Shape) -> dict[str, Any]:
    points = [[round(x, 3), round(y, 3)] for x, y in shape.points]
    text = None
    if shape.mask is not None:
        (left, top), (high, wide) = points[0], shape.mask.shape
        points.append([left + wide - 1, top + high - 1])
        stream = io.BytesIO()
        Image.fromarray(shape.mask.astype(np.uint8)).save(stream, format="PNG")
        text = base64.b64encode(stream.getvalue()).decode("ascii")
    line = "point" if len(points) == 1 else "linestrip"
    return {
        "label": shape.label,
        "points": points,
        "group_id": int(shape.group) if shape.group is not None and shape.group.isdecimal() else shape.group,
        "description": shape.note,
        "shape_type": line if shape.kind == "line" else shape.kind,
        "flags": dict(shape.flags),
        "mask": text,
    }
