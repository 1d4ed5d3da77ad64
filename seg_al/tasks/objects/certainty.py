"""The certainty of several passes about an object: its class, outline, box and existence.

Every certainty lies in [0, 1] and is never NaN: one that cannot be measured, such as the outline of empty masks,
counts as 0. The formulas are those of maskAL (arXiv 2112.06586) and of activeInstanceSegment, a study of cells; masks
are compared within the window that holds them. Axes: n members of a group, C classes with the background first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import entr
from torch import Tensor

from seg_al.core import Heuristic, Painted
from seg_al.tasks.objects.passes import Floats, Group, Objects

Semantic = Literal["entropy", "top", "margin", "vote_entropy", "vote_margin"]
MaskAgreement = Literal["iou", "variance"]
BoxAreas = Literal["plain", "inclusive"]
Occurrence = Literal["linear", "parabola"]


@runtime_checkable
class ObjectHeuristic(Heuristic[Objects], Protocol):
    """A heuristic that scores objects, and paints each one's score into its pixels."""

    def of_objects(self, objects: Objects) -> Tensor: ...  # [N], float64, higher = more wanted


@dataclass(frozen=True)
class PaintedObjects(Painted):
    """What a heuristic says of one image and of each object in it."""

    scores: Tensor  # [N], float64, higher = more wanted
    objects: Objects


def object_scores(heuristic: Heuristic[Any], objects: Objects, score_map: Tensor) -> Tensor:  # [H, W] -> [N], float64
    """The score of each object by any heuristic.

    One that scores objects is asked for them; else it is the mean of the map that it painted over all pixels of the
    object's consensus, those that a smaller object covers included. An object without a pixel has 0.
    """
    if isinstance(heuristic, ObjectHeuristic):
        return heuristic.of_objects(objects)
    values = score_map.detach().cpu().numpy()
    means = [_mean_within(values, group) for group in objects.groups]
    return torch.tensor(means, dtype=torch.float64)


def semantic_certainty(group: Group, passes: int, kind: Semantic, background: bool) -> float:
    """Certainty of the class, by the members' softmax or by their votes.

    "entropy": mean over the members of 1 - H[p] / ln C (maskAL); "top": the largest mean probability (the study of
    cells); "margin": the largest less the second largest mean probability; "vote_entropy" and "vote_margin": the same
    of the shares of the members' classes. With `background` it is one of the classes, and each of the `passes` that
    did not find the object votes for it; without, each softmax is divided by its foreground. Where that leaves a single
    class, a softmax says its mean probability, as in maskAL, and votes are unanimous.
    """
    if kind in ("vote_entropy", "vote_margin"):
        shares = _vote_shares(group, passes, background)
        return _clipped(_sureness(shares) if kind == "vote_entropy" else _gap(shares))
    if not background and group.probabilities.shape[1] == 2:
        return _clipped(group.probabilities[:, 1].mean())
    shares = group.probabilities if background else _foreground(group.probabilities)
    if kind == "entropy":
        return _clipped(_sureness(shares).mean())
    mean = shares.mean(0)
    return _clipped(mean.max() if kind == "top" else _gap(mean))


def mask_certainty(group: Group, kind: MaskAgreement) -> float:
    """Certainty of the outline.

    "iou": mean IoU of the members' masks with the pixels that at least a quarter of them cover (both predecessors, of
    whom one has NaN where no mask has a pixel). "variance": 1 less the mean of 4 m (1 - m) over the pixels that any
    covers, where m is the share that does (in the code of the study of cells, unused).
    """
    seen = int(np.count_nonzero(group.counts))
    if seen == 0:
        return 0.0
    if kind == "variance":
        share = group.mean_mask
        return _clipped(1 - (4 * share * (1 - share)).sum() / seen)
    agreed = 4 * group.counts.astype(np.int64) >= len(group)
    area, (left, top, _, _) = int(np.count_nonzero(agreed)), group.window
    total = 0.0
    for crop in group.masks:
        if crop.area:  # without a pixel it shares none, and its window may be anywhere
            x0, y0, x1, y1 = crop.window
            both = int(np.count_nonzero(agreed[y0 - top : y1 - top, x0 - left : x1 - left] & crop.mask))
            total += both / (area + crop.area - both)
    return _clipped(total / len(group))


def box_certainty(group: Group, kind: BoxAreas) -> float:
    """Mean IoU of the members' boxes with their mean box.

    "plain": areas are width times height; "inclusive": both sides count one pixel more, as in the predecessors, so that
    small boxes seem to agree better and boxes side by side touch.
    """
    border = 1.0 if kind == "inclusive" else 0.0
    boxes, mean = group.boxes, group.boxes.mean(0)
    sides = np.minimum(boxes[:, 2:], mean[2:]) - np.maximum(boxes[:, :2], mean[:2]) + border
    both = sides.clip(min=0).prod(1)
    either = (boxes[:, 2:] - boxes[:, :2] + border).prod(1) + (mean[2:] - mean[:2] + border).prod() - both
    return _clipped(np.divide(both, either, out=np.zeros(len(group)), where=either > 0).mean())


def occurrence_certainty(members: int, passes: int, kind: Occurrence) -> float:
    """Certainty that the object exists, from p = members / passes, at most 1.

    "linear": p (maskAL). "parabola": 1 - 4 p (1 - p) (the study of cells): 0 where half of the passes see the object
    and 1 where all or hardly any do, so that what is seen once in 20 passes counts as 0.81 certain.
    """
    share = min(1.0, members / passes)
    return share if kind == "linear" else _clipped(1 - 4 * share * (1 - share))


def _vote_shares(group: Group, passes: int, background: bool) -> Floats:  # [C], or [C - 1]
    votes = np.bincount(group.classes, minlength=group.probabilities.shape[1]).astype(np.float64)
    votes[0] = max(0, passes - len(group))
    votes = votes if background else votes[1:]
    return np.asarray(votes / votes.sum())


def _foreground(probabilities: Floats) -> Floats:  # [n, C] -> [n, C - 1]
    """The values divided by their sum; where that is 0, all classes get the same."""
    rest = probabilities[:, 1:]
    total = rest.sum(1, keepdims=True)
    alike = np.full_like(rest, 1 / rest.shape[1])
    return np.asarray(np.divide(rest, total, out=alike, where=total > 0))


def _sureness(shares: Floats) -> npt.NDArray[Any]:  # [..., C] -> [...]
    """1 - H / ln C; 1 for a single class."""
    classes = shares.shape[-1]
    return np.asarray(1 - entr(shares).sum(-1) / (math.log(classes) or 1.0))


def _gap(shares: Floats) -> float:  # [C]
    """The largest value minus the second largest, which is 0 for a single class."""
    first, second = np.sort(np.append(shares, 0.0))[::-1][:2]
    return float(first - second)


def _mean_within(values: npt.NDArray[Any], group: Group) -> float:  # [H, W]
    x0, y0, x1, y1 = group.window
    inside = values[y0:y1, x0:x1][group.consensus]
    return float(inside.mean(dtype=np.float64)) if inside.size else 0.0


def _clipped(value: float | npt.NDArray[Any]) -> float:
    return min(1.0, max(0.0, float(value)))
