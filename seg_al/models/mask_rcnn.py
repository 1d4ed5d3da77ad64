"""Mask R-CNN on torchvision's parts: encode ends where passes begin to differ, which is behind region pooling."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.image_list import ImageList

from seg_al.models.inputs import Statistics, normalization
from seg_al.models.partial_labels import KnownProposals, Learning, Proposals, Target, check_targets
from seg_al.models.pyramids import FIRST_STRIDE, LAST_STRIDE, LEVELS
from seg_al.models.region_layers import Dropout, Site
from seg_al.models.roi_heads import Detecting, RegionHeads, Still, Widths
from seg_al.models.weights import COUNTER, Tensors, fill, read, tell
from seg_al.predictors.dropout import DropoutKind, by_row
from seg_al.tasks.objects.passes import Passed

LEAST_IMAGE_SIDE = 32
"""Pixels of an image's shorter side below which its deepest map would be padding rather than image."""
OF_CLASSES = (
    "roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred",
    "roi_heads.mask_predictor.mask_fcn_logits",
)  # fmt: skip
"""Layers whose size follows from the number of classes."""
OLD_NAMES = (
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2"),
)
"""Names in files from before torchvision 0.13, such as its COCO weights; a mask head's number is counted from 1."""


class Backbone(Protocol):
    """Which network makes the pyramid, and how it takes weights that are of its encoder alone."""

    @property
    def normalize(self) -> Statistics: ...
    def __call__(self, fresh: bool) -> Any: ...  # a module with out_channels, its encoder as `body`
    def fill(self, pyramid: Any, source: str) -> None: ...


class ImageState(NamedTuple):
    """The half-finished pass of one image."""

    size: tuple[int, int]
    """Height and width of the image in pixels; `padded`: as the pyramid saw it."""
    padded: tuple[int, int]
    levels: dict[str, Tensor]  # [1, D, h, w] each
    proposals: Tensor  # [R, 4]
    regions: Tensor  # [R, ...], see RegionHeads.regions
    still: Still | None
    """What passes share of the detections."""


class MaskRCNN(nn.Module):
    """Mask R-CNN (arXiv 1703.06870): the objects of images [B, 3, H, W] with boxes, classes and masks, one Passed each.

    Images keep their size; the mean colour is added right and below, until height and width are multiples of 32.
    Dropout of probability `dropout` stands at `sites` (see roi_heads.Dropout). Passes share the pyramid, its
    proposals and what is pooled from them, and where the box head has no dropout, that head too. Where boxes differ
    from pass to pass, their masks are made anew, which is most of the work with many objects; with `shared_masks`, a
    mask whose box overlaps (IoU) by at least so much with one that is found with dropout off is made of that one's
    features, in its place: passes then differ less. Regions in unlabelled pixels are no background.
    `weights`: None, a file of the encoder's alone, or a file of the whole network in torchvision's names, such as its
    COCO weights or what another training saved; then the layers that depend on the number of classes stay fresh where
    that number differs. Raises ValueError for weights of another network, with all names.
    """

    task: ClassVar[str] = "instances"

    def __init__(
        self,
        *,
        backbone: Backbone,
        weights: str | None,
        dropout: float,
        sites: tuple[Site, ...] | Literal["none"],
        proposals: Proposals,
        heads: Widths,
        detecting: Detecting,
        learning: Learning,
        classes: int,
        dropout_kind: DropoutKind = "element",
        shared_masks: float | None = None,
    ) -> None:
        super().__init__()
        if shared_masks is not None and not 0 < shared_masks <= 1:
            raise ValueError(f"model.shared_masks={shared_masks:g} is an overlap in (0, 1], or null for no sharing")
        if classes < 2:
            raise ValueError(f"the number of classes is at least 2, the background included, not {classes}")
        drops = Dropout(dropout, () if sites == "none" else tuple(sites), dropout_kind)
        self.normalize = normalization(backbone.normalize)
        self.backbone: Any = backbone(weights is None)
        channels = self.backbone.out_channels
        self.rpn = KnownProposals(channels, proposals, learning.anchors, learning.unknown)
        self.roi_heads = RegionHeads(channels, classes, heads, detecting, learning, drops, shared_masks)
        if weights is not None:
            self._load(backbone, weights)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """The weights that a pretrained file may have given, for a learning rate of their own."""
        parameters: Iterator[nn.Parameter] = self.backbone.body.parameters()
        return parameters

    def encode(self, images: Tensor) -> tuple[ImageState, ...]:  # [B, 3, H, W] in 0..1
        if self.training:
            raise ValueError("in training Mask R-CNN gives losses, for which it needs targets; call eval() first")
        size = _size(images)
        batch, levels = self._levels(images)
        padded = _size(batch.tensors)
        proposals, _ = self.rpn(batch, levels)
        return tuple(
            self._seen(size, padded, {name: one[row : row + 1] for name, one in levels.items()}, own)
            for row, own in enumerate(proposals)
        )

    def decode(self, state: tuple[ImageState, ...]) -> list[Passed]:
        """One pass per image; each row by itself, so that its numbers do not depend on the other rows."""
        return by_row(self, state, self._passed)

    def repeat(self, state: tuple[ImageState, ...], times: int) -> tuple[ImageState, ...]:
        """The same tensors again, not copies."""
        return tuple(seen for seen in state for _ in range(times))

    def forward(self, images: Tensor, targets: list[Target] | None = None) -> list[Passed] | dict[str, Tensor]:
        """The passes of images [B, 3, H, W] in 0..1, or the losses where targets are given, in training mode only.

        Of a target: boxes [N, 4], labels [N] from 1, masks [N, H, W] bytes, unknown [H, W] bool. Raises ValueError
        for a box without width or height.
        """
        if targets is None:
            return self.decode(self.encode(images))
        check_targets(targets, self.training)
        batch, levels = self._levels(images)
        proposals, losses = self.rpn(batch, levels, targets)
        return {**self.roi_heads.losses(levels, proposals, _size(batch.tensors), targets), **losses}

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The pyramid's maps [B, D, h, w] at the strides 32 and 4; the coarser one is only every second point of it."""
        levels = self._levels(images)[1]
        return _cut(levels[LEVELS[3]], _size(images), LAST_STRIDE), _cut(levels[LEVELS[0]], _size(images), FIRST_STRIDE)

    def _levels(self, images: Tensor) -> tuple[ImageList, dict[str, Tensor]]:
        """The padded images and the pyramid's maps, in full precision, which boxes and anchors are computed in."""
        height, width = _size(images)
        if min(height, width) < LEAST_IMAGE_SIDE:
            raise ValueError(
                f"an image of {height} x {width} pixels is too small for Mask R-CNN, which needs {LEAST_IMAGE_SIDE} on "
                "either side; enlarge it, or join images to larger ones"
            )
        padded = functional.pad(self.normalize(images), (0, -width % LAST_STRIDE, 0, -height % LAST_STRIDE))
        levels = {name: one.float() for name, one in self.backbone(padded).items()}
        return ImageList(padded, [(height, width)] * len(images)), levels

    def _seen(
        self, size: tuple[int, int], padded: tuple[int, int], levels: dict[str, Tensor], proposals: Tensor
    ) -> ImageState:
        levels = {name: one.contiguous(memory_format=torch.channels_last) for name, one in levels.items()}
        regions = self.roi_heads.regions(levels, proposals, padded)
        still = self.roi_heads.still(levels, proposals, regions, size, padded)
        return ImageState(size, padded, levels, proposals, regions, still)

    def _passed(self, seen: ImageState) -> Passed:
        heads = self.roi_heads
        if seen.still is not None and not heads.moved:
            logits, found, features = seen.still
            frames = found.boxes
        else:
            logits, deltas = heads.boxes(seen.regions)
            found = heads.detections(logits, deltas, seen.proposals, seen.size)
            frames, features = heads.shared(seen.still, seen.levels, found.boxes, seen.padded)
        masks = heads.masks(features, found.classes)
        return Passed(seen.size, logits, found.boxes, found.classes, found.scores, found.proposals, masks, frames)

    def _load(self, backbone: Backbone, source: str) -> None:
        tensors = read(source)
        if not any(name.startswith("roi_heads.") for name in tensors):
            backbone.fill(self.backbone, source)
            tell(f"the encoder of Mask R-CNN has the weights of {source}, the rest is fresh")
            return
        own = self.state_dict()
        named = {_new_name(name): one for name, one in tensors.items() if name in own or not name.endswith(COUNTER)}
        fresh = _of_other_classes(named, own)
        fill(self, {name: one for name, one in named.items() if name not in fresh}, source, fresh)
        tell(f"Mask R-CNN has the weights of {source}" + (f" but for {', '.join(fresh)}" if fresh else ""))


def _of_other_classes(tensors: Tensors, own: Mapping[str, Tensor]) -> list[str]:
    """The weights of the layers that depend on the number of classes, if it is another in the file."""
    names = [name for name in own if name.rpartition(".")[0] in OF_CLASSES]
    count = f"{OF_CLASSES[0]}.bias"
    return [] if count not in tensors or tensors[count].shape == own[count].shape else names


def _new_name(name: str) -> str:
    for old, new in OLD_NAMES:
        name = re.sub(old, new, name)
    return re.sub(r"mask_head\.mask_fcn(\d+)\.", lambda found: f"mask_head.{int(found[1]) - 1}.0.", name)


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


def _cut(level: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """The part of a map that lies on the image."""
    height, width = (-(-length // stride) for length in size)
    return level[:, :, :height, :width]
