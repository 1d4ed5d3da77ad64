"""Cutting and joining against explicit loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seg_al.core import EvidenceSet, Painted, Scene
from seg_al.granularities.components import Component, absorbed
from seg_al.granularities.fixed import Grid, Image, Pixel
from seg_al.granularities.joining import cut, join
from seg_al.predictors.class_maps import class_maps_of

H, W, U = 11, 8, 6


def scene(size: tuple[int, int], predicted: torch.Tensor | None = None) -> Scene:
    """A black image of which `predicted` [H, W] is the class map, or of which nothing is known."""
    evidence = EvidenceSet(size)
    if predicted is not None:
        evidence = evidence.also(class_maps_of(torch.nn.functional.one_hot(predicted).movedim(-1, 0)[None]))
    everywhere = torch.ones(size, dtype=torch.bool)
    return Scene(
        "a", lambda: np.zeros((*size, 3), np.uint8), everywhere, evidence, torch.zeros(size), np.random.default_rng(0)
    )


def case(seed: int):
    """Scores with ties, ids of very different sizes; unit 4 has a single pixel."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(H, W, generator=generator).round(decimals=1)
    ids = torch.randint(-1, U, (H, W), generator=generator)
    ids[ids == 4] = 5
    ids[2, 3] = 4
    return scores, ids


def brute(scores: torch.Tensor, ids: torch.Tensor, reduction: str, share: float) -> list[float]:
    out = []
    for unit in range(U):
        values = sorted(
            (float(s) for s, i in zip(scores.flatten(), ids.flatten(), strict=True) if i == unit), reverse=True
        )
        match reduction:
            case "mean":
                out.append(math.fsum(values) / len(values))
            case "sum":
                out.append(math.fsum(values))
            case "max":
                out.append(values[0])
            case "top":
                kept = values[: max(1, math.ceil(share * len(values)))]
                out.append(math.fsum(kept) / len(kept))
    return out


@pytest.mark.parametrize("reduction", ["mean", "max", "sum", "top"])
@pytest.mark.parametrize("share", [1e-6, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_joining_agrees_with_brute_force(reduction, share, seed):
    scores, ids = case(seed)
    got = join(scores, ids, U, reduction, share)
    assert got.dtype == torch.float64
    assert got.tolist() == pytest.approx(brute(scores, ids, reduction, share), rel=1e-12)


def test_the_top_of_everything_is_the_mean_and_of_next_to_nothing_the_maximum():
    scores, ids = case(2)
    torch.testing.assert_close(join(scores, ids, U, "top", 1.0), join(scores, ids, U, "mean", 1.0))
    torch.testing.assert_close(join(scores, ids, U, "top", 1e-9), join(scores, ids, U, "max", 1.0))


def test_negative_scores_keep_their_maximum():
    ids = torch.tensor([[0, 0, 1, -1]])
    assert join(torch.tensor([[-3.0, -2.0, -5.0, 9.0]]), ids, 2, "max", 1.0).tolist() == [-2.0, -5.0]


def test_a_whole_image_is_one_unit():
    image = Image("mean", 1.0)
    ids = image.units(scene((H, W)))
    assert ids.unique().tolist() == [0]
    scores, _ = case(3)
    assert image.reduce(Painted(scores), ids, 1).item() == pytest.approx(scores.double().mean().item(), rel=1e-12)


@pytest.mark.parametrize(("size", "tile"), [((10, 7), 4), ((8, 8), 4), ((3, 5), 8), ((4, 4), 1)])
def test_tiles_are_squares_counted_along_rows_and_smaller_at_the_border(size, tile):
    grid = Grid("mean", 1.0, tile)
    ids = grid.units(scene(size))
    across = math.ceil(size[1] / tile)
    for y in range(size[0]):
        for x in range(size[1]):
            assert ids[y, x] == (y // tile) * across + x // tile
    assert ids.unique().tolist() == list(range(across * math.ceil(size[0] / tile)))


def test_cutting_keeps_only_what_may_be_asked_and_joins_a_half_known_unit_over_the_rest():
    ids = torch.tensor([[0, 0, 3, 3], [7, 7, 3, -1]])
    keep = torch.tensor([[False, False, True, False], [True, True, True, True]])
    found, compact = cut(ids, keep)
    assert found.tolist() == [3, 7]
    assert compact.tolist() == [[-1, -1, 0, -1], [1, 1, 0, -1]]
    scores = torch.tensor([[9.0, 9.0, 1.0, 50.0], [2.0, 4.0, 3.0, 9.0]])
    assert join(scores, compact, 2, "mean", 1.0).tolist() == [2.0, 3.0]
    nothing, empty = cut(ids, torch.zeros_like(keep))
    assert nothing.tolist() == []
    assert (empty == -1).all()


def test_settings_that_mean_nothing_are_refused():
    for share in (0.0, 1.5, -0.1):
        with pytest.raises(ValueError, match="top_share"):
            Image("top", share)
    with pytest.raises(ValueError, match="tile"):
        Grid("mean", 1.0, 0)


@pytest.mark.parametrize("huge", [0, 10**15])
def test_cutting_agrees_with_sorting_whatever_the_ids_are(huge):
    """Ids up to a few times the pixels go through a table of ids, larger ones through a sort."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(-3, 100, (H, W), generator=generator) * 2
    ids[ids == 20] += huge
    keep = torch.rand(H, W, generator=generator) < 0.6
    found, compact = cut(ids, keep)
    wanted = torch.unique(ids[keep & (ids >= 0)])
    assert found.tolist() == wanted.tolist()
    assert torch.equal(compact >= 0, keep & (ids >= 0))
    assert torch.equal(found[compact[compact >= 0]], ids[compact >= 0])


def test_the_sum_of_a_unit_does_not_depend_on_the_order_of_its_pixels():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(40, 60, generator=generator) * 10.0 ** torch.randint(-4, 4, (40, 60), generator=generator)
    ids = torch.randint(-1, 5, (40, 60), generator=generator)
    ids[10:30] = 2
    order = torch.randperm(scores.numel(), generator=generator)
    for reduction in ("mean", "sum", "max", "top"):
        there = join(scores, ids, 5, reduction, 0.3)
        shuffled = join(scores.flatten()[order].view(40, 60), ids.flatten()[order].view(40, 60), 5, reduction, 0.3)
        torch.testing.assert_close(there, shuffled, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "max", "sum", "top"])
def test_scores_outside_of_all_units_do_not_count(reduction):
    scores, ids = case(4)
    wanted = join(scores, ids, U, reduction, 0.5)
    poisoned = torch.where(ids < 0, torch.nan, scores)
    assert torch.equal(join(poisoned, ids, U, reduction, 0.5), wanted)


def test_no_unit_and_no_pixel_are_joined_into_nothing():
    nowhere = torch.full((2, 3), -1)
    for reduction in ("mean", "max", "sum", "top"):
        assert join(torch.ones(2, 3), nowhere, 0, reduction, 1.0).tolist() == []


def test_a_pixel_keeps_its_score_and_its_place_in_row_major_order():
    pixel = Pixel()
    ids = pixel.units(scene((H, W)))
    assert torch.equal(ids.flatten(), torch.arange(H * W))
    scores, _ = case(5)
    keep = torch.rand(H, W, generator=torch.Generator().manual_seed(1)) < 0.5
    found, compact = cut(ids, keep)
    joined = pixel.reduce(Painted(scores), compact, len(found))
    assert joined.dtype == torch.float64
    assert torch.equal(joined, scores.flatten()[found].double())
    assert torch.equal(joined, join(scores, compact, len(found), "mean", 1.0))


STREET = torch.tensor([
    [0, 0, 0, 1, 0, 0],
    [0, 0, 1, 0, 0, 0],
    [0, 1, 0, 0, 2, 2],
    [0, 0, 0, 0, 2, 0],
])  # fmt: skip


def units_of(granularity: Component, predicted: torch.Tensor) -> list[list[int]]:
    return granularity.units(scene(tuple(predicted.shape), predicted)).tolist()


def test_components_are_connected_over_corners():
    """The pole of ones runs along a diagonal, yet is one thing and leaves the ground whole; one corner is apart."""
    a, pole, car, corner = 0, 1, 2, 3
    assert units_of(Component("mean", 1.0, 1, "join"), STREET) == [
        [a, a, a, pole, a, a],
        [a, a, pole, a, a, a],
        [a, pole, a, a, car, car],
        [a, a, a, a, car, corner],
    ]


def test_equal_classes_apart_are_units_of_their_own():
    predicted = torch.tensor([[1, 0, 1], [1, 0, 1]])
    assert units_of(Component("mean", 1.0, 1, "join"), predicted) == [[0, 1, 2], [0, 1, 2]]


def test_small_components_are_dropped_or_become_part_of_the_unit_around_them():
    predicted = torch.tensor([
        [0, 0, 0, 0, 3, 3],
        [0, 1, 1, 0, 3, 3],
        [0, 1, 2, 0, 3, 3],
        [0, 0, 0, 0, 3, 3],
    ])  # fmt: skip
    assert units_of(Component("mean", 1.0, 4, "drop"), predicted) == [
        [0, 0, 0, 0, 1, 1],
        [0, -1, -1, 0, 1, 1],
        [0, -1, -1, 0, 1, 1],
        [0, 0, 0, 0, 1, 1],
    ]
    assert units_of(Component("mean", 1.0, 4, "join"), predicted) == [[0, 0, 0, 0, 1, 1]] * 4
    assert units_of(Component("mean", 1.0, 3, "join"), predicted)[1] == [0, 2, 2, 0, 1, 1]


def test_a_small_component_goes_to_the_longest_border_and_the_lowest_id_of_equals():
    ids = np.array([[0, 0, 2, 1, 1], [0, 0, 2, 2, 1], [0, 0, 1, 1, 1]])
    assert absorbed(ids, np.array([False, False, True])).tolist() == [[0, 0, 1, 1, 1]] * 3  # 2 pixels of 0, 3 of 1
    even = np.array([[0, 2, 1]])
    assert absorbed(even, np.array([False, False, True])).tolist() == [[0, 0, 1]]


def test_a_small_component_between_small_ones_waits_and_the_largest_of_small_ones_stays():
    nested = np.zeros((7, 7), dtype=np.int64)
    nested[1:6, 1:6], nested[2:5, 2:5], nested[3, 3] = 1, 2, 3
    assert (absorbed(nested, np.array([False, True, True, True])) == 0).all()
    assert (absorbed(nested, np.array([True, True, True, True])) == 0).all()  # the outer ring has 24 pixels, as many


@pytest.mark.parametrize("seed", range(3))
def test_joining_small_components_leaves_none_and_moves_no_other_pixel(seed):
    predicted = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, (30, 40)))
    whole = np.array(units_of(Component("mean", 1.0, 1, "join"), predicted))
    joined = np.array(units_of(Component("mean", 1.0, 12, "join"), predicted))
    areas = np.bincount(whole.ravel())
    large = areas[whole] >= 12
    assert 0.05 < large.mean() < 0.95
    assert (joined[large] == whole[large]).all()
    assert set(np.unique(joined)) == set(np.unique(whole[large]))


def test_components_without_a_prediction_are_an_error_that_says_so():
    with pytest.raises(ValueError, match=r"^class maps are asked for, but the evidence of the image is nothing$"):
        Component("mean", 1.0, 1, "join").units(scene((3, 4)))
    with pytest.raises(ValueError, match=r"granularity\.least is at least 1 pixel, not 0"):
        Component("mean", 1.0, 0, "join")
