"""Shapes with labels that people draw on an image, in any program, and the pixels that each covers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from seg_al.core import PixelSet
from seg_al.tasks.objects import rle

ShapeKind = Literal["polygon", "rectangle", "circle", "mask", "line"]
Corner = tuple[float, float]
"""x to the right and y down, in pixels of the upright image; finite."""

MISTAKE_FROM = 10.0
"""How many image sizes away a corner must be to count as a mistake."""


@dataclass(frozen=True)
class Shape:
    """One drawn shape."""

    label: str
    kind: ShapeKind
    points: tuple[Corner, ...]
    """Corners of a polygon; two opposite corners of a rectangle; centre and rim of a circle; the upper left corner
    of a mask; the points of a line, which covers no pixel."""
    group: str | None = None
    """Shapes of the same label and group are one object; None: the shape is an object of its own."""
    mask: PixelSet | None = None  # [h, w], of kind "mask"
    note: str = ""
    flags: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawn:
    """An object: the pixels of all its shapes."""

    label: str
    code: rle.Code


def objects_of(shapes: Sequence[Shape], size: rle.Size) -> list[Drawn]:
    """The objects in the order of their first shapes, without lines. ValueError for corners far outside the image."""
    parts: dict[tuple[str, str], list[Shape]] = {}
    for place, shape in enumerate(shapes):
        if shape.kind != "line":
            key = f"alone {place}" if shape.group is None else f"group {shape.group}"
            parts.setdefault((shape.label, key), []).append(shape)
    return [Drawn(label, _code(those, size)) for (label, _), those in parts.items()]


def _code(shapes: Sequence[Shape], size: rle.Size) -> rle.Code:
    if len(shapes) == 1:
        return rle.encode(*_cut(shapes[0], size))
    whole = np.zeros(size, dtype=np.bool_)
    for shape in shapes:
        cut, _, (x, y) = _cut(shape, size)
        whole[y : y + cut.shape[0], x : x + cut.shape[1]] |= cut
    return rle.encode(whole, size)


def _cut(shape: Shape, size: rle.Size) -> tuple[PixelSet, rle.Size, tuple[int, int]]:
    """The pixels of a shape within the image: in a window, the size of the image, and the window's corner x, y."""
    low, high = _bounds(shape)
    height, width = size
    if min(*low) < -MISTAKE_FROM * max(size) or max(*high) > (MISTAKE_FROM + 1) * max(size):
        raise ValueError(f"it reaches from {low} to {high}, far outside the image of {height}x{width} pixels")
    x0, y0 = (min(max(math.floor(one), 0), side) for one, side in zip(low, (width, height), strict=True))
    x1, y1 = (min(max(math.floor(one) + 1, 0), side) for one, side in zip(high, (width, height), strict=True))
    if x0 >= x1 or y0 >= y1:
        return np.zeros((0, 0), dtype=np.bool_), size, (0, 0)
    if shape.mask is not None:
        left, top = (round(one) for one in low)
        return shape.mask[y0 - top : y1 - top, x0 - left : x1 - left], size, (x0, y0)
    return _painted(shape, (x0, y0), (y1 - y0, x1 - x0)), size, (x0, y0)


def _bounds(shape: Shape) -> tuple[Corner, Corner]:
    """The smallest and the largest x and y."""
    if shape.kind == "circle":
        (x, y), radius = shape.points[0], math.dist(*shape.points)
        return (x - radius, y - radius), (x + radius, y + radius)
    if shape.mask is not None:
        left, top = (round(one) for one in shape.points[0])
        return (left, top), (left + shape.mask.shape[1] - 1, top + shape.mask.shape[0] - 1)
    columns, rows = zip(*shape.points, strict=True)
    return (min(columns), min(rows)), (max(columns), max(rows))


def _painted(shape: Shape, corner: tuple[int, int], size: rle.Size) -> PixelSet:  # [h, w]
    """Fills a shape as LabelMe's own export does: outlines and both corners of rectangles are included."""
    canvas = Image.new("1", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    points = [(x - corner[0], y - corner[1]) for x, y in shape.points]
    if shape.kind == "circle":
        (x, y), radius = points[0], math.dist(*points)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
    elif shape.kind == "rectangle":
        (x0, x1), (y0, y1) = (sorted(one) for one in zip(*points, strict=True))
        draw.rectangle((x0, y0, x1, y1), fill=1, outline=1)
    else:
        draw.polygon(points, fill=1, outline=1)
    return np.asarray(canvas, dtype=np.bool_)
