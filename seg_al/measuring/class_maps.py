"""Measures class maps on a set of images: Dice, IoU, pixel accuracy, calibration and, on request, whole objects.

Pixels whose target is IGNORE are not counted; an image without other pixels is left out, with a warning in the log.
Memory does not grow with the number of pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.core import IGNORE, ByteImage, Metric, PixelSet
from seg_al.measuring.glas_objects import object_dice, object_f1, object_hausdorff
from seg_al.measuring.objects import EMPTY_METRICS, objects_of_classes, without_void

_log = logging.getLogger(__name__)

LEAST_OBJECT = 30
"""In pixels; 99 % of the glands annotated in GlaS are larger, even at a quarter of the full scale."""
IMAGE_MEANS = ("dice", "iou", "object_f1", "object_dice", "object_hausdorff")
_BINS = 15
CLASS_MAP_METRICS = (
    Metric("dice", lowest=0, highest=1, judges=True, area=True, column="dice", of_class="dice"),
    Metric("iou", lowest=0, highest=1, of_class="iou"),
    Metric("dataset_dice", lowest=0, highest=1, of_class="dice"),
    Metric("miou", lowest=0, highest=1, judges=True, area=True, column="mIoU", of_class="iou"),
    Metric("pixel_accuracy", lowest=0, highest=1),
    Metric("ece", better="lower", lowest=0, highest=1),
    Metric("object_f1", lowest=0, highest=1),
    Metric("object_dice", lowest=0, highest=1),
    Metric("object_hausdorff", better="lower", lowest=0, unit="pixels"),
    *EMPTY_METRICS,
)
"""What `Evaluation` measures."""

Confusion = npt.NDArray[np.int64]
ObjectImage = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


class Evaluation:
    """Adds up images one at a time and computes the metrics over all of them, which `result` defines.

    Foreground is every class but the background. With `objects`, connected components of the predicted foreground
    are compared with true objects, which needs exactly one foreground class. Objects below `least_object` pixels, of
    the image as it is measured, count on neither side: predicted ones are left out, true ones are neither to be found
    nor mistakes to find. The GlaS challenge has no such least size (its participants cleaned their results themselves,
    arXiv 1603.00275); 0 measures as it does. A class map cannot part objects that touch: the true map of GlaS has an
    object F1 of 1 at full scale, but, its glands moving together, 0.995 at a half and 0.975 at a quarter of it.
    """

    def __init__(
        self, classes: Sequence[str], background: int | None, objects: bool, least_object: int = LEAST_OBJECT
    ) -> None:
        if len(classes) < 2:
            raise ValueError(f"An evaluation needs at least two classes, with the background; it got {classes}.")
        self._classes = tuple(classes)
        self._foreground = [position for position in range(len(classes)) if position != background]
        if objects and len(self._foreground) != 1:
            raise ValueError(
                f"Object metrics need exactly one foreground class, and the classes {self._classes} with background "
                f"{background} have {len(self._foreground)}; switch the object metrics off for this dataset."
            )
        self._objects = objects
        self._least_object = least_object
        self._confusion: Confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        self._calibration: Floats = np.zeros((3, _BINS + 1))
        self._rows: list[dict[str, float | str]] = []
        self._empty: list[bool] = []
        """For each row, whether its target has no foreground."""

    def add(self, name: str, probabilities: Tensor, target: ByteImage, objects: ObjectImage | None) -> None:
        """Adds one image: probabilities [C, H, W], class ids [H, W] and, for object metrics, object ids [H, W].

        Raises ValueError, naming the image, for shapes that differ, for class ids that do not exist, and for
        probabilities that are NaN or outside 0..1; nothing is added then.
        """
        self._check(name, probabilities, target, objects)
        known = target != IGNORE
        if not known.any():
            _log.warning("Image %s has no labelled pixel and is left out of the evaluation.", name)
            return
        top, winner = probabilities.detach().max(dim=0)
        confidence = top.to(device="cpu", dtype=torch.float32)
        predicted: npt.NDArray[np.int64] = winner.cpu().numpy()
        confusion = _confusion(predicted[known], target[known], len(self._classes))
        iou, dice = overlap_scores(confusion)
        row: dict[str, float | str] = {
            "image": name,
            "dice": mean_of_present(dice[self._foreground]),
            "iou": mean_of_present(iou[self._foreground]),
            "pixel_accuracy": _share_correct(confusion),
        }
        if objects is not None and self._objects:
            found, true = _worth_counting(predicted == self._foreground[0], objects, self._least_object)
            row |= _object_scores(np.where(known, found, 0), np.where(known, true, 0))
        self._empty.append(not confusion[self._foreground].any())
        self._confusion += confusion
        self._calibration += _calibration(confidence[torch.from_numpy(known)], (predicted == target)[known])
        self._rows.append(row)

    def result(self) -> dict[str, float]:
        """The metrics over all images.

        Means over the images whose target has foreground: "dice" and "iou" (of an image: the mean over the foreground
        classes in its target or its prediction) and, with objects, "object_f1", "object_dice" and "object_hausdorff"
        (pixels; object_metrics.py). Images without foreground are counted apart: "empty_images" is how many there are,
        "empty_correct" the share of them in which nothing is predicted; both are absent where there is none, and the
        means where there is no other. Dice of such an image is 1 or 0 by convention alone, so that a network that finds
        nothing would score their share: Metrics Reloaded (arXiv 2206.01653) calls that a pitfall of overlap metrics and
        has such images counted by themselves; nnU-Net (doi 10.1038/s41592-020-01008-z) leaves an image out where
        neither has the class, but counts 0 where something is predicted, which here lowers "empty_correct" instead.

        Over the pooled pixels of all images: "dataset_dice" (mean over foreground classes), "miou" (over all classes),
        "iou_<class>", "dice_<class>" (absent for a class that is in no target and no prediction, which the means leave
        out too), "pixel_accuracy", and "ece", the expected calibration error of arXiv 1706.04599 in 15 bins, where as
        in torchmetrics a bin holds its lower edge and a probability of exactly 1 has a bin of its own. Raises
        ValueError where no image was added.
        """
        if not self._rows:
            raise ValueError("There is nothing to evaluate: no image with a labelled pixel was added; check the split.")
        empty = [row for row, without in zip(self._rows, self._empty, strict=True) if without]
        full = [row for row, without in zip(self._rows, self._empty, strict=True) if not without]
        kept = [key for key in IMAGE_MEANS if full and key in full[0]]
        means = {key: float(np.mean([float(row[key]) for row in full])) for key in kept}
        if empty:
            correct = float(np.mean([row["dice"] == 1 for row in empty]))
            means |= {"empty_images": float(len(empty)), "empty_correct": correct}
        iou, dice = overlap_scores(self._confusion)
        count, confidence, correct = self._calibration
        metrics = means | {
            "dataset_dice": mean_of_present(dice[self._foreground]),
            "miou": mean_of_present(iou),
            "pixel_accuracy": _share_correct(self._confusion),
            "ece": float(np.abs(correct - confidence).sum() / count.sum()),
        }
        for position in np.flatnonzero(~np.isnan(iou)).tolist():
            metrics[f"iou_{self._classes[position]}"] = float(iou[position])
            metrics[f"dice_{self._classes[position]}"] = float(dice[position])
        return metrics

    def per_image(self) -> list[dict[str, float | str]]:
        """One row per image in the order of adding: image, dice, iou, pixel_accuracy and any object metrics.

        An image without foreground has Dice and IoU of 1 where nothing is predicted and of 0 where something is.
        """
        return [dict(row) for row in self._rows]

    def _check(self, name: str, probabilities: Tensor, target: ByteImage, objects: ObjectImage | None) -> None:
        expected = (len(self._classes), *target.shape)
        if target.ndim != 2 or tuple(probabilities.shape) != expected:
            raise ValueError(
                f"Image {name}: the probabilities have the shape {tuple(probabilities.shape)}, but a target of "
                f"{target.shape} and {len(self._classes)} classes need [C, H, W] = {expected}; "
                "bring the prediction to the size of the target."
            )
        if self._objects and objects is None:
            raise ValueError(
                f"Image {name}: object metrics are asked for, but the dataset has no object ids for it; "
                "switch the object metrics off or give the dataset objects."
            )
        if objects is not None and objects.shape != target.shape:
            raise ValueError(f"Image {name}: object ids of {objects.shape} for a target of {target.shape}.")
        unknown = sorted(set(np.unique(target).tolist()) - {*range(len(self._classes)), IGNORE})
        if unknown:
            raise ValueError(
                f"Image {name}: its target has the class ids {unknown}, and the {len(self._classes)} classes "
                f"have 0..{len(self._classes) - 1}; correct the mask or map these ids to {IGNORE} (ignored)."
            )
        low, high = (float(extreme) for extreme in torch.aminmax(probabilities.detach()))
        if np.isnan(low) or np.isnan(high):
            raise ValueError(f"Image {name}: the prediction has NaN probabilities; the training has diverged.")
        if low < 0 or high > 1 + 1e-5:
            raise ValueError(
                f"Image {name}: probabilities must lie in 0..1 and run from {low:g} to {high:g}; "
                "logits need a softmax over the class axis first."
            )


def _confusion(predicted: npt.NDArray[np.int64], target: ByteImage, classes: int) -> Confusion:
    """Pixels [C, C] by true class (row) and predicted class (column), exact at any count.

    Not torchmetrics' own: where deterministic algorithms are switched on it lays out C x C numbers for every pixel
    (5 seconds and 3 GB for one GlaS image at 19 classes).
    """
    pairs = target.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def overlap_scores(confusion: Confusion) -> tuple[Floats, Floats]:  # [C, C] -> [C], [C]
    """IoU and Dice of every class; NaN for a class that is neither in the target nor in the prediction."""
    both = np.diagonal(confusion)
    areas = confusion.sum(axis=0) + confusion.sum(axis=1)
    present = areas > 0
    nothing: Floats = np.full(len(both), np.nan)
    iou = np.divide(both, areas - both, out=nothing.copy(), where=present)
    dice = np.divide(2 * both, areas, out=nothing.copy(), where=present)
    return iou, dice


def mean_of_present(scores: Floats) -> float:
    """The mean over the classes that occur; 1 where none does, as nothing was to be found and nothing was found."""
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else 1.0


def _share_correct(confusion: Confusion) -> float:
    return float(np.trace(confusion) / confusion.sum())


def _calibration(confidence: Tensor, correct: PixelSet) -> Floats:  # [N], [N] -> [3, 16]
    """For each bin of confidence: the number of pixels, the sum of their confidence, and the number of correct ones."""
    edges = torch.linspace(0, 1, _BINS + 1)
    bins = (torch.bucketize(confidence.clamp(max=1), edges, right=True) - 1).numpy()
    sums = [None, confidence.numpy().astype(np.float64), correct.astype(np.float64)]
    return np.stack([np.bincount(bins, weights=weights, minlength=_BINS + 1) for weights in sums])


def _worth_counting(foreground: PixelSet, true: ObjectImage, least: int) -> tuple[ObjectImage, ObjectImage]:
    """Object ids [H, W] of the predicted foreground's components, and true ones, of at least `least` pixels each.

    A component that lies with more than half of its pixels in smaller true objects is left out with them.
    """
    specks = (true > 0) & (np.bincount(true.ravel()) < least)[true]
    return without_void(objects_of_classes(foreground, least), specks), np.where(specks, np.int32(0), true)


def _object_scores(predicted: ObjectImage, true: ObjectImage) -> dict[str, float | str]:
    return {
        "object_f1": object_f1(predicted, true),
        "object_dice": object_dice(predicted, true),
        "object_hausdorff": object_hausdorff(predicted, true),
    }
