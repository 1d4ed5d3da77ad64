"""The whole loop with a model of objects, on tiny synthetic glands: asked, labelled, trained, measured, resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import perform, tiny
from seg_al.models import region_layers
from seg_al.recording.files import QUERIES

SMALL = (
    "model=mask_rcnn_small", "model.weights=null", "dataset.size=[48,64]", "model.proposals.after=40",
    "model.detecting.score=0.01", "model.detecting.most=20", "task.least_score=0.02", "task.sighting=0",
    "trainer.augmentation.crop=[48,48]", "trainer.optimizer.lr=0.001",
)  # fmt: skip
"""An untrained network that finds something; pyramids of the real width."""


@pytest.fixture(scope="module", autouse=True)
def full_masks() -> Iterator[None]:
    """Fresh masks are empty, so that short trainings end well; ours are too short to end at all, so begin full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(region_layers, "EMPTY", 2.0)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("glands")


@pytest.fixture(scope="module")
def played(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    held: dict[tuple[str, ...], Path] = {}

    def play(*settings: str) -> Path:
        if settings not in held:
            folder = tmp_path_factory.mktemp("run") / "run"
            perform(data, folder, *SMALL, *settings)
            held[settings] = folder
        return held[settings]

    return play


def table(folder: Path, number: int) -> pd.DataFrame:
    return pd.read_parquet(folder / f"rounds/{number:02d}/scores.parquet")


def test_a_round_asks_the_image_of_the_least_certain_objects_and_records_every_score(
    played: Callable[..., Path],
) -> None:
    folder = played("heuristic=maskal", "rounds=2")
    scores = table(folder, 1)
    (query,) = QUERIES.load(folder / "rounds/01/queries.jsonl")
    best = scores.loc[scores["maskal"].idxmax()]
    assert (query.image, query.score) == (best["image"], best["maskal"])
    assert {"bald", "entropy", "cells", "object_mask", "maskal_certain"} <= set(scores)
    assert np.isfinite(scores.drop(columns="image").to_numpy(float)).all()
    assert scores["maskal"].between(0, 1).all()
    assert scores["maskal"].nunique() > 1
    np.testing.assert_allclose(scores["maskal"] + scores["maskal_certain"], 1)  # a mean over the same objects


def test_ap_and_nucleus_metrics_of_val_and_tests_are_recorded_and_the_headline_is_test_ap(
    data: Path, tmp_path: Path
) -> None:
    last = perform(data, tmp_path / "run", *SMALL, "heuristic=random", "rounds=1", "bayesian=true")
    metrics = json.loads((tmp_path / "run/rounds/00/metrics.json").read_text())["metrics"]
    assert last == metrics["test/ap"]
    assert {"val/ap", "testA/ap50", "test/bbox_ap", "test/aji", "test/pq", "test_bayesian/ap"} <= set(metrics)
    assert {"labelled/ap", "test/constant_ap", "test/untrained_ap", "training/loss"} <= set(metrics)
    assert all(0 <= value <= 1 for key, value in metrics.items() if key != "val/images" and "training/" not in key)


def test_a_run_that_was_cut_in_any_round_goes_on_with_the_same_numbers(
    played: Callable[..., Path], data: Path, tmp_path: Path
) -> None:
    whole = played("heuristic=maskal", "rounds=2")
    cut = tmp_path / "cut"
    shutil.copytree(whole, cut)
    for lost in ("finished.json", "rounds/01/metrics.json", "rounds/01/scores.parquet", "rounds/01/queries.jsonl"):
        (cut / lost).unlink()
    (cut / "rounds/01/weights.pt").unlink()
    # the weights of round 0 were thrown away, so they are made again
    perform(data, cut, *SMALL, "heuristic=maskal", "rounds=2")
    for file in ("rounds/01/metrics.json", "rounds/01/queries.jsonl"):
        assert (cut / file).read_text() == (whole / file).read_text()
    pd.testing.assert_frame_equal(table(cut, 1), table(whole, 1))


def test_single_objects_are_asked_about_and_only_they_and_what_they_touch_become_known(
    played: Callable[..., Path],
) -> None:
    folder = played(
        "heuristic=maskal", "rounds=2", "granularity=instance", "annotator=oracle_instances", "cost=regions", "budget=2"
    )
    queries = QUERIES.load(folder / "rounds/01/queries.jsonl")
    assert len(queries) == 2
    whole = 48 * 64
    assert all(0 < query.region.area < whole for query in queries)
    cost = [json.loads((folder / f"rounds/{number:02d}/metrics.json").read_text())["cost"] for number in range(2)]
    gained = cost[1]["pixels"] - cost[0]["pixels"]
    assert sum(query.region.area for query in queries) <= gained < 2 * whole


@pytest.mark.parametrize("per", ["pool", "image"])
def test_images_in_which_nothing_is_found_cannot_be_asked_about_by_their_objects(
    data: Path, tmp_path: Path, per: str
) -> None:
    blind = ("model.detecting.score=0.999", "granularity=instance", "cost=regions", f"per={per}", "rounds=2")
    words = {"pool": "has anything to ask about", "image": "buys no unit of any image"}[per]
    with pytest.raises(ValueError, match=words):
        perform(data, tmp_path / "run", *SMALL, "heuristic=maskal", *blind)


def test_images_without_an_object_have_the_configured_score_and_a_round_of_them_alone_is_told(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blind = ("model.detecting.score=0.999", "granularity.empty=0.75", "rounds=2")
    perform(data, tmp_path / "run", *SMALL, "heuristic=maskal", *blind)
    assert (table(tmp_path / "run", 1)["maskal"] == 0.75).all()
    warned = "all 4 scores by maskal are 0.75: the models tell no unit apart, or see nothing new to ask about, so that"
    assert f"{warned} it asks what random asks" in caplog.text
    assert json.loads((tmp_path / "run/rounds/01/asked.json").read_text())["all_scores_equal"] is True


def test_an_ensemble_and_views_are_passes_too(data: Path, tmp_path: Path) -> None:
    ways = {"members": ("predictor=deep_ensemble", "predictor.members=2"), "tta": ("predictor=tta",)}
    for name, settings in ways.items():
        perform(data, tmp_path / name, *SMALL, "heuristic=bald", "rounds=2", "mc_iters=3", *settings)
        assert table(tmp_path / name, 1)["object_mask"].between(0, 1).all()


def test_the_weights_of_a_round_are_evaluated_again_to_the_same_numbers(data: Path, tmp_path: Path) -> None:
    perform(data, tmp_path / "run", *SMALL, "heuristic=random", "rounds=1")
    weights = tmp_path / "run/rounds/00/weights.pt"
    told = perform(data, tmp_path / "again", *SMALL, "heuristic=random", f"evaluate={weights}")
    found = json.loads((tmp_path / "again/evaluation.json").read_text())
    known = json.loads((tmp_path / "run/rounds/00/metrics.json").read_text())["metrics"]
    assert found["metrics"] == {key: known[key] for key in known if not key.startswith(("labelled/", "training/"))}
    assert told == known["test/ap"]
    with pytest.raises(ValueError, match="no weights of this model"):
        perform(data, tmp_path / "other", f"evaluate={weights}")
    with pytest.raises(ValueError, match="no such file"):
        perform(data, tmp_path / "missing", *SMALL, "evaluate=nowhere.pt")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("model=mask_rcnn_small", "model.weights=null", "trainer=quick"), "trainer.loss is made for task=semantic"),
        (("model=mask_rcnn_small", "model.weights=null", "task=semantic"), "model is made for task=instances"),
        (
            ("heuristic=maskal",),
            "heuristic=maskal reads objects, which task=semantic does not find: .+ class maps; choose",
        ),
        (("trainer.validation.metric=ap",), "validation.metric=ap"),
        (
            ("granularity=image_objects",),
            "granularity reads objects, which task=semantic does not find: .+; choose another",
        ),
        (("model=mask_rcnn_small", "model.weights=null", "trainer.validation.metric=dice"), "choose ap or ap50"),
    ],
)
def test_parts_of_different_tasks_are_refused_before_anything_runs(
    data: Path, settings: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        tiny(data, *settings)
