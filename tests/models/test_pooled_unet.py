"""The lean U-Net is the one that its description says, at any size, and its passes share one encoder."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments import composed
from seg_al.models.pooled_unet import PooledUNet
from seg_al.models.unet import UNetSites
from seg_al.predictors.dropout import drawing, dropouts
from seg_al.randomness import torch_seeded

SITES: tuple[UNetSites, ...] = get_args(UNetSites)


def network(**changes: Any) -> PooledUNet:
    """That of model=unet_small, narrow, in evaluation mode, whose batch norms have seen something."""
    settings = {
        "width": 2, "poolings": 3, "convolutions": 1, "stem_stride": 2, "dropout": 0.3, "dropout_kind": "channel",
        "sites": "bottleneck", "normalize": "each", "classes": 3,
    }  # fmt: skip
    with torch.no_grad(), torch_seeded("network"):
        model = PooledUNet(**{**settings, **changes})
        for number in range(3):
            model.train()(images(4, 48, 40, seed=number))
    return model.eval()


def images(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def shapes(model: nn.Module) -> list[tuple[int, int, int]]:
    """Channels in, channels out and stride of each 3x3 convolution."""
    found = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)]
    return [(layer.in_channels, layer.out_channels, layer.stride[0]) for layer in found]


def test_widths_double_with_each_pooling_and_joins_halve_them() -> None:
    encoder = [(3, 8, 2), (8, 16, 1), (16, 32, 1), (32, 64, 1)]
    assert shapes(network(width=8)) == [*encoder, (96, 32, 1), (48, 16, 1), (24, 8, 1)]
    assert shapes(network(width=4, poolings=1, convolutions=2, stem_stride=1)) == [
        (3, 4, 1), (4, 4, 1), (4, 8, 1), (8, 8, 1), (12, 4, 1), (4, 4, 1),
    ]  # fmt: skip


def written_out(model: PooledUNet, x: Tensor) -> Tensor:
    """The network as plain operations in float64, from the layers in the order in which they were made."""
    layers = iter([m.double() for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)])
    size = x.shape[2:]

    def block(x: Tensor, stride: int = 1) -> Tensor:
        x = functional.conv2d(x, next(layers).weight, stride=stride, padding=1)
        norm = next(layers)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return ((x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]).relu()

    x = x.double()
    pixels = x.flatten(2)
    spread = ((pixels - pixels.mean(2, keepdim=True)) ** 2).mean(2).sqrt()
    x = (x - pixels.mean(2)[..., None, None]) / spread[..., None, None]
    x = block(x, stride=2)
    skips = []
    for _ in range(3):
        skips.append(x)
        x = block(functional.max_pool2d(functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2)), 2))  # all above 0
    while skips:
        skip = skips.pop()
        rows = torch.arange(skip.shape[2]) * x.shape[2] // skip.shape[2]
        columns = torch.arange(skip.shape[3]) * x.shape[3] // skip.shape[3]
        x = block(torch.cat([x[:, :, rows][..., columns], skip], 1))
    classifier = next(layers)
    return functional.interpolate(functional.conv2d(x, classifier.weight, classifier.bias), size, mode="bilinear")


@pytest.mark.parametrize("size", [(64, 32), (45, 71)])
def test_the_network_is_the_one_that_its_description_says(size: tuple[int, int]) -> None:
    model, pictures = network(), images(2, *size)
    with torch.inference_mode():
        logits = model(pictures)
        torch.testing.assert_close(logits.double(), written_out(model, pictures), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (2, 3), (31, 33), (32, 32), (65, 17), (52, 77)])
@pytest.mark.parametrize("stem_stride", [1, 2, 4])
def test_any_size_works_down_to_a_single_pixel(size: tuple[int, int], stem_stride: int) -> None:
    logits = network(stem_stride=stem_stride)(images(2, *size))
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("sites", "channels"),
    [("all", [2, 4, 8, 16, 8, 4, 2]), ("encoder", [2, 4, 8, 16]), ("decoder", [8, 4, 2]), ("bottleneck", [16]),
     ("head", [2]), ("none", [])],
)  # fmt: skip
def test_dropout_stands_after_levels_and_joins(sites: UNetSites, channels: list[int]) -> None:
    model, seen = network(sites=sites), []
    for layer in dropouts(model).values():
        layer.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[1]))
    model(images(1, 32, 32))
    assert seen == channels


@pytest.mark.parametrize("sites", SITES)
def test_decodes_of_one_state_equal_full_passes(sites: UNetSites) -> None:
    model, picture = network(sites=sites), images(1, 33, 46)
    rows = [("pass", number) for number in range(8)]
    with torch.inference_mode():
        state = model.encode(picture)
        with drawing(model, rows):
            together = model.decode(model.repeat(state, 8))
        for number, row in enumerate(rows):
            with drawing(model, [row]):
                torch.testing.assert_close(model.decode(state), model(picture), rtol=0, atol=0)
                torch.testing.assert_close(together[number], model(picture)[0], rtol=0, atol=1e-5)
        assert (len({tuple(one.flatten().tolist()) for one in together}) > 1) == (sites != "none")


def test_passes_of_bottleneck_dropout_run_the_encoder_once() -> None:
    model, calls = network(), []
    for step in model.steps:
        step.register_forward_hook(lambda module, inputs, output: calls.append(type(module).__name__))
    state = model.encode(images(1, 64, 64))
    for number in range(5):
        with drawing(model, [("pass", number)]):
            model.decode(state)
    assert calls == ["PooledLevel"] * 4 + ["Drop", "SkipJoin", "SkipJoin", "SkipJoin", "Classify"] * 5


def test_dropout_of_channels_drops_whole_feature_maps() -> None:
    dropped: dict[str, Tensor] = {}
    for kind in ("channel", "element"):
        model = network(width=8, dropout_kind=kind)
        state = model.encode(images(1, 64, 64))
        with drawing(model, [("pass", 0)]):
            out = model.steps[model.cut](state._replace(x=torch.ones_like(state.x)))
        dropped[kind] = (out.x == 0).flatten(2)[0]  # [64, 16]
    assert torch.equal(dropped["channel"].any(1), dropped["channel"].all(1))
    assert 0 < int(dropped["channel"].all(1).sum()) < 64
    assert not torch.equal(dropped["element"].any(1), dropped["element"].all(1))


def test_the_small_network_and_its_training_have_the_settings_that_were_measured() -> None:
    cfg, _ = composed()
    model = {key: value for key, value in cfg.model.items() if not key.startswith("_")}
    assert model == {
        "width": 8, "poolings": 3, "convolutions": 1, "stem_stride": 2, "dropout": 0.2, "dropout_kind": "channel",
        "sites": "bottleneck", "normalize": "each",
    }  # fmt: skip
    trainer = cfg.trainer
    assert trainer.optimizer._target_ == "torch.optim.AdamW"
    assert (trainer.optimizer.lr, trainer.optimizer.betas, trainer.optimizer.weight_decay) == (5e-3, [0.9, 0.99], 1e-3)
    assert (trainer.pace.steps, trainer.pace.epochs, trainer.batch_size) == (150, 0, 4)
    assert trainer.validation.keep == "last"


def test_the_older_small_network_and_its_training_are_kept_as_they_were() -> None:
    cfg, _ = composed("model=unet_small_v0", "trainer=quick_v0")
    assert dict(cfg.model) == {
        "_target_": "seg_al.models.unet.UNet", "_partial_": True, "width": 8, "dropout": 0.1, "sites": "all",
        "dropout_kind": "element", "normalize": "none",
    }  # fmt: skip
    trainer = cfg.trainer
    assert (trainer.optimizer._target_, trainer.optimizer.lr, trainer.optimizer.nesterov) == (
        "torch.optim.SGD",
        0.05,
        True,
    )
    assert (trainer.pace.steps, trainer.batch_size, trainer.validation.keep) == (120, 8, "val")
    assert (trainer.validation.times, list(trainer.augmentation.crop)) == (3, [96, 96])
