"""The mask of a COCO annotation: polygons and run lengths brought to one coding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from seg_al.datasets.coco_checks import Notes
from seg_al.datasets.coco_fields import excerpt, numbers_of_box
from seg_al.tasks.objects import rle

KEPT_WITHIN = 10.0
"""Image sizes beyond which a corner is moved back, because pycocotools takes memory for each pixel of an outline."""
FURTHEST = 1e300
"""The largest coordinate that is read."""
SLACK = 0.5
"""Pixels that a corner may lie outside the image without being counted."""


class Unusable(Exception):
    """The shape cannot be read; the message says why."""


def mask_code(segmentation: Any, size: rle.Size, where: str, notes: Notes) -> rle.Code | None:
    """The mask in an image of `size`, or None where no shape is given, or none remains.

    Raises Unusable for run lengths that are not those of a mask of this size, and for polygons that are not lists of
    x, y, x, y, ... in finite numbers.
    """
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, dict):
        return _of_lengths(segmentation, size)
    if isinstance(segmentation, list):
        flat = segmentation if isinstance(segmentation[0], list) else [segmentation]
        return _of_polygons(flat, size, where, notes)
    raise Unusable(f"a segmentation that is neither polygons nor run lengths, but {excerpt(repr(segmentation))}")


def _of_lengths(segmentation: dict[str, Any], size: rle.Size) -> rle.Code:
    counts, own = segmentation.get("counts"), segmentation.get("size")
    if own != list(size):
        raise Unusable(f"run lengths of [height, width] {excerpt(str(own))} for an image of {list(size)}")
    code = b""
    try:
        if isinstance(counts, str):
            code = counts.encode()
            found = rle.lengths(code)
        else:
            found = _whole(counts)
    except ValueError as error:
        raise Unusable(f"run lengths that cannot be read ({error})") from error
    most = math.prod(size)
    if (found < 0).any() or (found > most).any():  # before the sum, which could pass the largest number and wrap
        raise Unusable(f"a run length that is negative or longer than the {most:,} pixels of the image")
    if found.sum() != most:
        raise Unusable(f"run lengths of {found.sum():,} pixels for an image of {most:,}")
    return code or rle.code_of(found, size)


def _whole(counts: Any) -> rle.Ints:
    """Uncompressed counts. ValueError where they are no list of whole numbers."""
    if not isinstance(counts, list) or not counts:
        raise ValueError("counts is neither a text nor a list of whole numbers")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 2**62 for one in counts):
        raise ValueError("counts holds what is no number, or is too large for one")
    found = np.asarray(counts)
    if (found != np.floor(found)).any():
        raise ValueError("counts holds fractions")
    return found.astype(np.int64)


def _of_polygons(parts: Sequence[Any], size: rle.Size, where: str, notes: Notes) -> rle.Code | None:
    height, width = size
    usable: list[list[float]] = []
    outside = False
    for part in parts:
        corners = _corners(part)
        if len(corners) < 3:
            notes.add("polygon of fewer than three points: left out", where)
            continue
        low, high = corners.min(axis=0), corners.max(axis=0)
        outside |= bool((low < -SLACK).any() or high[0] > width + SLACK or high[1] > height + SLACK)
        far = KEPT_WITHIN * np.array([width, height])
        usable.append(np.clip(corners, -far, far).ravel().tolist())
    if outside:
        notes.add("reaches outside its image: clipped", where)
    if not usable:
        return None
    code: bytes = coco.merge(coco.frPyObjects(usable, height, width))["counts"]
    return code


def _corners(part: Any) -> npt.NDArray[np.float64]:  # [P, 2], x and y
    fine = isinstance(part, list) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in part)
    if not fine:
        raise Unusable("a polygon that is no list of numbers x, y, x, y, ...")
    if len(part) % 2:
        raise Unusable(f"a polygon of {len(part)} numbers, so that one x has no y")
    flat = np.array([min(max(one, -FURTHEST), FURTHEST) for one in part], dtype=np.float64)
    if np.isnan(flat).any() or (np.abs(flat) == FURTHEST).any():
        raise Unusable("a polygon with a corner that is no finite number")
    return flat.reshape(-1, 2)


def box_code(box: Any, size: rle.Size) -> rle.Code | None:
    """The mask of a box [x, y, width, height]; None where it is no box or has no pixel in the image."""
    numbers = numbers_of_box(box)
    if numbers is None:
        return None
    x, y, wide, high = numbers
    x0, x1 = (min(max(round(edge), 0), size[1]) for edge in (x, x + wide))
    y0, y1 = (min(max(round(edge), 0), size[0]) for edge in (y, y + high))
    if x0 >= x1 or y0 >= y1:
        return None
    return rle.encode(np.ones((y1 - y0, x1 - x0), dtype=np.bool_), size, (x0, y0))


def is_flat(box: Any) -> bool:
    """Whether a box [x, y, width, height] is given and has no area."""
    numbers = numbers_of_box(box)
    return numbers is not None and (numbers[2] <= 0 or numbers[3] <= 0)
