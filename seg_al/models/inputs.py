"""The mean and spread of the pictures that given weights were trained on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Statistics = Literal["imagenet", "cityscapes", "symmetric", "none"]

MEAN_AND_STD: dict[Statistics, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cityscapes": ((0.290101, 0.328081, 0.286964), (0.182954, 0.186566, 0.184475)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Of red, green and blue in 0..1. Symmetric, -1..1, is what networks ported from TensorFlow expect."""


class Normalize(nn.Module):
    """Scales images in 0..1 to mean 0 and spread 1; its numbers are not weights, and are not saved with them."""

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        mean, std = MEAN_AND_STD[statistics]
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, H, W] in 0..1
        return (images - self.mean) / self.std
