"""Pictures are brought to mean 0 and spread 1 by their own statistics or by stated ones, and nothing becomes NaN."""

from __future__ import annotations

import pytest
import torch

from seg_al.models.inputs import FAINTEST, MEAN_AND_STD, Stated, normalization


def test_each_channel_of_each_picture_is_scaled_by_its_own_mean_and_spread() -> None:
    red, blue = torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([[0.2, 0.2], [0.2, 1.0]])
    one = torch.stack([red, torch.full((2, 2), 0.5), blue])  # blue: mean 0.4, variance 0.12
    pictures = torch.stack([one, one.flip(0)])
    found = normalization("each")(pictures)
    low, high = -0.2 / 0.12**0.5, 0.6 / 0.12**0.5
    wanted = torch.stack([red * 2 - 1, torch.zeros(2, 2), torch.tensor([[low, low], [low, high]])])
    torch.testing.assert_close(found, torch.stack([wanted, wanted.flip(0)]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1 / 3, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (7, 5)])
def test_a_picture_of_one_colour_becomes_zero_and_not_nan(value: float, size: tuple[int, int]) -> None:
    found = normalization("each")(torch.full((1, 3, *size), value))
    assert found.abs().max() < 1e-4


def test_what_varies_less_than_a_step_of_a_byte_is_not_scaled_up_to_spread_one() -> None:
    faint = torch.full((1, 3, 16, 16), 0.5)
    faint[..., 0, 0] += 1 / 255
    found = normalization("each")(faint)
    assert float(found.max() - found.min()) == pytest.approx(1 / 255 / FAINTEST, rel=1e-4)


def test_a_brighter_picture_of_more_contrast_looks_the_same_to_a_network() -> None:
    picture = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    other = 0.3 + 0.5 * picture
    each = normalization("each")
    torch.testing.assert_close(each(other), each(picture), rtol=0, atol=1e-4)


def test_padding_changes_nothing_of_the_picture_inside_it_and_becomes_the_mean() -> None:
    picture = torch.rand(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    picture[:, :, 4, 5] = 0  # a black pixel inside counts
    padded = torch.nn.functional.pad(picture, (2, 3, 1, 4))
    found = normalization("each")(padded)
    torch.testing.assert_close(found[:, :, 1:10, 2:14], normalization("each")(picture), rtol=0, atol=1e-5)
    assert not found[:, :, 0].any()
    assert not found[:, :, :, 14:].any()
    assert found[:, :, 5, 7].abs().min() > 1


def test_stated_statistics_are_names_or_numbers() -> None:
    picture = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    stated: Stated = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 0.125)}
    found = normalization(stated)(picture)
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 0.125)]):
        torch.testing.assert_close(found[:, channel], (picture[:, channel] - mean) / std)
    assert torch.equal(normalization("imagenet")(picture), normalization(MEAN_AND_STD["imagenet"])(picture))
    assert torch.equal(normalization("none")(picture), picture)


@pytest.mark.parametrize("std", [(0.5, 0.0, 0.5), (0.5, -1.0, 0.5), (0.5, 0.5)])
def test_a_stated_spread_that_no_picture_has_is_refused(std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="std above 0"):
        normalization({"mean": (0.5, 0.5, 0.5), "std": std})  # type: ignore[typeddict-item]


def test_no_scaling_is_saved_with_the_weights() -> None:
    assert not normalization("each").state_dict()
    assert not normalization("imagenet").state_dict()
