"""Dilated residual networks (arXiv 1705.09914) for segmentation, with the names of fyu/drn's published weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seg_al.models.inputs import Statistics, normalization
from seg_al.models.weights import Tensors, fill, read, tell
from seg_al.predictors.dropout import CountedDropout, DropoutKind

OUTPUT_STRIDE = 8
WIDTHS = (16, 32, 64, 128, 256, 512, 512, 512)  # channels of the stages 1 to 8
STRIDES = (1, 2, 2, 2, 1, 1, 1, 1)
DILATIONS = (1, 1, 1, 1, 2, 4, 2, 1)
PLAIN = (1, 2, 7, 8)  # stages of single convolutions in D; in C, 7 and 8 are blocks without shortcuts
DROPPED = (3, 4, 5, 6)  # stages with dropout behind them, where the sites are the stages
BASE_ONLY = "base:"

Name = Literal["D-22", "D-38", "C-26"]
DRNSites = Literal["none", "head", "stages"]


@dataclass(frozen=True)
class Layout:
    """Blocks per stage. Residual: also the stages 1, 2, 7 and 8 are made of blocks of two convolutions."""

    blocks: tuple[int, ...]
    residual: bool


LAYOUTS: dict[Name, Layout] = {
    "D-22": Layout((1, 1, 2, 2, 2, 2, 1, 1), residual=False),
    "D-38": Layout((1, 1, 3, 4, 6, 3, 1, 1), residual=False),
    "C-26": Layout((1, 1, 2, 2, 2, 2, 1, 1), residual=True),
}


class DRNState(NamedTuple):
    """A half-finished forward pass."""

    x: Tensor  # [B, D, h, w]
    size: tuple[int, int]  # height and width of the images in pixels


class Block(nn.Module):
    """Two dilated 3x3 convolutions, with a shortcut around them or, in C's stages 7 and 8, without."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, outputs, stride, dilation)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(outputs, outputs, 1, dilation)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.shortcut:
            y += x if self.downsample is None else self.downsample(x)
        activated: Tensor = self.relu(y)
        return activated


def _conv3x3(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _activated(conv: nn.Conv2d) -> list[nn.Module]:
    return [conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)]


def _stage(number: int, layout: Layout) -> nn.Sequential:
    inputs, outputs = (16, *WIDTHS)[number - 1], WIDTHS[number - 1]
    dilation, layers = DILATIONS[number - 1], []
    for place in range(layout.blocks[number - 1]):
        first = place == 0
        here, stride = inputs if first else outputs, STRIDES[number - 1] if first else 1
        if number in PLAIN and not layout.residual:
            layers += _activated(_conv3x3(here, outputs, stride, dilation))
        else:
            layers.append(Block(here, outputs, stride, dilation, shortcut=number < 7))
    return nn.Sequential(*layers)


def _base(layout: Layout) -> nn.Sequential:
    """The stem and the stages 1 to 8, numbered as in the published weights of segmentation."""
    stem = _activated(nn.Conv2d(3, WIDTHS[0], 7, padding=3, bias=False))
    stages = [_stage(number, layout) for number in range(1, len(WIDTHS) + 1)]
    return nn.Sequential(*(stem if layout.residual else [nn.Sequential(*stem)]), *stages)


def _layers(stages: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """One after the other, so that no stage's input is held in memory until the stage ends."""
    for stage in stages:
        yield from stage if isinstance(stage, nn.Sequential) else (stage,)


def bilinear_kernel(factor: int) -> Tensor:  # [2 factor, 2 factor]
    """What a transposed convolution of that stride has to hold to interpolate linearly."""
    ramp = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return ramp[:, None] * ramp


def _interpolates(kernel: Tensor | None) -> bool:  # [C, 1, 16, 16]
    """Whether an upsampling was never trained, so that interpolation is its equal inside of the borders."""
    wanted = bilinear_kernel(OUTPUT_STRIDE)
    return kernel is not None and kernel.shape[2:] == wanted.shape and torch.allclose(kernel.float(), wanted, atol=1e-6)


def _fresh(module: nn.Module) -> None:
    """Normal weights of variance 2 / n, n being the weights that one input reaches; batch norms as torch makes them."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class DRN(nn.Module):
    """A DRN of output stride 8, its classifier, and the upsampling to the size of the image.

    Images [B, 3, H, W] become logits [B, C, H, W]; the size is free: logits that reach beyond an image's right and
    lower edge, by 7 pixels at most, are cut off. encode ends before the first dropout.
    `sites`: dropout of probability `dropout` after each of the residual stages 3, 4, 5 and 6 ("stages"),
    once before the classifier ("head") or nowhere ("none"). The predecessor has it after the stages 3 to 6 of D, but 1
    to 8 of C, where decode would repeat all; we take 3 to 6 of either.
    `upsample`: a transposed convolution of each class by itself that starts as bilinear interpolation and learns
    ("learned"; fyu/drn makes the same layer, but freezes it), or interpolation ("bilinear").
    `weights`: None, a file of the published classification network (its classifier is left out, ours stays fresh) or
    of a segmentation network, or base:FILE, which takes all but the classifier and the upsampling of either.
    Raises ValueError for weights of another network, with all names.
    """

    task: ClassVar[str] = "semantic"

    def __init__(
        self,
        *,
        layout: Name,
        dropout: float,
        sites: DRNSites,
        upsample: Literal["learned", "bilinear"],
        normalize: Statistics,
        weights: str | None,
        classes: int,
        dropout_kind: DropoutKind = "element",
    ) -> None:
        super().__init__()
        if classes < 1:
            raise ValueError(f"the number of classes is at least 1, not {classes}")
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout is a probability in [0, 1), not {dropout}")
        self.layout: Name = layout
        self.normalize = normalization(normalize)
        self.base = _base(LAYOUTS[layout])
        self.seg = nn.Conv2d(WIDTHS[-1], classes, 1)
        _fresh(self)
        self.up: nn.Module = nn.Upsample(scale_factor=OUTPUT_STRIDE, mode="bilinear", align_corners=False)
        if upsample == "learned":
            self.up = nn.ConvTranspose2d(
                classes, classes, 2 * OUTPUT_STRIDE, OUTPUT_STRIDE, OUTPUT_STRIDE // 2, groups=classes, bias=False
            )
            with torch.no_grad():
                self.up.weight.copy_(bilinear_kernel(OUTPUT_STRIDE).expand_as(self.up.weight))
        end, stem = len(self.base), len(self.base) - len(WIDTHS)
        places = {"none": [], "head": [end], "stages": [stem + number for number in DROPPED]}[sites]
        self.drops = nn.ModuleDict(
            {str(place): CountedDropout(dropout, dropout_kind == "channel") for place in places if dropout > 0}
        )
        """By the number of the module in `base` that they stand before."""
        self.cut = min((int(place) for place in self.drops), default=end)
        if weights is not None:
            self._load(weights)

    def _finish(self, x: Tensor, start: int) -> Tensor:
        """What remains of the base and its dropout, from a module on: the classifier's input [B, 512, h, w]."""
        for place in range(start, len(self.base) + 1):
            if str(place) in self.drops:
                x = self.drops[str(place)](x)
            for layer in _layers([*self.base][place : place + 1]):
                x = layer(x)
        return x

    def encode(self, images: Tensor) -> DRNState:  # [B, 3, H, W] in 0..1
        x = self.normalize(images)
        for layer in _layers([*self.base][: self.cut]):
            x = layer(x)
        return DRNState(x, (images.shape[2], images.shape[3]))

    def decode(self, state: DRNState) -> Tensor:  # -> [B, C, H, W] logits
        logits: Tensor = self.up(self.seg(self._finish(state.x, self.cut)))
        return logits[:, :, : state.size[0], : state.size[1]]

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, H, W]
        return self.decode(self.encode(images))

    def repeat(self, state: DRNState, times: int) -> DRNState:
        return DRNState(state.x.repeat_interleave(times, 0), state.size)

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The deepest features, which are the classifier's input, twice: [B, 512, H / 8, W / 8], with dropout off."""
        x = self._finish(self.encode(images).x, self.cut)
        return x, x

    def _load(self, source: str) -> None:
        tensors = self._named(read(source.removeprefix(BASE_ONLY)))
        if not source.startswith(BASE_ONLY) and any(name.startswith("seg.") for name in tensors):
            optional = {"up.weight"}
        else:
            tensors = {name: value for name, value in tensors.items() if not name.startswith(("seg.", "up."))}
            optional = {name for name in self.state_dict() if not name.startswith("base.")}
        try:
            fill(self, tensors, source, optional)
        except ValueError as error:
            raise ValueError(f"{error}\n{self._remedy(tensors)}") from None
        if "seg.weight" in optional:
            tell(f"DRN-{self.layout} has the weights of {source}, and a fresh classifier")

    def _named(self, tensors: Tensors) -> Tensors:
        """With the names of the segmentation network, without ImageNet's classifier and a plain interpolation."""
        stem = len(self.base) - len(WIDTHS)
        places = {f"layer{number}": stem + number - 1 for number in range(1, len(WIDTHS) + 1)}
        places |= {"conv1": 0, "bn1": 1} if LAYOUTS[self.layout].residual else {"layer0": 0}
        named: Tensors = {}
        for name, value in tensors.items():
            first, _, rest = name.partition(".")
            if first != "fc":
                named[f"base.{places[first]}.{rest}" if first in places else name] = value
        if isinstance(self.up, nn.Upsample) and _interpolates(named.get("up.weight")):
            del named["up.weight"]
        return named

    def _remedy(self, tensors: Tensors) -> str:
        """What to change, where the base is that of this layout or of another."""
        given = {name: value.shape for name, value in tensors.items() if name.startswith("base.") and value.dim() > 0}
        for name, layout in LAYOUTS.items():
            with torch.device("meta"):
                base = nn.ModuleDict({"base": _base(layout)})
            if given == {key: value.shape for key, value in base.state_dict().items() if value.dim() > 0}:
                if name != self.layout:
                    return f"they fit model.layout={name}"
                return f"their base fits: model.weights={BASE_ONLY}FILE takes it and leaves the classifier fresh"
        return f"give the weights of DRN-{self.layout}, or null for fresh weights"
