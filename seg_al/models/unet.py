"""The U-Net of the GlaS baselines: five levels of stride 2, images of any size; and the steps of any U-Net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seg_al.core import DroppedFeatures
from seg_al.models.inputs import Statistics, normalization
from seg_al.predictors.dropout import CountedDropout, DropoutKind
from seg_al.ranges import ShareBelowOne, Width

DEPTH = 5
FEW_CHANNELS = 4
"""Channels below which maps are resized without channels last: a CPU then has too few neighbours to work on at once.

Two channels of 87 x 129 pixels take 0.04 ms, not 0.14, with equal numbers; 19 take 0.35, not 0.12.
"""
UNetSites = Literal["all", "encoder", "decoder", "bottleneck", "head", "none"]


class UNetState(NamedTuple):
    """A half-finished forward pass."""

    x: Tensor  # [B, D, h, w]
    skips: tuple[Tensor, ...]  # [B, D, h, w] each, what later steps join; finest first
    size: tuple[int, int]
    """Height and width of the images in pixels."""


class DoubleConv(nn.Sequential):
    """Twice 3x3 convolution, batch norm and ReLU; the first convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Stem(nn.Module):
    """The first double convolution, at the full resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = DoubleConv(3, width)

    def forward(self, state: UNetState) -> UNetState:
        return state._replace(x=self.block(state.x))


class Down(nn.Module):
    """Halves the resolution and keeps its input as a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = DoubleConv(width, 2 * width, stride=2)

    def forward(self, state: UNetState) -> UNetState:
        return state._replace(x=self.block(state.x), skips=(*state.skips, state.x))


class Up(nn.Module):
    """Resizes to the last skip (nearest), joins it and halves the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.same = DoubleConv(2 * width, 2 * width)
        self.join = DoubleConv(3 * width, width)

    def forward(self, state: UNetState) -> UNetState:
        skip = state.skips[-1]
        up = nn.functional.interpolate(self.same(state.x), size=skip.shape[-2:], mode="nearest")
        return state._replace(x=self.join(torch.cat([up, skip], dim=1)), skips=state.skips[:-1])


class Drop(nn.Module):
    """Counted dropout as a step."""

    def __init__(self, p: float, kind: DropoutKind) -> None:
        super().__init__()
        self.dropout = CountedDropout(p, channels=kind == "channel")

    def forward(self, state: UNetState) -> UNetState:
        return state._replace(x=self.dropout(state.x))


@dataclass(frozen=True)
class DropoutSites:
    """Dropout of probability p where `sites` says.

    It follows every level of the encoder and every join of the decoder ("all"), the former only ("encoder"), the joins
    only ("decoder"), the deepest level only ("bottleneck"), the last join only, before the classifier ("head"), or
    nothing ("none").
    """

    p: float
    kind: DropoutKind
    sites: UNetSites

    def behind(self, steps: Sequence[nn.Module], part: UNetSites, last: UNetSites) -> list[nn.Module]:
        """The steps of a part with dropout behind each that has it; `last` is the site behind the last of them."""
        every = self.sites in ("all", part)
        sites = [every] * (len(steps) - 1) + [every or self.sites == last]
        drops = [[Drop(self.p, self.kind)] if here and self.p > 0 else [] for here in sites]
        return [one for step, drop in zip(steps, drops, strict=True) for one in (step, *drop)]


class Classify(nn.Module):
    """The logits of each pixel, by a 1x1 convolution; of a coarser map they are resized to the image (bilinear)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, state: UNetState) -> UNetState:
        logits = self.classifier(state.x)
        if logits.shape[-2:] != state.size:
            if logits.shape[1] < FEW_CHANNELS:
                logits = logits.contiguous()
            logits = nn.functional.interpolate(logits, size=state.size, mode="bilinear")
        return state._replace(x=logits)


class StepwiseUNet(nn.Module):
    """A U-Net as a list of steps; encode runs those before the first dropout, decode the rest."""

    task: ClassVar[str] = "semantic"

    def __init__(
        self,
        down: Sequence[nn.Module],
        up: Sequence[nn.Module],
        dropout: DropoutSites,
        classify: Classify,
        normalize: Statistics,
    ) -> None:
        """`down` is a step for each level, the finest first; `up` one for each join, the coarsest first."""
        super().__init__()
        if not 0 <= dropout.p < 1:
            raise ValueError(f"model.dropout is a probability in [0, 1), not {dropout.p}")
        self.normalize = normalization(normalize)
        steps = dropout.behind(down, "encoder", "bottleneck")
        self.deepest = len(steps)
        """Number of steps up to the deepest level."""
        steps += [*dropout.behind(up, "decoder", "head"), classify]
        self.steps = nn.ModuleList(steps)
        self.cut = next((at for at, step in enumerate(steps) if isinstance(step, Drop)), len(steps) - 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def _start(self, images: Tensor) -> UNetState:
        return UNetState(self.normalize(images), (), (images.shape[2], images.shape[3]))

    def _run(self, state: UNetState, start: int, stop: int) -> UNetState:
        for step in self.steps[start:stop]:
            state = step(state)
        return state

    def encode(self, images: Tensor) -> UNetState:  # [B, 3, H, W] in 0..1
        return self._run(self._start(images), 0, self.cut)

    def decode(self, state: UNetState) -> Tensor:  # -> [B, C, H, W] logits
        return self._run(state, self.cut, len(self.steps)).x

    def dropped_features(self, state: UNetState) -> DroppedFeatures | None:
        """The classifier's input, where dropout stands before it only, and at the resolution of the images."""
        if self.cut != len(self.steps) - 2 or state.x.shape[-2:] != state.size:
            return None
        classify = self.steps[-1]
        assert isinstance(classify, Classify)
        classifier = classify.classifier
        assert classifier.bias is not None
        return DroppedFeatures(state.x, f"steps.{self.cut}.dropout", classifier.weight.flatten(1), classifier.bias)

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, H, W]
        return self.decode(self.encode(images))

    def repeat(self, state: UNetState, times: int) -> UNetState:
        x, *skips = (one.repeat_interleave(times, 0) for one in (state.x, *state.skips))
        return state._replace(x=x, skips=tuple(skips))

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The deepest features [B, D, h, w] and the classifier's input [B, D, h, w], with dropout off."""
        deepest = self._run(self._start(images), 0, self.deepest)
        return deepest.x, self._run(deepest, self.deepest, len(self.steps) - 1).x


class UNet(StepwiseUNet):
    """The U-Net (arXiv 1505.04597) of the GlaS baselines, with five levels of stride 2 and double convolutions.

    Images [B, 3, H, W] become logits [B, C, H, W] of the same size, whatever that is. Encoder widths are `width` times
    1, 2, 4, 8, 16, 32. Dropout stands where `DropoutSites` says.
    """

    def __init__(
        self,
        *,
        width: Width,
        dropout: ShareBelowOne,
        sites: UNetSites,
        classes: int,
        dropout_kind: DropoutKind = "element",
        normalize: Statistics = "none",
    ) -> None:
        if width < 1 or classes < 1:
            raise ValueError(f"model.width and the number of classes are at least 1, not {width} and {classes}")
        widths = [width * 2**level for level in range(DEPTH)]
        down = [Stem(width), *map(Down, widths)]
        up = [Up(outputs) for outputs in reversed(widths)]
        super().__init__(down, up, DropoutSites(dropout, dropout_kind, sites), Classify(width, classes), normalize)
