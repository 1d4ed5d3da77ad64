"""Parts from outside are called on a made-up image before a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from seg_al.asking.asking import Asking
from seg_al.core import Candidates, Evidence, Nothing, Scene
from seg_al.granularities.fixed import Image
from seg_al.heuristics.entropy import Entropy
from seg_al.predictors.class_maps import ClassMaps
from seg_al.predictors.features import Features
from seg_al.predictors.predictor import Predictor
from seg_al.running.trial import trial_problems
from seg_al.selectors.top import Top


@dataclass(frozen=True)
class Painter:
    paints: Callable[[Any], Tensor]
    reads: type[Evidence] = ClassMaps
    min_passes: ClassVar[int] = 0

    def __call__(self, evidence: Any) -> Tensor:
        return self.paints(evidence)


@dataclass(frozen=True)
class Cutter:
    ids: Callable[[tuple[int, int]], Tensor]
    reads: ClassVar[Literal["image"]] = "image"
    joins: ClassVar[type[Evidence]] = Nothing

    def units(self, scene: Scene) -> Tensor:
        return self.ids(scene.size)

    def reduce(self, painted: Any, ids: Tensor, count: int) -> Tensor:
        return torch.ones(count)


@dataclass(frozen=True)
class Describer:
    rows: int
    reads: ClassVar[tuple[type[Evidence], ...]] = (Features,)

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        return scene.evidence.of(Features).deepest.mean((1, 2)).expand(self.rows, 8)


@dataclass(frozen=True)
class Picker:
    picks: Callable[[Candidates], list[Any]]
    descriptor: Describer | None = None
    reads_known: ClassVar[bool] = True
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[Any]:
        return self.picks(candidates)


def asking(**parts: Any) -> Asking:
    own = Asking(
        Entropy(), "mine", {}, Image("mean", 1.0), Top(),
        Predictor(passes=2, dropout=True, views=None, members=1, snapshots=1, chunk=1), None, 1000,
    )  # fmt: skip
    return replace(own, **parts)


RIGHT: dict[str, Any] = {
    "heuristic": Painter(lambda maps: maps.mean[1]),
    "granularity": Cutter(lambda size: torch.arange(size[0])[:, None].expand(size) // 8),
    "selector": Picker(lambda rows: np.argsort(rows.scores - rows.known[:, 0] * 0).tolist(), Describer(4)),
}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt attribute": (
        {"heuristic": Painter(lambda maps: maps.maen)},
        r"heuristic=mine .*AttributeError.* line \d+",
    ),
    "a map of one class too many": (
        {"heuristic": Painter(lambda maps: maps.mean)},
        r"shape \[3, 32, 48\], where a tensor",
    ),
    "a score that is NaN": ({"heuristic": Painter(lambda maps: maps.mean[0] * torch.nan)}, "NaN or infinite"),
    "ids of another size": ({"granularity": Cutter(lambda size: torch.zeros(4, 4).long())}, "granularity fails"),
    "a descriptor of other units": (
        {"selector": Picker(lambda rows: [0], Describer(3))},
        r"selector\.descriptor fails",
    ),
    "a position that is none": ({"selector": Picker(lambda rows: [len(rows)])}, "selector fails.* 24 of 24 candidates"),
}


def test_parts_that_work_are_not_told() -> None:
    assert trial_problems(asking(**RIGHT), 3) == []
    assert trial_problems(asking(heuristic=Painter(lambda features: features.deepest.norm(), Features)), 3) != []


@pytest.mark.parametrize("name", WRONG)
def test_a_part_that_cannot_work_is_told_with_its_place(name: str) -> None:
    parts, told = WRONG[name]
    (problem,) = trial_problems(asking(**{**RIGHT, **parts}), 3)
    assert "fails on a small made-up image" in problem
    with pytest.raises(ValueError, match=told):
        raise ValueError(problem)
