"""A U-Net whose encoder is one of segmentation_models_pytorch, with a light decoder for work on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from seg_al.models.encoders import check_names, fill_encoder, without_chance
from seg_al.models.inputs import Statistics
from seg_al.models.pooled_unet import Convolutions, SkipJoin
from seg_al.models.unet import DEPTH, Classify, DropoutSites, StepwiseUNet, UNetSites, UNetState
from seg_al.predictors.dropout import DropoutKind
from seg_al.ranges import Count, ShareBelowOne


class Encode(nn.Module):
    """All of the encoder as one step: its last map goes on, the finer ones are skips."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, state: UNetState) -> UNetState:
        _, *finer, last = self.encoder(state.x)  # the first is the image
        return state._replace(x=last, skips=tuple(finer))


class EncoderUNet(StepwiseUNet):
    """A U-Net (arXiv 1505.04597) over an encoder with strides 2, 4, 8, 16 and 32.

    Images [B, 3, H, W] become logits [B, C, H, W] of the same size, whatever that is; they are computed at the
    resolution of the last join and resized (bilinear). `decoder` has the channels of each join, the coarsest first: up
    to four of them, with `convolutions` of 3x3 each. Dropout stands where `DropoutSites` says; the encoder is one
    level. `weights`: None, or a file of the encoder's; see `fill_encoder`. Stochastic depth of encoders is off.
    """

    def __init__(
        self,
        *,
        encoder: str,
        decoder: tuple[Count, ...],
        convolutions: Count,
        dropout: ShareBelowOne,
        dropout_kind: DropoutKind,
        sites: UNetSites,
        normalize: Statistics,
        weights: str | None,
        classes: int,
    ) -> None:
        if not 1 <= len(decoder) < DEPTH:
            raise ValueError(
                f"model.decoder={[*decoder]} has {len(decoder)} numbers, one for each join; give 1 to {DEPTH - 1}"
            )
        check_names(encoder)
        network: Any = smp.encoders.get_encoder(encoder, depth=DEPTH, weights=None)
        without_chance(network)
        *finer, last = network.out_channels[1:]
        pairs = zip((last, *decoder), reversed(finer), decoder, strict=False)
        up = [SkipJoin(Convolutions(below + skip, width, convolutions)) for below, skip, width in pairs]
        sites_of = DropoutSites(dropout, dropout_kind, sites)
        super().__init__([Encode(network)], up, sites_of, Classify(decoder[-1], classes), normalize)
        if weights is not None:
            fill_encoder(network, encoder, weights)

    @property
    def encoder(self) -> Any:
        """It is a part of the first step, and its weights are saved once, under that."""
        return self.steps[0].encoder

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """The weights that a pretrained file may have given, for a learning rate of their own."""
        parameters: Iterator[nn.Parameter] = self.encoder.parameters()
        return parameters
