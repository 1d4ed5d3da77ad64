"""The U-Net is the predecessor's, works at any size, and is the same function whole or cut at its first dropout."""

from __future__ import annotations

from functools import partial
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seg_al.models.unet import UNet, UNetSites
from seg_al.predictors.dropout import CountedDropout, drawing, dropouts
from seg_al.randomness import torch_seeded
from seg_al.training.losses import SegmentationLoss
from seg_al.training.networks import build

SITES: tuple[UNetSites, ...] = get_args(UNetSites)


def network(sites: UNetSites = "all", width: int = 2, classes: int = 3, dropout: float = 0.3) -> UNet:
    """A small U-Net in evaluation mode whose batch norms have seen something."""
    factory = partial(UNet, width=width, dropout=dropout, sites=sites)
    model = build(factory, classes, "network", sites)
    assert isinstance(model, UNet)
    with torch.no_grad(), torch_seeded("dropout of training"):
        for number in range(3):
            model.train()(images(4, 48, 40, seed=number))
    return model.eval()


def images(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def test_widths_are_those_of_the_gland_baselines() -> None:
    model = UNet(width=16, dropout=0.1, sites="all", classes=2)
    *blocks, classifier = convolutions(model)
    found = [(layer.in_channels, layer.out_channels) for layer in blocks]
    encoder = [(3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
    encoder += [(128, 256), (256, 256), (256, 512), (512, 512)]
    decoder = []
    for deep, joined, out in [(512, 768, 256), (256, 384, 128), (128, 192, 64), (64, 96, 32), (32, 48, 16)]:
        decoder += [(deep, deep), (deep, deep), (joined, out), (out, out)]
    assert found == encoder + decoder
    assert [layer.stride[0] for layer in blocks[:12]] == [1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]
    assert all(layer.stride == (1, 1) for layer in blocks[12:])
    assert all(layer.kernel_size == (3, 3) and layer.bias is None for layer in blocks)
    assert (classifier.in_channels, classifier.out_channels, classifier.kernel_size) == (16, 2, (1, 1))
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == len(blocks) == 32


def test_the_number_of_parameters_is_the_sum_of_the_layers() -> None:
    pairs = [(3, 16), (16, 16)]
    for inputs in (16, 32, 64, 128, 256):
        pairs += [(inputs, 2 * inputs), (2 * inputs, 2 * inputs)] + 2 * [(2 * inputs, 2 * inputs)]
        pairs += [(3 * inputs, inputs), (inputs, inputs)]
    expected = sum(9 * a * b + 2 * b for a, b in pairs) + 16 * 2 + 2
    model = UNet(width=16, dropout=0.1, sites="all", classes=2)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize(
    ("sites", "count"), [("all", 11), ("encoder", 6), ("decoder", 5), ("bottleneck", 1), ("head", 1), ("none", 0)]
)
def test_sites_say_how_many_dropout_layers_there_are(sites: UNetSites, count: int) -> None:
    model = UNet(width=1, dropout=0.1, sites=sites, classes=2)
    assert len(dropouts(model)) == count
    assert len(dropouts(UNet(width=1, dropout=0.0, sites=sites, classes=2))) == 0


@pytest.mark.parametrize(
    ("sites", "channels"),
    [
        ("all", [1, 2, 4, 8, 16, 32, 16, 8, 4, 2, 1]),
        ("encoder", [1, 2, 4, 8, 16, 32]),
        ("decoder", [16, 8, 4, 2, 1]),
        ("bottleneck", [32]),
        ("head", [1]),
    ],
)
def test_dropout_stands_after_encoder_levels_and_joins(sites: UNetSites, channels: list[int]) -> None:
    model = UNet(width=1, dropout=0.1, sites=sites, classes=2).eval()
    seen: list[int] = []
    for layer in dropouts(model).values():
        layer.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[1]))
    model(images(1, 32, 32))
    assert seen == channels


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (2, 3), (31, 33), (32, 32), (65, 17), (52, 77)])
def test_any_size_works_down_to_a_single_pixel(size: tuple[int, int]) -> None:
    model = network()
    logits = model(images(2, *size))
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()


def test_training_needs_two_values_per_channel_at_the_deepest_level() -> None:
    model = UNet(width=1, dropout=0.1, sites="all", classes=2).train()
    assert model(images(2, 1, 1)).shape == (2, 2, 1, 1)
    assert model(images(1, 1, 33)).shape == (1, 2, 1, 33)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        model(images(1, 32, 32))


def test_stride_two_levels_round_up_and_the_decoder_follows_the_skips() -> None:
    state = UNet(width=1, dropout=0.1, sites="bottleneck", classes=2).eval().encode(images(1, 37, 52))
    assert state.x.shape == (1, 32, 2, 2)
    assert [tuple(skip.shape[1:]) for skip in state.skips] == [
        (1, 37, 52), (2, 19, 26), (4, 10, 13), (8, 5, 7), (16, 3, 4),
    ]  # fmt: skip


def written_out(model: UNet, x: Tensor) -> Tensor:
    """The U-Net as plain operations in float64, from the layers in the order in which they were made."""
    layers = iter([m.double() for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)])

    def block(x: Tensor, stride: int = 1) -> Tensor:
        for step in (stride, 1):
            x = functional.conv2d(x, next(layers).weight, stride=step, padding=1)
            norm = next(layers)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            x = ((x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]).relu()
        return x

    skips = [block(x.double())]
    for _ in range(5):
        skips.append(block(skips[-1], stride=2))
    x = skips.pop()
    while skips:
        skip, deep = skips.pop(), block(x)
        rows = torch.arange(skip.shape[2]) * deep.shape[2] // skip.shape[2]
        columns = torch.arange(skip.shape[3]) * deep.shape[3] // skip.shape[3]
        x = block(torch.cat([deep[:, :, rows][..., columns], skip], 1))
    classifier = next(layers)
    return functional.conv2d(x, classifier.weight, classifier.bias)


@pytest.mark.parametrize("size", [(64, 32), (45, 70)])
def test_the_network_is_the_one_that_its_description_says(size: tuple[int, int]) -> None:
    model, pictures = network(), images(2, *size)
    with torch.inference_mode():
        logits = model(pictures)
        torch.testing.assert_close(logits.double(), written_out(model, pictures), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sites", SITES)
def test_decodes_of_one_state_equal_full_passes(sites: UNetSites) -> None:
    model, picture = network(sites), images(1, 33, 46)
    rows = [("pass", number) for number in range(5)]
    with torch.inference_mode():
        state = model.encode(picture)
        with drawing(model, rows):
            together = model.decode(model.repeat(state, 5))
        for number, row in enumerate(rows):
            with drawing(model, [row]):
                torch.testing.assert_close(model.decode(state), model(picture), rtol=0, atol=0)
                torch.testing.assert_close(together[number], model(picture)[0], rtol=0, atol=1e-5)
        assert bool((together[0] == together[1]).all()) == (sites == "none")
        torch.testing.assert_close(model.decode(state), model(picture), rtol=0, atol=0)


@pytest.mark.parametrize("sites", SITES)
def test_encode_holds_no_dropout_and_all_that_comes_before_it(sites: UNetSites) -> None:
    model = network(sites)
    head, tail = list(model.steps[: model.cut]), list(model.steps[model.cut :])
    assert not any(isinstance(module, CountedDropout) for step in head for module in step.modules())
    first = next(iter(tail[0].children()))
    assert isinstance(first, nn.Conv2d if sites == "none" else CountedDropout)
    assert len(head) == {"all": 1, "encoder": 1, "decoder": 7, "bottleneck": 6, "head": 11, "none": 11}[sites]


def test_repeat_lays_the_passes_of_an_image_side_by_side() -> None:
    model = network("bottleneck")
    state = model.encode(images(2, 32, 48))
    repeated = model.repeat(state, 3)
    for plain, tripled in zip((state.x, *state.skips), (repeated.x, *repeated.skips), strict=True):
        assert len(tripled) == 6
        for row in range(6):
            assert torch.equal(tripled[row], plain[row // 3])


@pytest.mark.parametrize("sites", SITES)
def test_embed_gives_the_deepest_features_and_the_input_of_the_classifier(sites: UNetSites) -> None:
    model, pictures = network(sites), images(2, 50, 35)
    seen: list[Tensor] = []
    classifier = convolutions(model)[-1]
    classifier.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    logits = model(pictures)
    deepest, penultimate = model.embed(pictures)
    assert deepest.shape == (2, 64, 2, 2)
    assert penultimate.shape == (2, 2, 50, 35)
    assert torch.equal(penultimate, seen[0])
    torch.testing.assert_close(classifier(penultimate), logits, rtol=0, atol=1e-6)
    others = model.embed(pictures.flip(0))
    torch.testing.assert_close(others[0].flip(0), deepest, rtol=0, atol=1e-5)


def test_fresh_weights_are_kaiming_normal_and_batch_norms_the_identity() -> None:
    model = build(partial(UNet, width=16, dropout=0.1, sites="all"), 2, 0, 0).requires_grad_(False)
    for layer in convolutions(model)[:-1]:
        spread = (2 / (9 * layer.in_channels)) ** 0.5
        count = layer.weight.numel()
        assert abs(float(layer.weight.mean())) < 5 * spread / count**0.5
        assert float(layer.weight.std()) == pytest.approx(spread, rel=5 / (2 * count) ** 0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert torch.equal(module.bias, torch.zeros_like(module.bias))


@pytest.mark.parametrize("sites", SITES)
def test_the_gradient_reaches_every_parameter(sites: UNetSites) -> None:
    model = build(partial(UNet, width=2, dropout=0.1, sites=sites), 2, 0, 0).train()
    target = (images(4, 40, 48, seed=7)[:, 0] > 0.5).long()
    SegmentationLoss(cross_entropy=1, dice=1, pooled=False)(model(images(4, 40, 48)), target).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_fresh_weights_are_a_function_of_run_and_member() -> None:
    factory = partial(UNet, width=2, dropout=0.1, sites="all")
    first = build(factory, 2, 0, 0).state_dict()
    torch.rand(100)  # the global generator is of no account
    again, other_member, other_run = (build(factory, 2, *address).state_dict() for address in [(0, 0), (0, 1), (1, 0)])
    assert all(torch.equal(first[name], again[name]) for name in first)
    weights = [name for name, value in first.items() if value.dim() == 4]
    assert len(weights) == 33
    assert not any(torch.equal(first[name], other_member[name]) for name in weights)
    assert not any(torch.equal(first[name], other_run[name]) for name in weights)


def test_dropout_sites_do_not_change_the_fresh_weights() -> None:
    states = [list(build(partial(UNet, width=2, dropout=0.1, sites=s), 2, 0, 0).state_dict().values()) for s in SITES]
    for state in states[1:]:
        assert all(torch.equal(one, other) for one, other in zip(states[0], state, strict=True))


@pytest.mark.parametrize(("width", "classes"), [(0, 2), (16, 0)])
def test_a_width_or_a_number_of_classes_below_one_is_an_error(width: int, classes: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        UNet(width=width, dropout=0.1, sites="all", classes=classes)


@pytest.mark.parametrize("dropout", [-0.5, 1.0])
def test_a_dropout_probability_outside_its_range_is_an_error(dropout: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        UNet(width=1, dropout=dropout, sites="all", classes=2)
