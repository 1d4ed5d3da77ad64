"""Budgets for the pool and for each image, units of every size, and what is kept of millions of them."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from experiments import Notes, masks, perform, queries, tiny
from seg_al.asking.pool import Pool
from seg_al.asking.round_view import RoundView
from seg_al.core import Answer, Budget, Region, Scene
from seg_al.granularities.fixed import Image, Pixel
from seg_al.predictors.class_maps import ClassMaps

PIXELS = ("granularity=pixel", "cost=pixels", "per=image", "budget=5")


def maps_of(round_view: RoundView, name: str) -> ClassMaps:
    return round_view.evidence([name], [ClassMaps])[0].of(ClassMaps)


def look_at(experiment, pool: Pool):
    model = experiment.fresh_model(0).eval()
    return experiment.round_view(1, pool, lambda: [model])


def test_each_image_is_asked_about_its_best_pixels(data: Path) -> None:
    experiment = tiny(data, "heuristic=entropy", *PIXELS)
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    round_view = look_at(experiment, pool)
    asked = experiment.asking(round_view, experiment.annotator, experiment.budget)
    assert Counter(query.image for query in asked.queries) == dict.fromkeys(pool.names, 5)
    name = pool.names[2]
    score_map = experiment.asking.heuristic(maps_of(round_view, name)).numpy()
    own = [query for query in asked.queries if query.image == name]
    best = np.sort(score_map.ravel())[::-1][:5]
    assert [query.score for query in own] == pytest.approx(best.tolist())
    for query in own:
        assert query.region.area == 1
        assert score_map[query.region.pixels()].item() == pytest.approx(query.score)
    assert own[0].why.startswith("choice 1 of 1280 in its image by the selector Top, entropy = ")


@pytest.mark.parametrize("heuristic", ["random", "entropy"])
def test_what_is_known_is_not_asked_again_pixel_by_pixel(heuristic: str, played: Callable[..., Path]) -> None:
    folder = played(f"heuristic={heuristic}", *PIXELS, "initial=budget")
    seen: dict[str, np.ndarray] = {}
    for number in range(3):
        regions = masks(folder, number)
        assert len(regions) == 5 * 6, "five pixels in each of six images"
        for name, mask in regions:
            assert not (seen.setdefault(name, np.zeros_like(mask)) & mask).any()
            seen[name] |= mask
    assert {int(mask.sum()) for mask in seen.values()} == {15}


def test_the_first_random_pixels_are_the_same_for_every_heuristic_and_others_for_another_run(
    played: Callable[..., Path],
) -> None:
    first = [
        queries(played(f"heuristic={name}", *PIXELS, "initial=budget", f"run={number}"), 0)
        for name, number in (("random", 0), ("entropy", 0), ("random", 1))
    ]
    assert first[0] == first[1]
    assert first[0] != first[2]
    assert {query["why"] for query in first[0]} == {"initial"}


def test_a_shortlist_that_holds_the_budget_asks_what_the_whole_pool_would_be_asked(data: Path) -> None:
    experiment = tiny(data, "heuristic=entropy", "mc_iters=4", *PIXELS, "per=pool", "budget=20", "shortlist=20")
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    round_view = look_at(experiment, pool)
    short = experiment.asking(round_view, experiment.annotator, experiment.budget)
    whole = replace(experiment.asking, shortlist=10**6)(round_view, experiment.annotator, experiment.budget)
    assert [query.score for query in short.queries] == [query.score for query in whole.queries]
    first = {(query.image, query.region) for query in short.queries if query.score > short.queries[-1].score}
    assert first
    assert first <= {(query.image, query.region) for query in whole.queries}, "but for equals, which are drawn"
    assert len(whole.scores) == 6 * 1280
    assert len(short.scores) <= 6 * 40
    assert short.scores.groupby("image")["drawn"].sum().tolist() == [20] * 6
    assert whole.scores["drawn"].all()
    assert set(short.passes["image"] + short.passes["unit"].astype(str)) == {
        f"{row.image}{row.unit}" for row in short.scores[short.scores["drawn"]].itertuples()
    }


def test_units_that_stand_for_all_are_drawn_uniformly_and_the_best_are_kept(data: Path) -> None:
    experiment = tiny(data, "heuristic=entropy", "granularity=pixel", "cost=pixels", "budget=1", "shortlist=200")
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    round_view = look_at(experiment, pool)
    table = experiment.asking(round_view, experiment.annotator, experiment.budget).scores
    name = pool.names[0]
    own = table[table["image"] == name]
    score_map = experiment.asking.heuristic(maps_of(round_view, name)).numpy().ravel()
    assert own[~own["drawn"]]["entropy"].min() >= np.sort(score_map)[-200]
    drawn = table[table["drawn"]]["unit"].to_numpy()
    assert np.abs(np.histogram(drawn, bins=4, range=(0, 1280))[0] / len(drawn) - 0.25).max() < 0.05


class Moving(Pixel):
    """Two units, parted where the prediction says: it must be looked at again to know what was asked."""

    reads = ClassMaps

    def units(self, scene):
        return (scene.evidence.of(ClassMaps).mean.argmax(0) > 0).long()


def test_units_cut_by_predictions_are_found_again_after_the_selection(data: Path) -> None:
    experiment = tiny(data, "heuristic=random")
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    round_view = look_at(experiment, pool)
    asking = replace(experiment.asking, granularity=Moving())
    asked = asking(round_view, experiment.annotator, Budget(3, "regions", "pool"))
    for query, unit in zip(asked.queries, asked.scores[asked.scores["asked"]]["unit"], strict=False):
        predicted = maps_of(round_view, query.image).mean.argmax(0).numpy() > 0
        assert (query.region.pixels() == predicted).all() or (query.region.pixels() == ~predicted).all()
        assert unit in (0, 1)


class Bordered:
    """The dataset with four columns that are of no class."""

    def __init__(self, dataset) -> None:
        self.dataset = dataset

    def __getattr__(self, name: str):
        return getattr(self.dataset, name)

    def askable(self, name: str) -> np.ndarray:
        mask = np.ones(self.dataset.size(name), dtype=np.bool_)
        mask[:, :4] = False
        return mask


@pytest.mark.parametrize("granularity", ["image", "grid", "pixel"])
def test_what_is_of_no_class_is_never_asked_scored_or_billed(granularity: str, data: Path) -> None:
    experiment = tiny(data, "heuristic=entropy", f"granularity={granularity}", "shortlist=5000")
    dataset = Bordered(experiment.dataset)
    pool = Pool(dataset.pool, dataset)
    round_view = look_at(experiment, pool)
    asked = experiment.asking(round_view, experiment.annotator, Budget(6, "images", "pool"))
    assert len({query.image for query in asked.queries}) == 6
    for query in asked.queries:
        assert not query.region.pixels()[:, :4].any()
    pool.reveal([Answer(query.image, query.region, 1, 0) for query in asked.queries])
    assert pool.cost("images") == 6
    assert pool.cost("pixels") == 6 * 32 * 36
    if granularity == "image":
        name = asked.queries[0].image
        map_ = experiment.asking.heuristic(maps_of(round_view, name)).double().numpy()
        assert asked.queries[0].score == pytest.approx(map_[:, 4:].mean())


def test_images_that_cannot_take_their_budget_are_said_and_asked_for_their_rest(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = tiny(data, "heuristic=random", *PIXELS)
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    poor, *_ = pool.names
    mask = np.ones((32, 40), dtype=np.bool_)
    mask[0, :3] = False
    pool.reveal([Answer(poor, Region.of(mask), 1, 0)])
    with caplog.at_level(logging.WARNING):
        asked = experiment.asking(look_at(experiment, pool), experiment.annotator, experiment.budget)
    assert Counter(query.image for query in asked.queries)[poor] == 3
    assert f"5 pixels per image is not what can be bought in 1 images: {poor}" in caplog.text
    with pytest.raises(ValueError, match=r"budget=0\.5 pixels per image buys no unit of any image"):
        experiment.asking(look_at(experiment, pool), experiment.annotator, Budget(0.5, "pixels", "image"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("granularity=pixel", "cost=pixels", "per=image", "budget=0"), r"budget=0: a round must be able to ask"),
        (
            ("granularity=pixel", "cost=pixels", "per=image", "budget=1281"),
            r"budget=1281 pixels a round, but only 1280 are in the largest image",
        ),
        (("initial=budget", "budget=7"), r"budget=7 images a round, but only 6 are left of the pool"),
    ],
)
def test_budgets_that_cannot_be_are_refused_before_anything_runs(
    settings: tuple[str, ...], told: str, data: Path
) -> None:
    with pytest.raises(ValueError, match=told):
        tiny(data, "heuristic=random", *settings)


def test_dominant_answers_train_and_are_billed_in_clicks(data: Path, tmp_path: Path) -> None:
    settings = ("heuristic=entropy", "granularity=grid", "granularity.tile=16", "cost=regions", "budget=3")
    perform(data, tmp_path, *settings, "annotator=oracle_dominant", "initial=budget", "rounds=2")
    cost = json.loads((tmp_path / "rounds/01/metrics.json").read_text())["cost"]
    assert cost["regions"] == cost["clicks"] == 6
    assert cost["vertices"] == 0


@dataclass(frozen=True)
class Flat:
    """A heuristic that forgets an axis, and a granularity that does."""

    reads: ClassVar[type[ClassMaps]] = ClassMaps
    min_passes: ClassVar[int] = 1

    def __call__(self, maps: ClassMaps) -> torch.Tensor:
        return maps.mean[:1]


class Rows(Image):
    def units(self, scene: Scene) -> torch.Tensor:
        return torch.arange(scene.size[0])


def test_maps_of_another_shape_than_the_image_are_refused_with_both_shapes(data: Path, tmp_path: Path) -> None:
    experiment = tiny(data, "rounds=2")
    asking = experiment.asking
    for part, said in (
        ({"heuristic": Flat()}, r"heuristic Flat paints of the shape \[1, 32, 40\] for an image of 32 x 40 pixels"),
        ({"granularity": Rows("mean", 1.0)}, r"granularity Rows gives ids of the shape \[32\] for an image of 32 x 40"),
    ):
        wrong = replace(experiment, asking=replace(asking, **part))
        with pytest.raises(ValueError, match=said):
            wrong(Notes(), tmp_path / next(iter(part)))
