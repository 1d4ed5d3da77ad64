"""The evidence of features: maps of a network from one pass with dropout off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from seg_al.core import ByteImage, Compute, GivesFeatures, Model


@dataclass(frozen=True)
class Features:
    """Two maps of one image, float32, coarser than the image."""

    size: tuple[int, int]
    """H and W of the image, which the map of a heuristic has."""
    deepest: Tensor  # [D, h, w], the deepest map that no dropout touches
    penultimate: Tensor  # [D', h', w'], the input of the classifier
    called: ClassVar[str] = "features"
    passes: ClassVar[int] = 0


@dataclass(frozen=True)
class LabelledDistances:
    """How far the features of one image are from the nearest of what is labelled."""

    size: tuple[int, int]
    """H and W of the image, which the map of a heuristic has."""
    distances: Tensor  # [h, w], Euclidean, of the deepest features
    called: ClassVar[str] = "distances to the labelled set"
    passes: ClassVar[int] = 0


class FeatureSource(Protocol):
    """Where the features of images come from."""

    @property
    def trained(self) -> bool: ...  # whether they are those of the network that the run trains
    def check(self) -> None: ...  # raises ValueError where they cannot be made, before the first round
    def __call__(
        self,
        names: Sequence[str],
        images: Sequence[ByteImage],
        models: Callable[[], Sequence[Model]],
        compute: Compute,
    ) -> list[Features]: ...  # of images of one size


_AT_ONCE = 1 << 24
"""Most distances that are in memory at a time."""


def labelled_features(deepest: Tensor, known: Tensor) -> Tensor:  # [D, h, w], [H, W] bool -> [L, D]
    """The features of the cells that hold a known pixel."""
    rows, columns = (
        torch.arange(pixels, device=deepest.device) * cells // pixels
        for pixels, cells in zip(known.shape, deepest.shape[1:], strict=True)
    )
    inside = known.to(deepest.device).nonzero()
    cells = torch.unique(rows[inside[:, 0]] * deepest.shape[2] + columns[inside[:, 1]])
    return deepest.flatten(1).T[cells]


def distances_to(labelled: Tensor, features: Features) -> LabelledDistances:  # [L, D]
    cells = features.deepest.flatten(1).T  # [h w, D]
    step = max(1, _AT_ONCE // max(1, len(labelled)))
    nearest = torch.cat([torch.cdist(part, labelled).amin(1) for part in torch.split(cells, step)])
    return LabelledDistances(features.size, nearest.reshape(features.deepest.shape[1:]))


@torch.inference_mode()
def features_of(models: Sequence[Model], images: Tensor, compute: Compute) -> list[Features]:  # [B, 3, H, W] in 0..1
    """The features of the first model. Raises ValueError for a model without any."""
    model = models[0]
    if not isinstance(model, GivesFeatures):
        raise ValueError(
            f"features are asked for, but {type(model).__name__} has no embed(images); "
            "choose features=frozen, a heuristic and a selector that read none, such as selector=top, or another model"
        )
    with compute.autocast():
        maps = zip(*model.embed(images), strict=True)
    size = images.shape[2], images.shape[3]
    return [Features(size, deepest.float(), penultimate.float()) for deepest, penultimate in maps]
