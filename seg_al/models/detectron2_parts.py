"""Adds partial labels, dropout and configs by name to detectron2, through its registries and hooks.

Imports detectron2, which is no dependency: seg_al.models.detectron2_mask_rcnn imports this when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from detectron2 import model_zoo
from detectron2.modeling import FPN, PROPOSAL_GENERATOR_REGISTRY, ROI_HEADS_REGISTRY, build_model
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import Res5ROIHeads, StandardROIHeads
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import BitMasks, Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage
from detectron2.utils.memory import retry_if_cuda_oom
from torch import Tensor, nn

from seg_al.models.detectron2_weights import GivenWeights
from seg_al.models.partial_labels import Target, share_unknown
from seg_al.models.region_layers import Dropout
from seg_al.predictors.dropout import CountedDropout

CUT = {
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN",),
    "MODEL.MASK_ON": (True,),
    "MODEL.KEYPOINT_ON": (False,),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN",),
    "MODEL.ROI_HEADS.NAME": ("StandardROIHeads", "Res5ROIHeads"),
    "MODEL.ROI_BOX_HEAD.NAME": ("FastRCNNConvFCHead", ""),
    "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": (False,),
    "MODEL.ROI_MASK_HEAD.NAME": ("MaskRCNNConvUpsampleHead",),
    "INPUT.FORMAT": ("BGR", "RGB"),
}
"""What a network must be for decode to begin at its region heads: FPN, DC5 or C4, with one softmax per proposal."""


class TrueObjects(Instances):  # type: ignore[misc]
    """The objects of a training image, and its unknown pixels."""

    def __init__(self, target: Target, device: torch.device) -> None:
        unknown = target["unknown"].to(device)
        super().__init__(tuple(unknown.shape))
        self._unknown = unknown  # a name without underscore would be a column of the objects
        self.gt_boxes = Boxes(target["boxes"].to(device))
        self.gt_classes = target["labels"].to(device) - 1  # detectron2 counts from 0, its background is the last
        self.gt_masks = BitMasks(target["masks"].to(device))

    @property
    def unknown(self) -> Tensor:  # [h, w] bool
        found: Tensor = self._unknown
        return found


@PROPOSAL_GENERATOR_REGISTRY.register()
class PartlyKnownRPN(RPN):  # type: ignore[misc]
    """RPN whose negative anchors are drawn from known background."""

    share: float
    """Of a box's area on the image; one that is unknown to a larger share is no negative."""

    @torch.no_grad()
    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[TrueObjects]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As upstream's: labels [A] in -1, 0, 1 and the boxes [A, 4] that anchors are matched to, of each image."""
        every = Boxes.cat(anchors)
        labels, boxes = [], []
        for truth in gt_instances:
            matched, label = retry_if_cuda_oom(self.anchor_matcher)(
                retry_if_cuda_oom(pairwise_iou)(truth.gt_boxes, every)
            )
            matched, label = matched.to(every.device), label.to(every.device)
            label[(label == 0) & (share_unknown(every.tensor, truth.unknown) > self.share)] = -1
            if self.anchor_boundary_thresh >= 0:
                label[~every.inside_box(truth.image_size, self.anchor_boundary_thresh)] = -1
            positive, negative = subsample_labels(label, self.batch_size_per_image, self.positive_fraction, 0)
            label = torch.full_like(label, -1).scatter_(0, positive, 1).scatter_(0, negative, 0)
            labels.append(label)
            boxes.append(truth.gt_boxes[matched].tensor if len(truth) else torch.zeros_like(every.tensor))
        return labels, boxes

    def losses(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """Upstream's, but per anchor that is judged rather than per anchor that might have been."""
        found = super().losses(anchors, pred_objectness_logits, gt_labels, pred_anchor_deltas, gt_boxes)
        judged = torch.stack([(label >= 0).sum() for label in gt_labels]).sum().clamp_min(1)
        most = self.batch_size_per_image * len(gt_labels)
        return {name: loss * (most / judged) for name, loss in found.items()}


class _PartlyKnown:
    """Mixed into RoI heads: proposals that are not known to be background are not shown as such."""

    share: float
    proposal_matcher: Any

    @torch.no_grad()
    def label_and_sample_proposals(self, proposals: list[Instances], targets: list[TrueObjects]) -> list[Instances]:
        kept = []
        for found, truth in zip(proposals, targets, strict=True):
            label = self.proposal_matcher(pairwise_iou(truth.gt_boxes, found.proposal_boxes))[1]
            kept.append(found[(label != 0) | (share_unknown(found.proposal_boxes.tensor, truth.unknown) <= self.share)])
        sampled: list[Instances] = super().label_and_sample_proposals(kept, targets)  # type: ignore[misc]
        return sampled


@ROI_HEADS_REGISTRY.register()
class PartlyKnownStandardROIHeads(_PartlyKnown, StandardROIHeads):  # type: ignore[misc]
    """Of FPN and DC5."""


@ROI_HEADS_REGISTRY.register()
class PartlyKnownRes5ROIHeads(_PartlyKnown, Res5ROIHeads):  # type: ignore[misc]
    """Of C4."""


def built(config: Any, weights: str | None, share: float) -> Any:
    """The network on the CPU, with the weights of a file where there is one."""
    network = build_model(config)
    network.proposal_generator.share = network.roi_heads.share = share
    if weights is not None:
        GivenWeights(network).load(weights)
    return network


def encoder_of(network: Any) -> nn.Module:
    """The part that a classifier's file has weights for: what stands below a pyramid, or all of the backbone."""
    backbone = network.backbone
    encoder: nn.Module = backbone.bottom_up if isinstance(backbone, FPN) else backbone
    return encoder


def share_a_stage(heads: Any) -> bool:
    """Whether boxes and masks share the backbone's last stage (C4) rather than have a head each (FPN, DC5)."""
    return isinstance(heads, Res5ROIHeads)


def place(heads: Any, drops: Dropout, config: str) -> None:
    """Dropout before the layers of its sites, as hooks, so that the names of weights stay detectron2's."""
    layers = {
        "box_head": [] if share_a_stage(heads) else heads.box_head.fcs,
        "predictor": [heads.box_predictor],
        "deltas": [heads.box_predictor.bbox_pred],
        "mask_head": [heads.mask_head.deconv, heads.mask_head.predictor],
    }
    for site in drops.sites:
        if not layers[site]:
            raise ValueError(
                f"model.sites has {site}, but the one of model.config={config} has no fully connected layer to stand "
                "before; leave it out, as in sites=[predictor,mask_head]"
            )
        for layer in layers[site]:
            layer.dropout = drops.at(site)
            layer.register_forward_pre_hook(_dropped)


def _dropped(layer: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
    dropout: CountedDropout = layer.dropout
    return (dropout(inputs[0]),)


def losses_of(
    network: Any, images: ImageList, features: dict[str, Tensor], targets: Sequence[Target]
) -> dict[str, Tensor]:
    """The network's five losses by its own names."""
    truths = [TrueObjects(target, images.tensor.device) for target in targets]
    with EventStorage():  # upstream's losses note statistics in one
        proposals, first = network.proposal_generator(images, features, truths)
        _, second = network.roi_heads(images, features, proposals, truths)
    return {**first, **second}


def config_of(name: str, options: Mapping[str, Any], ours: Mapping[str, Any], fresh: bool) -> Any:
    """The config of a network of the model zoo. Raises ValueError for a name, key or kind of network that is not fit.

    `fresh`: there will be no weights from a file, so nothing is frozen, and normalisation learns (group norm, as in
    upstream's configs from scratch) where frozen statistics were to come from a file.
    """
    if not name.endswith(".yaml"):
        raise ValueError(f"model.config={name}: give the name of a .yaml file of detectron2's model zoo")
    try:
        config = model_zoo.get_config(name)
    except RuntimeError:
        raise ValueError(f"model.config={name}: detectron2's model zoo has no such file; {_near(name)}") from None
    if fresh:
        config.MODEL.BACKBONE.FREEZE_AT = 0
        if config.MODEL.RESNETS.NORM == "FrozenBN":
            config.MODEL.RESNETS.NORM = "GN"
    if taken := sorted(set(options) & set(ours)):
        raise ValueError(f"model.options: {', '.join(taken)} follow from other keys of the model; leave them out")
    try:
        config.merge_from_list([part for pair in {**options, **ours}.items() for part in pair])
    except (AssertionError, ValueError) as error:
        raise ValueError(f"model.options: detectron2 refuses them: {error}") from None
    for key, fit in CUT.items():
        if (value := reduce(getattr, key.split("."), config)) not in fit:
            raise ValueError(
                f"model.config={name} has {key}={value}; seg_al runs the heads of Mask R-CNN with "
                f"{key}={' or '.join(map(str, fit))}, as in COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml; "
                "cascades, panoptic FPN, PointRend, keypoints, RetinaNet and detectors without masks are not supported"
            )
    for part in ("PROPOSAL_GENERATOR", "ROI_HEADS"):
        config.MODEL[part].NAME = f"PartlyKnown{config.MODEL[part].NAME}"
    return config


def _near(name: str) -> str:
    root = Path(str(files("detectron2.model_zoo"))) / "configs"
    known = sorted(path.relative_to(root).as_posix() for path in root.rglob("mask_rcnn*.yaml"))
    return "the nearest names are " + ", ".join(get_close_matches(name, known, 3, 0) or known[:3])
