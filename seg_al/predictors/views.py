"""Views of test-time augmentation: how an image is changed for the network, and its output changed back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Rotation = Literal["none", "right", "any"]


@dataclass(frozen=True)
class View:
    """Noise, then flips, then a turn; undone in reverse order, so that pixels come back to where they were."""

    rows: bool
    """Whether the order of the rows is reversed; the next value does so for columns."""
    columns: bool
    degrees: int
    """Counter-clockwise turn. Multiples of 90 move pixels exactly; others are sampled on a larger canvas."""
    noise: float
    """Standard deviation of the Gaussian noise on intensities in 0..1."""
    seed: int

    def show(self, image: Tensor) -> Tensor:  # [1, 3, H, W] in 0..1 -> [1, 3, H', W']
        if self.noise:
            generator = torch.Generator(image.device).manual_seed(self.seed)
            grains = torch.randn(image.shape, generator=generator, device=image.device)
            image = (image + self.noise * grains).clamp(0, 1)
        image = self._flip(image)
        if self.degrees % 90 == 0:
            return image.rot90(self.degrees // 90, (2, 3))
        return self._turn(image, self._canvas((image.shape[2], image.shape[3])), self.degrees, "bilinear")

    def undo(self, logits: Tensor, size: tuple[int, int]) -> Tensor:  # [k, C, H', W'] -> [k, C, H, W]
        if self.degrees % 90 == 0:
            return self._flip(logits.rot90(-self.degrees // 90, (2, 3)))
        return self._flip(self._turn(logits, size, -self.degrees, "nearest"))

    def _flip(self, x: Tensor) -> Tensor:
        axes = [axis for axis, turned in ((2, self.rows), (3, self.columns)) if turned]
        return x.flip(axes) if axes else x

    def _canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        """The smallest canvas on which the turned image loses no corner."""
        sine, cosine = abs(math.sin(math.radians(self.degrees))), abs(math.cos(math.radians(self.degrees)))
        return math.ceil(size[0] * cosine + size[1] * sine) + 1, math.ceil(size[1] * cosine + size[0] * sine) + 1

    @staticmethod
    def _turn(x: Tensor, size: tuple[int, int], degrees: int, mode: str) -> Tensor:
        """Samples x about its centre on a canvas of `size` pixels; beyond its border x is mirrored."""
        sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
        height, width = x.shape[2:]
        rows, columns = torch.meshgrid(
            torch.arange(size[0], device=x.device) - (size[0] - 1) / 2,
            torch.arange(size[1], device=x.device) - (size[1] - 1) / 2,
            indexing="ij",
        )
        across = (cosine * columns - sine * rows) * 2 / width
        down = (sine * columns + cosine * rows) * 2 / height
        grid = torch.stack([across, down], -1).expand(len(x), -1, -1, -1)
        turned = functional.grid_sample(x.float(), grid, mode, "reflection", align_corners=False)
        return turned.to(x.dtype)


@dataclass(frozen=True)
class Views:
    """Random views: each flip with probability 1/2, a turn, and noise of a random strength."""

    flips: bool
    rotation: Rotation
    """"right": multiples of 90 degrees, exact; "any": whole degrees 0..359; "none"."""
    max_noise: float
    """The noise's standard deviation is drawn from 0 to this, in intensities of 0..1."""

    def __post_init__(self) -> None:
        if not self.max_noise >= 0:
            raise ValueError(f"predictor.views.max_noise={self.max_noise}: choose 0 or more, in intensities of 0..1")
        if not self.flips and self.rotation == "none" and self.max_noise == 0:
            raise ValueError("predictor.views changes nothing: allow flips, a rotation or noise")

    def draw(self, rng: np.random.Generator) -> View:
        rows, columns = (bool(bit) and self.flips for bit in rng.integers(0, 2, 2))
        turn = {"none": 0, "right": 90 * int(rng.integers(4)), "any": int(rng.integers(360))}[self.rotation]
        return View(rows, columns, turn, float(rng.uniform(0, self.max_noise)), int(rng.integers(2**62)))
