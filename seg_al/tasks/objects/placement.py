"""Places the detections of a pass in the image: pastes their masks, turns views back, and makes Detections.

Everything works on crops, so that time and memory grow with the areas of the boxes, not with that of the image.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.core import Viewing
from seg_al.predictors.class_maps import NotFinite
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Detections
from seg_al.tasks.objects.passes import Crop, Floats, Passed, PlacedPass
from seg_al.tasks.objects.rle import PixelBox, Size

THRESHOLD = 0.5
"""A pixel of at least this probability belongs to an object."""


def placed(passed: Passed, size: Size | None = None) -> PlacedPass:
    """The pass in an image of `size` pixels, on the CPU; None: of the size at which the network saw it.

    A mask is stretched over its box, with zeros around it, and a pixel takes the bilinear value at its centre, as in
    detectron2 (arXiv 1703.06870, section 3.1). Detections without a pixel are left out. Raises NotFinite.
    """
    size = passed.size if size is None else size
    probabilities = torch.softmax(_numbers(passed.logits, "class logits")[passed.proposals.cpu()], 1).numpy()
    scale = np.tile([size[1] / passed.size[1], size[0] / passed.size[0]], 2)
    boxes = _numbers(passed.boxes, "boxes").numpy() * scale
    frames = boxes if passed.frames is None else _numbers(passed.frames, "boxes").numpy() * scale
    masks = _numbers(passed.masks, "masks").numpy()
    found = PlacedPass(
        size,
        boxes.clip(0, np.tile(size[::-1], 2)),
        probabilities,
        passed.classes.cpu().numpy(),
        _numbers(passed.scores, "scores").numpy(),
        passed.proposals.cpu().numpy(),
        tuple(_pasted(mask, tuple(box), size) for mask, box in zip(masks, frames.tolist(), strict=True)),
    )
    return selected(found, [place for place, crop in enumerate(found.masks) if crop.area])


def _numbers(values: Tensor, what: str) -> Tensor:
    """The values in float64 on the CPU. Raises NotFinite."""
    numbers = values.detach().cpu().double()  # in this order: not every device has float64
    if not bool(torch.isfinite(numbers).all()):
        raise NotFinite(f"the model's {what} hold NaN or infinity")
    return numbers


def _pasted(mask: Floats, box: tuple[float, ...], size: Size) -> Crop:  # [m, m]
    """Bilinear sampling is one matrix product for the rows and one for the columns.

    Pixels beyond the box are below one half, as a neighbour of zeros holds more than half of the weight.
    """
    x0, y0, x1, y1 = box
    window = max(0, math.floor(x0)), max(0, math.floor(y0)), min(size[1], math.ceil(x1)), min(size[0], math.ceil(y1))
    if x1 <= x0 or y1 <= y0 or window[2] <= window[0] or window[3] <= window[1]:
        return Crop((0, 0, 0, 0), np.zeros((0, 0), dtype=np.bool_))
    columns = _weights(window[0], window[2], x0, x1, mask.shape[1])
    rows = _weights(window[1], window[3], y0, y1, mask.shape[0])
    return Crop(window, rows @ mask @ columns.T >= THRESHOLD)


def _weights(first: int, stop: int, low: float, high: float, cells: int) -> Floats:  # [stop - first, cells]
    """The weight of each cell of a mask from `low` to `high` at the centres of these pixels."""
    centres = (np.arange(first, stop) + 0.5 - low) / (high - low) * cells - 0.5
    weights: Floats = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(cells)))
    return weights


def selected(found: PlacedPass, places: list[int]) -> PlacedPass:
    """The detections with these positions, in their order."""
    if places == list(range(len(found))):
        return found
    rows = np.array(places, dtype=np.intp)
    return PlacedPass(
        found.size,
        found.boxes[rows],
        found.probabilities[rows],
        found.classes[rows],
        found.scores[rows],
        found.proposals[rows],
        tuple(found.masks[place] for place in places),
    )


def undone(found: PlacedPass, view: Viewing, size: Size) -> PlacedPass:
    """What was found in a view of an image of `size`, in the frame of that image.

    Flips and right angles move boxes and masks exactly. After other turns masks are sampled as `view.undo` does, and
    boxes are tight around them; what lies in the mirrored corners of the turned canvas is left out.
    """
    if view.degrees % 90 == 0:
        return _moved(found, view, size)
    back = _sources(found.size, view, size)
    masks = [_sampled(crop, back, _around(crop.window, found.size, view, size)) for crop in found.masks]
    boxes = np.array([crop.window for crop in masks], dtype=np.float64).reshape(-1, 4)
    turned = PlacedPass(size, boxes, found.probabilities, found.classes, found.scores, found.proposals, tuple(masks))
    return selected(turned, [place for place, crop in enumerate(masks) if crop.area])


def _moved(found: PlacedPass, view: Viewing, size: Size) -> PlacedPass:
    turns = -view.degrees // 90 % 4  # counter-clockwise quarters that are still to go
    assert found.size == (size if turns % 2 == 0 else size[::-1]), "the pass is not of a view of this image"
    axes = tuple(axis for axis, turned in ((0, view.rows), (1, view.columns)) if turned)
    windows = np.array([crop.window for crop in found.masks], dtype=np.float64).reshape(-1, 4)
    masks = []
    for crop, window in zip(found.masks, _turned(windows, found.size, turns, view), strict=True):
        x0, y0, x1, y1 = (int(edge) for edge in window)
        masks.append(Crop((x0, y0, x1, y1), np.ascontiguousarray(np.flip(np.rot90(crop.mask, turns), axes))))
    boxes = _turned(found.boxes, found.size, turns, view)
    return PlacedPass(size, boxes, found.probabilities, found.classes, found.scores, found.proposals, tuple(masks))


def _turned(boxes: Floats, size: Size, turns: int, view: Viewing) -> Floats:  # [N, 4]
    """After counter-clockwise quarter turns of an image of `size`, then the view's flips."""
    x0, y0, x1, y1 = boxes.T
    height, width = size
    for _ in range(turns):
        x0, y0, x1, y1 = y0, width - x1, y1, width - x0
        height, width = width, height
    if view.rows:
        y0, y1 = height - y1, height - y0
    if view.columns:
        x0, x1 = width - x1, width - x0
    return np.stack([x0, y0, x1, y1], axis=1)


def _sources(shown: Size, view: Viewing, size: Size) -> npt.NDArray[np.int32]:  # [2, H, W]
    """The row and the column of the view that each pixel of the image comes from."""
    places = torch.stack(torch.meshgrid(torch.arange(shown[0]), torch.arange(shown[1]), indexing="ij"))
    back: npt.NDArray[np.int32] = view.undo(places[None].float(), size)[0].numpy().astype(np.int32)
    return back


def _around(window: PixelBox, shown: Size, view: Viewing, size: Size) -> PixelBox:
    """A window of the image that holds all pixels which come from a window of the view."""
    sine, cosine = math.sin(math.radians(view.degrees)), math.cos(math.radians(view.degrees))
    across = np.array(window)[[0, 2, 0, 2]] - shown[1] / 2
    down = np.array(window)[[1, 1, 3, 3]] - shown[0] / 2
    x = (cosine * across - sine * down) * (-1 if view.columns else 1) + size[1] / 2
    y = (sine * across + cosine * down) * (-1 if view.rows else 1) + size[0] / 2
    return (
        max(0, math.floor(x.min()) - 1),
        max(0, math.floor(y.min()) - 1),
        min(size[1], math.ceil(x.max()) + 1),
        min(size[0], math.ceil(y.max()) + 1),
    )


def _sampled(crop: Crop, back: npt.NDArray[np.int32], window: PixelBox) -> Crop:  # [2, H, W]
    """The mask in its smallest window; empty where no pixel of it is in the image."""
    x0, y0, x1, y1 = window
    rows, columns = back[0, y0:y1, x0:x1] - crop.window[1], back[1, y0:y1, x0:x1] - crop.window[0]
    inside = (rows >= 0) & (rows < crop.mask.shape[0]) & (columns >= 0) & (columns < crop.mask.shape[1])
    inside[inside] = crop.mask[rows[inside], columns[inside]]
    if not inside.any():
        return Crop((0, 0, 0, 0), np.zeros((0, 0), dtype=np.bool_))
    filled_rows, filled_columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top, bottom = int(filled_rows[0]), int(filled_rows[-1]) + 1
    left, right = int(filled_columns[0]), int(filled_columns[-1]) + 1
    return Crop((x0 + left, y0 + top, x0 + right, y0 + bottom), inside[top:bottom, left:right].copy())


def detections_of(found: PlacedPass) -> Detections:
    """The detections for metrics; their boxes are the model's own, not those of the masks."""
    codes = tuple(rle.encode(crop.mask, found.size, (crop.window[0], crop.window[1])) for crop in found.masks)
    return Detections(found.size, found.boxes.astype(np.float32), found.scores, found.classes, codes)
