"""DeepLabv3+ and FPN of segmentation_models_pytorch; weights come from files that are here, never from the internet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from seg_al.models.encoders import check_names, fill_encoder, without_chance
from seg_al.models.inputs import Statistics, normalization
from seg_al.predictors.dropout import CountedDropout, DropoutKind

DecoderSites = Literal["none", "bottleneck", "decoder", "head"]


class DecoderState(NamedTuple):
    """A half-finished forward pass."""

    maps: tuple[Tensor, ...]  # [B, D, h, w] each; one: the classifier's input
    size: tuple[int, int]
    """Height and width of the images in pixels."""


class DeepLab(nn.Module):
    """DeepLabv3+ (arXiv 1802.02611): images [B, 3, H, W] become logits [B, C, H, W].

    The size of an image is free: its edge is repeated until height and width are multiples of 16.
    `sites`: dropout of probability `dropout` behind the encoder ("bottleneck"), behind the atrous pyramid, before its
    output meets the finer features ("decoder", where the library has it with 0.5), before the classifier ("head") or
    nowhere ("none").
    `weights`: None, or a file of the encoder's; see `fill_encoder`. Stochastic depth of encoders is off.
    Raises ValueError in training for a batch of one image, whose pooled features cannot be normalised.
    """

    task: ClassVar[str] = "semantic"

    def __init__(
        self,
        *,
        encoder: str,
        output_stride: Literal[8, 16],
        dropout: float,
        sites: DecoderSites,
        normalize: Statistics,
        weights: str | None,
        classes: int,
        dropout_kind: DropoutKind = "element",
    ) -> None:
        super().__init__()
        _check(dropout, classes)
        check_names(encoder)
        self.normalize = normalization(normalize)
        self.network: Any = smp.DeepLabV3Plus(
            encoder,
            encoder_weights=None,
            encoder_output_stride=output_stride,
            decoder_aspp_dropout=0.0,
            classes=classes,
        )
        self.dropout = CountedDropout(0 if sites == "none" else dropout, dropout_kind == "channel")
        self.cut = {"bottleneck": 0, "decoder": 1, "head": 2, "none": 2}[sites]
        """Number of parts of the decoder that come before dropout."""
        without_chance(self.network)
        if weights is not None:
            fill_encoder(self.network.encoder, encoder, weights)

    def _decoded(self, maps: tuple[Tensor, ...], start: int, stop: int) -> tuple[Tensor, ...]:
        """The parts from `start` to `stop` of the two of the decoder, the first of which is given coarse and fine."""
        for part in (self._context, self._fused)[start:stop]:
            maps = part(*maps)
        return maps

    def _context(self, coarse: Tensor, fine: Tensor) -> tuple[Tensor, ...]:
        if self.training and len(coarse) == 1:
            raise ValueError(
                "DeepLab cannot be trained on one image at a time: its pooling branch normalises over the images of "
                "a batch; set trainer.batch_size to at least 2 per device, or use model=fpn"
            )
        decoder = self.network.decoder
        return decoder.aspp[0](coarse), decoder.block1(fine)

    def _fused(self, context: Tensor, fine: Tensor) -> tuple[Tensor, ...]:
        """The classifier's input [B, 256, h / 4, w / 4]."""
        decoder = self.network.decoder
        coarse = decoder.up(decoder.aspp[1:](context))
        return (decoder.block2(torch.cat([coarse, fine], dim=1)),)

    def _state(self, features: list[Tensor], size: tuple[int, int]) -> DecoderState:
        return DecoderState(self._decoded((features[-1], features[2]), 0, self.cut), size)

    def _classified(self, state: DecoderState) -> Tensor:
        first, *others = state.maps
        return self._decoded((self.dropout(first), *others), self.cut, 2)[0]

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """The weights that a pretrained file may have given, for a learning rate of their own."""
        parameters: Iterator[nn.Parameter] = self.network.encoder.parameters()
        return parameters

    def encode(self, images: Tensor) -> DecoderState:  # [B, 3, H, W] in 0..1
        return self._state(_features(self.network, self.normalize(images)), _size(images))

    def decode(self, state: DecoderState) -> Tensor:  # -> [B, C, H, W] logits
        return _cut(self.network.segmentation_head(self._classified(state)), state.size, 1)

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, H, W]
        return self.decode(self.encode(images))

    def repeat(self, state: DecoderState, times: int) -> DecoderState:
        return _repeated(state, times)

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's last features [B, D, H / 16, W / 16], the classifier's input [B, 256, H / 4, W / 4]."""
        features = _features(self.network, self.normalize(images))
        state = self._state(features, _size(images))
        stride = self.network.encoder.output_stride
        return _cut(features[-1], state.size, stride), _cut(self._classified(state), state.size, 4)


class FPN(nn.Module):
    """A feature pyramid (arXiv 1612.03144) for segmentation: images [B, 3, H, W] become logits [B, C, H, W].

    The size of an image is free: its edge is repeated until height and width are multiples of 32.
    `sites`: dropout of probability `dropout` before the classifier ("head", where the library has it with 0.2), in each
    of the pyramid's four levels ("decoder"), behind the encoder ("bottleneck") or nowhere ("none").
    `weights`: None, or a file of the encoder's; see `fill_encoder`. Stochastic depth of encoders is off.
    """

    task: ClassVar[str] = "semantic"

    def __init__(
        self,
        *,
        encoder: str,
        dropout: float,
        sites: DecoderSites,
        normalize: Statistics,
        weights: str | None,
        classes: int,
        dropout_kind: DropoutKind = "channel",
    ) -> None:
        super().__init__()
        _check(dropout, classes)
        check_names(encoder)
        self.normalize = normalization(normalize)
        self.network: Any = smp.FPN(encoder, encoder_weights=None, decoder_dropout=0.0, classes=classes)
        count = {"none": 0, "head": 1, "decoder": 4, "bottleneck": 1}[sites]
        self.dropouts = nn.ModuleList(CountedDropout(dropout, dropout_kind == "channel") for _ in range(count))
        """One for the classifier's input or the encoder's last features, or one for each level, finest first."""
        self.cut = {"bottleneck": 0, "decoder": 1, "head": 2, "none": 2}[sites]
        """Number of parts of the decoder that come before dropout."""
        without_chance(self.network)
        if weights is not None:
            fill_encoder(self.network.encoder, encoder, weights)

    def _decoded(self, maps: tuple[Tensor, ...], start: int, stop: int) -> tuple[Tensor, ...]:
        """The parts from `start` to `stop` of the two of the decoder; the first takes the coarsest map first."""
        for part in (self._levels, self._merged)[start:stop]:
            maps = part(*maps)
        return maps

    def _levels(self, last: Tensor, *finer: Tensor) -> tuple[Tensor, ...]:
        """The pyramid's levels, finest first."""
        decoder = self.network.decoder
        levels: tuple[Tensor, ...] = (decoder.p5(last),)
        for join, feature in zip((decoder.p4, decoder.p3, decoder.p2), finer, strict=True):
            levels = (join(levels[0], feature), *levels)
        return levels

    def _merged(self, *levels: Tensor) -> tuple[Tensor, ...]:
        """The classifier's input [B, 128, h / 4, w / 4]."""
        decoder = self.network.decoder
        blocks = zip(decoder.seg_blocks, reversed(levels), strict=True)
        return (decoder.merge([block(level) for block, level in blocks]),)

    def _state(self, features: list[Tensor], size: tuple[int, int]) -> DecoderState:
        return DecoderState(self._decoded(tuple(reversed(features[-4:])), 0, self.cut), size)

    def _classified(self, state: DecoderState) -> Tensor:
        count = len(self.dropouts)
        dropped = (dropout(one) for dropout, one in zip(self.dropouts, state.maps[:count], strict=True))
        return self._decoded((*dropped, *state.maps[count:]), self.cut, 2)[0]

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """The weights that a pretrained file may have given, for a learning rate of their own."""
        parameters: Iterator[nn.Parameter] = self.network.encoder.parameters()
        return parameters

    def encode(self, images: Tensor) -> DecoderState:  # [B, 3, H, W] in 0..1
        return self._state(_features(self.network, self.normalize(images)), _size(images))

    def decode(self, state: DecoderState) -> Tensor:  # -> [B, C, H, W] logits
        return _cut(self.network.segmentation_head(self._classified(state)), state.size, 1)

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, H, W]
        return self.decode(self.encode(images))

    def repeat(self, state: DecoderState, times: int) -> DecoderState:
        return _repeated(state, times)

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's last features [B, D, H / 32, W / 32], the classifier's input [B, 128, H / 4, W / 4]."""
        features = _features(self.network, self.normalize(images))
        state = self._state(features, _size(images))
        stride = self.network.encoder.output_stride
        return _cut(features[-1], state.size, stride), _cut(self._classified(state), state.size, 4)


def _check(dropout: float, classes: int) -> None:
    if classes < 1:
        raise ValueError(f"the number of classes is at least 1, not {classes}")
    if not 0 <= dropout < 1:
        raise ValueError(f"model.dropout is a probability in [0, 1), not {dropout}")


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


def _features(network: Any, images: Tensor) -> list[Tensor]:
    """The encoder's maps, finest first, of images whose edge is repeated to a multiple of its stride."""
    stride = max(network.encoder.output_stride, 16)
    below, right = (-length % stride for length in _size(images))
    features: list[Tensor] = network.encoder(functional.pad(images, (0, right, 0, below), mode="replicate"))
    return features


def _cut(maps: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """The part of a map that lies on the image."""
    height, width = (-(-length // stride) for length in size)
    return maps[:, :, :height, :width]


def _repeated(state: DecoderState, times: int) -> DecoderState:
    return DecoderState(tuple(one.repeat_interleave(times, 0) for one in state.maps), state.size)
