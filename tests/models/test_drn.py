"""The DRN is the published network under its published names, at any image size, cut at its first dropout."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seg_al.asking.audit import audit
from seg_al.models.drn import DRN, LAYOUTS, DRNSites, Name, bilinear_kernel
from seg_al.models.inputs import MEAN_AND_STD, Statistics, normalization
from seg_al.predictors.dropout import CountedDropout, drawing, dropouts
from seg_al.running.compute import LocalCompute

BLOCKS = {"D-22": (2, 2, 2, 2), "D-38": (3, 4, 6, 3), "C-26": (2, 2, 2, 2)}
"""Of the stages 3 to 6."""
DILATIONS = {1: 1, 2: 1, 3: 1, 4: 1, 5: 2, 6: 4, 7: 2, 8: 1}
WIDTHS = {0: 16, 1: 16, 2: 32, 3: 64, 4: 128, 5: 256, 6: 512, 7: 512, 8: 512}


def drn(
    layout: Name = "D-22",
    sites: DRNSites = "head",
    classes: int = 3,
    weights: Path | str | None = None,
    upsample: Literal["learned", "bilinear"] = "learned",
) -> DRN:
    source = None if weights is None else str(weights)
    model = DRN(
        layout=layout, dropout=0.5, sites=sites, upsample=upsample, normalize="imagenet", weights=source,
        classes=classes,
    )  # fmt: skip
    return model.eval()


def images(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


@cache
def classification(layout: Name, hollow: bool = False) -> dict[str, Tensor]:
    """Weights under the names of the published ImageNet networks, which know no counters of batches.

    Random, or hollow: of the right shapes, but without memory of their own.
    """
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def drawn(*shape: int) -> Tensor:
        return torch.zeros(()).expand(shape) if hollow else torch.randn(*shape, generator=generator)

    def conv(name: str, inputs: int, outputs: int, size: int = 3) -> None:
        spread = (2 / (inputs * size**2)) ** 0.5
        weight = drawn(outputs, inputs, size, size)
        state[f"{name}.weight"] = weight if hollow else spread * weight

    def norm(name: str, width: int) -> None:
        for kind in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{kind}"] = drawn(width).abs() * 0.3 + 0.1

    def block(name: str, inputs: int, outputs: int) -> None:
        conv(f"{name}.conv1", inputs, outputs)
        norm(f"{name}.bn1", outputs)
        conv(f"{name}.conv2", outputs, outputs)
        norm(f"{name}.bn2", outputs)
        if inputs != outputs:
            conv(f"{name}.downsample.0", inputs, outputs, 1)
            norm(f"{name}.downsample.1", outputs)

    plain = layout.startswith("D")
    conv("layer0.0" if plain else "conv1", 3, 16, 7)
    norm("layer0.1" if plain else "bn1", 16)
    for stage, count in zip(range(1, 9), (1, 1, *BLOCKS[layout], 1, 1), strict=True):
        for place in range(count):
            inputs = WIDTHS[stage - 1] if place == 0 else WIDTHS[stage]
            if plain and stage in (1, 2, 7, 8):
                conv(f"layer{stage}.0", inputs, WIDTHS[stage])
                norm(f"layer{stage}.1", WIDTHS[stage])
            else:
                block(f"layer{stage}.{place}", inputs, WIDTHS[stage])
    conv("fc", 512, 1000, 1)
    state["fc.bias"] = torch.zeros(1000)
    return state


def segmentation(layout: Name, classes: int, hollow: bool = False) -> dict[str, Tensor]:
    """The same under the names of fyu/drn's segmentation networks, which number the layers."""
    stem = 0 if layout.startswith("D") else 2
    numbers = {f"layer{stage}": stage + stem for stage in range(9)} | {"conv1": 0, "bn1": 1}
    state = {}
    for name, value in classification(layout, hollow).items():
        first, _, rest = name.partition(".")
        if first != "fc":
            state[f"base.{numbers[first]}.{rest}"] = value
    generator = torch.Generator().manual_seed(classes)
    state["seg.weight"] = 0.1 * torch.randn(classes, 512, 1, 1, generator=generator)
    state["seg.bias"] = torch.randn(classes, generator=generator)
    state["up.weight"] = bilinear_kernel(8).expand(classes, 1, 16, 16).clone()
    return state


def saved(state: dict[str, Tensor], folder: Path) -> Path:
    path = folder / "drn.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


def written_out(state: dict[str, Tensor], layout: Name, x: Tensor) -> Tensor:
    """The features [B, 512, h, w] of the published network in float64, from the names of its weights."""
    state = {name: value.double() for name, value in state.items()}

    def norm(name: str, x: Tensor) -> Tensor:
        weight, bias, mean, var = (
            state[f"{name}.{kind}"] for kind in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt() * weight[:, None, None] + bias[
            :, None, None
        ]

    def conv(name: str, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return functional.conv2d(x, weight, None, stride, dilation * (weight.shape[-1] // 2), dilation)

    def block(name: str, x: Tensor, stride: int, dilation: int, shortcut: bool) -> Tensor:
        y = norm(f"{name}.bn1", conv(f"{name}.conv1", x, stride, dilation)).relu()
        y = norm(f"{name}.bn2", conv(f"{name}.conv2", y, 1, dilation))
        if shortcut and f"{name}.downsample.0.weight" in state:
            y = y + norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, stride))
        elif shortcut:
            y = y + x
        return y.relu()

    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x.double() - mean[:, None, None]) / std[:, None, None]
    plain = layout.startswith("D")
    x = norm("layer0.1", conv("layer0.0", x)).relu() if plain else norm("bn1", conv("conv1", x)).relu()
    for stage, count in zip(range(1, 9), (1, 1, *BLOCKS[layout], 1, 1), strict=True):
        for place in range(count):
            stride = 2 if stage in (2, 3, 4) and place == 0 else 1
            if plain and stage in (1, 2, 7, 8):
                x = norm(f"layer{stage}.1", conv(f"layer{stage}.0", x, stride, DILATIONS[stage])).relu()
            else:
                x = block(f"layer{stage}.{place}", x, stride, DILATIONS[stage], shortcut=stage < 7)
    return x


@pytest.mark.parametrize("layout", ["D-22", "C-26"])
def test_the_network_is_the_one_that_the_names_of_its_published_weights_say(layout: Name, tmp_path: Path) -> None:
    model, pictures = drn(layout, weights=saved(classification(layout), tmp_path)), images(1, 25, 34)
    with torch.inference_mode():
        features, penultimate = model.embed(pictures)
        wanted = written_out(classification(layout), layout, pictures)
        scale = float(wanted.abs().max())
        torch.testing.assert_close(features.double(), wanted, rtol=0, atol=1e-5 * scale)
        assert torch.equal(features, penultimate)
        logits = functional.conv_transpose2d(model.seg(features), model.up.weight, stride=8, padding=4, groups=3)
        assert torch.equal(model(pictures), logits[:, :, :25, :34])


@pytest.mark.parametrize(("layout", "millions"), [("D-22", 16.4), ("D-38", 26.5), ("C-26", 21.1)])
def test_the_number_of_parameters_is_the_published_one_with_imagenets_thousand_classes(
    layout: Name, millions: float
) -> None:
    state = classification(layout, hollow=True)
    published = sum(value.numel() for name, value in state.items() if "running" not in name)
    with torch.device("meta"):
        model = drn(layout, classes=1000, upsample="bilinear")
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == published
    assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides_and_dilations_are_those_published(layout: Name) -> None:
    with torch.device("meta"):
        model = drn(layout)
    residual = layout == "C-26"
    stages = list(model.base)[-8:]
    convs = [[one for one in stage.modules() if isinstance(one, nn.Conv2d)] for stage in stages]
    for number, layers in enumerate(convs, start=1):
        wide = [one for one in layers if one.kernel_size == (3, 3)]
        blocks = LAYOUTS[layout].blocks[number - 1]
        assert len(wide) == blocks * (2 if residual or number in (3, 4, 5, 6) else 1)
        assert {one.dilation for one in wide} == {(DILATIONS[number],) * 2} == {one.padding for one in wide}
        assert [one.stride[0] for one in wide] == [2 if number in (2, 3, 4) else 1, *[1] * (len(wide) - 1)]
        assert all(one.out_channels == WIDTHS[number] and one.bias is None for one in layers)
    seen = []
    with torch.device("meta"):
        x = model.normalize.to("meta")(torch.empty(1, 3, 64, 128))
        for stage in model.base:
            x = stage(x)
            seen.append(tuple(x.shape[1:]))
    assert seen[-8:] == [
        (16, 64, 128), (32, 32, 64), (64, 16, 32), (128, 8, 16), (256, 8, 16), (512, 8, 16), (512, 8, 16), (512, 8, 16),
    ]  # fmt: skip


def test_fresh_weights_have_the_published_spreads() -> None:
    model = drn(classes=19).requires_grad_(False)
    for layer in (one for one in model.modules() if isinstance(one, nn.Conv2d)):
        spread = (2 / (layer.kernel_size[0] ** 2 * layer.out_channels)) ** 0.5
        count = layer.weight.numel()
        assert float(layer.weight.std()) == pytest.approx(spread, rel=5 / (2 * count) ** 0.5)
        assert abs(float(layer.weight.mean())) < 5 * spread / count**0.5
    assert torch.equal(model.seg.bias, torch.zeros(19))


def test_the_upsampling_starts_as_bilinear_interpolation_away_from_the_borders() -> None:
    with torch.inference_mode():
        model, plain = drn(classes=5), drn(classes=5, upsample="bilinear")
        x = torch.randn(2, 5, 6, 9, generator=torch.Generator().manual_seed(0))
        learned, wanted = model.up(x), functional.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)
        torch.testing.assert_close(learned[:, :, 4:-4, 4:-4], wanted[:, :, 4:-4, 4:-4], rtol=0, atol=1e-6)
        assert torch.equal(plain.up(x), wanted)
    assert model.up.weight.requires_grad
    assert not list(plain.up.parameters())


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 16), (33, 46)])
@pytest.mark.parametrize("upsample", ["learned", "bilinear"])
def test_the_output_has_the_size_of_the_image(size: tuple[int, int], upsample: Literal["learned", "bilinear"]) -> None:
    with torch.inference_mode():
        logits = ready("head", upsample)(images(2, *size))
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()


@cache
def ready(sites: DRNSites, upsample: Literal["learned", "bilinear"] = "learned") -> DRN:
    model = drn("D-22", sites, upsample=upsample)
    state = {name: value for name, value in segmentation("D-22", 3).items() if name in model.state_dict()}
    model.load_state_dict(state, strict=False)
    return model


@pytest.mark.parametrize("sites", ["none", "head", "stages"])
def test_decodes_of_one_state_equal_full_passes_and_the_audit_agrees(sites: DRNSites) -> None:
    model, picture = ready(sites), images(1, 29, 22)
    rows = [("pass", number) for number in range(4)]
    with torch.inference_mode():
        state = model.encode(picture)
        with drawing(model, rows):
            together = model.decode(model.repeat(state, 4))
        for number, row in enumerate(rows):
            with drawing(model, [row]):
                assert torch.equal(model.decode(state), model(picture))
                torch.testing.assert_close(together[number], model(picture)[0], rtol=1e-4, atol=1e-4)
        assert torch.allclose(together[0], together[1], atol=1e-4) == (sites == "none")
        assert torch.equal(model.decode(state), model(picture))
    audit(model, picture, LocalCompute("cpu", "float32", 1, 0, 1), dropout=sites != "none")


@pytest.mark.parametrize(
    ("sites", "layout", "shapes"),
    [
        ("none", "D-22", []),
        ("head", "D-22", [(512, 4, 8)]),
        ("head", "C-26", [(512, 4, 8)]),
        ("stages", "D-22", [(64, 8, 16), (128, 4, 8), (256, 4, 8), (512, 4, 8)]),
        ("stages", "C-26", [(64, 8, 16), (128, 4, 8), (256, 4, 8), (512, 4, 8)]),
    ],
)
def test_dropout_stands_before_the_classifier_or_after_the_stages_3_to_6(
    sites: DRNSites, layout: Name, shapes: list[tuple[int, int, int]]
) -> None:
    with torch.device("meta"):
        model = drn(layout, sites)
    seen: list[tuple[int, ...]] = []
    for layer in model.modules():
        if isinstance(layer, CountedDropout):
            layer.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape[1:])))
    with torch.inference_mode():
        state = model.encode(images(1, 32, 64).to("meta"))
        assert seen == []
        assert tuple(state.x.shape[1:]) == (shapes or [(512, 4, 8)])[0]
        model.decode(state)
    assert seen == shapes
    assert len(dropouts(model)) == len(shapes)


def test_repeat_lays_the_passes_of_an_image_side_by_side() -> None:
    model = ready("stages")
    with torch.inference_mode():
        state = model.encode(images(2, 24, 16))
        repeated = model.repeat(state, 3)
    assert all(torch.equal(repeated.x[row], state.x[row // 3]) for row in range(6))
    assert repeated.size == (24, 16)


def test_the_gradient_reaches_every_parameter() -> None:
    model = drn("D-22", "stages").train()
    functional.cross_entropy(model(images(2, 24, 32)), (images(2, 24, 32)[:, 0] > 0.5).long()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("layout", ["D-22", "C-26"])
def test_a_segmentation_file_gives_every_weight(layout: Name, tmp_path: Path) -> None:
    state = segmentation(layout, 3, hollow=True)
    model = drn(layout, weights=saved({f"module.{name}": value for name, value in state.items()}, tmp_path))
    found = {name: value for name, value in model.state_dict().items() if not name.endswith("tracked")}
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_classification_file_or_base_alone_leaves_the_classifier_fresh_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    sources = [
        str(saved(classification("D-22"), tmp_path)),
        f"base:{saved(segmentation('D-22', 7, hollow=True), tmp_path / 'other')}",
    ]
    for source, first in zip(sources, (classification("D-22"), classification("D-22", hollow=True)), strict=True):
        torch.manual_seed(0)
        fresh = drn().state_dict()
        torch.manual_seed(0)
        with caplog.at_level(logging.INFO):
            filled = drn(weights=source).state_dict()
        assert f"DRN-D-22 has the weights of {source}, and a fresh classifier" in caplog.text
        assert torch.equal(filled["base.3.0.conv1.weight"], first["layer3.0.conv1.weight"])
        assert all(torch.equal(filled[name], fresh[name]) for name in ("seg.weight", "seg.bias", "up.weight"))


def test_an_interpolation_takes_a_file_whose_upsampling_was_never_trained(tmp_path: Path) -> None:
    state = segmentation("D-22", 3, hollow=True)
    model = drn(weights=saved(state, tmp_path), upsample="bilinear")
    assert torch.equal(model.seg.weight, state["seg.weight"])
    state["up.weight"][1, 0, 3, 3] += 0.01
    with pytest.raises(ValueError, match=r"unknown to the network: up\.weight"):
        drn(weights=saved(state, tmp_path), upsample="bilinear")


def test_weights_of_another_layout_are_refused_and_the_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="those of another network") as caught:
        drn("D-22", weights=saved(classification("D-38", hollow=True), tmp_path))
    text = str(caught.value)
    assert (
        "unknown to the network: base.3.2.conv1.weight, base.3.2.bn1.{weight, bias, running_mean, running_var}" in text
    )
    assert text.endswith("they fit model.layout=D-38")
    with pytest.raises(ValueError, match=r"missing in the file: base.0.weight(.|\n)*they fit model.layout=D-22"):
        drn("C-26", weights=saved(segmentation("D-22", 3, hollow=True), tmp_path))


def test_a_classifier_of_other_classes_is_refused_and_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="those of another network") as caught:
        drn(weights=saved(segmentation("D-22", 19, hollow=True), tmp_path))
    *_, shapes, remedy = str(caught.value).splitlines()
    assert shapes == (
        "  - of another shape: seg.weight [19, 512, 1, 1] (needed: [3, 512, 1, 1]), seg.bias [19] (needed: [3]), "
        "up.weight [19, 1, 16, 16] (needed: [3, 1, 16, 16])"
    )
    assert remedy == "their base fits: model.weights=base:FILE takes it and leaves the classifier fresh"


def test_weights_of_no_drn_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"unknown to the network: blocks.weight\ngive the weights of DRN-D-22, or null"
    ):
        drn(weights=saved({"blocks.weight": torch.ones(1)}, tmp_path))


@pytest.mark.parametrize("statistics", MEAN_AND_STD)
def test_pictures_are_brought_to_the_stated_mean_and_spread_and_the_numbers_are_not_saved(
    statistics: Statistics,
) -> None:
    normalize = normalization(statistics)
    mean, std = (torch.tensor(values)[:, None, None] for values in MEAN_AND_STD[statistics].values())
    torch.testing.assert_close(normalize(mean.expand(2, 3, 4, 5)), torch.zeros(2, 3, 4, 5))
    torch.testing.assert_close(normalize((mean + std).expand(2, 3, 4, 5)), torch.ones(2, 3, 4, 5))
    assert not normalize.state_dict()


def test_impossible_settings_are_errors() -> None:
    given = {"layout": "D-22", "sites": "head", "upsample": "bilinear", "normalize": "none", "weights": None}
    for dropout in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"model.dropout is a probability in \[0, 1\)"):
            DRN(dropout=dropout, classes=2, **given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1, not 0"):
        DRN(dropout=0.5, classes=0, **given)  # type: ignore[arg-type]
