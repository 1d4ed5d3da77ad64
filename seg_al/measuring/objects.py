"""Measures how well objects are separated: aggregated Jaccard index, panoptic quality, F1, DSB2018's precision.

Each compares two label images [H, W] of integers, 0: no object, any other id: one object. Both without an object is
agreement: 1. One without is total failure: 0. Detections that overlap are first laid out by `label_image`, the
prediction of a semantic model by `objects_of_classes`; `without_void` takes crowds out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment
from skimage.measure import label

from seg_al.core import Metric, PixelSet
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Detections, Instances, object_map, void_of

LabelImage = npt.NDArray[np.integer]
ObjectIds = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""For DSB2018's average precision: IoU above which an object is a hit."""
EMPTY_METRICS = (Metric("empty_images", lowest=0), Metric("empty_correct", lowest=0, highest=1))
"""Metrics of images without an object."""
OBJECT_METRICS = (
    *(Metric(name, lowest=0, highest=1) for name in ("aji", "aji_plus")),
    *(Metric(name, lowest=0, highest=1, of_class="pq") for name in ("pq", "mpq")),
    *(Metric(name, lowest=0, highest=1) for name in ("sq", "dq", "dsb_ap")),
    *EMPTY_METRICS,
)
"""What `instance_metrics` measures."""


@dataclass(frozen=True)
class Overlaps:
    """The pixels that two label images share, by pairs of objects."""

    shared: npt.NDArray[np.int64]  # [P, T] pixels
    predicted: npt.NDArray[np.int64]  # [P] pixels
    true: npt.NDArray[np.int64]  # [T] pixels

    @property
    def union(self) -> npt.NDArray[np.int64]:  # [P, T] pixels
        return self.predicted[:, None] + self.true[None, :] - self.shared

    @property
    def iou(self) -> Floats:  # [P, T]
        ratio: Floats = self.shared / self.union
        return ratio

    @property
    def trivial(self) -> float | None:
        """The value of every metric where one of the images has no object; None where both have objects."""
        if len(self.predicted) and len(self.true):
            return None
        return float(len(self.predicted) == len(self.true))


def overlaps(predicted: LabelImage, true: LabelImage) -> Overlaps:
    """ValueError for shapes that differ and for negative ids."""
    if predicted.ndim != 2 or predicted.shape != true.shape:
        raise ValueError(
            f"predicted objects {predicted.shape} and true objects {true.shape} are not of one size [H, W]"
        )
    if min(predicted.min(initial=0), true.min(initial=0)) < 0:
        raise ValueError("a label image has a negative id; 0 is no object, objects count from 1")
    rows, columns = _codes(predicted), _codes(true)
    width = int(columns.max(initial=0)) + 1
    table = np.bincount((rows * width + columns).ravel(), minlength=(int(rows.max(initial=0)) + 1) * width)
    table = table.reshape(-1, width)
    return Overlaps(table[1:, 1:], table.sum(axis=1)[1:], table.sum(axis=0)[1:])


def _codes(labels: LabelImage) -> npt.NDArray[np.int64]:
    """The ids replaced by 1..N in their order; 0 stays 0."""
    codes, ids = pd.factorize(labels.ravel(), sort=True)  # hashes: many times the speed of np.unique
    return codes.reshape(labels.shape).astype(np.int64) + int(not len(ids) or ids[0] != 0)


def aji(found: Overlaps) -> float:
    """Aggregated Jaccard index (Kumar et al., IEEE TMI 2017): shared pixels over joined ones, of all objects together.

    Each true object is paired with the predicted one of the best IoU (in a tie the first), which may be used several
    times; predicted objects that are never used, and true ones without overlap, join the denominator.
    """
    if found.trivial is not None:
        return found.trivial
    best = found.iou.argmax(axis=0)
    return _aggregated(found, best, np.arange(len(found.true)))


def aji_plus(found: Overlaps) -> float:
    """The index with each predicted object used once: the pairs with the largest sum of IoU (Graham et al. 2019)."""
    if found.trivial is not None:
        return found.trivial
    return _aggregated(found, *linear_sum_assignment(found.iou, maximize=True))


def _aggregated(found: Overlaps, predicted: npt.NDArray[np.intp], true: npt.NDArray[np.intp]) -> float:
    touching = found.shared[predicted, true] > 0
    predicted, true = predicted[touching], true[touching]
    lone = np.delete(found.predicted, predicted).sum() + np.delete(found.true, true).sum()
    return float(found.shared[predicted, true].sum() / (found.union[predicted, true].sum() + lone))


@dataclass(frozen=True)
class Panoptic:
    """Counts of one or more images, which add up, and the qualities that follow from them."""

    hits: int
    predicted: int
    true: int
    iou: float
    """Sum over the hits."""

    def __add__(self, other: Panoptic) -> Panoptic:
        return Panoptic(
            self.hits + other.hits,
            self.predicted + other.predicted,
            self.true + other.true,
            self.iou + other.iou,
        )

    @property
    def detection(self) -> float:
        """DQ, the F1 score at IoU 0.5."""
        total = self.predicted + self.true
        return 2 * self.hits / total if total else 1.0

    @property
    def segmentation(self) -> float:
        """SQ, the mean IoU of the hits; 0 without a hit where there was anything to hit."""
        if not self.hits:
            return float(self.predicted + self.true == 0)
        return self.iou / self.hits

    @property
    def quality(self) -> float:
        """PQ = DQ · SQ."""
        return self.detection * self.segmentation


def panoptic(found: Overlaps) -> Panoptic:
    """Panoptic quality (arXiv 1801.00868; for nuclei arXiv 1812.06499); a hit has an IoU above 0.5, so it is unique."""
    matched = found.iou[found.iou > 0.5]
    return Panoptic(len(matched), len(found.predicted), len(found.true), float(matched.sum()))


def average_precision(found: Overlaps) -> float:
    """The metric of DSB2018: hits / (hits + wrong + missed), mean over the IoU thresholds 0.50:0.05:0.95."""
    if found.trivial is not None:
        return found.trivial
    total = len(found.predicted) + len(found.true)
    hits = np.array([(found.iou > threshold).sum() for threshold in THRESHOLDS])
    return float((hits / (total - hits)).mean())


def label_metrics(predicted: LabelImage, true: LabelImage) -> dict[str, float]:
    """All metrics of one image: aji, aji_plus, pq, sq, dq (the F1 score at IoU 0.5) and dsb_ap."""
    found = overlaps(predicted, true)
    quality = panoptic(found)
    return {
        "aji": aji(found),
        "aji_plus": aji_plus(found),
        "pq": quality.quality,
        "sq": quality.segmentation,
        "dq": quality.detection,
        "dsb_ap": average_precision(found),
    }


def instance_metrics(
    truths: Mapping[str, Instances],
    detections: Mapping[str, Detections],
    classes: Sequence[str],
    least_score: float = 0.5,
) -> dict[str, float]:
    """Means of `label_metrics` over images with objects, whatever the classes; with several classes also PQ by class.

    Detections below `least_score` are left out. Images without a true object are counted apart: "empty_images" is how
    many there are, "empty_correct" the share of them in which nothing is found; absent where there is none, as the
    means are where there is no other. "pq_<class>" counts all images together, as arXiv 1801.00868 does, and
    "mpq" is its mean over the classes that have a true object. ValueError where images differ or there is none.
    """
    if truths.keys() != detections.keys() or not truths:
        raise ValueError(f"there are truths of {len(truths)} images and detections of {len(detections)}, not the same")
    rows: list[dict[str, float]] = []
    correct: list[bool] = []  # for each image without a true object
    of_class: dict[int, Panoptic] = {}
    for name in sorted(truths):
        truth, void = truths[name], void_of(truths[name])
        own = detections[name].select(detections[name].scores >= least_score)
        found, objects = without_void(label_image(own), void), object_map(truth)
        if objects.any():
            rows.append(label_metrics(found, objects))
        else:
            correct.append(not found.any())
        for one in range(1, len(classes)) if len(classes) > 2 else ():
            predicted = label_image(own.select(own.classes == one))
            true = object_map(truth.select(truth.classes == one))
            counted = panoptic(overlaps(without_void(predicted, void), true))
            of_class[one] = of_class.get(one, Panoptic(0, 0, 0, 0.0)) + counted
    metrics = {key: float(np.mean([row[key] for row in rows])) for key in (rows[0] if rows else ())}
    if correct:
        metrics |= {"empty_images": float(len(correct)), "empty_correct": float(np.mean(correct))}
    qualities = {f"pq_{classes[one]}": found.quality for one, found in of_class.items() if found.true}
    if qualities:
        metrics |= {**qualities, "mpq": float(np.mean(list(qualities.values())))}
    return metrics


def label_image(detections: Detections, kept: float = 0.5) -> ObjectIds:  # [H, W]
    """Detections without overlap, numbered from 1: a pixel belongs to the most certain one (in a tie the first).

    One that keeps less than the share `kept` of its pixels is left out, as in the merging of arXiv 1801.00868.
    """
    painted = np.zeros(detections.size, dtype=np.int32)
    for place in np.argsort(-detections.scores, kind="stable").tolist():
        columns, rows = np.divmod(rle.positions(detections.codes()[place]), detections.size[0])
        free = painted[rows, columns] == 0
        if free.any() and free.mean() >= kept:
            painted[rows[free], columns[free]] = place + 1
    return painted


def objects_of_classes(foreground: PixelSet, least: int) -> ObjectIds:  # [H, W] -> [H, W]
    """The objects of a semantic model: 8-connected components of at least `least` pixels of its class map."""
    found: ObjectIds = label(foreground, connectivity=2).astype(np.int32)
    kept = np.bincount(found.ravel()) >= least
    return np.where(kept[found], found, np.int32(0))


def without_void(predicted: ObjectIds, void: PixelSet) -> ObjectIds:  # [H, W]
    """The label image without void pixels, and without objects that have more than half of their pixels there."""
    if not void.any():
        return predicted
    areas = np.bincount(predicted.ravel())
    inside = np.bincount(predicted[void], minlength=len(areas))
    return np.where(void | (2 * inside > areas)[predicted], np.int32(0), predicted)
