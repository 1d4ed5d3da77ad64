"""Masks as run lengths in COCO's compressed coding, which are painted, cropped and resized without a whole image.

A code is the bytes of pycocotools' `counts`: lengths of runs of 0 and 1 in turn, 0 first, down the columns of the image
one after the other. pycocotools encodes, measures and compares such codes; this module adds what it lacks: the runs
themselves, and crops that take memory by the size of the object, not of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from seg_al.core import PixelSet

Code = bytes
Size = tuple[int, int]
"""Height and width in pixels."""
PixelBox = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, half open."""
Ints = npt.NDArray[np.int64]

AT_ONCE = 255
"""Most masks per call: with more, pycocotools 2.0.11 fails with numpy 2, as it counts them in a byte."""


def lengths(code: Code) -> Ints:
    """The run lengths in a code, zeros first. ValueError where the text is cut off or has other characters."""
    digits = np.frombuffer(code, dtype=np.uint8).astype(np.int64) - 48
    last = (digits & 0x20) == 0
    if not len(digits) or not last[-1] or (digits < 0).any() or (digits > 0x3F).any():
        raise ValueError("the compressed counts are cut off or no text of COCO's coding")
    stops = np.flatnonzero(last) + 1
    starts = np.r_[0, stops[:-1]]
    places = np.arange(len(digits)) - np.repeat(starts, stops - starts)
    if places.max() > 5:  # 30 bits: more than an image can have pixels, and few enough that no sum of them wraps
        raise ValueError("the compressed counts hold a number beyond 30 bits")
    values = np.add.reduceat((digits & 0x1F) << (5 * places), starts)
    negative = (digits[stops - 1] & 0x10) != 0
    values -= np.where(negative, np.int64(1) << (5 * (stops - starts)), 0)
    values[1::2] = np.cumsum(values[1::2])  # from the fourth on, each is stored as its difference to the last but one
    values[2::2] = np.cumsum(values[2::2])
    return values


def runs(code: Code) -> tuple[Ints, Ints]:
    """Starts and stops [R] of the runs of 1 in the column-major order of the pixels; none is empty."""
    ends = np.cumsum(lengths(code))
    stops = ends[1::2]
    starts = ends[0::2][: len(stops)]
    filled = stops > starts
    return starts[filled], stops[filled]


def positions(code: Code) -> Ints:
    """The positions [area] of the pixels of 1 in column-major order, ascending."""
    starts, stops = runs(code)
    long = stops - starts
    before: Ints = np.cumsum(long) - long
    return np.arange(int(long.sum())) + np.repeat(starts - before, long)


def paint_mask(code: Code, size: Size, value: Any, canvas: npt.NDArray[Any]) -> None:
    """Writes the value into the mask's pixels of an array [H, W] of any memory order."""
    assert canvas.shape == size
    columns, rows = np.divmod(positions(code), size[0])
    canvas[rows, columns] = value


def dense(code: Code, size: Size) -> PixelSet:  # [H, W]
    mask = np.zeros(size, dtype=np.bool_)
    paint_mask(code, size, True, mask)
    return mask


def crop(code: Code, size: Size, window: PixelBox) -> PixelSet:  # [y1 - y0, x1 - x0]
    """The mask within a window; outside the image it is False."""
    x0, y0, x1, y1 = window
    columns, rows = np.divmod(positions(code), size[0])
    inside = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
    cut = np.zeros((y1 - y0, x1 - x0), dtype=np.bool_)
    cut[rows[inside] - y0, columns[inside] - x0] = True
    return cut


def tight(code: Code, size: Size) -> tuple[PixelBox, PixelSet]:
    """The smallest window around the mask, and the mask in it; an empty window where the mask is empty."""
    columns, rows = np.divmod(positions(code), size[0])
    if not len(rows):
        return (0, 0, 0, 0), np.zeros((0, 0), dtype=np.bool_)
    x0, y0, x1, y1 = int(columns[0]), int(rows.min()), int(columns[-1]) + 1, int(rows.max()) + 1
    cut = np.zeros((y1 - y0, x1 - x0), dtype=np.bool_)
    cut[rows - y0, columns - x0] = True
    return (x0, y0, x1, y1), cut


def encode(cut: PixelSet, size: Size, corner: tuple[int, int] = (0, 0)) -> Code:
    """The code of a mask [h, w] that lies with its upper left pixel at `corner` (x, y) of an image of `size`."""
    columns, rows = np.nonzero(cut.T)
    places = (columns + corner[0]) * size[0] + rows + corner[1]
    breaks = np.flatnonzero(np.diff(places) > 1)
    if not len(places):
        return code_of(np.array([size[0] * size[1]]), size)
    starts, stops = places[np.r_[0, breaks + 1]], places[np.r_[breaks, len(places) - 1]] + 1
    edges = np.stack([starts, stops], axis=1).ravel()
    counts = np.diff(np.r_[0, edges, size[0] * size[1]])
    return code_of(counts if counts[-1] else counts[:-1], size)


def code_of(counts: npt.NDArray[np.integer], size: Size) -> Code:
    """The code of run lengths, zeros first."""
    code: bytes = coco.frPyObjects({"size": list(size), "counts": counts.tolist()}, *size)["counts"]
    return code


def resized_code(code: Code, size: Size, new: Size) -> Code:
    """The mask of an image of `size` brought to `new`: the pixel under the centre of each new one, as for class ids."""
    if size == new:
        return code
    (x0, y0, x1, y1), cut = tight(code, size)
    height, width = new
    rows = (2 * np.arange(height) + 1) * size[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * size[1] // (2 * width)
    top, bottom = np.searchsorted(rows, (y0, y1))
    left, right = np.searchsorted(columns, (x0, x1))
    small = cut[np.ix_(rows[top:bottom] - y0, columns[left:right] - x0)]
    return encode(small, new, (int(left), int(top)))


def mask_areas(codes: tuple[Code, ...], size: Size) -> Ints:  # [N]
    """Pixels of each mask."""
    found = np.zeros(len(codes), dtype=np.int64)
    for start in range(0, len(codes), AT_ONCE):
        found[start : start + AT_ONCE] = coco.area(pycocotools_masks(codes[start : start + AT_ONCE], size))
    return found


def pycocotools_masks(codes: tuple[Code, ...], size: Size) -> list[dict[str, Any]]:
    """The masks in the form that pycocotools takes."""
    return [{"size": list(size), "counts": code} for code in codes]
