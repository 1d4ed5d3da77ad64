"""Objects brought into a window of their image: the truth that an instance model is trained on.

A TARGET is a dict of tensors: boxes [N, 4] float32 (x0, y0, x1, y1, right and lower edge outside), labels [N] int64
from 1, masks [N, h, w] uint8, unknown [h, w] bool: pixels that are no evidence, neither for an object nor against one.
"""

from __future__ import annotations

from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import find_objects
from torch import Tensor

from seg_al.core import PixelSet
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Instances
from seg_al.training.augmentation import Placement

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[Any])
Target = dict[str, Tensor]
Layer = npt.NDArray[np.uint16]
AT_MOST = 2**16 - 1
"""Objects of one layer: what its numbers can tell apart."""


def target_of(
    instances: Instances, unknown: PixelSet, placement: Placement, flips: tuple[bool, bool], least: float
) -> Target:  # objects without crowds, [H, W]
    """The objects as they lie in the window, resampled to the nearest pixel, then flipped (down, across).

    Objects keep their order and their whole masks, also where they overlap. One that the window cuts to less than the
    share `least` of its area is no target: its pixels are unknown, as are those outside the image.
    """
    near = np.flatnonzero(_reaches(instances, placement))
    seen = _seen(_layers(instances, near), placement, flips)
    whole = instances.select(near).areas * placement.ratio.prod()
    may_be_cut = _is_cut(instances, placement)[near]
    unknown_here = flipped(resampled(unknown.astype(np.uint16), placement, 1), flips) > 0
    kept = []
    for place in sorted(seen):
        window, mask = seen[place]
        if may_be_cut[place] and np.count_nonzero(mask) < least * whole[place]:
            unknown_here[window] |= mask
        else:
            kept.append(place)
    masks = np.zeros((len(kept), *placement.crop), dtype=np.uint8)
    boxes = np.zeros((len(kept), 4), dtype=np.float32)
    for row, place in enumerate(kept):
        window, mask = seen[place]
        masks[row][window] = mask
        unknown_here[window] &= ~mask
        boxes[row] = window[1].start, window[0].start, window[1].stop, window[0].stop
    return {
        "boxes": torch.from_numpy(boxes),
        "labels": torch.from_numpy(instances.classes[near[kept]]),
        "masks": torch.from_numpy(masks),
        "unknown": torch.from_numpy(np.ascontiguousarray(unknown_here)),
    }


def _seen(
    layers: list[Layer], placement: Placement, flips: tuple[bool, bool]
) -> dict[int, tuple[tuple[slice, ...], PixelSet]]:
    """The tight window and the mask in it of each object that has a pixel in the window, by its place."""
    seen: dict[int, tuple[tuple[slice, ...], PixelSet]] = {}
    for layer in layers:
        ids = flipped(resampled(layer, placement, 0), flips)
        for number, window in enumerate(find_objects(ids), start=1):
            if window is not None:
                seen[number - 1] = window, ids[window] == number
    return seen


def flipped(array: AnyArray, flips: tuple[bool, bool]) -> AnyArray:  # [h, w, ...]
    """Turned over down and across, where `flips` says so."""
    turned: AnyArray = np.flip(array, tuple(axis for axis, flip in enumerate(flips) if flip))
    return turned


def resampled(grid: Layer, placement: Placement, outside: int) -> Layer:  # [H, W] -> [h, w]
    """The value under the centre of each pixel of the window."""
    rows, columns = (np.floor(axis).astype(np.float32) for axis in placement.sources)  # whole: remap does not round
    out: Layer = cv2.remap(grid, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
    return out


def _corners(instances: Instances, placement: Placement) -> npt.NDArray[np.float64]:  # [N, 4, 2] rows, columns
    """Of the tight boxes, in the window."""
    corners = instances.boxes[:, [[1, 0], [1, 2], [3, 0], [3, 2]]].astype(np.float64)
    return placement.forward(corners.reshape(-1, 2)).reshape(-1, 4, 2)


def _reaches(instances: Instances, placement: Placement) -> PixelSet:  # [N]
    """Whether the upright box around each turned box meets the window; no object that is seen is left out."""
    corners = _corners(instances, placement)
    meets: PixelSet = np.all((corners.max(1) > 0) & (corners.min(1) < placement.crop), axis=1)
    return meets


def _is_cut(instances: Instances, placement: Placement) -> PixelSet:  # [N]
    """Whether a corner of the box lies outside the window; an upright object is cut just then, a turned one perhaps."""
    corners = _corners(instances, placement)
    outside: PixelSet = np.any((corners < -1e-6) | (corners > np.array(placement.crop) + 1e-6), axis=(1, 2))
    return outside


def _layers(instances: Instances, places: npt.NDArray[np.intp]) -> list[Layer]:  # each [H, W]
    """Maps of the objects at these places, numbered from 1 in their order; objects that overlap lie in two layers.

    One map stands for all objects that do not overlap, so that a crowd of objects is resampled once, not one by one.
    """
    assert len(places) <= AT_MOST
    layers: list[Layer] = []
    for number, place in enumerate(places.tolist(), start=1):
        pixels = rle.positions(instances.masks[place])  # down the columns
        for layer in layers:
            if not layer[pixels].any():
                layer[pixels] = number
                break
        else:
            layers.append(np.zeros(instances.size[0] * instances.size[1], dtype=np.uint16))
            layers[-1][pixels] = number
    return [np.ascontiguousarray(layer.reshape(instances.size[::-1]).T) for layer in layers]
