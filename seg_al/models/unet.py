"""The U-Net of the GlaS baselines: five levels of stride 2, images of any size."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seg_al.predictors.dropout import CountedDropout
from seg_al.ranges import Width

DEPTH = 5
UNetSites = Literal["all", "decoder", "bottleneck", "head", "none"]


class UNetState(NamedTuple):
    """A half-finished forward pass."""

    x: Tensor  # [B, D, h, w]
    skips: tuple[Tensor, ...]  # [B, D, h, w] each, what later steps join; finest first


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
        return UNetState(self.block(state.x), state.skips)


class Down(nn.Module):
    """Halves the resolution and keeps its input as a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = DoubleConv(width, 2 * width, stride=2)

    def forward(self, state: UNetState) -> UNetState:
        return UNetState(self.block(state.x), (*state.skips, state.x))


class Up(nn.Module):
    """Resizes to the last skip (nearest), joins it and halves the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.same = DoubleConv(2 * width, 2 * width)
        self.join = DoubleConv(3 * width, width)

    def forward(self, state: UNetState) -> UNetState:
        skip = state.skips[-1]
        up = nn.functional.interpolate(self.same(state.x), size=skip.shape[-2:], mode="nearest")
        return UNetState(self.join(torch.cat([up, skip], dim=1)), state.skips[:-1])


class Drop(nn.Module):
    """Element-wise dropout."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout = CountedDropout(p)

    def forward(self, state: UNetState) -> UNetState:
        return UNetState(self.dropout(state.x), state.skips)


class Classify(nn.Module):
    """The logits of each pixel, by a 1x1 convolution."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, state: UNetState) -> UNetState:
        return UNetState(self.classifier(state.x), state.skips)


class UNet(nn.Module):
    """A U-Net (arXiv 1505.04597) as a list of steps; encode runs those before the first dropout, decode the rest.

    Images [B, 3, H, W] become logits [B, C, H, W] of the same size, whatever that is. Encoder widths are `width` times
    1, 2, 4, 8, 16, 32. Element-wise dropout of probability `dropout` follows every double convolution of the
    encoder and every join of the decoder ("all"), the joins only ("decoder"), the deepest encoder level only
    ("bottleneck"), the last join only, before the classifier ("head"), or nothing ("none").
    """

    task: ClassVar[str] = "semantic"

    def __init__(self, *, width: Width, dropout: float, sites: UNetSites, classes: int) -> None:
        super().__init__()
        if width < 1 or classes < 1:
            raise ValueError(f"model.width and the number of classes are at least 1, not {width} and {classes}")
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout is a probability in [0, 1), not {dropout}")
        widths = [width * 2**level for level in range(DEPTH)]

        def drop(here: bool) -> list[nn.Module]:
            return [Drop(dropout)] if here and dropout > 0 else []

        steps: list[nn.Module] = [Stem(width), *drop(sites == "all")]
        for level, inputs in enumerate(widths, start=1):
            steps += [Down(inputs), *drop(sites == "all" or (sites == "bottleneck" and level == DEPTH))]
        self.deepest = len(steps)
        for outputs in reversed(widths):
            last = outputs == width
            steps += [Up(outputs), *drop(sites in ("all", "decoder") or (sites == "head" and last))]
        steps.append(Classify(width, classes))
        self.steps = nn.ModuleList(steps)
        self.cut = next((at for at, step in enumerate(steps) if isinstance(step, Drop)), len(steps) - 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def _run(self, state: UNetState, start: int, stop: int) -> UNetState:
        for step in self.steps[start:stop]:
            state = step(state)
        return state

    def encode(self, images: Tensor) -> UNetState:  # [B, 3, H, W] in 0..1
        return self._run(UNetState(images, ()), 0, self.cut)

    def decode(self, state: UNetState) -> Tensor:  # -> [B, C, H, W] logits
        return self._run(state, self.cut, len(self.steps)).x

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, H, W]
        return self.decode(self.encode(images))

    def repeat(self, state: UNetState, times: int) -> UNetState:
        skips = tuple(skip.repeat_interleave(times, 0) for skip in state.skips)
        return UNetState(state.x.repeat_interleave(times, 0), skips)

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The deepest features [B, D, h, w] and the classifier's input [B, width, H, W], with dropout off."""
        deepest = self._run(UNetState(images, ()), 0, self.deepest)
        return deepest.x, self._run(deepest, self.deepest, len(self.steps) - 1).x
