"""A dropout mask is a function of its pass's address and its layer's name, wherever and whenever it is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seg_al.predictors.dropout import CountedDropout, drawing, dropouts
from seg_al.randomness import Address, seed_of

SHAPE = (3, 5, 7)
ROWS: list[tuple[Address, ...]] = [(0, 1, name, 0, number) for name in ("a", "b") for number in range(3)]


class TwoLayers(nn.Module):
    """Hands out the masks of two dropout layers."""

    def __init__(self, p: float = 0.5, channels: bool = False) -> None:
        super().__init__()
        self.early = CountedDropout(p, channels)
        self.late = CountedDropout(p, channels)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.early(x), self.late(x)


def masks(model: TwoLayers, rows: list[tuple[Address, ...]], shape: tuple[int, ...] = SHAPE) -> tuple[Tensor, Tensor]:
    """What both layers make of ones, [len(rows), *shape]."""
    with drawing(model, rows):
        early, late = model(torch.ones(len(rows), *shape))
    return early, late


def test_the_same_address_and_layer_give_the_same_mask_again() -> None:
    for first, second in zip(masks(TwoLayers(), ROWS), masks(TwoLayers(), ROWS), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("channels", [False, True])
def test_a_mask_does_not_depend_on_the_batch_it_is_drawn_in(channels: bool) -> None:
    shape = (32, 5, 7)
    model = TwoLayers(channels=channels)
    together, _ = masks(model, ROWS, shape)
    one_by_one = torch.cat([masks(model, [row], shape)[0] for row in ROWS])
    chunked = torch.cat([masks(model, ROWS[start : start + 4], shape)[0] for start in (0, 4)])
    order = [4, 0, 5, 2, 1, 3]
    shuffled, _ = masks(model, [ROWS[place] for place in order], shape)
    assert torch.equal(together, one_by_one)
    assert torch.equal(together, chunked)
    assert torch.equal(together[order], shuffled)
    assert len({tuple(row.flatten().tolist()) for row in together}) == len(ROWS)


@pytest.mark.parametrize(
    "other",
    [(9, 1, "a", 0, 0), (0, 9, "a", 0, 0), (0, 1, "z", 0, 0), (0, 1, "a", 9, 0), (0, 1, "a", 0, 9), (0, 1, "a", 0)],
    ids=["run", "round", "image", "member", "pass", "shorter"],
)
def test_every_part_of_the_address_changes_the_mask(other: tuple[Address, ...]) -> None:
    early, late = masks(TwoLayers(), [ROWS[0], other])
    assert not torch.equal(early[0], early[1])
    assert not torch.equal(late[0], late[1])


def test_two_layers_of_one_pass_have_different_masks() -> None:
    early, late = masks(TwoLayers(), ROWS)
    assert not any(torch.equal(a, b) for a, b in zip(early, late, strict=True))


def test_masks_of_different_passes_are_independent() -> None:
    kept = masks(TwoLayers(p=0.3), [("pass", number) for number in range(20)], (100, 30, 10))[0] > 0
    rates = torch.corrcoef(kept.flatten(1).float()).fill_diagonal_(0)
    assert rates.abs().max() < 6 / math.sqrt(30_000)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(16, 25, 50), (7, 11, 13)], ids=["multiple of four", "odd"])
def test_the_share_that_is_kept_is_binomial(p: float, shape: tuple[int, ...]) -> None:
    early, _ = masks(TwoLayers(p), [("rate", number) for number in range(20)], shape)
    count = early.numel()
    kept = int((early > 0).sum())
    assert abs(kept - count * (1 - p)) < 5 * math.sqrt(count * p * (1 - p))
    position = (early > 0).float().mean(0).flatten()  # over 20 passes: no element is favoured
    spread = math.sqrt(p * (1 - p) / 20)
    assert (position - (1 - p)).abs().max() < 6.5 * spread


def test_the_mean_over_many_masks_is_the_input() -> None:
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = CountedDropout(0.25)
    total = torch.zeros_like(x)
    for start in range(0, 20_000, 1000):
        with drawing(layer, [("mean", number) for number in range(start, start + 1000)]):
            total += layer(x.expand(1000, -1, -1, -1)).sum(0, keepdim=True)
    error = (total / 20_000 - x).abs() / (x.abs() * math.sqrt(0.25 / 0.75 / 20_000))
    assert error.max() < 5  # standard errors


@pytest.mark.parametrize("p", [0.1, 1 / 3, 2**-16, 1 - 2**-16])
def test_kept_values_are_divided_by_the_keep_probability_rounded_to_a_65536th(p: float) -> None:
    early, _ = masks(TwoLayers(p), [("scale", number) for number in range(4)], (64, 64, 64))
    level = round((1 - p) * 65536)
    scales = early[early > 0].unique()
    torch.testing.assert_close(scales, torch.tensor([65536 / level]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("p", [1 - 1e-6, 1e-6])
def test_probabilities_that_round_away_stay_finite(p: float) -> None:
    early, _ = masks(TwoLayers(p), ROWS)
    assert torch.isfinite(early).all()
    if p < 0.5:
        assert torch.equal(early, torch.ones_like(early))


def test_channels_drops_whole_maps_and_elements_single_ones() -> None:
    whole, _ = masks(TwoLayers(0.5, channels=True), ROWS, (64, 5, 7))
    values = whole.flatten(2)
    assert torch.equal(values, values[..., :1].expand_as(values))
    assert 0.3 < (values[..., 0] > 0).float().mean() < 0.7
    single, _ = masks(TwoLayers(0.5), ROWS, (64, 5, 7))
    assert not torch.equal(single.flatten(2), single.flatten(2)[..., :1].expand_as(values))


@pytest.mark.parametrize("channels", [False, True])
def test_the_layout_of_memory_does_not_change_a_mask(channels: bool) -> None:
    layer = CountedDropout(0.5, channels)
    x = torch.rand(2, 8, 5, 6)
    with drawing(layer, ROWS[:2]):
        plain, last = layer(x), layer(x.to(memory_format=torch.channels_last))
    assert torch.equal(plain, last)


@pytest.mark.parametrize("shape", [(11,), (4, 9)], ids=["vectors", "sequences"])
@pytest.mark.parametrize("channels", [False, True])
def test_features_of_any_number_of_axes_are_masked(shape: tuple[int, ...], channels: bool) -> None:
    early, _ = masks(TwoLayers(channels=channels), ROWS, shape)
    assert early.shape == (len(ROWS), *shape)
    assert set(early.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (64, 9, 11), (130, 33)])
def test_four_elements_are_decided_by_the_16_bits_of_a_word_of_numpys_generator(shape: tuple[int, ...]) -> None:
    layer, count = CountedDropout(0.3), math.prod(shape)
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    with drawing(layer, ROWS[:3]):
        dropped = layer(x)
    level = round(0.7 * 65536)
    for row, values, found in zip(ROWS, x, dropped, strict=False):
        draws = np.random.SFC64(seed_of(*row, "")).random_raw((count + 3) // 4).view(np.uint16)[:count]
        last = values.movedim(0, -1)
        kept = torch.from_numpy(draws < level).reshape(last.shape)
        assert torch.equal(found, (torch.where(kept, last, 0) * (65536 / level)).movedim(-1, 0))


def test_half_precision_keeps_its_type() -> None:
    layer = CountedDropout(0.5)
    with drawing(layer, ROWS[:1]):
        assert layer(torch.ones(1, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_the_input_is_not_written_to() -> None:
    layer, x = CountedDropout(0.5), torch.ones(1, 64)
    with drawing(layer, ROWS[:1]):
        assert not torch.equal(layer(x), x)
    assert torch.equal(x, torch.ones(1, 64))


@pytest.mark.parametrize("channels", [False, True])
def test_evaluation_is_the_identity_and_training_drops_at_random(channels: bool) -> None:
    layer, x = CountedDropout(0.5, channels), torch.ones(8, 64, 4, 4)
    assert layer.eval()(x) is x
    torch.manual_seed(0)
    first, second = layer.train()(x), layer(x)
    assert not torch.equal(first, second)
    assert set(first.unique().tolist()) == {0.0, 2.0}
    whole = first.flatten(2)
    assert torch.equal(whole, whole[..., :1].expand_as(whole)) == channels


def test_drawing_ends_with_its_block_even_after_an_error() -> None:
    model = TwoLayers()

    def fail() -> None:
        with drawing(model, ROWS[:1]):
            assert model.early.seeds is not None
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert model.early.seeds is None
    assert model.late.seeds is None
    x = torch.ones(1, *SHAPE)
    assert torch.equal(model(x)[0], x)


def test_drawing_leaves_the_modes_and_the_global_generator_alone() -> None:
    model = TwoLayers()
    before = torch.random.get_rng_state()
    masks(model, ROWS)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(module.training for module in model.modules())


def test_a_batch_of_another_length_than_its_addresses_is_an_error() -> None:
    model = TwoLayers()
    with pytest.raises(ValueError, match="2 mask seeds for a batch of 3 rows"), drawing(model, ROWS[:2]):
        model(torch.ones(3, *SHAPE))


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_a_probability_outside_its_range_is_an_error(p: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        CountedDropout(p)


def test_dropouts_lists_the_layers_that_can_act_by_name() -> None:
    model = nn.ModuleDict({"a": TwoLayers(0.2), "b": CountedDropout(0.0), "c": nn.Dropout(0.3)})
    assert {name: layer.p for name, layer in dropouts(model).items()} == {"a.early": 0.2, "a.late": 0.2}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_a_mask_does_not_depend_on_its_batch_either() -> None:
    layer, x = CountedDropout(0.3).cuda(), torch.ones(len(ROWS), 16, 9, 11, device="cuda")
    with drawing(layer, ROWS):
        together = layer(x)
    for number, row in enumerate(ROWS):
        with drawing(layer, [row]):
            assert torch.equal(layer(x[:1])[0], together[number])
    assert abs(float((together > 0).float().mean()) - 0.7) < 5 * math.sqrt(0.21 / together.numel())
