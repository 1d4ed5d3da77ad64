"""Counts what a person must do for an answer: pieces of one class to name, and corners of polygons to draw."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from seg_al.core import IGNORE, ByteImage, PixelSet

TOLERANCE = 1.0
"""Pixels by which a polygon may differ from the outline (Douglas and Peucker)."""


def pieces(target: ByteImage, region: PixelSet) -> tuple[int, int]:  # [H, W] class ids, [H, W]
    """(pieces, vertices): the 4-connected pieces of one class in the region, and the corners needed to part them.

    The piece with the most corners is what remains beside the others, so that a region of one class is named without
    being drawn. Holes are drawn too. Pixels without a class belong to no piece.
    """
    box = _box(region)
    if box is None:
        return 0, 0
    inside = np.where(region[box], target[box], np.uint8(IGNORE))
    corners: list[int] = []
    for class_id in np.unique(inside[inside != IGNORE]):
        mask = (inside == class_id).astype(np.uint8)
        count, labels = cv2.connectedComponents(mask, connectivity=4)
        corners += _corners_of_each(labels, count)
    return len(corners), sum(corners) - max(corners, default=0)


def _corners_of_each(labels: npt.NDArray[np.int32], count: int) -> list[int]:
    """The corners of the pieces 1..count-1, each computed in its own box."""
    rows, columns = np.nonzero(labels)
    owner = labels[rows, columns]
    first = np.full((count, 2), np.iinfo(np.int64).max)
    last = np.zeros((count, 2), dtype=np.int64)
    for axis, places in enumerate((rows, columns)):
        np.minimum.at(first[:, axis], owner, places)
        np.maximum.at(last[:, axis], owner, places + 1)
    boxes = zip(first[1:].tolist(), last[1:].tolist(), strict=True)
    return [
        _corners(labels[top:bottom, left:right] == piece)
        for piece, ((top, left), (bottom, right)) in enumerate(boxes, start=1)
    ]


def _corners(piece: PixelSet) -> int:
    outlines, _ = cv2.findContours(piece.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return sum(len(cv2.approxPolyDP(outline, TOLERANCE, True)) for outline in outlines)


def _box(region: PixelSet) -> tuple[slice, slice] | None:
    rows = np.flatnonzero(region.any(1))
    if len(rows) == 0:
        return None
    columns = np.flatnonzero(region.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
