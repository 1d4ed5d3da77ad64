"""Object F1, object Dice and object Hausdorff distance of the GlaS challenge (arXiv 1603.00275).

Each works on two label images [H, W] of integers, 0: no object, any other id: one object. Both images empty is
agreement: F1 1, Dice 1, Hausdorff 0. One image empty is total failure: F1 0, Dice 0, Hausdorff the diagonal of the
image. Every function raises ValueError for shapes that differ and for negative ids.

The challenge pools the counts and areas of all images of a test set; here each image has its value, so that images
can be averaged, compared in pairs and listed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

LabelImage = npt.NDArray[np.integer]
Codes = npt.NDArray[np.int32]
OverlapTable = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float64]

_CELL = 8
"""Side in pixels of the squares in which a Hausdorff distance is first searched."""
_CELL_DIAGONAL = (_CELL - 1) * 2**0.5
_ANGLES = np.arange(16) * np.pi / 8
_DIRECTIONS = np.stack([np.sin(_ANGLES), np.cos(_ANGLES)])  # [2, 16]


def object_f1(predicted: LabelImage, true: LabelImage) -> float:
    """The F1 score of detection: a hit is a predicted object that covers more than half of its true object.

    The true object of a predicted one is that with which it shares most pixels (in a tie the lowest id). Predicted
    objects do not overlap, so that a true object is hit at most once. A true object that is not hit is missed, as
    the challenge's page and its last code have it; an early version of its F1score.m counts only those that are
    nobody's true object. "More than half" follows the code where the text says "at least".
    """
    overlap, _, _ = _overlaps(predicted, true)
    shared, predicted_area, true_area = _areas(overlap)
    if not predicted_area.size or not true_area.size:
        return float(predicted_area.size == true_area.size)
    best = shared.argmax(axis=1)
    hits = int((2 * shared.max(axis=1) > true_area[best]).sum())
    return 2 * hits / (predicted_area.size + true_area.size)


def object_dice(predicted: LabelImage, true: LabelImage) -> float:
    """The mean of two area-weighted means of Dice: over the predicted objects, and over the true objects.

    Each object is compared with that of the other image with which it shares most pixels; one without overlap has 0.
    """
    overlap, _, _ = _overlaps(predicted, true)
    shared, predicted_area, true_area = _areas(overlap)
    if not predicted_area.size or not true_area.size:
        return float(predicted_area.size == true_area.size)
    dice = 2 * shared / (predicted_area[:, None] + true_area[None, :])
    of_predicted = dice[np.arange(len(dice)), shared.argmax(axis=1)]
    of_true = dice[shared.argmax(axis=0), np.arange(dice.shape[1])]
    return float(np.average(of_predicted, weights=predicted_area) + np.average(of_true, weights=true_area)) / 2


def object_hausdorff(predicted: LabelImage, true: LabelImage) -> float:
    """The mean of two area-weighted means of Hausdorff distance, in pixels: over predicted and over true objects.

    Each object is compared with that of the other image with which it shares most pixels; one without overlap with
    that to which its Hausdorff distance is least. Distances run between the centres of all pixels of the objects.
    """
    overlap, predicted_codes, true_codes = _overlaps(predicted, true)
    shared, predicted_area, true_area = _areas(overlap)
    if not predicted_area.size and not true_area.size:
        return 0.0
    if not predicted_area.size or not true_area.size:
        return float(np.hypot(*predicted.shape))
    predicted_shapes, true_shapes = _shapes(predicted_codes), _shapes(true_codes)
    known: dict[tuple[int, int], float] = {}  # two objects are mostly each other's match: measured once
    of_predicted = _matched_distances(shared, predicted_shapes, true_shapes, known)
    turned = {(of, to): distance for (to, of), distance in known.items()}
    of_true = _matched_distances(shared.T, true_shapes, predicted_shapes, turned)
    return float(np.average(of_predicted, weights=predicted_area) + np.average(of_true, weights=true_area)) / 2


def _overlaps(predicted: LabelImage, true: LabelImage) -> tuple[OverlapTable, Codes, Codes]:
    """The pixels [P + 1, T + 1] that each pair shares, row and column 0 for no object; both images as 0..P, 0..T."""
    if predicted.ndim != 2 or predicted.shape != true.shape:
        raise ValueError(
            f"Predicted objects {predicted.shape} and true objects {true.shape} must be label images [H, W] of one "
            "size; bring the prediction to the size of the target first."
        )
    rows, row_count = _codes(predicted)
    columns, column_count = _codes(true)
    pairs = rows.astype(np.int64) * column_count + columns
    table = np.bincount(pairs.ravel(), minlength=row_count * column_count)
    return table.reshape(row_count, column_count), rows, columns


def _codes(labels: LabelImage) -> tuple[Codes, int]:
    """The label image with its ids replaced by 1..N in their order, and N + 1."""
    codes, ids = pd.factorize(labels.ravel(), sort=True)  # hashes: 15 times the speed of np.unique on GlaS
    if len(ids) and ids[0] < 0:
        raise ValueError(f"A label image has the negative id {ids[0]}; 0 is no object, objects count from 1.")
    without_zero = int(not len(ids) or ids[0] != 0)
    return (codes + without_zero).astype(np.int32).reshape(labels.shape), len(ids) + without_zero


def _areas(overlap: OverlapTable) -> tuple[OverlapTable, OverlapTable, OverlapTable]:
    """From the table with background: the pixels shared [P, T], and the areas of predicted [P] and true [T]."""
    return overlap[1:, 1:], overlap.sum(axis=1)[1:], overlap.sum(axis=0)[1:]


@dataclass(frozen=True)
class _Shape:
    """One object, prepared for fast distances from and to it."""

    image: Codes  # [H, W], where the object is `code`
    code: int
    pixels: npt.NDArray[np.int64]  # [N, 2], row and column
    outline: cKDTree
    """The pixels with a side neighbour outside: the nearest pixel of the object to any pixel outside is one of them."""
    cells: npt.NDArray[np.int64]  # [N], the square of each pixel, 0..S-1
    samples: npt.NDArray[np.int64]  # [S], the position in `pixels` of one pixel of each square
    reach: Distances  # [16], how far the object extends in each of 16 directions

    def distance_to(self, points: npt.NDArray[np.int64]) -> Distances:  # [M, 2] -> [M]
        """The distance in pixels from each point to the object, 0 inside."""
        distances = np.zeros(len(points))
        outside = self.image[points[:, 0], points[:, 1]] != self.code
        distances[outside] = self.outline.query(points[outside])[0]
        return distances


def _shapes(codes: Codes) -> list[_Shape]:  # [H, W]
    order = np.argsort(codes.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(codes.ravel()))
    objects = np.split(order, ends[:-1])[1:]
    return [_shape(codes, code, positions) for code, positions in enumerate(objects, start=1)]


def _shape(codes: Codes, code: int, positions: npt.NDArray[np.int64]) -> _Shape:
    width = codes.shape[1]
    pixels = np.stack([positions // width, positions % width], axis=1)
    low = pixels.min(axis=0)
    inside = np.zeros(pixels.max(axis=0) - low + 3, dtype=np.bool_)  # with a frame of one pixel
    rows, columns = (pixels - low + 1).T
    inside[rows, columns] = True
    inner = inside[rows - 1, columns] & inside[rows + 1, columns]
    inner &= inside[rows, columns - 1] & inside[rows, columns + 1]
    names = pixels[:, 0] // _CELL * (width // _CELL + 1) + pixels[:, 1] // _CELL
    _, samples, cells = np.unique(names, return_index=True, return_inverse=True)
    outline = pixels[~inner]
    reach = (outline @ _DIRECTIONS).max(axis=0)
    return _Shape(codes, code, pixels, cKDTree(outline), cells, samples, reach)


def _matched_distances(
    shared: OverlapTable,  # [A, B]
    of: list[_Shape],
    to: list[_Shape],
    known: dict[tuple[int, int], float],
) -> Distances:  # [A]
    """The Hausdorff distance of each object to its match; `known` keeps the distances of pairs that overlap."""
    distances = np.empty(len(of))
    for position, (shape, best) in enumerate(zip(of, shared.argmax(axis=1).tolist(), strict=True)):
        if not shared[position, best]:
            distances[position] = _nearest_distance(shape, to)
            continue
        if (position, best) not in known:
            known[position, best] = _hausdorff(shape, to[best])
        distances[position] = known[position, best]
    return distances


def _nearest_distance(shape: _Shape, others: list[_Shape]) -> float:
    """The least Hausdorff distance to any of the others.

    How far two sets extend in any one direction differs by no more than their Hausdorff distance: a lower bound,
    which leaves most of the others unmeasured.
    """
    bounds = [float(np.abs(shape.reach - other.reach).max()) for other in others]
    nearest = np.inf
    for position in np.argsort(bounds, kind="stable").tolist():
        if bounds[position] >= nearest:
            break
        nearest = min(nearest, _hausdorff(shape, others[position]))
    return float(nearest)


def _hausdorff(one: _Shape, other: _Shape) -> float:
    return max(_directed(one, other), _directed(other, one))


def _directed(source: _Shape, target: _Shape) -> float:
    """The greatest distance of any pixel of the source to the target, exactly.

    Between two pixels of one square the distance to the target differs by at most the square's diagonal, so that one
    sample of each square tells which squares may hold the maximum. Without it, a prediction that is one object over
    the whole image would cost seconds.
    """
    coarse = target.distance_to(source.pixels[source.samples])
    may_hold_maximum = coarse + _CELL_DIAGONAL >= coarse.max()
    return float(target.distance_to(source.pixels[may_hold_maximum[source.cells]]).max())
