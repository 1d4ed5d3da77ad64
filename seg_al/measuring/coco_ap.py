"""Average precision of COCO (arXiv 1405.0312) for boxes and masks, computed by pycocotools behind one function."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from seg_al.core import Metric, PixelSet
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Boxes, Detections, Instances

log = logging.getLogger(__name__)

IouType = Literal["bbox", "segm"]
MOST = 100
"""The number of most certain detections of an image that COCO counts."""
PARTS = ("all", "small", "medium", "large")
"""Ranges of the area in pixels, at the measured size: below 32², 32² to 96², above."""


def precision_metric(name: str, judges: bool = False, of_class: str = "") -> Metric:
    return Metric(name, lowest=0, highest=1, judges=judges, of_class=of_class, bound=PERFECT.name)


BEST_AP = "what a perfect prediction gets: images hold more objects than task.most detections; raise it to count all"
PERFECT = Metric("perfect_ap", lowest=0, highest=1, meaning=BEST_AP)
COCO_METRICS = (
    replace(precision_metric("ap", judges=True, of_class="ap"), area=True, column="AP"),
    precision_metric("ap50", judges=True),
    precision_metric("bbox_ap", judges=True, of_class="bbox_ap"),
    *(precision_metric(name) for name in ("ap75", "bbox_ap50", "bbox_ap75")),
    *(precision_metric(f"{kind}_{part}") for kind in ("ap", "bbox_ap") for part in PARTS[1:]),
    *(Metric(name, lowest=0, highest=1) for name in ("ar", "bbox_ar")),
    PERFECT,
)
"""What `coco_metrics` measures, with masks under plain names, and `perfect_ap`."""


def coco_metrics(
    truths: Mapping[str, Instances], detections: Mapping[str, Detections], classes: Sequence[str], most: int = MOST
) -> dict[str, float]:
    """AP, in 0..1, of the images in `truths`; `classes` are the names of the ids, with the background first.

    "bbox_ap" (mean over IoU 0.50:0.05:0.95 and classes), "bbox_ap50", "bbox_ap75", "bbox_ap_small" / "_medium" /
    "_large", "bbox_ar" (mean recall) and "bbox_ap_<class>"; the same for "segm", unless detections have boxes only.
    A class or a size without a true object has no number and is left out of all means; the log names such classes. An
    image counts its `most` most certain detections: above 100 for fields of cells with more objects than that.
    Crowds need not be found, and a detection in a crowd is no mistake. Areas are those of the masks, where COCO's own
    files give those of the polygons. Without any detection the AP is 0. ValueError where there is no object to find,
    or where images are missing.
    """
    _check(truths, detections, classes)
    present = sorted({int(one) for truth in truths.values() for one in truth.classes[~truth.crowd]})
    if not present:
        raise ValueError(f"none of the {len(truths)} images has an object, so AP means nothing; check the split")
    without = [name for place, name in enumerate(classes) if place > 0 and place not in present]
    if without:
        log.info("AP leaves out the classes without a true object: %s", ", ".join(without))
    kinds: tuple[IouType, ...] = (
        ("bbox",) if any(one.masks is None for one in detections.values()) else ("bbox", "segm")
    )
    metrics: dict[str, float] = {}
    for kind in kinds:
        found = _evaluated(truths, detections, present, kind, most)
        metrics |= {f"{kind}_{key}": value for key, value in _summary(found, present, classes).items()}
    return metrics


def perfect_ap(truths: Mapping[str, Instances], most: int = MOST) -> float | None:
    """The AP of a perfect prediction of which only `most` detections count; None where all count.

    It finds the share r of a class's objects that are left, with a precision of 1 up to there and of 0 beyond: the
    share of COCO's 101 levels of recall that are at most r. COCO cuts each class of an image for itself. Equal to
    `coco_metrics` of the truth itself.
    """
    kept: dict[int, int] = {}
    every: dict[int, int] = {}
    for truth in truths.values():
        for one, count in zip(*np.unique(truth.classes[~truth.crowd], return_counts=True), strict=True):
            every[one] = every.get(one, 0) + int(count)
            kept[one] = kept.get(one, 0) + min(int(count), most)
    if kept == every:
        return None
    levels = np.linspace(0, 1, 101)
    return float(np.mean([(levels <= kept[one] / every[one]).mean() for one in every]))


class SparseEval(COCOeval):  # type: ignore[misc]
    """pycocotools' evaluation with the same result, but fast for images with hundreds of objects.

    Its loop compares every detection with every object at ten thresholds and four ranges of area; pairs below the
    lowest threshold never match, so they are passed over here.
    """

    def evaluateImg(self, imgId: int, catId: int, aRng: list[float], maxDet: int) -> dict[str, Any] | None:
        """The matches of one image, class and range of area, as COCOeval.accumulate reads them."""
        true, found = self._gts[imgId, catId], self._dts[imgId, catId]
        if not true and not found:
            return None
        ignored = np.array([bool(one["ignore"]) or not aRng[0] <= one["area"] <= aRng[1] for one in true], dtype=bool)
        order = np.argsort(ignored, kind="stable")  # true objects that count come first
        crowd = np.array([bool(one["iscrowd"]) for one in true], dtype=bool)[order]
        ignored = ignored[order]
        ranked = np.argsort([-one["score"] for one in found], kind="stable")[:maxDet].tolist()
        iou = np.asarray(self.ious[imgId, catId]).reshape(len(ranked), len(true))[:, order]
        partner = _matched(iou, self.params.iouThrs, ignored, crowd)
        outside = np.array([not aRng[0] <= found[one]["area"] <= aRng[1] for one in ranked], dtype=bool)
        matched = partner >= 0
        lost = np.append(ignored, False)[partner]  # -1: none
        return {
            "dtMatches": matched.astype(np.float64),
            "dtScores": [found[one]["score"] for one in ranked],
            "gtIgnore": ignored.astype(np.int64),
            "dtIgnore": lost | (~matched & outside),
        }


def _matched(
    iou: npt.NDArray[np.float64], thresholds: npt.NDArray[np.float64], ignored: PixelSet, crowd: PixelSet
) -> npt.NDArray[np.int64]:  # [D, G], [T], [G], [G] -> [T, D]
    """The object of each detection, -1: none. Each in turn takes the best free object; a crowd is always free."""
    partner = np.full((len(thresholds), len(iou)), -1)
    near = iou >= thresholds.min()
    for place, threshold in enumerate(np.minimum(thresholds, 1 - 1e-10).tolist()):
        taken = np.zeros(iou.shape[1], dtype=bool)
        for detection in np.flatnonzero(near.any(axis=1)).tolist():
            best, match = threshold, -1
            for one in np.flatnonzero(near[detection]).tolist():
                if taken[one] and not crowd[one]:
                    continue
                if match >= 0 and not ignored[match] and ignored[one]:
                    break
                if iou[detection, one] >= best:
                    best, match = iou[detection, one], one
            if match >= 0:
                partner[place, detection] = match
                taken[match] = True
    return partner


def _check(truths: Mapping[str, Instances], detections: Mapping[str, Detections], classes: Sequence[str]) -> None:
    if truths.keys() != detections.keys():
        lone = sorted(truths.keys() ^ detections.keys())
        raise ValueError(
            f"{len(lone)} images are not both among the truths and the detections, such as {lone[0]}; an image in "
            "which nothing is found has detections of length 0"
        )
    for name, truth in truths.items():
        own = detections[name]
        if own.size != truth.size:
            raise ValueError(f"image {name}: detections at {own.size} pixels for truths at {truth.size}; resize them")
        if not np.isfinite(own.scores).all() or not np.isfinite(own.boxes).all():
            raise ValueError(f"image {name}: a detection has a score or a box that is NaN or infinite")
        every = np.concatenate([truth.classes, own.classes])
        if len(every) and not (every.min() >= 1 and every.max() < len(classes)):
            raise ValueError(
                f"image {name}: class ids from {every.min()} to {every.max()}, not 1 to {len(classes) - 1}"
            )


def _evaluated(
    truths: Mapping[str, Instances], detections: Mapping[str, Detections], present: list[int], kind: IouType, most: int
) -> dict[str, Any]:
    """pycocotools' precision [T, R, K, A, M] and recall [T, K, A, M]; its prints are not shown."""
    names = sorted(truths)
    true = [row for place, name in enumerate(names) for row in _rows(truths[name], place, kind)]
    found = [row for place, name in enumerate(names) for row in _rows(detections[name], place, kind)]
    sizes = [truths[name].size for name in names]
    with redirect_stdout(StringIO()):
        evaluation = SparseEval(_coco(sizes, present, true), _coco(sizes, present, found), kind)
        evaluation.params.imgIds = list(range(len(names)))
        evaluation.params.catIds = present
        evaluation.params.maxDets = [most]
        evaluation.evaluate()
        evaluation.accumulate()
    result: dict[str, Any] = evaluation.eval
    return result


def _coco(sizes: Sequence[rle.Size], present: list[int], rows: list[dict[str, Any]]) -> Any:
    """Ids count from 1, because pycocotools takes an id of 0 for "not matched"."""
    coco = COCO()
    coco.dataset = {
        "images": [{"id": place, "height": height, "width": width} for place, (height, width) in enumerate(sizes)],
        "categories": [{"id": one} for one in present],
        "annotations": [{**row, "id": number} for number, row in enumerate(rows, start=1)],
    }
    coco.createIndex()
    return coco


def _rows(objects: Instances | Detections, image: int, kind: IouType) -> list[dict[str, Any]]:
    """One record per object."""
    boxes = _wide(objects.boxes)
    areas: npt.NDArray[Any] = boxes[:, 2] * boxes[:, 3]
    codes: Sequence[dict[str, Any]] | None = None
    if isinstance(objects, Instances):
        scores, crowd = np.ones(len(objects)), objects.crowd
        areas = objects.areas
    else:
        scores, crowd = objects.scores, np.zeros(len(objects), dtype=np.bool_)
    if kind == "segm":
        masks = objects.masks if isinstance(objects, Instances) else objects.codes()
        codes, areas = rle.pycocotools_masks(masks, objects.size), rle.mask_areas(masks, objects.size)
    return [
        {
            "image_id": image,
            "category_id": int(objects.classes[place]),
            "bbox": boxes[place].tolist(),
            "area": float(areas[place]),
            "score": float(scores[place]),
            "iscrowd": int(crowd[place]),
            **({} if codes is None else {"segmentation": codes[place]}),
        }
        for place in range(len(objects))
    ]


def _wide(boxes: Boxes) -> npt.NDArray[np.float64]:  # [N, 4], x, y, width, height
    wide = boxes.astype(np.float64)
    wide[:, 2:] -= wide[:, :2]
    return wide


def _summary(found: Mapping[str, Any], present: list[int], classes: Sequence[str]) -> dict[str, float]:
    """The means over classes and sizes with a true object; pycocotools marks the others with -1."""
    precision, recall = found["precision"][..., -1], found["recall"][..., -1]  # [T, R, K, A], [T, K, A]
    metrics = {
        "ap": precision[:, :, :, 0],
        "ap50": precision[0, :, :, 0],
        "ap75": precision[5, :, :, 0],
        **{f"ap_{part}": precision[:, :, :, place] for place, part in enumerate(PARTS) if place > 0},
        "ar": recall[:, :, 0],
        **{f"ap_{classes[one]}": precision[:, :, place, 0] for place, one in enumerate(present)},
    }
    return {key: float(values[values > -1].mean()) for key, values in metrics.items() if (values > -1).any()}
