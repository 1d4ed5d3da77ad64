"""What the config says is what runs: each option of what decides a query gets another value, and a number moves."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import yaml

from experiments import ROOT, tiny
from seg_al.asking.pool import Pool
from seg_al.asking.start import RandomStart, whole_images
from seg_al.core import Answer
from seg_al.loop import Experiment
from seg_al.models import region_layers
from seg_al.running.option_files import option_of

GROUPS = ("heuristic", "selector", "granularity", "predictor", "task")


class Change(NamedTuple):
    """Other values, of which the first that is not the default is taken, and what else it needs to matter."""

    values: str | tuple[str, ...]
    beside: tuple[str, ...] = ()

    def other(self, default: object) -> str:
        values = (self.values,) if isinstance(self.values, str) else self.values
        return next(value for value in values if yaml.safe_load(value) != default)


class Still(NamedTuple):
    """Why no number of a query may move, or why it cannot be seen on these images."""

    why: str


OBJECTS = (
    "model=mask_rcnn_small", "model.weights=null", "dataset.size=[48,64]", "model.proposals.after=40",
    "model.detecting.score=0.01", "model.detecting.most=20", "trainer.augmentation.crop=[48,48]",
)  # fmt: skip
"""An untrained network that finds something."""
SEEN = ("task.sighting=0", "task.least_score=0.02")
TILES = ("granularity=grid", "granularity.tile=8", "cost=regions", "budget=12", "heuristic=entropy", "rounds=4")
"""Many units, of which a good few are asked about."""
SUPERPIXELS = ("cost=regions", "budget=3", "heuristic=entropy")
COARSE = ("granularity.algorithm.cells=12",)
FEW = ("granularity.reduction=top",)
FINE = ("dataset.size=[128,160]", "granularity.tile=16", "budget=20")
"""Enough units, each with features of its own, for clusters of many."""
SMALL_HEADS = ("selector.discriminator.hidden=16", "selector.discriminator.epochs=20", "selector.parts=2")

LEARNING = ("selector.discriminator.learning_rate=0.003", "selector.discriminator.accuracy=1.0")

CHANGES: Mapping[str, Change | Still] = {
    "heuristic.axon_myelin.background": Change("1", ("mc_iters=8",)),
    "heuristic.vote_variance.background": Change("1", ("heuristic.distance_weight=true", "mc_iters=8")),
    "heuristic.axon_myelin.distance_weight": Change("false", ("mc_iters=8",)),
    "heuristic.vote_variance.distance_weight": Change("true", ("mc_iters=8",)),
    "heuristic.ripu.radius": Change("5"),
    "heuristic.ripu_pixel.radius": Change("1"),
    "heuristic.*.semantic": Change(("margin", "top"), ("heuristic.background=true", "heuristic.one_class=true")),
    "heuristic.*.background": Change(("true", "false"), ("heuristic.semantic=entropy", "heuristic.one_class=true")),
    "heuristic.*.one_class": Change(("true", "false"), ("heuristic.semantic=entropy", "heuristic.mask=iou")),
    "heuristic.*.mask": Change(("variance", "iou")),
    "heuristic.*.box": Change(("inclusive", "plain")),
    "heuristic.*.occurrence": Change(("parabola", "linear")),
    "heuristic.*.wanted": Change(("certain", "uncertain")),
    "selector.clasp_pe.background": Change("null"),
    "selector.clasp_pe.foreground_share": Change("0.1"),
    "selector.clasp_pe.last_beta": Change("1.0"),
    "selector.clasp_pe.rounds": Change("12"),
    "selector.*.descriptor.without_background": Change("true"),
    "selector.discriminative.descriptor.normalised": Change("true", SMALL_HEADS),
    "selector.*.descriptor.normalised": Change(("true", "false"), FINE),
    "selector.clue.restarts": Change("7", FINE),
    "selector.*.restarts": Still("k-means may end in the same clusters from other starts, and does so here"),
    "selector.discriminative.parts": Change("6", ("selector.draw=1", *SMALL_HEADS[:2])),
    "selector.discriminative.draw": Change("1", SMALL_HEADS),
    "selector.discriminative.discriminator.hidden": Change("5", SMALL_HEADS),
    "selector.discriminative.discriminator.learning_rate": Change("0.05", SMALL_HEADS),
    "selector.discriminative.discriminator.epochs": Change("1", (*SMALL_HEADS, *LEARNING)),
    "selector.discriminative.discriminator.batch_size": Change("7", SMALL_HEADS),
    "selector.discriminative.discriminator.accuracy": Change("0.51", (*SMALL_HEADS, *LEARNING)),
    "selector.kmeans_bald.oversample": Change("6.0"),
    "selector.oracle_balance.truth": Change("classes"),
    "selector.random_stratified.truth": Change("classes"),
    "selector.oracle_foreground.share": Change("0.0"),
    "selector.oracle_foreground.background": Change("1", ("selector.share=1.0",)),
    "selector.pixelpick.share": Change("0.9"),
    "selector.*.beta": Change("30.0"),
    "selector.probcover.delta": Change("0.02"),
    "selector.probcover.purity": Change("0.3"),
    "selector.probcover.pseudo_labels": Change("3"),
    "selector.typiclust.neighbours": Change("2", (*FINE, "selector.max_clusters=5")),
    "selector.typiclust.max_clusters": Change("3"),
    "selector.typiclust.min_cluster": Change("30"),
    "selector.stochastic_batches.batches": Change("2"),
    "granularity.superpixel_slic.reduction": Change("max", COARSE),
    "granularity.superpixel_slic.top_share": Change("0.9", (*FEW, *COARSE)),
    "granularity.superpixel_slic.algorithm.compactness": Change("0.5", COARSE),
    "granularity.superpixel_slic.algorithm.sigma": Change("3.0", COARSE),
    "granularity.*.reduction": Change("max"),
    "granularity.*.top_share": Change("0.9", FEW),
    "granularity.component.least": Change("4"),
    "granularity.component.small": Change("drop"),
    "granularity.grid.tile": Change("8"),
    "granularity.image_objects.empty": Change("0.25", ("model.detecting.score=0.999",)),
    "granularity.window.radius": Change("3"),
    "granularity.window.suppress": Change("9"),
    "granularity.window.most": Change("3"),
    "granularity.superpixel_seeds.algorithm.cells": Change("16"),
    "granularity.superpixel_seeds.algorithm.smoothness": Change("0"),
    "granularity.superpixel_seeds.algorithm.levels": Change("2"),
    "granularity.superpixel_seeds.algorithm.bins": Change("3"),
    "granularity.superpixel_seeds.algorithm.iterations": Change("1"),
    "granularity.*.algorithm.cells": Change("12"),
    "granularity.*.algorithm.compactness": Change("0.5"),
    "granularity.*.folder": Still("it says where the cuts are kept, not what they are"),
    "predictor.*.passes": Change("4", ("predictor.dropout=true",)),
    "predictor.*.dropout": Change(("true", "false")),
    "predictor.mc_dropout.dropout": Change("false", ("mc_iters=1",)),
    "predictor.*.views": Change("{_target_:seg_al.predictors.views.Views,flips:true,rotation:right,max_noise:0.1}"),
    "predictor.*.views.flips": Change("false"),
    "predictor.*.views.rotation": Change("none"),
    "predictor.*.views.max_noise": Change("0.0"),
    "predictor.*.members": Change("2"),
    "predictor.*.snapshots": Change("3"),
    "predictor.*.chunk": Still("it says how many passes are drawn at once; which they are, the address of each says"),
    "task.semantic.objects": Change("true"),
    "task.*.bayesian": Change("true"),
    "task.semantic.least_object": Change("400", ("task.objects=true",)),
    "task.*.matching.iou": Change("0.95", SEEN),
    "task.*.matching.class_aware": Still("glands are of one class; tests/test_matching.py has several"),
    "task.*.matching.least": Change("300", SEEN),
    "task.*.sighting": Change("0.9"),
    "task.*.most": Change("1", ("task.sighting=0",)),
    "task.*.least_score": Change("0.02", ("task.sighting=0",)),
    "task.*.reported": Change("{_target_:seg_al.tasks.objects.reported.OperatingPoint,name:own,score:0.02,nms:0.5}"),
    "task.instances_maskal.reported.name": Change("own", SEEN),
    "task.instances_maskal.reported.score": Change("0.05", (*SEEN, "task.reported.nms=1.0")),
    "task.instances_maskal.reported.nms": Change("0.05", (*SEEN, "task.reported.score=0.0")),
}
"""By group, option (* for any) and key; the exact one before that for any option."""


def keys_of(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and "_target_" in value:
            yield from keys_of(value, f"{path}{key}.")
        elif key not in ("_target_", "_partial_"):
            yield f"{path}{key}"


EVERY = sorted(
    f"{group}.{path.stem}.{key}"
    for group in GROUPS
    for path in (ROOT / "conf" / group).glob("*.yaml")
    for key in keys_of(option_of(path, group))
)


def change_of(name: str) -> Change | Still | None:
    group, _, key = name.split(".", 2)
    return CHANGES.get(name, CHANGES.get(f"{group}.*.{key}"))


def of_objects(group: str, option: str) -> bool:
    target = str(option_of(ROOT / "conf" / group / f"{option}.yaml", group)["_target_"])
    return ".objects." in target or ".instances." in target


def around(group: str, option: str) -> tuple[str, ...]:
    """An experiment in which the option can matter."""
    if of_objects(group, option):
        return (*OBJECTS, *(() if group == "task" else SEEN), f"heuristic={'bald' if group != 'heuristic' else option}")
    beside = {"selector": TILES, "predictor": ("heuristic=entropy",), "granularity": SUPERPIXELS}.get(group, ())
    if option in ("oracle_balance", "random_stratified"):
        beside = ("cost=images", "budget=3", "dataset.train=14")
    return beside if option != "component" else (*beside, "model.width=4")


def trained_by_nobody(experiment: Experiment) -> list[Any]:
    """Fresh networks, one for each member and snapshot."""
    predictor = experiment.asking.predictor
    return [experiment.fresh_model(number).eval() for number in range(predictor.members * predictor.snapshots)]


def numbers(data: Path, group: str, *words: str) -> list[Any]:
    """What the query of a second round asks and scores; of a task also what it measures."""
    experiment = tiny(data, *words)
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    pool.reveal(
        [Answer(query.image, query.region, 1, 0) for query in whole_images(pool, RandomStart().known(pool.names, 2, 0))]
    )
    models = trained_by_nobody(experiment)
    round_view = experiment.round_view(2, pool, lambda: models)
    asked = experiment.asking(round_view, experiment.annotator, experiment.budget)
    own = asked.scores[experiment.asking.name].round(6).tolist()
    found: list[Any] = [own, [(query.image, query.region.runs) for query in asked.queries]]
    if group == "task":
        asking = experiment.asking
        metrics = experiment.task.evaluate(models, experiment.dataset, asking.predictor, experiment.compute, 0)
        found.append({name: float(np.round(value, 6)) for name, value in metrics.items()})
    return found


@cache
def by_default(data: Path, group: str, *words: str) -> list[Any]:
    return numbers(data, group, *words)


@pytest.fixture(scope="module", autouse=True)
def full_masks() -> Iterator[None]:
    """Fresh masks are empty, so that short trainings end well; untrained, they would be no objects."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(region_layers, "EMPTY", 2.0)
        yield


def test_every_option_has_another_value_or_a_reason_and_no_other_stands_here() -> None:
    assert [name for name in EVERY if change_of(name) is None] == []
    wanted = {name for name in EVERY} | {
        ".".join((group, "*", key)) for group, _, key in (n.split(".", 2) for n in EVERY)
    }
    assert sorted(set(CHANGES) - wanted) == []


def check(name: str, data: Path) -> None:
    change = change_of(name)
    assert change is not None
    if isinstance(change, Still):
        pytest.skip(change.why)
    group, option, key = name.split(".", 2)
    if option == "superpixel_seeds" and not hasattr(cv2, "ximgproc"):
        pytest.skip("this OpenCV has no SEEDS")
    words = (*around(group, option), f"{group}={option}", *(word.format(option=option) for word in change.beside))
    before = by_default(data, group, *words)
    default: Any = option_of(ROOT / "conf" / group / f"{option}.yaml", group)
    for part in key.split("."):
        default = default[part]
    assert numbers(data, group, *words, f"{group}.{key}={change.other(default)}") != before


@pytest.mark.parametrize("words", [(*TILES, "selector=badge"), (*OBJECTS, *SEEN, "heuristic=maskal")], ids=str)
def test_the_same_words_give_the_same_numbers(words: tuple[str, ...], data: Path) -> None:
    """Else any option would seem to move them."""
    assert numbers(data, "selector", *words) == numbers(data, "selector", *words)


def tenth(name: str) -> bool:
    """By name, so that it is the same tenth everywhere until an option is renamed."""
    return zlib.crc32(name.encode()) % 10 == 0


@pytest.mark.parametrize("name", [name for name in EVERY if tenth(name)])
def test_another_value_moves_a_number(name: str, data: Path) -> None:
    check(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EVERY if not tenth(name)])
def test_another_value_of_each_of_the_others_moves_a_number(name: str, data: Path) -> None:
    check(name, data)
