"""A view shows every pixel, and its undoing brings each back to where it was."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from seg_al.predictors.views import Rotation, View, Views

FLIPS = [(False, False), (True, False), (False, True), (True, True)]
SIZES = [(24, 24), (17, 30), (31, 12), (1, 9), (2, 2), (1, 1)]
ANGLES = [*range(0, 360, 15), 1, 44, 46, 89, 91, 179, 269, 359]


def view(degrees: int, flips: tuple[bool, bool] = (False, False), noise: float = 0.0, seed: int = 0) -> View:
    return View(rows=flips[0], columns=flips[1], degrees=degrees, noise=noise, seed=seed)


def image(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height * 100 + width))


def places(height: int, width: int) -> Tensor:
    """[1, 2, H, W]: each pixel holds its own row and column."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns])[None].float()


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("size", SIZES)
def test_right_angles_and_flips_are_undone_exactly(
    size: tuple[int, int], degrees: int, flips: tuple[bool, bool]
) -> None:
    one, x = view(degrees, flips), image(*size)
    shown = one.show(x)
    assert shown.shape[2:] == (size if degrees % 180 == 0 else size[::-1])
    assert torch.equal(one.undo(shown, size), x)


def test_flips_and_right_angles_are_eight_different_pictures() -> None:
    x = image(5, 5)
    shown = {tuple(view(degrees, flips).show(x).flatten().tolist()) for degrees in (0, 90, 180, 270) for flips in FLIPS}
    assert len(shown) == 8


def test_rows_flips_rows_and_a_quarter_turn_goes_counter_clockwise() -> None:
    x = places(2, 3)
    assert view(0, (True, False)).show(x)[0, 0, :, 0].tolist() == [1, 0]
    assert view(0, (False, True)).show(x)[0, 1, 0].tolist() == [2, 1, 0]
    turned = view(90).show(x)  # the upper right corner comes to the upper left
    assert turned[0, :, 0, 0].tolist() == [0, 2]
    assert turned[0, :, -1, 0].tolist() == [0, 0]


@pytest.mark.parametrize(("near", "right"), [(1, 0), (89, 90), (91, 90), (179, 180), (269, 270), (359, 360)])
def test_any_angle_turns_the_same_way_as_right_angles(near: int, right: int) -> None:
    height, width = 21, 33
    x = places(height, width)
    shown, exact = view(near).show(x), view(right).show(x)
    down, across = ((a - b) // 2 for a, b in zip(shown.shape[2:], exact.shape[2:], strict=True))
    middle = shown[..., down : down + exact.shape[2], across : across + exact.shape[3]]
    assert (middle - exact).abs()[..., 4:-4, 4:-4].max() < 1.5


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("size", SIZES)
def test_at_any_angle_every_pixel_returns_to_its_place_within_one_pixel(
    size: tuple[int, int], flips: tuple[bool, bool]
) -> None:
    x = places(*size)
    for degrees in ANGLES:
        one = view(degrees, flips)
        back = one.undo(one.show(x), size)
        assert back.shape == x.shape
        distance = (back - x).square().sum(1).sqrt()
        assert distance.max() < 1, degrees


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("degrees", [15, 45, 133, 200, 301])
def test_a_planted_spot_comes_back_where_it_was(degrees: int, flips: tuple[bool, bool]) -> None:
    grid = places(20, 29)[0].flatten(1)
    for row, column in [(1, 1), (1, 27), (18, 1), (18, 27), (7, 11)]:
        x = torch.zeros(1, 1, 20, 29)
        x[0, 0, row - 1 : row + 2, column - 1 : column + 2] = 1
        one = view(degrees, flips)
        weights = one.undo(one.show(x), (20, 29)).flatten()
        centre = (grid * weights).sum(1) / weights.sum()
        assert (centre - torch.tensor([row, column])).norm() < 0.5
        assert float(weights.sum()) == pytest.approx(9, abs=3)


@pytest.mark.parametrize("size", SIZES)
def test_no_corner_is_cut_off_and_none_is_filled_with_zeros(size: tuple[int, int]) -> None:
    x = places(*size) + 1
    corners = [x[0, :, row, column] for row in (0, -1) for column in (0, -1)]
    for degrees in ANGLES:
        shown = view(degrees).show(x)
        for corner in corners:
            assert (shown[0] - corner[:, None, None]).norm(dim=0).min() < 0.75, degrees
        assert shown.min() > 0.99, degrees  # what lies beyond the border is the picture mirrored
        assert shown[0, 0].max() < size[0] + 0.01
        assert shown[0, 1].max() < size[1] + 0.01


def test_the_canvas_is_no_larger_than_the_turned_picture_needs() -> None:
    assert view(45).show(image(30, 40)).shape[2:] == (51, 51)  # 70 / sqrt(2) = 49.5, rounded up, one to spare
    assert view(1).show(image(100, 100)).shape[2:] == (103, 103)


def test_undo_takes_several_passes_and_keeps_their_type() -> None:
    one, logits = view(30), image(12, 15, batch=4)
    shown = one.show(logits)
    back = one.undo(shown.bfloat16(), (12, 15))
    assert back.dtype == torch.bfloat16
    assert back.shape == logits.shape
    for number in range(4):
        assert torch.equal(one.undo(shown, (12, 15))[number], one.undo(shown[number : number + 1], (12, 15))[0])


def test_noise_has_its_strength_its_seed_and_stays_within_intensities() -> None:
    grey = torch.full((1, 3, 100, 100), 0.5)
    noisy = view(0, noise=0.05, seed=3).show(grey) - grey
    count = noisy.numel()
    assert abs(float(noisy.mean())) < 5 * 0.05 / count**0.5
    assert float(noisy.std()) == pytest.approx(0.05, rel=5 / (2 * count) ** 0.5)
    assert torch.equal(view(0, noise=0.05, seed=3).show(grey), noisy + grey)
    assert not torch.equal(view(0, noise=0.05, seed=4).show(grey), noisy + grey)
    bright = view(0, noise=0.5, seed=3).show(torch.ones(1, 3, 50, 50))
    assert bright.max() == 1
    assert bright.min() >= 0


def test_showing_writes_to_nothing() -> None:
    before = image(10, 12)
    x = before.clone()
    for degrees in (0, 90, 33):
        view(degrees, (True, True), noise=0.1).show(x)
    assert torch.equal(x, before)
    generator = torch.random.get_rng_state()
    view(33, noise=0.1).show(x)
    assert torch.equal(torch.random.get_rng_state(), generator)


def drawn(views: Views, count: int = 4000) -> list[View]:
    return [views.draw(np.random.default_rng([7, number])) for number in range(count)]


def test_flips_are_fair_and_independent() -> None:
    found = Counter((one.rows, one.columns) for one in drawn(Views(flips=True, rotation="none", max_noise=0)))
    assert set(found) == set(FLIPS)
    assert max(abs(count - 1000) for count in found.values()) < 5 * (4000 * 3 / 16) ** 0.5


@pytest.mark.parametrize(("rotation", "angles"), [("right", range(0, 360, 90)), ("any", range(360))])
def test_angles_are_uniform(rotation: Rotation, angles: range) -> None:
    found = Counter(one.degrees for one in drawn(Views(flips=False, rotation=rotation, max_noise=0)))
    assert set(found) == set(angles)
    expected = 4000 / len(angles)
    assert max(abs(count - expected) for count in found.values()) < 5 * expected**0.5


def test_what_is_not_allowed_is_not_drawn() -> None:
    for one in drawn(Views(flips=False, rotation="none", max_noise=0.2), 200):
        assert (one.rows, one.columns, one.degrees) == (False, False, 0)
        assert 0 < one.noise < 0.2
    for one in drawn(Views(flips=True, rotation="any", max_noise=0), 200):
        assert one.noise == 0


def test_noise_strengths_are_uniform_and_their_seeds_different() -> None:
    found = drawn(Views(flips=False, rotation="none", max_noise=0.1))
    strengths = np.array([one.noise for one in found])
    assert strengths.max() < 0.1
    assert abs(strengths.mean() - 0.05) < 5 * 0.1 / (12 * 4000) ** 0.5
    assert len({one.seed for one in found}) == 4000


@pytest.mark.parametrize("noise", [-0.1, float("nan")])
def test_a_noise_below_zero_is_an_error(noise: float) -> None:
    with pytest.raises(ValueError, match=r"predictor\.views\.max_noise=.* 0 or more"):
        Views(flips=True, rotation="none", max_noise=noise)


def test_views_that_change_nothing_are_an_error_that_says_what_to_allow() -> None:
    with pytest.raises(ValueError, match=r"predictor\.views changes nothing: allow flips, a rotation or noise"):
        Views(flips=False, rotation="none", max_noise=0)
