"""Cutting and joining against explicit loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seg_al.beliefs import unlooked
from seg_al.granularity import Grid, Image, cut, join

H, W, U = 11, 8, 6


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
    ids = image.units((H, W), lambda: np.zeros((H, W, 3), np.uint8), unlooked((H, W)))
    assert ids.unique().tolist() == [0]
    scores, _ = case(3)
    assert image.reduce(scores, ids, 1).item() == pytest.approx(scores.double().mean().item(), rel=1e-12)


@pytest.mark.parametrize(("size", "tile"), [((10, 7), 4), ((8, 8), 4), ((3, 5), 8), ((4, 4), 1)])
def test_tiles_are_squares_counted_along_rows_and_smaller_at_the_border(size, tile):
    grid = Grid("mean", 1.0, tile)
    ids = grid.units(size, lambda: np.zeros((*size, 3), np.uint8), unlooked(size))
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
