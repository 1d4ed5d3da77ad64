"""Questions about single objects that the passes found, or about the whole image, scored by its objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seg_al.core import Painted, PixelSet, Scene
from seg_al.granularities.joining import Joined, join
from seg_al.tasks.objects.certainty import PaintedObjects
from seg_al.tasks.objects.passes import Group, Objects


@dataclass(frozen=True)
class ImageOfObjects:
    """One unit, the whole image; its score joins those of its objects, however many pixels each has.

    Objects of which every pixel is known already are left out.
    """

    reduction: Literal["mean", "max", "min", "sum", "top"]
    top_share: float
    """Share of the objects, in (0, 1], that the reduction "top" takes the mean of: those most wanted, at least one."""
    empty: float
    """The score of an image without an object, or without one that is still unknown."""
    reads: ClassVar[Literal["image"]] = "image"
    joins: ClassVar[type[Objects]] = Objects

    def __post_init__(self) -> None:
        if not 0 < self.top_share <= 1:
            raise ValueError(f"granularity.top_share is a share in (0, 1], not {self.top_share}")
        if not math.isfinite(self.empty):
            raise ValueError(
                f"granularity.empty={self.empty} is no score; give a number: 1 asks for images without an object "
                "first, 0 last, if the heuristic scores from 0 to 1"
            )

    def units(self, scene: Scene) -> Tensor:
        return torch.zeros(scene.size, dtype=torch.long)

    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:  # [H, W] -> [U]
        assert isinstance(painted, PaintedObjects), "a task whose passes add up to objects paints them"
        assert count <= 1, "the image is the only unit"
        unknown = (ids >= 0).cpu().numpy()
        open_ = [place for place, group in enumerate(painted.objects.groups) if _reaches(group, unknown)]
        scores = painted.scores.double()[open_]
        if not open_:
            joined = scores.new_tensor([self.empty])
        elif self.reduction == "min":
            joined = scores.amin(0, keepdim=True)
        else:
            unit = torch.zeros(len(open_), dtype=torch.long, device=scores.device)
            joined = join(scores, unit, 1, self.reduction, self.top_share)
        return joined[:count]


@dataclass(frozen=True)
class Instance(Joined):
    """The pixels that each object is seen to cover; what belongs to no object is never asked about."""

    reads: ClassVar[type[Objects]] = Objects

    def units(self, scene: Scene) -> Tensor:
        return torch.from_numpy(scene.evidence.of(Objects).map.astype(np.int64))


def _reaches(group: Group, unknown: PixelSet) -> bool:  # [H, W]
    """Whether a pixel of the object is unknown, one that a smaller object covers included."""
    x0, y0, x1, y1 = group.window
    return bool((group.consensus & unknown[y0:y1, x0:x1]).any())
