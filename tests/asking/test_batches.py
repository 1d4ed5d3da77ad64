"""Images that networks see together are scored, asked about and measured as one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments import perform, tiny
from seg_al.asking.pool import Pool
from seg_al.asking.round_view import RoundView
from seg_al.core import Answer, Budget, Region
from seg_al.loop import Experiment
from seg_al.models import region_layers
from seg_al.predictors import batches as module
from seg_al.predictors.batches import batches, pixels_together

MASK_RCNN = (
    "model=mask_rcnn_small", "model.weights=null", "model.proposals.after=40", "model.detecting.most=20",
    "model.detecting.score=0", "task.sighting=0", "dataset.size=[48,64]", "trainer.augmentation.crop=[48,48]",
)  # fmt: skip
CASES = {
    "all heuristics": ("heuristic=bald", "mc_iters=5"),
    "its neighbours": ("heuristic=ripu", "mc_iters=2"),
    "tiles": ("heuristic=bald", "mc_iters=5", "granularity=grid", "granularity.tile=8"),
    "regions of the prediction": ("heuristic=entropy", "granularity=component"),
    "pixels of each image": ("heuristic=margin", "granularity=pixel", "cost=pixels", "per=image", "budget=3"),
    "views of other sizes": ("heuristic=bald", "predictor=tta", "predictor.views.rotation=right"),
    "an ensemble": ("heuristic=bald", "predictor=deep_ensemble", "mc_iters=1"),
    "features": ("heuristic=entropy", "selector=core_set"),
    "distances": ("heuristic=feature_distance",),
    "objects": (*MASK_RCNN, "heuristic=maskal", "mc_iters=3", "granularity=instance", "cost=regions", "budget=4"),
    "images of objects": (*MASK_RCNN, "heuristic=entropy", "mc_iters=3"),
}


@pytest.fixture(scope="module", autouse=True)
def full_masks() -> Iterator[None]:
    """Fresh masks are empty, so that short trainings end well; these are not trained at all, so begin full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(region_layers, "EMPTY", 2.0)
        yield


def view_of(experiment: Experiment, at_once: int) -> RoundView:
    """Round 1, in which one image is known and the left quarter of another, seen by fresh networks."""
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    size = experiment.dataset.size(pool.names[0])
    part = np.zeros(size, dtype=np.bool_)
    part[:, : size[1] // 4] = True
    pool.reveal([Answer(pool.names[0], Region.whole(size), 1, 0), Answer(pool.names[2], Region.of(part), 1, 0)])
    predictor = experiment.asking.predictor
    models = [experiment.fresh_model(number).eval() for number in range(predictor.members * predictor.snapshots)]
    alone = replace(experiment.compute, images_at_once=at_once)  # type: ignore[type-var]
    return replace(experiment.round_view(1, pool, lambda: models), compute=alone)


@pytest.mark.parametrize("case", CASES)
def test_images_seen_together_are_scored_and_chosen_as_one_by_one(case: str, data: Path) -> None:
    experiment = tiny(data, *CASES[case])
    one, together = (
        experiment.asking(view_of(experiment, at_once), experiment.annotator, experiment.budget) for at_once in (1, 4)
    )
    pairs = one.scores.set_index(["image", "unit"]), together.scores.set_index(["image", "unit"])
    assert [*pairs[0].index] == [*pairs[1].index]
    assert [*pairs[0].columns] == [*pairs[1].columns]
    chosen = pairs[0][experiment.asking.name]
    assert chosen.nunique() > 1
    for column in pairs[0].columns.difference(["area", "asked", "drawn"]):
        np.testing.assert_allclose(pairs[0][column], pairs[1][column], rtol=1e-5, atol=1e-5, err_msg=column)
    assert [(query.image, query.region) for query in one.queries] == [
        (query.image, query.region) for query in together.queries
    ]


@pytest.mark.parametrize(
    "words", [(), ("bayesian=true", "mc_iters=3"), MASK_RCNN], ids=["means", "bayesian", "objects"]
)
def test_networks_are_measured_as_one_by_one(words: Sequence[str], data: Path) -> None:
    experiment = tiny(data, *words)
    model = experiment.compute.place(experiment.fresh_model(0).eval())
    found: list[dict[str, float]] = []
    for at_once in (1, 3):
        compute: Any = replace(experiment.compute, images_at_once=at_once)  # type: ignore[type-var]
        found.append(
            experiment.task.evaluate([model], experiment.dataset, experiment.asking.predictor, compute, experiment.run)
        )
    assert found[0] == pytest.approx(found[1], abs=2e-3)  # a pixel on the border between two classes may change sides
    assert "test/" in " ".join(found[0])


def test_batches_hold_images_of_one_size_in_the_order_of_the_names() -> None:
    sizes = {"a": (8, 8), "b": (4, 4), "c": (8, 8), "d": (4, 4), "e": (8, 8), "f": (4, 4), "g": (4, 4)}
    found = batches(sizes, sizes.__getitem__, lambda size: 2 if size == (8, 8) else 3)
    assert found == [("a", "c"), ("b", "d", "f"), ("e",), ("g",)]
    assert batches([], sizes.__getitem__, lambda size: 1) == []


def test_a_cpu_puts_together_what_a_cores_share_of_its_cache_holds(
    tmp_path: Path, monkeypatch: Any, data: Path
) -> None:
    for index, size, sharing in (
        ("index0", "32K", "1"),
        ("index2", "1024K", "1"),
        ("index3", "32768K", "00000000,00000003"),
    ):
        (tmp_path / index).mkdir()
        (tmp_path / index / "size").write_text(size + "\n")
        (tmp_path / index / "shared_cpu_map").write_text(sharing + "\n")
    assert module._cache_of_a_core(tmp_path) == 16 << 20
    assert module._cache_of_a_core(tmp_path / "none") is None
    (tmp_path / "index3" / "size").write_text("unknown\n")
    assert module._cache_of_a_core(tmp_path) == 1 << 20
    experiment = tiny(data)
    for cache, pixels in (
        (None, module.USUAL_PIXELS),
        (1, module.FEWEST_PIXELS),
        (16 << 20, 1 << 17),
        (1 << 40, module.LARGEST_BATCH),
    ):
        monkeypatch.setattr(module, "_cache_of_a_core", lambda cache=cache: cache)
        assert pixels_together(list, list, experiment.compute) == pixels  # type: ignore[arg-type]


def test_a_run_keeps_the_number_that_it_began_with_and_a_stated_number_wins(data: Path, tmp_path: Path) -> None:
    perform(data, tmp_path, "heuristic=entropy", "rounds=1")
    kept = tmp_path / "images_at_once.json"
    assert json.loads(kept.read_text())["pixels"] >= module.FEWEST_PIXELS
    kept.write_text('{"pixels": 2560}')  # two images
    seen: list[int] = []
    with watched_batches(seen):
        perform(data, tmp_path, "heuristic=entropy", "rounds=2")
    assert set(seen) == {1, 2}  # the audit sees one image
    kept.write_text('{"pixels": "many"}')
    with pytest.raises(
        ValueError, match=r"images_at_once\.json cannot be read, .* \(it holds no numbers by name\); remove it"
    ):
        perform(data, tmp_path, "heuristic=entropy", "rounds=3")


class watched_batches:
    """Notes the number of images that networks encode at once."""

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    def __enter__(self) -> None:
        from seg_al.models.unet import StepwiseUNet

        self.encode = StepwiseUNet.encode

        def noted(model: StepwiseUNet, images: torch.Tensor) -> Any:
            if not model.training:
                self.seen.append(len(images))
            return self.encode(model, images)

        StepwiseUNet.encode = noted  # type: ignore[method-assign]

    def __exit__(self, *error: object) -> None:
        from seg_al.models.unet import StepwiseUNet

        StepwiseUNet.encode = self.encode  # type: ignore[method-assign]


def test_of_images_seen_together_the_one_without_finite_output_is_named(data: Path) -> None:
    experiment = tiny(data, "heuristic=entropy")
    view = view_of(experiment, 4)
    (model,) = view.models()
    names = view.pool.names
    wrong = torch.from_numpy(experiment.dataset.image(names[3]).copy()).permute(2, 0, 1).float() / 255
    first = model.steps[0]
    forward = first.forward

    def spoilt(state: Any) -> Any:
        rows = [bool((one - model.normalize(wrong[None])[0]).abs().max() < 1e-4) for one in state.x]
        out = forward(state)
        out.x[torch.tensor(rows)] = torch.nan
        return out

    first.forward = spoilt
    with pytest.raises(ValueError, match=rf"image {names[3]}: .* training has diverged"):
        experiment.asking(view, experiment.annotator, Budget(1, "images", "pool"))
