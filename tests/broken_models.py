"""Models that each break one law, for test_model_suite; Right breaks none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seg_al.predictors.dropout import CountedDropout


class Right(nn.Module):
    """A convolution, dropout, and a classifier."""

    def __init__(self, *, classes: int, dropout: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.drop = dropout or CountedDropout(0.5)
        self.classify = nn.Conv2d(6, classes, 1)

    def encode(self, images: Tensor) -> Tensor:
        return self.norm(self.first(images)).relu()

    def decode(self, state: Tensor) -> Tensor:
        return self.classify(self.drop(state))

    def repeat(self, state: Tensor, times: int) -> Tensor:
        return state.repeat_interleave(times, 0)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        state = self.encode(images)
        return state, state

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        return self.first.parameters()


class DrawsFromNumpy(Right):
    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes)
        with torch.no_grad():
            self.classify.weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=(classes, 6, 1, 1))))


class AlwaysTheSame(Right):
    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes)
        with torch.no_grad():
            for weight in self.parameters():
                weight.fill_(0.1)


class TorchDropout(Right):
    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes, dropout=nn.Dropout(0.5))


class RepeatsTheBatch(Right):
    def repeat(self, state: Tensor, times: int) -> Tensor:
        return state.repeat(times, 1, 1, 1)


class NormalisesTheBatch(Right):
    def encode(self, images: Tensor) -> Tensor:
        return super().encode(images - images.mean())


class Halves(Right):
    def encode(self, images: Tensor) -> Tensor:
        return super().encode(images)[:, :, ::2, ::2]


class DividesByTheSpread(Right):
    def encode(self, images: Tensor) -> Tensor:
        return super().encode((images - images.mean((1, 2, 3), keepdim=True)) / images.std((1, 2, 3), keepdim=True))


class Writes(Right):
    def encode(self, images: Tensor) -> Tensor:
        return super().encode(images.sub_(0.5))


class HidesWeights(Right):
    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes)
        self.hidden = [nn.Conv2d(6, 6, 1)]

    def decode(self, state: Tensor) -> Tensor:
        return super().decode(self.hidden[0](state))


class ForgetsItsStatistics(Right):
    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes)
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def encode(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen += images.mean()
        return super().encode(images) + self.seen


class Detaches(Right):
    def decode(self, state: Tensor) -> Tensor:
        return super().decode(state.detach())


class DetachesAll(Right):
    def decode(self, state: Tensor) -> Tensor:
        return super().decode(state).detach()


class HasAnUnusedLayer(Right):
    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes)
        self.unused = nn.Conv2d(6, 6, 1)


class FlatFeatures(Right):
    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        state = self.encode(images).mean((2, 3))
        return state, state


class NoisyFeatures(Right):
    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        state = nn.functional.dropout(self.encode(images), 0.5)
        return state, state


class NoEncoder(Right):
    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        return iter(())


class OthersEncoder(Right):
    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        return nn.Conv2d(3, 6, 3).parameters()


BROKEN: dict[str, tuple[Callable[..., Any], str]] = {
    "draws from numpy": (DrawsFromNumpy, "is built from the seed"),
    "always the same": (AlwaysTheSame, "is built from the seed"),
    "dropout of torch": (TorchDropout, "is cut at its dropout"),
    "repeats the batch": (RepeatsTheBatch, "repeats each image in place"),
    "normalises the batch": (NormalisesTheBatch, "sees each image alone"),
    "halves": (Halves, "takes images of any size"),
    "divides by the spread": (DividesByTheSpread, "is finite"),
    "writes": (Writes, "writes nothing"),
    "hides weights": (HidesWeights, "is told by its state"),
    "forgets its statistics": (ForgetsItsStatistics, "is told by its state"),
    "detaches the encoder": (Detaches, "teaches all its weights"),
    "detaches all": (DetachesAll, "teaches all its weights"),
    "an unused layer": (HasAnUnusedLayer, "teaches all its weights"),
    "flat features": (FlatFeatures, "describes images"),
    "noisy features": (NoisyFeatures, "describes images"),
    "no encoder": (NoEncoder, "knows its encoder"),
    "the encoder of another": (OthersEncoder, "knows its encoder"),
}
"""Each with the law that it breaks, and perhaps others that follow from it."""
