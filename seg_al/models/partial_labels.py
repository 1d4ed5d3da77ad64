"""Trains region networks on partly labelled images: unknown pixels are not background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import box_iou, roi_align

Target = dict[str, Tensor]
"""boxes [N, 4] as x0, y0, x1, y1, labels [N] from 1, masks [N, H, W] bytes, unknown [H, W] bool."""


@dataclass(frozen=True)
class BoxSampling:
    """Which boxes of an image are learnt from, by their best overlap (IoU) with a labelled object."""

    foreground: float
    """Overlap from which a box is taken for the object."""
    background: float
    """Overlap below which it is background; between the two it is left out."""
    count: int
    """Most boxes per image and step."""
    positive: float
    """Largest share of them that is taken for objects."""

    def __post_init__(self) -> None:
        if not 0 < self.background <= self.foreground <= 1:
            raise ValueError(
                f"model.learning: background={self.background:g} and foreground={self.foreground:g} are overlaps "
                "(IoU); choose 0 < background <= foreground <= 1"
            )
        if self.count < 1 or not 0 < self.positive <= 1 or int(self.count * self.positive) < 1:
            raise ValueError(
                f"model.learning: count={self.count} boxes with a share positive={self.positive:g} of objects leave "
                "no place for an object; raise either, positive to 1 at most"
            )


@dataclass(frozen=True)
class Learning:
    """How regions are learnt from labels that may be partial."""

    anchors: BoxSampling
    """For the proposals."""
    regions: BoxSampling
    """For the heads, among the proposals."""
    unknown: float
    """Share of a box in unknown pixels above which it does not count as background."""
    masks: Literal["whole", "known"]
    """Whether all pixels of an object's box teach its mask, as people outline whole objects, or known ones."""

    def __post_init__(self) -> None:
        if not 0 <= self.unknown <= 1:
            raise ValueError(f"model.learning.unknown={self.unknown:g} is a share of a box's pixels; choose 0 to 1")


def check_targets(targets: Sequence[Target], training: bool) -> None:
    """Raises ValueError for a model that is not in training mode, and for a box without width or height."""
    if not training:
        raise ValueError("Mask R-CNN gives losses in training mode only; call train() first")
    for place, target in enumerate(targets):
        boxes = target["boxes"]
        if bool((boxes[:, 2:] <= boxes[:, :2]).any()):
            raise ValueError(f"a target box of image {place} of the batch has no width or height: leave it out")


def share_unknown(boxes: Tensor, unknown: Tensor) -> Tensor:  # [N, 4], [H, W] -> [N]
    """The share of each box's pixels that is unknown; a box beyond the edge has the pixels of the edge next to it."""
    height, width = unknown.shape
    sums = functional.pad(unknown.long().cumsum(0).cumsum(1), (1, 0, 1, 0))
    x0, y0 = boxes[:, 0].floor().long().clamp(0, width - 1), boxes[:, 1].floor().long().clamp(0, height - 1)
    x1, y1 = boxes[:, 2].ceil().long().clamp(max=width), boxes[:, 3].ceil().long().clamp(max=height)
    x1, y1 = torch.maximum(x1, x0 + 1), torch.maximum(y1, y0 + 1)
    inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return inside / ((x1 - x0) * (y1 - y0))


class ProposalHead(RPNHead):  # type: ignore[misc]  # torchvision has no types
    """Gives full precision: torchvision computes boxes in the precision of their offsets, which autocast may halve."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        objectness, offsets = super().forward(x)
        return [one.float() for one in objectness], [one.float() for one in offsets]


@dataclass(frozen=True)
class Proposals:
    """How many regions are proposed, and from which anchors; see torchvision's RegionProposalNetwork."""

    sizes: tuple[int, ...]
    """Side in pixels of the square anchors of each of the five levels, strides 4 to 64."""
    ratios: tuple[float, ...]
    """Heights over widths of the anchors at each point."""
    before: int
    """Most of a level that compete (non-maximum suppression) where passes are drawn and tests run."""
    after: int
    """Most of an image that are left then."""
    before_training: int
    """The same in training."""
    after_training: int
    """The same in training."""
    nms: float
    """Overlap (IoU) above which the weaker of two proposals is left out."""

    def __post_init__(self) -> None:
        if len(self.sizes) != 5 or not all(size > 0 for size in self.sizes):
            raise ValueError(f"model.proposals.sizes={list(self.sizes)}: give five sides in pixels, one per level")
        if not self.ratios or not all(ratio > 0 for ratio in self.ratios):
            raise ValueError(f"model.proposals.ratios={list(self.ratios)}: give heights over widths, such as [0.5,1,2]")
        for name in ("before", "after", "before_training", "after_training"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.proposals.{name}={getattr(self, name)}: choose at least 1")
        if not 0 < self.nms <= 1:
            raise ValueError(f"model.proposals.nms={self.nms:g} is an overlap (IoU); choose a number in (0, 1]")


class KnownProposals(RegionProposalNetwork):  # type: ignore[misc]  # torchvision has no types
    """Proposes regions (arXiv 1506.01497), and learns no background from unknown pixels."""

    def __init__(self, channels: int, proposals: Proposals, sampling: BoxSampling, unknown: float) -> None:
        super().__init__(
            AnchorGenerator(tuple((size,) for size in proposals.sizes), (tuple(proposals.ratios),) * 5),
            ProposalHead(channels, len(proposals.ratios)),
            sampling.foreground,
            sampling.background,
            sampling.count,
            sampling.positive,
            {"training": proposals.before_training, "testing": proposals.before},
            {"training": proposals.after_training, "testing": proposals.after},
            proposals.nms,
        )
        self.unknown = unknown

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As torchvision; negative anchors in the unknown are left out (-1)."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for own, label, target in zip(anchors, labels, targets, strict=True):
            label[(label == 0) & (share_unknown(own, target["unknown"]) > self.unknown)] = -1
        return labels, boxes

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """As torchvision, whose means are NaN where there is nothing to learn from; then it is 0."""
        if all(bool((one < 0).all()) for one in labels):
            return 0 * objectness.sum(), 0 * pred_bbox_deltas.sum()
        losses: tuple[Tensor, Tensor] = super().compute_loss(objectness, pred_bbox_deltas, labels, regression_targets)
        return losses


def known_regions(proposals: Sequence[Tensor], targets: Sequence[Target], learning: Learning) -> list[Tensor]:
    """The proposals [R, 4] of each image without those that would count as background, but lie in the unknown."""
    known = []
    for boxes, target in zip(proposals, targets, strict=True):
        keep = share_unknown(boxes, target["unknown"]) <= learning.unknown
        if len(target["boxes"]) and len(boxes):
            best = box_iou(target["boxes"].to(boxes.dtype), boxes).max(0).values
            keep |= best >= learning.regions.background
        known.append(boxes[keep])
    return known


def mask_loss(
    logits: Tensor,
    boxes: Sequence[Tensor],
    targets: Sequence[Target],
    matched: Sequence[Tensor],
    masks: Literal["whole", "known"],
) -> Tensor:
    """The binary cross-entropy [] of mask logits [N, C, m, m] for boxes matched to labelled objects; 0 without any.

    A mask's points are the centres of the cells of its box (ROIAlign as in detectron2), where masks are read again when
    they are placed. torchvision's loss is off by half a pixel, which costs a disc of 10 pixels a sixth of its overlap.
    "known" leaves out the points that are unknown.
    """
    if not len(logits):
        return 0 * logits.sum()
    side = logits.shape[-1]
    chosen, known = [], []
    for target, box, place in zip(targets, boxes, matched, strict=True):
        chosen.append(_cells(target["masks"], place, box, side))
        unknown = target["unknown"] & (masks == "known")
        known.append(_cells(unknown[None], torch.zeros_like(place), box, side) < 0.5)
    classes = torch.cat([target["labels"][place] for target, place in zip(targets, matched, strict=True)])
    own = logits[torch.arange(len(classes), device=classes.device), classes]
    each = functional.binary_cross_entropy_with_logits(own, torch.cat(chosen), reduction="none")
    weight = torch.cat(known).to(each.dtype)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def _cells(maps: Tensor, places: Tensor, boxes: Tensor, side: int) -> Tensor:  # -> [N, side, side]
    """What the cells of boxes [N, 4] hold of maps [n, H, W], each of the one at its place [N]."""
    rois = torch.cat([places[:, None].to(boxes), boxes], 1)
    cells: Tensor = roi_align(maps[:, None].to(boxes), rois, (side, side), aligned=True)
    return cells[:, 0]
