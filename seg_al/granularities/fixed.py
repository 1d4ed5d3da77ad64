"""Units that do not depend on the image: the whole image, square tiles, single pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from seg_al.core import Nothing, Painted, Scene
from seg_al.granularities.joining import Joined


@dataclass(frozen=True)
class Image(Joined):
    """One unit: the whole image."""

    reads: ClassVar[Literal["image"]] = "image"

    def units(self, scene: Scene) -> Tensor:
        return torch.zeros(scene.size, dtype=torch.long)


@dataclass(frozen=True)
class Grid(Joined):
    """Square tiles; those at the right and lower border may be smaller."""

    tile: int
    """Side of a tile in pixels."""
    reads: ClassVar[Literal["image"]] = "image"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tile < 1:
            raise ValueError(f"granularity.tile is at least 1 pixel, not {self.tile}")

    def units(self, scene: Scene) -> Tensor:
        height, width = scene.size
        rows = torch.arange(height) // self.tile
        columns = torch.arange(width) // self.tile
        return rows[:, None] * (1 + (width - 1) // self.tile) + columns[None, :]


@dataclass(frozen=True)
class Pixel:
    """Every pixel is a unit; its id is its position in row-major order, its score that of the map."""

    reads: ClassVar[Literal["image"]] = "image"
    joins: ClassVar[type[Nothing]] = Nothing

    def units(self, scene: Scene) -> Tensor:
        height, width = scene.size
        return torch.arange(height * width).reshape(height, width)

    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        inside = ids >= 0
        scores = torch.empty(count, dtype=torch.float64, device=painted.map.device)
        scores[ids[inside]] = painted.map[inside].double()
        return scores
