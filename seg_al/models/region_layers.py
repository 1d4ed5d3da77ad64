"""The layers of Mask R-CNN's heads: torchvision's with dropout, in less time on a CPU where no gradient is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from seg_al.models.pyramids import FIRST_STRIDE, LEVELS
from seg_al.predictors.dropout import CountedDropout, DropoutKind

POOLED_SAMPLES = 2
"""Along each side of a pooled point, whose mean it is."""
SIDE_OF_LEVEL_2 = 224
"""Pixels along a square region that is pooled at the third level (arXiv 1612.03144, equation 1)."""
LEAST_REGIONS = 16
"""From this number on NNPACK is the faster one; with 100 regions of 256 channels it takes half of the time."""


class RegionPooling(MultiScaleRoIAlign):  # type: ignore[misc]  # torchvision has no types
    """RoIAlign (arXiv 1703.06870) of the pyramid's four finer levels, [R, D, points, points].

    Bilinear values on a grid are one matrix product for rows and one for columns, which a processor does in a quarter
    of the time of torchvision's single points.
    """

    def __init__(self, points: int) -> None:
        super().__init__(list(LEVELS[:4]), points, POOLED_SAMPLES)
        self.points = points

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        if boxes[0].device.type != "cpu" or torch.is_grad_enabled() or len(boxes) > 1:
            pooled: Tensor = super().forward(x, boxes, image_shapes)
            return pooled
        with torch.autocast("cpu", enabled=False):
            return self._by_products([x[name] for name in LEVELS[:4]], boxes[0])

    def _by_products(self, levels: list[Tensor], boxes: Tensor) -> Tensor:  # [1, D, h, w] each, [R, 4]
        pooled = boxes.new_zeros(len(boxes), self.points, self.points, levels[0].shape[1])
        side = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        homes = (torch.floor(4 + torch.log2(side / SIDE_OF_LEVEL_2) + 1e-6).clamp(2, 5) - 2).long()
        for number, level in enumerate(levels):
            members = torch.where(homes == number)[0]
            if len(members):
                scaled = boxes[members] / (FIRST_STRIDE << number)
                features = level[0].permute(1, 2, 0).contiguous()  # [h, w, D]
                rows = self._weights(scaled[:, 1], scaled[:, 3], features.shape[0])
                columns = self._weights(scaled[:, 0], scaled[:, 2], features.shape[1])
                for place, (top, down), (left, across) in zip(members.tolist(), rows, columns, strict=True):
                    crop = features[top : top + down.shape[1], left : left + across.shape[1]]
                    lines = (down @ crop.flatten(1)).view(self.points, *crop.shape[1:])
                    torch.matmul(across, lines, out=pooled[place])
        return pooled.permute(0, 3, 1, 2)

    def _weights(self, low: Tensor, high: Tensor, length: int) -> list[tuple[int, Tensor]]:
        """For each region the first line of the map that it reads, and the weights [points, lines] from there on."""
        count = POOLED_SAMPLES * self.points
        step = ((high - low).clamp(min=1) / self.points)[:, None]  # added up in torchvision's order, to the last bit
        point, sample = (
            torch.arange(self.points).repeat_interleave(POOLED_SAMPLES),
            torch.arange(POOLED_SAMPLES).repeat(self.points),
        )
        places = low[:, None] + point * step + (sample + 0.5) * step / POOLED_SAMPLES
        share = ((places >= -1) & (places <= length)).to(low.dtype) / POOLED_SAMPLES
        places = places.clamp(0, length - 1)
        before = places.floor()
        after = (before + 1).clamp(max=length - 1)
        first = before[:, :1]
        spans = (after[:, -1] - first[:, 0] + 1).long()
        weights = places.new_zeros(len(low), count, int(spans.max()))
        weights.scatter_add_(2, (before - first).long()[..., None], (share * (1 - places + before))[..., None])
        weights.scatter_add_(2, (after - first).long()[..., None], (share * (places - before))[..., None])
        weights = weights.view(len(low), self.points, POOLED_SAMPLES, -1).sum(2)
        firsts = first[:, 0].long().tolist()
        return [(one, own[:, :span]) for one, own, span in zip(firsts, weights, spans.tolist(), strict=True)]


class RegionConvolution(nn.Conv2d):
    """A convolution of 3x3 by Fourier transforms of 16x16 tiles, which hold a region of 14x14 and its border.

    oneDNN, PyTorch's first choice on a CPU, multiplies each of the nine weights, for which it needs twice the time;
    NNPACK stands in most builds of PyTorch. The numbers differ by rounding, about 1e-6 of the largest.
    """

    def forward(self, input: Tensor) -> Tensor:  # its name in nn.Conv2d
        if (
            len(input) < LEAST_REGIONS
            or input.device.type != "cpu"
            or input.dtype != torch.float32
            or torch.is_grad_enabled()
            or torch.is_autocast_enabled("cpu")
            or not torch.backends.nnpack.is_available()  # type: ignore[no-untyped-call]
        ):
            return super().forward(input)
        return torch._nnpack_spatial_convolution(input, self.weight, self.bias, [1, 1], [1, 1])


class RegionConvolutions(MaskRCNNHeads):  # type: ignore[misc]  # torchvision has no types
    """3x3 convolutions with the names and first weights of torchvision's."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__(inputs, widths, dilation=1)
        self.count = len(widths)
        for block in self:
            fast = RegionConvolution(block[0].in_channels, block[0].out_channels, 3, padding=1, device="meta")
            fast.weight, fast.bias = block[0].weight, block[0].bias
            block[0] = fast

    def convolved(self, x: Tensor) -> Tensor:  # [N, D, 14, 14], of the blocks alone
        for block in list(self)[: self.count]:
            x = block(x)
        return x if torch.is_grad_enabled() else x.contiguous(memory_format=torch.channels_last)


Site = Literal["box_head", "predictor", "deltas", "mask_head"]


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


class BoxHead(TwoMLPHead):  # type: ignore[misc]  # torchvision has no types
    """Two layers, each with dropout before it."""

    def __init__(self, inputs: int, width: int, dropout: Dropout) -> None:
        super().__init__(inputs, width)
        self.dropout6, self.dropout7 = dropout.at("box_head"), dropout.at("box_head")

    def forward(self, x: Tensor, still: bool = False) -> Tensor:  # [R, D, 7, 7] -> [R, width]
        """`still`: without its dropout, whether passes are drawn or not."""
        x = x.flatten(1)
        x = self.fc6(x if still else self.dropout6(x)).relu()
        hidden: Tensor = self.fc7(x if still else self.dropout7(x)).relu()
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

    def forward(self, x: Tensor, still: bool = False) -> tuple[Tensor, Tensor]:  # [R, width] -> [R, C], [R, 4 C]
        x = x if still else self.dropout(x)
        return self.cls_score(x).float(), self.bbox_pred(x if still else self.again(x)).float()


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
