"""The audit refuses each way in which passes may differ by more, or by less, than counted dropout; by its layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seg_al.asking.audit import audit
from seg_al.models.unet import UNet, UNetSites
from seg_al.predictors.dropout import CountedDropout, drawing
from seg_al.running.compute import LocalCompute

CPU = LocalCompute(device="cpu", precision="float32", devices=1, workers=0, threads="auto")
BFLOAT16 = LocalCompute(device="cpu", precision="bfloat16", devices=1, workers=0, threads="auto")
IMAGE = torch.rand(1, 3, 12, 10, generator=torch.Generator().manual_seed(0))


class Encoder(nn.Module):
    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.middle = middle
        self.last = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x)))


class Head(nn.Module):
    def __init__(self, drop: nn.Module) -> None:
        super().__init__()
        self.mix = nn.Conv2d(6, 6, 1)
        self.drop = drop
        self.classify = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.drop(self.mix(x)))


class Network(nn.Module):
    """Sound with its defaults; each test plants one defect in a part of it."""

    def __init__(self, middle: nn.Module | None = None, drop: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = Encoder(middle or nn.ReLU())
        self.head = Head(drop or CountedDropout(0.5))
        self.eval()

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        return {"features": self.encoder(images)}

    def decode(self, state: dict[str, Tensor]) -> Tensor:
        return self.head(state["features"])

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


class FunctionalDropout(nn.Module):
    """Dropout that neither eval() nor an address decides, between two layers that are innocent."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(nn.functional.dropout(self.before(x), 0.3))


class WakesUp(nn.Module):
    """Batch norm that turns its own training mode on when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm.train()(x)


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class DropsInMethod(Network):
    """Functional dropout in encode itself, outside of any layer."""

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        return super().encode(nn.functional.dropout(images, 0.3))


class WritesIntoState(Network):
    def decode(self, state: dict[str, Tensor]) -> Tensor:
        return self.head(state["features"].mul_(0.5))


class CutsTooLate(Network):
    """decode leaves out what forward does."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + 1


class DropsWithoutLayer(Network):
    """Drops in decode itself, before the head."""

    def decode(self, state: dict[str, Tensor]) -> Tensor:
        return self.head(nn.functional.dropout(state["features"], 0.3))


def refusal(model: nn.Module, dropout: bool = True, compute: LocalCompute = CPU) -> str:
    with pytest.raises(ValueError, match=r"^stochasticity audit: .+; .+") as caught:
        audit(model, IMAGE, compute, dropout)
    return str(caught.value)


@pytest.mark.parametrize("compute", [CPU, BFLOAT16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("sites", ["all", "decoder", "bottleneck"])
def test_a_sound_unet_passes_with_dropout(sites: UNetSites, compute: LocalCompute) -> None:
    torch.manual_seed(0)
    audit(UNet(width=4, dropout=0.1, sites=sites, classes=2).eval(), torch.rand(1, 3, 40, 52), compute, dropout=True)


@pytest.mark.parametrize("sites", ["all", "none"])
def test_a_sound_unet_passes_without_dropout(sites: UNetSites) -> None:
    audit(UNet(width=2, dropout=0.1, sites=sites, classes=2).eval(), IMAGE, CPU, dropout=False)


@pytest.mark.parametrize(
    ("model", "dropout"),
    [(Network(), True), (Network(), False), (Network(drop=nn.Dropout(0.5)), False), (Network(nn.Dropout(0.0)), True)],
    ids=["counted, on", "counted, off", "torch's, off", "torch's, of probability 0"],
)
def test_sound_small_networks_pass(model: nn.Module, dropout: bool) -> None:
    audit(model, IMAGE, CPU, dropout)


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(0.2), nn.Dropout2d(0.2), nn.AlphaDropout(0.2), nn.FeatureAlphaDropout(0.2)],
    ids=lambda layer: type(layer).__name__,
)
def test_dropout_of_torch_is_named_where_passes_need_counted_dropout(layer: nn.Module) -> None:
    message = refusal(Network(drop=nn.Sequential(CountedDropout(0.5), layer)))
    assert f"layer head.drop.1 ({type(layer).__name__}) with p=0.2" in message
    assert "CountedDropout" in message


@pytest.mark.parametrize("dropout", [True, False])
@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Network(FunctionalDropout()), "layer encoder.middle (FunctionalDropout) gives"),
        (
            Network(drop=nn.Sequential(CountedDropout(0.5), FunctionalDropout())),
            "layer head.drop.1 (FunctionalDropout)",
        ),
        (DropsInMethod(), "DropsInMethod.encode, before layer encoder.first (Conv2d), gives"),
        (DropsWithoutLayer(), "DropsWithoutLayer.decode, before layer head.mix (Conv2d), gives"),
    ],
    ids=["layer of encode", "layer of decode", "encode itself", "decode itself"],
)
def test_functional_dropout_is_traced_to_the_innermost_layer(model: nn.Module, name: str, dropout: bool) -> None:
    assert name in refusal(model, dropout)


def test_batch_norm_in_training_mode_is_named_before_anything_else() -> None:
    model = Network()
    model.train()
    assert "layer encoder.last (BatchNorm2d) is batch norm in training mode" in refusal(model)
    model.eval()
    model.encoder.last.train()
    assert "layer encoder.last (BatchNorm2d)" in refusal(model, dropout=False)


def test_any_layer_in_training_mode_is_named() -> None:
    model = Network()
    model.head.drop.train()
    assert "layer head.drop (CountedDropout) is in training mode" in refusal(model)


def test_a_layer_that_turns_training_mode_on_by_itself_is_named_and_turned_off_again() -> None:
    model = Network(WakesUp())
    assert "layer encoder.middle.norm (BatchNorm2d) is batch norm in training mode" in refusal(model)
    assert not model.encoder.middle.norm.training


def test_batch_norm_without_running_statistics_is_named() -> None:
    model = Network(nn.BatchNorm2d(6, track_running_stats=False))
    assert "layer encoder.middle (BatchNorm2d) has no running statistics" in refusal(model)


def test_counted_dropout_in_encode_is_named_though_decode_has_some_too() -> None:
    message = refusal(Network(middle=CountedDropout(0.5)))
    assert "layer encoder.middle (CountedDropout) acts inside encode" in message


def test_equal_passes_name_the_sites_and_their_probability() -> None:
    model = Network(drop=nn.Sequential(CountedDropout(0.5), Times(0)))
    assert "passes with different dropout masks are equal" in refusal(model)
    assert "head.drop.0 (p=0.5)" in refusal(model)
    audit(model, IMAGE, CPU, dropout=False)


def test_a_site_that_decode_never_calls_is_said_to_be_unused() -> None:
    model = Network(drop=nn.Identity())
    model.spare = CountedDropout(0.25).eval()
    assert "spare (p=0.25, not called by decode)" in refusal(model)


def test_a_model_without_counted_dropout_is_sent_to_the_single_pass() -> None:
    message = refusal(UNet(width=2, dropout=0.1, sites="none", classes=2).eval())
    assert "no counted dropout layer" in message
    assert "predictor=single" in message


def test_masks_that_seldom_drop_are_tried_again_before_passes_count_as_equal() -> None:
    class OneElement(Network):
        """A single element is dropped with probability 1/2, so that two masks are equal half of the time."""

        def decode(self, state: dict[str, Tensor]) -> Tensor:
            pooled = state["features"].mean((1, 2, 3), keepdim=True) + 1
            return self.head.drop(pooled).expand(-1, 2, 12, 10)

    audit(OneElement(), IMAGE, CPU, dropout=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["encoder.first", "head.mix"])
def test_output_that_is_not_finite_names_the_first_layer_that_gave_it(part: str, value: float) -> None:
    model = Network()
    nn.init.constant_(model.get_submodule(part).bias, value)
    message = refusal(model)
    assert f"the output of layer {part} (Conv2d) holds NaN or infinity" in message
    assert "learning rate" in message


def test_a_decode_that_writes_into_the_state_is_refused() -> None:
    assert "WritesIntoState.decode writes into the state" in refusal(WritesIntoState())


def test_a_decode_of_encode_that_is_not_forward_is_refused() -> None:
    assert "decode(encode(x)) of CutsTooLate differs from its forward(x)" in refusal(CutsTooLate())


def test_seeds_that_were_left_behind_are_refused_and_left_alone() -> None:
    model = Network()
    with drawing(model, [("outside",)]):
        seeds = model.head.drop.seeds
        assert "layer head.drop (CountedDropout) is on outside of the passes" in refusal(model)
        assert model.head.drop.seeds == seeds


@pytest.mark.parametrize(
    "defect", [None, FunctionalDropout(), CountedDropout(0.5)], ids=["sound", "random", "misplaced"]
)
def test_the_model_and_the_generators_are_left_as_they_were(defect: nn.Module | None) -> None:
    model = Network(defect)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.random.get_rng_state()
    with torch.inference_mode():
        if defect is None:
            audit(model, IMAGE, CPU, dropout=True)
        else:
            refusal(model)
    assert torch.equal(torch.random.get_rng_state(), generator)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    for name, module in model.named_modules():
        assert not module.training, name
        assert not module._forward_hooks, name
        assert not module._forward_pre_hooks, name
        assert getattr(module, "seeds", None) is None, name


def test_a_sound_model_costs_three_encodes_and_four_decodes() -> None:
    model = Network()
    calls: list[str] = []
    model.encoder.register_forward_hook(lambda *_: calls.append("encode"))
    model.head.register_forward_hook(lambda *_: calls.append("decode"))
    audit(model, IMAGE, CPU, dropout=True)
    assert (calls.count("encode"), calls.count("decode")) == (3, 4)


def test_states_of_any_nesting_are_compared() -> None:
    class Holder:
        def __init__(self, x: Tensor) -> None:
            self.parts: list[Any] = [{"x": x}, "a word", 3]

    class Nested(Network):
        def encode(self, images: Tensor) -> Any:
            return (Holder(nn.functional.dropout(self.encoder(images), 0.5)),)

        def decode(self, state: Any) -> Tensor:
            return self.head(state[0].parts[0]["x"])

    assert "Nested.encode gives two answers" in refusal(Nested())
