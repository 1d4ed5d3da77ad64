"""A lean U-Net for small data on a processor: max-pooling, few convolutions, logits at half the resolution."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from seg_al.models.inputs import Statistics
from seg_al.models.unet import Classify, DropoutSites, StepwiseUNet, UNetSites, UNetState
from seg_al.predictors.dropout import DropoutKind
from seg_al.ranges import Count, ShareBelowOne, Width


class Convolutions(nn.Sequential):
    """So many times 3x3 convolution, batch norm and ReLU; the first convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, count: int, stride: int = 1) -> None:
        super().__init__()
        for number in range(count):
            first = number == 0
            self.extend([
                nn.Conv2d(inputs if first else outputs, outputs, 3, stride if first else 1, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ])  # fmt: skip


class PooledLevel(nn.Module):
    """A level of the encoder; pooling halves the resolution of what the level above made, and keeps that as a skip."""

    def __init__(self, block: Convolutions, pooled: bool) -> None:
        super().__init__()
        self.block = block
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if pooled else None  # rounds up, so that one pixel stays one

    def forward(self, state: UNetState) -> UNetState:
        if self.pool is None:
            return state._replace(x=self.block(state.x))
        return state._replace(x=self.block(self.pool(state.x)), skips=(*state.skips, state.x))


class SkipJoin(nn.Module):
    """Resizes to the last skip (nearest) and joins it."""

    def __init__(self, block: Convolutions) -> None:
        super().__init__()
        self.block = block

    def forward(self, state: UNetState) -> UNetState:
        skip = state.skips[-1]
        up: Tensor = nn.functional.interpolate(state.x, size=skip.shape[-2:], mode="nearest")
        return state._replace(x=self.block(torch.cat([up, skip], dim=1)), skips=state.skips[:-1])


class PooledUNet(StepwiseUNet):
    """A U-Net (arXiv 1505.04597) with `poolings` max-poolings and few convolutions.

    Images [B, 3, H, W] become logits [B, C, H, W] of the same size, whatever that is: with a `stem_stride` above 1
    they are computed at that share of the resolution and resized (bilinear). Widths are `width` times 1, 2, 4, ...;
    each level and each join has `convolutions` of 3x3. Dropout stands where `DropoutSites` says.
    """

    def __init__(
        self,
        *,
        width: Width,
        poolings: Count,
        convolutions: Count,
        stem_stride: Count,
        dropout: ShareBelowOne,
        dropout_kind: DropoutKind,
        sites: UNetSites,
        normalize: Statistics,
        classes: int,
    ) -> None:
        widths = [width * 2**level for level in range(poolings + 1)]
        pairs = list(pairwise(widths))
        stem = PooledLevel(Convolutions(3, width, convolutions, stem_stride), pooled=False)
        down = [PooledLevel(Convolutions(fine, coarse, convolutions), pooled=True) for fine, coarse in pairs]
        up = [SkipJoin(Convolutions(coarse + fine, fine, convolutions)) for fine, coarse in reversed(pairs)]
        super().__init__(
            [stem, *down], up, DropoutSites(dropout, dropout_kind, sites), Classify(width, classes), normalize
        )
