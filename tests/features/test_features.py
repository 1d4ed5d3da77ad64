"""Features of the trained network or of a frozen encoder, and what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import perform, queries, scores, tiny
from seg_al.asking.pool import Pool
from seg_al.asking.start import whole_images
from seg_al.core import Answer, Region
from seg_al.features.frozen import FrozenFeatures
from seg_al.heuristics.feature_distance import FeatureDistance
from seg_al.loop import Experiment
from seg_al.predictors.features import Features, distances_to, labelled_features

FROZEN = ("features=frozen", "features.encoder=tu-resnet10t", "features.weights=null")


def words(folder: Path, *more: str) -> tuple[str, ...]:
    return (*FROZEN, f"features.folder={folder}", *more)


def vectors(experiment: Experiment) -> dict[str, torch.Tensor]:  # [D] by image, of one cell
    found = {}
    for name in experiment.dataset.pool:
        image = experiment.dataset.image(name)
        (features,) = experiment.asking.features([name], [image], list, experiment.compute)
        found[name] = features.deepest.flatten(1).mean(1)
    return found


def test_distances_are_those_to_the_nearest_cell_with_a_known_pixel() -> None:
    """By hand: cells 0, 3, 4 and 10 in a row, of which the second is labelled by a single pixel of it."""
    deepest = torch.tensor([[[0.0, 3.0, 4.0, 10.0]]])
    known = torch.zeros(2, 8, dtype=torch.bool)
    known[1, 3] = True
    labelled = labelled_features(deepest, known)
    assert labelled.tolist() == [[3.0]]
    painted = FeatureDistance()(distances_to(labelled, Features((2, 8), deepest, deepest)))
    assert painted.tolist() == [[3, 3, 0, 0, 1, 1, 7, 7]] * 2
    both = torch.cat([labelled, torch.tensor([[9.0]])])
    assert distances_to(both, Features((2, 8), deepest, deepest)).distances.tolist() == [[3, 0, 1, 1]]


def test_a_selector_and_a_heuristic_of_frozen_features_ask_for_what_is_far_from_the_labelled_set(
    data: Path, tmp_path: Path
) -> None:
    """For a single image core-set and the mean distance agree; no pass is drawn, so that nothing else is recorded."""
    one = ("dataset.size=[32,32]", "rounds=2", "share=true", f"runs={tmp_path}")  # an image of one cell
    chosen = {
        "selector": words(tmp_path / "kept", "heuristic=random", "selector=core_set", *one),
        "heuristic": words(tmp_path / "kept", "heuristic=feature_distance", *one),
        "schedule": words(tmp_path / "kept", "heuristic=entropy", "schedule={1: random+core_set}", *one),
    }
    for name, own in chosen.items():
        perform(data, tmp_path / name, *own)
    experiment = tiny(data, *chosen["heuristic"])
    known = [query["image"] for query in queries(tmp_path / "heuristic", 0)]
    found = vectors(experiment)
    far = {
        name: min(float((vector - found[other]).norm()) for other in known)
        for name, vector in found.items()
        if name not in known
    }
    for name in chosen:
        assert [query["image"] for query in queries(tmp_path / name, 1)] == [max(far, key=lambda one: far[one])]
    table = scores(tmp_path / "heuristic", 1)
    assert [*table.columns] == ["image", "unit", "area", "asked", "drawn", "feature_distance", "random"]
    told = dict(zip(table["image"], table["feature_distance"], strict=True))
    assert told == pytest.approx(far, rel=1e-4)
    assert [*scores(tmp_path / "schedule", 1).columns][5:] == ["random"]
    assert len([*(tmp_path / "kept").glob("*.npz")]) == len(experiment.dataset.pool)


def test_frozen_features_need_no_network_of_the_run(data: Path, tmp_path: Path) -> None:
    """The models are never asked for: the view has none."""
    experiment = tiny(data, *words(tmp_path, "heuristic=random", "selector=typiclust"))
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    first = whole_images(pool, pool.names[:2])
    pool.reveal([Answer(query.image, query.region, 0, 0) for query in first])

    def none() -> list[object]:
        raise AssertionError("no network is needed")

    asked = experiment.asking(experiment.round_view(1, pool, none), experiment.annotator, experiment.budget)  # type: ignore[arg-type]
    assert len(asked.queries) == 1
    assert isinstance(asked.queries[0].region, Region)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (
            ("features.encoder=tu-resnet10x",),
            r"features\.encoder=tu-resnet10x is no encoder .* did you mean tu-resnet10t",
        ),
        (
            ("features.weights=package:no_such_package",),
            r"features\.weights=package:no_such_package: no package of that",
        ),
        (("features.weights=nowhere.pth",), r"features\.weights=nowhere\.pth: there is no file"),
        (("selector=badge",), r"selector \(Badge\) reads gradients of the network's last layer"),
    ],
)
def test_what_frozen_features_lack_is_told_before_anything_is_trained(
    data: Path, tmp_path: Path, chosen: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        tiny(data, *words(tmp_path, "schedule={2: core_set}", *chosen))


def test_weights_of_another_network_and_an_encoder_of_one_size_are_refused_before_anything_is_trained(
    data: Path, tmp_path: Path
) -> None:
    torch.save({"conv1.weight": torch.zeros(4, 3, 7, 7)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"give weights of features\.encoder=tu-resnet10t"):
        tiny(data, *words(tmp_path, "heuristic=feature_distance", f"features.weights={tmp_path / 'other.pth'}"))


def test_unread_features_are_not_made(data: Path, tmp_path: Path) -> None:
    """A package that is missing does not matter to entropy."""
    tiny(data, *words(tmp_path, "heuristic=entropy", "features.weights=package:no_such_package"))


def test_fresh_weights_are_always_the_same_and_maps_have_the_size_of_the_image_over_the_stride(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    maps = []
    for folder in ("a", "b"):
        source = FrozenFeatures("tu-resnet10t", None, "imagenet", str(tmp_path / folder))
        maps.append(source._encoder.maps("image", image))
    assert torch.equal(*maps)
    assert maps[0].shape == (512, 2, 2)
