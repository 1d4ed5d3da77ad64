"""Mask R-CNN of an unmodified detectron2: encode ends where passes begin to differ, which is behind region pooling.

detectron2 is not on PyPI, and is imported when such a network is built; what needs it stands in detectron2_parts.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from seg_al.models.inputs import Statistics, normalization
from seg_al.models.mask_rcnn import LEAST_IMAGE_SIDE
from seg_al.models.partial_labels import Target, check_targets
from seg_al.models.region_layers import Dropout, Site
from seg_al.models.roi_heads import LEAST_BOX_SIDE, Detecting, RegionDetections
from seg_al.predictors.dropout import DropoutKind, by_row
from seg_al.tasks.objects.passes import Passed

BUILD = (
    'pip install "setuptools<82" wheel ninja && '
    "pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2"
)
"""Builds detectron2 with the torch that is installed; it imports pkg_resources, which setuptools 82 removed."""
LOSSES = {
    "loss_cls": "loss_classifier",
    "loss_box_reg": "loss_box_reg",
    "loss_mask": "loss_mask",
    "loss_rpn_cls": "loss_objectness",
    "loss_rpn_loc": "loss_rpn_box_reg",
}
"""torchvision's names for detectron2's losses."""


class Detectron2State(NamedTuple):
    """The half-finished pass of one image."""

    size: tuple[int, int]
    """Height and width of the image in pixels."""
    maps: tuple[Tensor, ...]
    """[1, D, h, w] each, finest first: what masks are pooled from."""
    proposals: Tensor  # [R, 4]
    regions: Tensor
    """What all passes share of the proposals: [R, D, s, s] pooled, or [R, D] where the box head has no dropout."""


class Detectron2MaskRCNN(nn.Module):
    """A Mask R-CNN (arXiv 1703.06870) of detectron2's model zoo by the name of its .yaml file, with FPN, DC5 or C4.

    Images [B, 3, H, W] become one Passed each. `options` are further keys of detectron2's config by their full names.
    `weights`: None, or a .pkl or .pth file in detectron2's format, matched by its rules for names; where the number
    of classes differs, the layers that depend on it stay fresh. Without weights nothing is frozen, and group norm
    takes the place of frozen statistics.
    `sites` are those of seg_al.models.roi_heads.Dropout; C4 has no layers for "box_head". The `proposals` likeliest
    regions of an image are judged. In training, a region of which more than the share `unknown` is unlabelled is no
    background; masks are learnt whole, since people outline whole objects.
    Raises ValueError where detectron2 is missing, and for configs of other networks.
    """

    task: ClassVar[str] = "instances"

    def __init__(
        self,
        *,
        config: str,
        options: Mapping[str, Any] | None,
        weights: str | None,
        dropout: float,
        sites: tuple[Site, ...] | Literal["none"],
        proposals: int,
        detecting: Detecting,
        unknown: float,
        classes: int,
        dropout_kind: DropoutKind = "element",
        normalize: Statistics | Literal["config"] = "config",
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"the number of classes is at least 2, the background included, not {classes}")
        if proposals < 1 or not 0 <= unknown <= 1:
            raise ValueError(
                f"model.proposals={proposals} is at least 1, and model.unknown={unknown:g} a share of a box, 0 to 1"
            )
        drops = Dropout(dropout, () if sites == "none" else tuple(sites), dropout_kind)
        ours = {
            "MODEL.DEVICE": "cpu",
            "MODEL.ROI_HEADS.NUM_CLASSES": classes - 1,
            "MODEL.RPN.POST_NMS_TOPK_TEST": proposals,
        }
        parts = _parts()
        settings = parts.config_of(config, options or {}, ours, fresh=weights is None)
        self.network: Any = parts.built(settings, weights, unknown)
        self.normalize = None if normalize == "config" else normalization(normalize)
        """None: by the numbers of the config."""
        self.reverse: bool = settings.INPUT.FORMAT == "BGR"
        """Whether the network wants blue first."""
        self.detecting = detecting
        self.dropped = drops.p > 0 and "box_head" in drops.sites
        """Whether the box head differs from pass to pass."""
        self.shared: bool = parts.share_a_stage(self.network.roi_heads)
        """Whether boxes and masks share the backbone's last stage (C4) rather than have a head each."""
        parts.place(self.network.roi_heads, drops, config)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """The weights that a classifier's file may have given, for a learning rate of their own."""
        parameters: Iterator[nn.Parameter] = _parts().encoder_of(self.network).parameters()
        return parameters

    def encode(self, images: Tensor) -> tuple[Detectron2State, ...]:  # [B, 3, H, W] in 0..1
        if self.training:
            raise ValueError("in training Mask R-CNN gives losses, for which it needs targets; call eval() first")
        padded, features = self._features(images)
        found, _ = self.network.proposal_generator(padded, features, None)
        maps = self._maps(features)
        return tuple(
            self._seen(_size(images), tuple(one[row : row + 1] for one in maps), own.proposal_boxes)
            for row, own in enumerate(found)
        )

    def decode(self, state: tuple[Detectron2State, ...]) -> list[Passed]:
        """One pass per image; each row by itself, so that its numbers do not depend on the other rows."""
        return by_row(self, state, self._passed)

    def repeat(self, state: tuple[Detectron2State, ...], times: int) -> tuple[Detectron2State, ...]:
        """The same tensors again, not copies."""
        return tuple(seen for seen in state for _ in range(times))

    def forward(self, images: Tensor, targets: Sequence[Target] | None = None) -> list[Passed] | dict[str, Tensor]:
        """The passes of images [B, 3, H, W] in 0..1, or the losses where targets are given, in training mode only.

        Of a target: boxes [N, 4], labels [N] from 1, masks [N, H, W] bytes, unknown [H, W] bool. Raises ValueError
        for a box without width or height.
        """
        if targets is None:
            return self.decode(self.encode(images))
        check_targets(targets, self.training)
        padded, features = self._features(images)
        losses: dict[str, Tensor] = _parts().losses_of(self.network, padded, features, targets)
        return {LOSSES[name]: loss for name, loss in losses.items()}

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The coarsest and the finest map [B, D, h, w] that regions are pooled from, cut to the image."""
        network = self.network
        maps, shapes = self._maps(self._features(images)[1]), network.backbone.output_shape()
        strides = [shapes[name].stride for name in network.roi_heads.in_features]
        height, width = _size(images)
        coarse, fine = (maps[at][:, :, : -(-height // strides[at]), : -(-width // strides[at])] for at in (-1, 0))
        return coarse, fine

    def _features(self, images: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """The images as detectron2's list, in its colours, padded; the backbone's maps by name, in full precision."""
        if min(_size(images)) < LEAST_IMAGE_SIDE:
            raise ValueError(
                f"an image of {images.shape[2]} x {images.shape[3]} pixels is too small for Mask R-CNN, which needs "
                f"{LEAST_IMAGE_SIDE} on either side; enlarge it, or join images to larger ones"
            )
        network, backbone = self.network, self.network.backbone
        scaled = 255 * images if self.normalize is None else self.normalize(images)
        pictures = scaled.flip(1) if self.reverse else scaled
        if self.normalize is None:
            pictures = (pictures - network.pixel_mean) / network.pixel_std
        padded = _parts().ImageList.from_tensors(
            list(pictures),
            backbone.size_divisibility,
            padding_constraints=backbone.padding_constraints,
        )
        return padded, {name: one.float() for name, one in backbone(padded.tensor).items()}

    def _maps(self, features: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(features[name] for name in self.network.roi_heads.in_features)

    def _staged(self, maps: Sequence[Tensor], boxes: Any) -> Tensor:
        heads = self.network.roi_heads
        staged: Tensor = heads.res5(heads.pooler(list(maps), [boxes]))
        return staged

    def _seen(self, size: tuple[int, int], maps: tuple[Tensor, ...], boxes: Any) -> Detectron2State:
        heads = self.network.roi_heads
        if self.shared:
            regions = self._staged(maps, boxes).mean((2, 3))
        else:
            regions = heads.box_pooler(list(maps), [boxes])
            regions = regions if self.dropped else heads.box_head(regions)
        return Detectron2State(size, maps, boxes.tensor, regions)

    def _passed(self, seen: Detectron2State) -> Passed:
        heads = self.network.roi_heads
        logits, deltas = heads.box_predictor(heads.box_head(seen.regions) if self.dropped else seen.regions)
        logits = torch.cat([logits[:, -1:], logits[:, :-1]], 1).float()  # detectron2 has the background last
        boxes = heads.box_predictor.box2box_transform.apply_deltas(deltas.float(), seen.proposals)
        boxes = clip_boxes_to_image(boxes.reshape(len(logits), -1, 4), seen.size)
        found = detections(logits, boxes, self.detecting)
        masks = self._masks(seen.maps, found)
        return Passed(seen.size, logits, found.boxes, found.classes, found.scores, found.proposals, masks)

    def _masks(self, maps: tuple[Tensor, ...], found: RegionDetections) -> Tensor:  # -> [N, m, m]
        heads, boxes = self.network.roi_heads, _parts().Boxes(found.boxes)
        pooled = self._staged(maps, boxes) if self.shared else heads.mask_pooler(list(maps), [boxes])
        logits = heads.mask_head.layers(pooled).float()  # [N, C - 1 or, of no class, 1, m, m]
        own = (found.classes - 1).clamp(max=logits.shape[1] - 1)
        masks: Tensor = logits[torch.arange(len(own), device=own.device), own].sigmoid()
        return masks


def detections(logits: Tensor, boxes: Tensor, detecting: Detecting) -> RegionDetections:
    # [R, C], [R, C - 1 or, of no class, 1, 4]
    """The likeliest regions that do not overlap more than they may; detectron2's own never lets classes compete."""
    scores = logits.softmax(1)[:, 1:]
    rows, places = (scores > detecting.score).nonzero(as_tuple=True)
    scores, boxes = scores[rows, places], boxes[rows, places.clamp(max=boxes.shape[1] - 1)]
    large = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= LEAST_BOX_SIDE
    rows, places, scores, boxes = rows[large], places[large], scores[large], boxes[large]
    rivals = torch.zeros_like(places) if detecting.class_agnostic else places
    best = batched_nms(boxes, scores, rivals, detecting.nms)[: detecting.most]
    return RegionDetections(boxes[best], places[best] + 1, scores[best], rows[best])


def _parts() -> ModuleType:
    """The module that needs detectron2. Raises ValueError that says how to install it."""
    try:
        from seg_al.models import detectron2_parts
    except ImportError as error:
        raise ValueError(
            f"this model is detectron2's, which cannot be imported here ({error}). It is built from its repository "
            f"by a C++ compiler, in minutes: {BUILD}. model=mask_rcnn is torchvision's, and needs nothing more"
        ) from error
    return detectron2_parts


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]
