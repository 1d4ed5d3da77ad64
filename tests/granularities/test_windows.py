"""Greedy squares against the search for the maximum after each pick."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg_al.core import EvidenceSet, Scene
from seg_al.granularities.joining import cut
from seg_al.granularities.windows import Window, greedy


def search(scores: np.ndarray, allowed: np.ndarray, most: int, suppress: int) -> list[int]:
    """The published way: find the maximum of the whole map, take its surroundings away, and again."""
    left = np.where(allowed, scores.astype(np.float64), -np.inf)
    picks = []
    while len(picks) < most and left.max() > -np.inf:
        place = int(left.argmax())  # the first of equals
        row, column = divmod(place, left.shape[1])
        left[max(0, row - suppress) : row + suppress + 1, max(0, column - suppress) : column + suppress + 1] = -np.inf
        picks.append(place)
    return picks


def scene(within: np.ndarray, scores: np.ndarray | None, seed: int = 0) -> Scene:
    size = within.shape
    score_map = None if scores is None else torch.from_numpy(scores)
    rng = np.random.default_rng(seed)
    return Scene(
        "a", lambda: np.zeros((*size, 3), np.uint8), torch.from_numpy(within), EvidenceSet(size), score_map, rng
    )


@pytest.mark.parametrize("suppress", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("most", [1, 5, 60, 10_000])
@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_picks_are_those_of_the_search_for_each_maximum(suppress, most, levels):
    """With few levels nearly all scores have equals."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        scores = (rng.integers(0, levels, (31, 47)) - levels // 2).astype(np.float32)
        allowed = rng.random((31, 47)) < 0.7
        assert greedy(scores, allowed, most, suppress) == search(scores, allowed, most, suppress)


def test_picks_of_a_smooth_map_whose_best_places_lie_side_by_side():
    rows, columns = np.mgrid[:80, :120]
    scores = np.sin(rows / 9) * np.cos(columns / 13) + rows * 1e-3
    everywhere = np.ones(scores.shape, dtype=bool)
    picks = greedy(scores, everywhere, 50, 4)
    assert len(picks) == 50
    assert picks == search(scores, everywhere, 50, 4)


def test_nothing_allowed_gives_nothing():
    assert greedy(np.ones((4, 5)), np.zeros((4, 5), dtype=bool), 3, 1) == []


@pytest.mark.parametrize(("radius", "suppress"), [(0, None), (1, None), (3, None), (1, 6), (0, 9)])
def test_units_are_squares_around_the_picks_numbered_by_their_centres(radius, suppress):
    rng = np.random.default_rng(1)
    scores, within = rng.random((40, 50)), rng.random((40, 50)) < 0.8
    ids = Window("mean", 1.0, radius, suppress, 12).units(scene(within, scores)).numpy()
    apart = 2 * radius if suppress is None else suppress
    wanted = np.full(ids.shape, -1)
    for place in search(scores, within, 12, apart):
        row, column = divmod(place, 50)
        for y in range(max(0, row - radius), min(40, row + radius + 1)):
            for x in range(max(0, column - radius), min(50, column + radius + 1)):
                assert wanted[y, x] == -1, "squares do not overlap"
                wanted[y, x] = place
    assert (ids == wanted).all()
    found, _ = cut(torch.from_numpy(ids), torch.from_numpy(within))
    assert found.tolist() == sorted(search(scores, within, 12, apart))


def test_without_a_score_map_places_are_drawn_uniformly_from_the_generator():
    within = np.zeros((6, 9), dtype=bool)
    within[1:5, 2:8] = True
    window = Window("mean", 1.0, 0, None, 3)
    drawn = [set(window.units(scene(within, None, seed)).unique().tolist()) - {-1} for seed in range(800)]
    assert drawn[0] == set(window.units(scene(within, None, 0)).unique().tolist()) - {-1}
    counts = np.bincount([place for one in drawn for place in one], minlength=54)
    assert {len(one) for one in drawn} == {3}
    assert (counts[~within.ravel()] == 0).all()
    expected = 800 * 3 / 24
    assert np.square(counts[within.ravel()] - expected).sum() / expected < 52  # chi-square, 23 degrees: 0.05 percent


def test_scores_that_are_not_finite_name_the_image():
    scores = np.ones((4, 5))
    scores[2, 2] = np.nan
    within = np.ones((4, 5), dtype=bool)
    with pytest.raises(ValueError, match=r"image a: .* NaN"):
        Window("mean", 1.0, 0, None, 3).units(scene(within, scores))
    within[2, 2] = False
    assert (Window("mean", 1.0, 0, None, 3).units(scene(within, scores)) >= 0).sum() == 3


@pytest.mark.parametrize(
    ("radius", "suppress", "most", "words"),
    [(-1, None, 5, "radius is at least 0"), (1, None, 0, "most is at least 1"), (2, 3, 5, "at least 2 radius = 4")],
)
def test_settings_that_mean_nothing_are_refused(radius, suppress, most, words):
    with pytest.raises(ValueError, match=words):
        Window("mean", 1.0, radius, suppress, most)
