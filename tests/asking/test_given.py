"""What a heuristic or a granularity gives wrongly is said with its name, the image and what it has to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from experiments import tiny
from seg_al.asking.pool import Pool
from seg_al.core import Budget, Candidates, Evidence, Scene
from seg_al.granularities.joining import Joined
from seg_al.heuristics.random import Random
from seg_al.predictors.class_maps import ClassMaps
from seg_al.running.checks import problems_of


@dataclass(frozen=True)
class Own:
    """A heuristic that gives what it is told."""

    give: Callable[[tuple[int, int]], Any]
    reads: Any = ClassMaps
    min_passes: ClassVar[int] = 1

    def __call__(self, maps: ClassMaps) -> Any:
        return self.give(maps.size)


@dataclass(frozen=True)
class Cut(Joined):
    """A granularity that gives what it is told."""

    give: Callable[[tuple[int, int]], Any]
    reads: Any = "image"

    def units(self, scene: Scene) -> Any:
        return self.give(scene.size)


def ask(data: Path, budget: Budget = Budget(1, "images", "pool"), **parts: Any) -> Any:  # noqa: B008
    experiment = tiny(data, "heuristic=entropy")
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    model = experiment.fresh_model(0).eval()
    asking = replace(experiment.asking, **parts)
    return asking(experiment.round_view(1, pool, lambda: [model]), experiment.annotator, budget)


@pytest.mark.parametrize(
    ("give", "wanted"),
    [
        (lambda size: 0.5, "gives a float for image train_1; it has to give a torch tensor [32, 40]"),
        (lambda size: None, "gives None for image train_1; it has to give a torch tensor [32, 40]"),
        (np.zeros, "gives a numpy.ndarray for image train_1; it has to give a torch tensor [32, 40]"),
        (
            lambda size: torch.ones(size, dtype=torch.long),
            "gives torch.int64 for image train_1; it has to give floating",
        ),
    ],
)
def test_what_is_no_map_of_scores_is_named_with_the_image(give: Any, wanted: str, data: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(wanted).replace("train_1;", r"train_\d+;")):
        ask(data, heuristic=Own(give))


def test_a_map_with_a_gradient_scores_as_one_without(data: Path) -> None:
    ramp = torch.linspace(0, 1, 32 * 40).view(32, 40)
    plain, graded = (ask(data, heuristic=Own(lambda _, m=m: m)) for m in (ramp, ramp.clone().requires_grad_()))
    assert plain.queries == graded.queries
    assert plain.queries[0].score == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("give", "wanted"),
    [
        (torch.zeros, r"gives ids of torch.float32 for image train_\d+; they have to be torch.long"),
        (
            lambda size: torch.zeros(size).int(),
            r"gives ids of torch.int32 for image train_\d+; they have to be torch.long",
        ),
        (np.zeros, r"gives a numpy.ndarray for image train_\d+; it has to give a torch tensor \[32, 40\]"),
        (lambda size: torch.full(size, -1), "granularity Cut gives -1 everywhere"),
    ],
)
def test_what_is_no_map_of_ids_is_named_with_the_image(give: Any, wanted: str, data: Path) -> None:
    with pytest.raises(ValueError, match=wanted):
        ask(data, granularity=Cut("mean", 1.0, give))


class NoKind:
    """A class, but no kind of evidence."""


@pytest.mark.parametrize("reads", ["features", NoKind, None])
def test_reads_that_is_no_kind_of_evidence_is_refused_before_the_run(reads: type[Evidence], data: Path) -> None:
    experiment = tiny(data)
    own = replace(experiment, asking=replace(experiment.asking, heuristic=Own(torch.zeros, reads)))
    assert f"heuristic Own: reads={reads!r}; it has to be a class such as seg_al.predictors.features.Features" in (
        problems_of(own)
    )


def test_a_granularity_with_a_misspelt_reads_is_refused_before_the_run(data: Path) -> None:
    experiment = tiny(data)
    cut = Cut("mean", 1.0, lambda size: torch.zeros(size).long(), "imagge")
    own = replace(experiment, asking=replace(experiment.asking, granularity=cut))
    assert any("reads='imagge'; it has to be 'image', 'scores' or a kind of" in one for one in problems_of(own))


@dataclass(frozen=True)
class Stops:
    """A selector that names one position."""

    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
        return [0]


def test_a_selector_that_stops_early_is_said_in_the_log_and_with_each_query(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        asked = ask(data, selector=Stops(), heuristic=Random(), name="random", budget=Budget(2, "images", "pool"))
    assert "round 1: the selector Stops named 1 of 2 units; the rest was taken by score" in caplog.text
    assert [query.why for query in asked.queries] == [
        "choice 1 of 6 by the selector Stops, random = 1",
        "choice 2 of 6 by random = 1, as the selector Stops named 1 of 2",
    ]
