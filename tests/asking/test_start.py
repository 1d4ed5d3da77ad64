"""The first labelled set: drawn from `run`, or chosen by frozen features before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments import perform, queries, tiny
from seg_al.asking.start import SelectedStart
from seg_al.core import EvidenceSet, Scene
from seg_al.randomness import numpy_rng
from seg_al.selectors.frozen_features import FrozenFeature
from seg_al.selectors.top import Top

ENCODER = ("start.selector.descriptor.encoder=resnet18", "start.selector.descriptor.weights=null")


def frozen(folder: Path, encoder: str = "resnet18") -> FrozenFeature:
    return FrozenFeature(encoder, None, "imagenet", str(folder), normalised=False)


def scene(seed: int, size: tuple[int, int] = (40, 64)) -> Scene:
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    everywhere = torch.ones(size, dtype=torch.bool)
    return Scene(f"i{seed}", lambda: image, everywhere, EvidenceSet(size), None, np.random.default_rng(0))


def test_by_default_the_first_images_are_drawn_from_run_alone(data: Path, tmp_path: Path) -> None:
    words = ("rounds=1", "initial=3", "run=5")
    experiment = tiny(data, *words)
    perform(data, tmp_path, *words)
    drawn = numpy_rng(5, "initial").choice(experiment.dataset.pool, 3, replace=False)
    assert [query["image"] for query in queries(tmp_path, 0)] == sorted(drawn.tolist())


def test_a_cold_start_covers_the_frozen_features_as_greedy_k_center_does(data: Path, tmp_path: Path) -> None:
    """By hand: the point nearest to the mean, then ever the one farthest from those that are chosen."""
    folder = tmp_path / "features"
    words = ("rounds=1", "initial=3", "start=core_set", *ENCODER, f"start.selector.descriptor.folder={folder}")
    experiment = tiny(data, *words)
    perform(data, tmp_path / "run", *words)
    descriptor = frozen(folder)
    names = experiment.dataset.pool
    vectors = {}
    for name in names:
        image = experiment.dataset.image(name)
        ids = torch.zeros(image.shape[:2], dtype=torch.long)
        within = torch.ones(image.shape[:2], dtype=torch.bool)
        here = Scene(name, lambda image=image: image, within, EvidenceSet(ids.shape), None, np.random.default_rng(0))
        vectors[name] = descriptor(here, ids, 1)[0].double().numpy()
    points = np.stack([vectors[name] for name in names])
    distances = -np.square(points - points.mean(0)).sum(1)
    chosen: list[int] = []
    for _ in range(3):
        chosen.append(int(distances.argmax()))
        nearest = np.min([np.square(points - points[one]).sum(1) for one in chosen], axis=0)
        distances = nearest
    asked = [query["image"] for query in queries(tmp_path / "run", 0)]
    assert asked == [names[one] for one in chosen]
    assert all(query["why"] == "initial" and query["score"] is None for query in queries(tmp_path / "run", 0))


def test_features_are_computed_once_and_again_where_a_file_is_damaged_or_the_network_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    halves = (torch.arange(40 * 64) // (20 * 64)).reshape(40, 64)
    first = frozen(tmp_path)(scene(1), halves, 2)
    (path,) = tmp_path.glob("*.npz")
    written = path.stat().st_mtime_ns
    assert torch.equal(frozen(tmp_path)(scene(1), halves, 2), first)
    assert path.stat().st_mtime_ns == written
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(frozen(tmp_path)(scene(1), halves, 2), first)
    assert "the features in" in caplog.text
    assert "are damaged" in caplog.text
    assert frozen(tmp_path, "resnet34")(scene(1), halves, 2).shape == first.shape
    assert len([*tmp_path.glob("*.npz")]) == 2


def test_a_feature_is_the_mean_of_its_cells_and_may_have_the_length_one(tmp_path: Path) -> None:
    """A picture of one cell of 32 x 32 pixels has one feature, whatever its units are."""
    quarter = torch.zeros(32, 32, dtype=torch.long)
    quarter[:16] = 1
    found = frozen(tmp_path)(scene(2, (32, 32)), quarter, 2)
    assert torch.equal(found[0], found[1])
    long = FrozenFeature("resnet18", None, "imagenet", str(tmp_path), normalised=True)(scene(2, (32, 32)), quarter, 2)
    torch.testing.assert_close(long, found / found.norm(dim=1, keepdim=True))


def test_a_start_that_needs_a_trained_network_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"start\.selector chooses before anything is trained, so that it needs features"
    ):
        SelectedStart(Top())


def test_features_alone_draw_no_pass(data: Path, tmp_path: Path) -> None:
    """What is recorded beside random is what its selector's features leave: no heuristic that reads passes."""
    perform(data, tmp_path, "heuristic=random", "selector=core_set", "rounds=2")
    scores = pd.read_parquet(tmp_path / "rounds" / "01" / "scores.parquet")
    assert [*scores.columns] == ["image", "unit", "area", "asked", "drawn", "random"]
