"""Granularities that each break one law, for test_granularity_suite; Right breaks none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seg_al.core import Evidence, Nothing, Painted, Scene
from seg_al.granularities.joining import join
from seg_al.predictors.class_maps import ClassMaps


@dataclass(frozen=True)
class Right:
    """Rows of five pixels' height."""

    reads: ClassVar[type[Evidence] | Literal["image", "scores"]] = "image"
    joins: ClassVar[type[Evidence]] = Nothing

    def units(self, scene: Scene) -> Tensor:
        height, width = scene.size
        return (torch.arange(height) // 5)[:, None].repeat(1, width)

    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        return join(painted.map, ids, count, "mean", 0.1)


class Misspelt(Right):
    reads = "imagge"  # type: ignore[assignment]


class Everywhere(Right):
    def units(self, scene: Scene) -> Tensor:
        return torch.full(scene.size, -1)


class Numpy(Right):
    def units(self, scene: Scene) -> Tensor:
        return super().units(scene).numpy()  # type: ignore[return-value]


class Short(Right):
    def units(self, scene: Scene) -> Tensor:
        return super().units(scene).int()


class OneRow(Right):
    def units(self, scene: Scene) -> Tensor:
        return super().units(scene).flatten()


class BelowNothing(Right):
    def units(self, scene: Scene) -> Tensor:
        return super().units(scene) - 3


class NothingToAsk(Right):
    def units(self, scene: Scene) -> Tensor:
        return torch.where(scene.within, -1, 0)


class DrawsFromElsewhere(Right):
    own: ClassVar[np.random.Generator] = np.random.default_rng(0)

    def units(self, scene: Scene) -> Tensor:
        return torch.from_numpy(self.own.integers(0, 9, scene.size))


class CutsByPredictions(Right):
    """And says that it reads the picture."""

    def units(self, scene: Scene) -> Tensor:
        if not scene.evidence.holds(ClassMaps):
            return super().units(scene)
        return scene.evidence.of(ClassMaps).mean.argmax(0)


class CutsByScores(Right):
    reads = ClassMaps

    def units(self, scene: Scene) -> Tensor:
        return super().units(scene) if scene.score_map is None else (scene.score_map > 0.5).long()


class NeedsAMap(Right):
    reads = "scores"

    def units(self, scene: Scene) -> Tensor:
        if scene.score_map is None:
            return torch.full(scene.size, -1)
        return (scene.score_map > 0.5).long()


class DividesByZero(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        return super().reduce(painted, ids, count) / 0


class OneTooMany(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        return super().reduce(painted, ids, count + 1)


class Sorts(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        return super().reduce(painted, ids, count).sort().values


class ScalesByTheImage(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        scores = super().reduce(painted, ids, count)
        return scores / scores.sum()


class WeighsTheMiddle(Right):
    """Written for maps of one size."""

    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        rows = torch.linspace(-1, 1, len(ids)).abs()[:, None]
        return join(painted.map + (1 - rows), ids, count, "mean", 0.1)


class CountsTheKnown(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        return super().reduce(painted, ids, count) + painted.map.mean()


class Reverses(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        return 1 - super().reduce(painted, ids, count)


class IgnoresTheMap(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        return torch.ones(count)


class NeedsAUnit(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        scores = super().reduce(painted, ids, max(1, count))
        return scores


class Writes(Right):
    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        painted.map[ids < 0] = 0
        return super().reduce(painted, ids, count)


class WritesWithin(Right):
    def units(self, scene: Scene) -> Tensor:
        scene.within[0] = False
        return super().units(scene)


BROKEN: dict[str, tuple[Callable[[], Right], str]] = {
    "reads misspelt": (Misspelt, "names kinds of evidence"),
    "-1 everywhere": (Everywhere, "cuts into numbered units"),
    "an array of numpy": (Numpy, "cuts into numbered units"),
    "short numbers": (Short, "cuts into numbered units"),
    "one row": (OneRow, "cuts into numbered units"),
    "below nothing": (BelowNothing, "cuts into numbered units"),
    "nothing to ask about": (NothingToAsk, "cuts into numbered units"),
    "draws from elsewhere": (DrawsFromElsewhere, "cuts the same again"),
    "cuts by predictions": (CutsByPredictions, "cuts by what it reads"),
    "cuts by scores": (CutsByScores, "cuts by what it reads"),
    "needs a map": (NeedsAMap, "cuts by what it reads"),
    "divides by zero": (DividesByZero, "gives each unit a score"),
    "one score too many": (OneTooMany, "gives each unit a score"),
    "sorts": (Sorts, "joins each unit by itself"),
    "scales by the image": (ScalesByTheImage, "joins each unit by itself"),
    "weighs the middle": (WeighsTheMiddle, "joins images one above the other"),
    "counts the known": (CountsTheKnown, "leaves out what is in no unit"),
    "reverses": (Reverses, "keeps the direction"),
    "ignores the map": (IgnoresTheMap, "keeps the direction"),
    "needs a unit": (NeedsAUnit, "serves images without units"),
    "writes into the map": (Writes, "writes nothing"),
    "writes into the scene": (WritesWithin, "writes nothing"),
}
"""Each with the law that it breaks, and perhaps others that follow from it."""
