"""The heads of Mask R-CNN on torchvision's parts, with counted dropout at the sites of the predecessors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from seg_al.models.partial_labels import Learning, Target, known_regions, mask_loss
from seg_al.models.region_layers import RegionConvolutions, RegionPooling
from seg_al.predictors.dropout import CountedDropout, DropoutKind

Site = Literal["box_head", "predictor", "deltas", "mask_head"]
BOX_POINTS, MASK_POINTS = 7, 14
"""Points along each side of a region that its box and its mask are made from."""
LEAST_BOX_SIDE = 1e-2
"""Pixels below which a box is empty, as in torchvision."""


@dataclass(frozen=True)
class Dropout:
    """Dropout at some of the sites that predecessors have it at."""

    p: float
    sites: tuple[Site, ...]
    """box_head: before both of its layers. predictor: before scores and box offsets. deltas: once more before the
    offsets alone, which thus see two dropouts in series. mask_head: behind its convolutions, and before its last."""
    kind: DropoutKind = "element"
    """Of "channel", the mask head drops whole feature maps; the other sites have vectors, and drop single values."""

    def __post_init__(self) -> None:
        if not 0 <= self.p < 1:
            raise ValueError(f"model.dropout is a probability in [0, 1), not {self.p}")
        if unknown := [site for site in self.sites if site not in get_args(Site)]:
            raise ValueError(
                f"model.sites names {', '.join(unknown)}, but dropout stands at none or any of "
                f"{', '.join(get_args(Site))}"
            )

    def at(self, site: Site) -> CountedDropout:
        return CountedDropout(self.p if site in self.sites else 0.0, self.kind == "channel", regions=True)


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


class BoxHead(TwoMLPHead):  # type: ignore[misc]  # torchvision has no types
    """Two layers, each with dropout before it."""

    def __init__(self, inputs: int, width: int, dropout: Dropout) -> None:
        super().__init__(inputs, width)
        self.dropout6, self.dropout7 = dropout.at("box_head"), dropout.at("box_head")

    def forward(self, x: Tensor) -> Tensor:  # [R, D, 7, 7] -> [R, width]
        x = self.fc6(self.dropout6(x.flatten(1))).relu()
        hidden: Tensor = self.fc7(self.dropout7(x)).relu()
        return hidden


class BoxPredictor(FastRCNNPredictor):  # type: ignore[misc]  # torchvision has no types
    """Class logits and box offsets in full precision."""

    def __init__(self, inputs: int, classes: int, dropout: Dropout) -> None:
        super().__init__(inputs, classes)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)
        self.dropout, self.again = dropout.at("predictor"), dropout.at("deltas")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # [R, width] -> [R, C], [R, 4 C]
        x = self.dropout(x)
        return self.cls_score(x).float(), self.bbox_pred(self.again(x)).float()


class MaskHead(RegionConvolutions):
    """3x3 convolutions, with dropout behind the last."""

    def __init__(self, inputs: int, widths: Sequence[int], dropout: Dropout) -> None:
        super().__init__(inputs, widths)
        self.add_module("dropout", dropout.at("mask_head"))

    def forward(self, x: Tensor) -> Tensor:  # [N, D, 14, 14] -> [N, width, 14, 14]
        dropped: Tensor = self.dropout(self.convolved(x))
        return dropped


EMPTY = -2.2
"""The first logits of a fresh mask, a probability of 0.1. From 0, short trainings end with masks that fill their
boxes: no feature is active outside an object, so that the bias alone would have to fall, and inside it rises."""


class MaskPredictor(MaskRCNNPredictor):  # type: ignore[misc]  # torchvision has no types
    """Doubles the resolution and gives the mask logits of each class, with dropout between, in full precision."""

    def __init__(self, width: int, classes: int, dropout: Dropout) -> None:
        super().__init__(width, width, classes)
        nn.init.normal_(self.mask_fcn_logits.weight, std=0.001)  # torchvision's own makes the first loss 3 of 2 classes
        nn.init.constant_(self.mask_fcn_logits.bias, EMPTY)
        self.dropout = dropout.at("mask_head")

    def forward(self, x: Tensor) -> Tensor:  # [N, width, 14, 14] -> [N, C, 28, 28]
        logits: Tensor = self.mask_fcn_logits(self.dropout(self.relu(self.conv5_mask(x))))
        return logits.float()


class RegionDetections(NamedTuple):
    """Of one image, the most certain first."""

    boxes: Tensor  # [N, 4]
    classes: Tensor  # [N], from 1
    scores: Tensor  # [N]
    proposals: Tensor  # [N], the row of the proposal


class RegionHeads(RoIHeads):  # type: ignore[misc]  # torchvision has no types
    """torchvision's heads in two parts: what all passes share and what differs, with torchvision's names of weights."""

    def __init__(
        self, channels: int, classes: int, widths: Widths, detecting: Detecting, learning: Learning, dropout: Dropout
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

    def losses(
        self, levels: dict[str, Tensor], proposals: Sequence[Tensor], padded: tuple[int, int], targets: list[Target]
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

    def regions(self, levels: dict[str, Tensor], proposals: Tensor, padded: tuple[int, int]) -> Tensor:
        """What all passes of an image share of its proposals: pooled [R, D, 7, 7], or behind the box head [R, D]."""
        pooled: Tensor = self.box_roi_pool(levels, [proposals], [padded])
        return pooled if self.dropped else self.box_head(pooled)

    def boxes(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [R, C] and box offsets [R, 4 C] of a pass."""
        hidden = self.box_head(regions) if self.dropped else regions
        logits, deltas = self.box_predictor(hidden)
        return logits, deltas

    def detections(self, logits: Tensor, deltas: Tensor, proposals: Tensor, size: tuple[int, int]) -> RegionDetections:
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

    def mask_logits(self, levels: dict[str, Tensor], boxes: list[Tensor], padded: tuple[int, int]) -> Tensor:
        """[N, C, 28, 28] of the boxes of all images."""
        pool: Any = self.mask_roi_pool
        logits: Tensor = self.mask_predictor(self.mask_head(pool(levels, boxes, [padded] * len(boxes))))
        return logits
