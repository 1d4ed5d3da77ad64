"""A granularity of one's own: stripes across the image."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from seg_al.core import Scene
from seg_al.granularities.joining import Joined


@dataclass(frozen=True)
class Stripes(Joined):
    """Stripes over the whole width; the lowest may be smaller."""

    rows: int
    """Height of a stripe in pixels."""
    reads: ClassVar[Literal["image"]] = "image"

    def units(self, scene: Scene) -> Tensor:  # [H, W], ids of units
        height, width = scene.size
        return (torch.arange(height) // self.rows)[:, None].expand(height, width)
