"""The heads of Mask R-CNN on torchvision's parts: what all passes of an image share, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops import batched_nms, box_iou, clip_boxes_to_image, remove_small_boxes

from seg_al.models.partial_labels import Learning, Target, known_regions, mask_loss
from seg_al.models.region_layers import (
    BoxHead,
    BoxPredictor,
    Dropout,
    MaskHead,
    MaskPredictor,
    RegionPooling,
)
from seg_al.tasks.objects.rle import Size

BOX_POINTS, MASK_POINTS = 7, 14
"""Points along each side of a region that its box and its mask are made from."""
LEAST_BOX_SIDE = 1e-2
"""Pixels below which a box is empty, as in torchvision."""


@dataclass(frozen=True)
class Widths:
    """Channels of the heads."""

    box: int
    """Of both layers of the box head."""
    mask: tuple[int, ...]
    """Of each 3x3 convolution of the mask head; its upsampling has as many as the last."""

    def __post_init__(self) -> None:
        if self.box < 1 or not self.mask or min(self.mask) < 1:
            raise ValueError(
                f"model.heads: box={self.box} and mask={list(self.mask)} are channels; choose at least 1, and one "
                "number per convolution of the mask head"
            )


@dataclass(frozen=True)
class Detecting:
    """Which regions become detections."""

    score: float
    """Probability of its class that a detection has to exceed."""
    nms: float
    """Overlap (IoU) above which the less certain of two detections is left out."""
    class_agnostic: bool
    """Whether detections of different classes compete, so that an object has one."""
    most: int
    """Most detections of an image."""

    def __post_init__(self) -> None:
        if not 0 <= self.score < 1 or not 0 < self.nms <= 1:
            raise ValueError(
                f"model.detecting: score={self.score:g} is a probability in [0, 1) and nms={self.nms:g} an overlap "
                "in (0, 1]"
            )
        if self.most < 1:
            raise ValueError(f"model.detecting.most={self.most}: choose at least 1 detection")


class RegionDetections(NamedTuple):
    """Of one image, the most certain first."""

    boxes: Tensor  # [N, 4]
    classes: Tensor  # [N], from 1
    scores: Tensor  # [N]
    proposals: Tensor  # [N], the row of the proposal


class Still(NamedTuple):
    """What is found in one image with dropout off."""

    logits: Tensor  # [R, C]
    found: RegionDetections
    features: Tensor  # [N, width, 14, 14], of its masks before any dropout


class RegionHeads(RoIHeads):  # type: ignore[misc]  # torchvision has no types
    """torchvision's heads in two parts: what all passes share and what differs, with torchvision's names of weights."""

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: Widths,
        detecting: Detecting,
        learning: Learning,
        dropout: Dropout,
        shared_masks: float | None = None,
    ) -> None:
        regions = learning.regions
        super().__init__(
            box_roi_pool=RegionPooling(BOX_POINTS),
            box_head=BoxHead(channels * BOX_POINTS**2, widths.box, dropout),
            box_predictor=BoxPredictor(widths.box, classes, dropout),
            fg_iou_thresh=regions.foreground,
            bg_iou_thresh=regions.background,
            batch_size_per_image=regions.count,
            positive_fraction=regions.positive,
            bbox_reg_weights=None,
            score_thresh=detecting.score,
            nms_thresh=detecting.nms,
            detections_per_img=detecting.most,
            mask_roi_pool=RegionPooling(MASK_POINTS),
            mask_head=MaskHead(channels, widths.mask, dropout),
            mask_predictor=MaskPredictor(widths.mask[-1], classes, dropout),
        )
        self.class_agnostic = detecting.class_agnostic
        self.learning = learning
        self.dropped = dropout.p > 0 and "box_head" in dropout.sites
        """Whether the box head differs from pass to pass."""
        self.moved = dropout.p > 0 and not {"box_head", "predictor", "deltas"}.isdisjoint(dropout.sites)
        """Whether boxes do."""
        self.shared_masks = shared_masks

    def losses(
        self, levels: dict[str, Tensor], proposals: Sequence[Tensor], padded: Size, targets: list[Target]
    ) -> dict[str, Tensor]:
        """The three losses of the heads by torchvision's names; 0 where there is nothing to learn from."""
        known = known_regions(proposals, targets, self.learning)
        boxes, matched, labels, offsets = self.select_training_samples(known, targets)
        sizes = [padded] * len(boxes)
        logits, deltas = self.box_predictor(self.box_head(self.box_roi_pool(levels, boxes, sizes)))
        if len(logits):
            classifier, regression = fastrcnn_loss(logits, deltas, labels, offsets)
        else:
            classifier, regression = 0 * logits.sum(), 0 * deltas.sum()
        positive = [label > 0 for label in labels]
        boxes = [box[one] for box, one in zip(boxes, positive, strict=True)]
        matched = [place[one] for place, one in zip(matched, positive, strict=True)]
        masks = self.mask_logits(levels, boxes, padded)
        return {
            "loss_classifier": classifier,
            "loss_box_reg": regression,
            "loss_mask": mask_loss(masks, boxes, targets, matched, self.learning.masks),
        }

    def regions(self, levels: dict[str, Tensor], proposals: Tensor, padded: Size) -> Tensor:
        """What all passes of an image share of its proposals: pooled [R, D, 7, 7], or behind the box head [R, D]."""
        pooled: Tensor = self.box_roi_pool(levels, [proposals], [padded])
        return pooled if self.dropped else self.box_head(pooled)

    def still(
        self, levels: dict[str, Tensor], proposals: Tensor, regions: Tensor, size: Size, padded: Size
    ) -> Still | None:
        """What passes share of an image's detections; None: nothing."""
        if self.moved and self.shared_masks is None:
            return None
        logits, deltas = self.boxes(regions, still=True)
        found = self.detections(logits, deltas, proposals, size)
        return Still(logits, found, self.mask_features(levels, found.boxes, padded))

    def boxes(self, regions: Tensor, still: bool = False) -> tuple[Tensor, Tensor]:
        """Class logits [R, C] and box offsets [R, 4 C] of a pass, or `still`, without dropout."""
        hidden = self.box_head(regions, still) if self.dropped else regions
        logits, deltas = self.box_predictor(hidden, still)
        return logits, deltas

    def detections(self, logits: Tensor, deltas: Tensor, proposals: Tensor, size: Size) -> RegionDetections:
        """As torchvision's postprocess_detections, which does not tell the proposals that they come from."""
        count = logits.shape[1]
        boxes = clip_boxes_to_image(self.box_coder.decode(deltas, [proposals]), size)[:, 1:].reshape(-1, 4)
        scores = logits.softmax(-1)[:, 1:].reshape(-1)
        kept = torch.where(scores > self.score_thresh)[0]
        kept = kept[remove_small_boxes(boxes[kept], LEAST_BOX_SIDE)]
        classes = kept % (count - 1) + 1
        rivals = torch.zeros_like(classes) if self.class_agnostic else classes
        best = batched_nms(boxes[kept], scores[kept], rivals, self.nms_thresh)[: self.detections_per_img]
        kept = kept[best]
        return RegionDetections(boxes[kept], classes[best], scores[kept], kept // (count - 1))

    def mask_logits(self, levels: dict[str, Tensor], boxes: list[Tensor], padded: Size) -> Tensor:
        """[N, C, 28, 28] of the boxes of all images."""
        pool: Any = self.mask_roi_pool
        logits: Tensor = self.mask_predictor(self.mask_head(pool(levels, boxes, [padded] * len(boxes))))
        return logits

    def mask_features(self, levels: dict[str, Tensor], boxes: Tensor, padded: Size) -> Tensor:
        """[N, width, 14, 14] of the boxes of an image, before any dropout."""
        features: Tensor = self.mask_head.convolved(self.mask_roi_pool(levels, [boxes], [padded]))
        return features

    def masks(self, features: Tensor, classes: Tensor) -> Tensor:
        """The probabilities [N, 28, 28] of a pass, of each one's class."""
        logits = self.mask_predictor(self.mask_head.dropout(features))
        own: Tensor = logits[torch.arange(len(logits), device=logits.device), classes].sigmoid()
        return own

    def shared(
        self, still: Still | None, levels: dict[str, Tensor], boxes: Tensor, padded: Size
    ) -> tuple[Tensor, Tensor]:
        """Boxes [N, 4] near those of a pass, and the features of masks in them: of `still` where a box is near one."""
        if self.shared_masks is None or still is None or not len(still.features):
            return boxes, self.mask_features(levels, boxes, padded)
        overlaps, places = box_iou(boxes, still.found.boxes).max(1)
        own = overlaps < self.shared_masks
        features = still.features[places].contiguous(memory_format=torch.channels_last)
        features[own] = self.mask_features(levels, boxes[own], padded)
        return torch.where(own[:, None], boxes, still.found.boxes[places]), features
