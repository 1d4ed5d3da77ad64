"""What is measured on a set of images: Dice, IoU, pixel accuracy, calibration and, where asked, whole objects.

Pixels whose target is IGNORE count nowhere; an image that has no other pixel is left out, with a warning in the log.
Nothing that is kept grows with the number of pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from skimage.measure import label
from torch import Tensor

from seg_al.core import IGNORE, BoolMask, ByteImage
from seg_al.object_metrics import object_dice, object_f1, object_hausdorff

_log = logging.getLogger(__name__)

MIN_OBJECT = 30
"""Pixels; 99 % of the glands annotated in GlaS are larger even at a quarter of the full scale."""
_BINS = 15

Confusion = npt.NDArray[np.int64]
ObjectImage = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


class Evaluation:
    """Adds up images one at a time and gives the metrics over all of them; `result` names and defines them.

    Foreground is every class but the background. With `objects`, connected components of the predicted foreground
    are compared with true objects, which needs exactly one foreground class.
    """

    def __init__(
        self, classes: Sequence[str], background: int | None, objects: bool, min_object: int = MIN_OBJECT
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
        self._min_object = min_object
        self._confusion: Confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        self._calibration: Floats = np.zeros((3, _BINS + 1))
        self._rows: list[dict[str, float | str]] = []

    def add(self, name: str, probabilities: Tensor, target: ByteImage, objects: ObjectImage | None) -> None:
        """Takes one image: probabilities [C, H, W], class ids [H, W] and, for object metrics, object ids [H, W].

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
        iou, dice = _overlap_scores(confusion)
        row: dict[str, float | str] = {
            "image": name,
            "dice": _mean_of_present(dice[self._foreground]),
            "iou": _mean_of_present(iou[self._foreground]),
            "pixel_accuracy": _share_correct(confusion),
        }
        if objects is not None and self._objects:
            found = _components(predicted == self._foreground[0], self._min_object)
            row |= _object_scores(np.where(known, found, 0), np.where(known, objects, 0))
        self._confusion += confusion
        self._calibration += _calibration(confidence[torch.from_numpy(known)], (predicted == target)[known])
        self._rows.append(row)

    def result(self) -> dict[str, float]:
        """The metrics over all images.

        Means over images: "dice" and "iou" (of an image: the mean over the foreground classes in its target or its
        prediction, 1 where there is none: nothing to find and nothing found), and with objects "object_f1",
        "object_dice" and "object_hausdorff" (pixels; object_metrics.py). Over the pooled pixels: "dataset_dice"
        (mean over foreground classes), "miou" (over all classes), "iou_<class>", "dice_<class>" (absent for a class
        that is in no target and no prediction, which the means leave out too), "pixel_accuracy", and "ece", the
        expected calibration error of arXiv 1706.04599 in 15 bins, where as in torchmetrics a bin holds its lower
        edge and a probability of exactly 1 has a bin of its own. Raises ValueError where no image was added.
        """
        if not self._rows:
            raise ValueError("There is nothing to evaluate: no image with a labelled pixel was added; check the split.")
        means = {
            key: float(np.mean([float(row[key]) for row in self._rows]))
            for key in self._rows[0]
            if key not in ("image", "pixel_accuracy")
        }
        iou, dice = _overlap_scores(self._confusion)
        count, confidence, correct = self._calibration
        metrics = means | {
            "dataset_dice": _mean_of_present(dice[self._foreground]),
            "miou": _mean_of_present(iou),
            "pixel_accuracy": _share_correct(self._confusion),
            "ece": float(np.abs(correct - confidence).sum() / count.sum()),
        }
        for position in np.flatnonzero(~np.isnan(iou)).tolist():
            metrics[f"iou_{self._classes[position]}"] = float(iou[position])
            metrics[f"dice_{self._classes[position]}"] = float(dice[position])
        return metrics

    def per_image(self) -> list[dict[str, float | str]]:
        """One row per image in the order of adding: image, dice, iou, pixel_accuracy and any object metrics."""
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


def _overlap_scores(confusion: Confusion) -> tuple[Floats, Floats]:  # [C, C] -> [C], [C]
    """IoU and Dice of every class; NaN for a class that is neither in the target nor in the prediction."""
    both = np.diagonal(confusion)
    areas = confusion.sum(axis=0) + confusion.sum(axis=1)
    present = areas > 0
    nothing: Floats = np.full(len(both), np.nan)
    iou = np.divide(both, areas - both, out=nothing.copy(), where=present)
    dice = np.divide(2 * both, areas, out=nothing.copy(), where=present)
    return iou, dice


def _mean_of_present(scores: Floats) -> float:
    """The mean over the classes that occur; 1 where none does: nothing to find and nothing found."""
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else 1.0


def _share_correct(confusion: Confusion) -> float:
    return float(np.trace(confusion) / confusion.sum())


def _calibration(confidence: Tensor, correct: BoolMask) -> Floats:  # [N], [N] -> [3, 16]
    """Per bin of confidence: the pixels, the sum of their confidence, and how many are correct."""
    edges = torch.linspace(0, 1, _BINS + 1)
    bins = (torch.bucketize(confidence.clamp(max=1), edges, right=True) - 1).numpy()
    sums = [None, confidence.numpy().astype(np.float64), correct.astype(np.float64)]
    return np.stack([np.bincount(bins, weights=weights, minlength=_BINS + 1) for weights in sums])


def _components(foreground: BoolMask, min_object: int) -> ObjectImage:  # [H, W] -> [H, W]
    """Object ids of the 8-connected components of at least `min_object` pixels; 0 elsewhere."""
    components: ObjectImage = label(foreground, connectivity=2).astype(np.int32)
    kept = np.bincount(components.ravel()) >= min_object
    return np.where(kept[components], components, np.int32(0))


def _object_scores(predicted: ObjectImage, true: ObjectImage) -> dict[str, float | str]:
    return {
        "object_f1": object_f1(predicted, true),
        "object_dice": object_dice(predicted, true),
        "object_hausdorff": object_hausdorff(predicted, true),
    }
