"""The evidence of features: maps of a network from one pass with dropout off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from seg_al.core import Compute, GivesFeatures, Model


@dataclass(frozen=True)
class Features:
    """Two maps of one image, float32, coarser than the image."""

    size: tuple[int, int]
    """H and W of the image, which the map of a heuristic has."""
    deepest: Tensor  # [D, h, w], the deepest map that no dropout touches
    penultimate: Tensor  # [D', h', w'], the input of the classifier
    called: ClassVar[str] = "features"
    passes: ClassVar[int] = 0


@torch.inference_mode()
def features_of(models: Sequence[Model], image: Tensor, compute: Compute) -> Features:  # [1, 3, H, W] in 0..1
    """The features of the first model. Raises ValueError for a model without any."""
    model = models[0]
    if not isinstance(model, GivesFeatures):
        raise ValueError(
            f"features are asked for, but {type(model).__name__} has no embed(images); "
            "choose a heuristic and a selector that read none, such as selector=top, or another model"
        )
    with compute.autocast():
        deepest, penultimate = model.embed(image)
    return Features((image.shape[2], image.shape[3]), deepest[0].float(), penultimate[0].float())
