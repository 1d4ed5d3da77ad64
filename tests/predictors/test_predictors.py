"""Class maps depend on the models, the image and the address alone, and are what stacked float64 passes would give."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seg_al.annotators.oracle import Oracle
from seg_al.asking.asking import Asking
from seg_al.asking.pool import Pool
from seg_al.asking.round_view import RoundView
from seg_al.core import Budget
from seg_al.datasets.glands import read_glands
from seg_al.granularities.fixed import Image
from seg_al.heuristics.bald import BALD
from seg_al.heuristics.entropy import Entropy
from seg_al.models.unet import UNet, UNetSites
from seg_al.predictors.class_maps import ClassMaps, ClassMapSums, NotFinite
from seg_al.predictors.dropout import drawing, dropouts
from seg_al.predictors.features import Features, features_of
from seg_al.predictors.predictor import Predictor, mean_probabilities
from seg_al.predictors.views import Views
from seg_al.randomness import torch_seeded
from seg_al.running.compute import LocalCompute
from seg_al.selectors.top import Top
from seg_al.tasks.semantic import SemanticSegmentation
from seg_al.training.networks import build, load

CPU = LocalCompute(device="cpu", precision="float32", devices=1, workers=0, threads="auto")
BFLOAT16 = replace(CPU, precision="bfloat16")
ADDRESS = (3, 2, "image_7")

SINGLE = Predictor(passes=1, dropout=False, views=None, members=1, snapshots=1, chunk=8)
MC = replace(SINGLE, passes=5, dropout=True)
RIGHT = Views(flips=True, rotation="right", max_noise=0.0)
ANY = Views(flips=True, rotation="any", max_noise=0.1)
TTA = replace(SINGLE, passes=5, views=replace(RIGHT, max_noise=0.1))
ENSEMBLE = replace(SINGLE, members=3)
COMBINED = replace(MC, passes=2, views=ANY, members=2, snapshots=2)
PREDICTORS = {"single": SINGLE, "mc": MC, "tta": TTA, "ensemble": ENSEMBLE, "combined": COMBINED}
EVERY = pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS.keys())


def network(number: int = 0, sites: UNetSites = "all") -> nn.Module:
    """A small U-Net in evaluation mode whose batch norms have seen something."""
    model = build(partial(UNet, width=2, dropout=0.2, sites=sites), 3, "network", number)
    with torch.no_grad(), torch_seeded("dropout of training"):
        for seed in range(3):
            model.train()(torch.cat([picture(40, 48, seed * 4 + part) for part in range(4)]))
    return CPU.place(model.eval())


def networks(predictor: Predictor) -> list[nn.Module]:
    return [network(number) for number in range(predictor.members * predictor.snapshots)]


def picture(height: int = 33, width: int = 46, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def same(one: ClassMaps, other: ClassMaps, atol: float = 0.0) -> bool:
    """Whether all moments are equal, or within `atol` but for the votes."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("mean", "variance", "expected_entropy")]
    if atol == 0:
        pairs.append((one.votes, other.votes))
    return one.passes == other.passes and all(torch.allclose(a, b, rtol=0, atol=atol) for a, b in pairs)


def digest(maps: ClassMaps) -> str:
    parts = (maps.mean, maps.variance, maps.expected_entropy, maps.votes)
    return hashlib.sha256(b"".join(one.contiguous().numpy().tobytes() for one in parts)).hexdigest()


class Pointwise(nn.Module):
    """Looks at single pixels, so that any turn of the image turns its answer; has no features."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(4 * torch.randn(3, 3, generator=generator))

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, state: Tensor) -> Tensor:
        return torch.stack([sum(w * x for w, x in zip(row, state.unbind(1), strict=True)) for row in self.weight], 1)

    def repeat(self, state: Tensor, times: int) -> Tensor:
        return state.repeat_interleave(times, 0)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


# --- what the numbers are


def stacked(model: Any, image: Tensor, passes: int, address: Sequence[int | str]) -> np.ndarray:
    """[K, C, H, W] float64 probabilities of full forward passes: what a plain loop keeps in memory."""
    rows = []
    for number in range(passes):
        with torch.inference_mode(), drawing(model, [(*address, number)]):
            logits = model(image)[0].double().numpy()
        weights = np.exp(logits - logits.max(0))
        rows.append(weights / weights.sum(0))
    return np.stack(rows)


@pytest.mark.parametrize("sites", ["all", "decoder", "bottleneck", "head"])
def test_mc_dropout_is_the_plain_loop_over_full_passes_in_float64(sites: UNetSites) -> None:
    model, image = network(sites=sites), picture()
    if sites == "bottleneck":  # masks so deep hardly move the logits of an untrained network
        model.steps[-1].classifier.weight.data.mul_(10)
    maps = replace(MC, passes=20)([model], image, CPU, [ADDRESS])[0].of(ClassMaps)
    p = stacked(model, image, 20, (*ADDRESS, 0))
    mean = p.mean(0)
    expected_entropy = -(p * np.log(p)).sum(1).mean(0)
    bald = -(mean * np.log(mean)).sum(0) - expected_entropy
    assert bald.max() > 1e-3
    np.testing.assert_allclose(BALD()(maps), bald, rtol=0, atol=1e-5)
    np.testing.assert_allclose(maps.mean, mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(maps.variance, p.var(0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(maps.expected_entropy, expected_entropy, rtol=0, atol=1e-5)
    votes = np.stack([(p.argmax(1) == label).sum(0) for label in range(3)])
    np.testing.assert_array_equal(maps.votes, votes)


def test_a_single_pass_is_a_plain_softmax() -> None:
    model, image = network(), picture()
    maps = SINGLE([model], image, CPU, [ADDRESS])[0].of(ClassMaps)
    with torch.inference_mode():
        expected = model(image)[0].softmax(0)
    torch.testing.assert_close(maps.mean, expected, rtol=0, atol=1e-6)
    assert maps.passes == 1
    assert torch.equal(maps.variance, torch.zeros_like(maps.variance))
    assert float(BALD()(maps).max()) < 1e-6
    torch.testing.assert_close(mean_probabilities([model], image, CPU)[0], expected, rtol=0, atol=1e-6)


def test_an_ensemble_of_different_models_disagrees_without_dropout_and_of_equal_ones_does_not() -> None:
    image, pair = picture(), replace(SINGLE, members=2)
    different = pair([network(0), network(1)], image, CPU, [ADDRESS])[0].of(ClassMaps)
    equal = pair([network(0), network(0)], image, CPU, [ADDRESS])[0].of(ClassMaps)
    assert float(different.variance.max()) > 1e-3
    assert torch.equal(equal.variance, torch.zeros_like(equal.variance))
    with torch.inference_mode():
        first, second = (network(number)(image)[0].softmax(0) for number in (0, 1))
    torch.testing.assert_close(different.mean, (first + second) / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(different.variance, ((first - second) / 2).square(), rtol=0, atol=1e-6)
    (average,) = mean_probabilities([network(0), network(1)], image, CPU)
    torch.testing.assert_close(different.mean, average, rtol=0, atol=1e-6)


def test_members_draw_masks_of_their_own() -> None:
    pair = replace(MC, passes=1, members=2)
    maps = pair([network(0), network(0)], picture(), CPU, [ADDRESS])[0].of(ClassMaps)
    assert float(maps.variance.max()) > 1e-4


@EVERY
def test_the_number_of_passes_is_that_of_models_times_that_of_each(predictor: Predictor) -> None:
    maps = predictor(networks(predictor), picture(), CPU, [ADDRESS])[0].of(ClassMaps)
    assert maps.passes == predictor.total == predictor.passes * predictor.members * predictor.snapshots
    assert torch.equal(maps.votes.sum(0), torch.full((33, 46), predictor.total))
    torch.testing.assert_close(maps.mean.sum(0), torch.ones(33, 46), rtol=0, atol=1e-5)


# --- test-time augmentation


def test_a_pointwise_model_is_certain_under_flips_and_right_angles() -> None:
    maps = replace(TTA, passes=20, views=RIGHT)([Pointwise()], picture(), CPU, [ADDRESS])[0].of(ClassMaps)
    assert torch.equal(maps.variance, torch.zeros_like(maps.variance))
    assert torch.equal(maps.mean, SINGLE([Pointwise()], picture(), CPU, [ADDRESS])[0].of(ClassMaps).mean)


def test_a_pointwise_model_is_nearly_certain_at_any_angle_on_a_smooth_image() -> None:
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 60), indexing="ij")
    smooth = torch.stack([rows, columns, rows * columns])[None]
    maps = replace(TTA, passes=20, views=replace(ANY, max_noise=0.0))([Pointwise()], smooth, CPU, [ADDRESS])[0].of(
        ClassMaps
    )
    expected = SINGLE([Pointwise()], smooth, CPU, [ADDRESS])[0].of(ClassMaps).mean
    assert float((maps.mean - expected).abs().max()) < 0.03
    assert 0 < float(maps.variance.max()) < 1e-3


def test_noise_alone_makes_a_pointwise_model_disagree() -> None:
    noisy = replace(TTA, passes=5, views=Views(flips=False, rotation="none", max_noise=0.2))
    assert float(noisy([Pointwise()], picture(), CPU, [ADDRESS])[0].of(ClassMaps).variance.mean()) > 1e-4


def test_a_network_that_sees_neighbours_disagrees_over_views() -> None:
    maps = replace(TTA, views=RIGHT)([network()], picture(), CPU, [ADDRESS])[0].of(ClassMaps)
    assert float(maps.variance.max()) > 1e-4


def test_views_are_mapped_back_before_they_are_joined() -> None:
    """Each pass is undone: the model's answer to a turned image, turned back, at the place that it is about."""
    image = picture()
    image[..., :5, :5] = 4.0  # a mark in the upper left corner
    maps = replace(TTA, passes=8, views=replace(RIGHT, max_noise=0.0))([Pointwise()], image, CPU, [ADDRESS])[0].of(
        ClassMaps
    )
    marked = (maps.mean - maps.mean[:, :1, :1]).abs().amax(0) < 1e-6
    expected = torch.zeros(33, 46, dtype=torch.bool)
    expected[:5, :5] = True
    assert torch.equal(marked, expected)


# --- what the numbers do not depend on


@EVERY
def test_class_maps_do_not_depend_on_the_chunk_size_or_on_being_drawn_again(predictor: Predictor) -> None:
    models = networks(predictor)
    first = predictor(models, picture(), CPU, [ADDRESS])[0].of(ClassMaps)
    for chunk in (1, 3, 64):
        assert same(replace(predictor, chunk=chunk)(models, picture(), CPU, [ADDRESS])[0].of(ClassMaps), first)


@pytest.mark.parametrize("sites", ["all", "bottleneck"])
@pytest.mark.parametrize("chunk", [2, 3, 5])
def test_passes_decoded_together_as_on_a_gpu_give_the_same_maps(sites: UNetSites, chunk: int) -> None:
    model, image = network(sites=sites), picture()
    rows = [(*ADDRESS, 0, number) for number in range(5)]
    sums = ClassMapSums(3, 1, (33, 46), image.device)
    with torch.inference_mode():
        state = model.encode(image)
        for start in range(0, 5, chunk):
            together = rows[start : start + chunk]
            for one in MC._decode(model, state, together, len(together)):
                sums.add(one[None])
    assert same(sums.class_maps()[0], MC([model], image, CPU, [ADDRESS])[0].of(ClassMaps), atol=1e-5)


@pytest.mark.parametrize("predictor", [MC, TTA, COMBINED], ids=["mc", "tta", "combined"])
def test_class_maps_do_not_depend_on_the_order_or_the_presence_of_other_images(predictor: Predictor) -> None:
    models = networks(predictor)
    images = {name: picture(20 + 3 * number, 25, number) for number, name in enumerate("abc")}

    def predict(name: str) -> str:
        return digest(predictor(models, images[name], CPU, [(0, 1, name)])[0].of(ClassMaps))

    alone = {name: predict(name) for name in images}
    assert len(set(alone.values())) == 3
    for order in permutations(images):
        torch.rand(3)  # the global generator is of no account
        assert {name: predict(name) for name in order} == alone


@pytest.mark.parametrize("predictor", [MC, TTA], ids=["mc", "tta"])
@pytest.mark.parametrize("address", [(9, 2, "image_7"), (3, 9, "image_7"), (3, 2, "image_8")])
def test_run_round_and_image_decide_the_draws(predictor: Predictor, address: tuple[int | str, ...]) -> None:
    model = network()
    first, other = (predictor([model], picture(), CPU, [one])[0].of(ClassMaps) for one in (ADDRESS, address))
    assert float((first.mean - other.mean).abs().max()) > 1e-5


def test_more_passes_begin_with_the_same_passes() -> None:
    """The mean of ten passes is that of the first five and the next five."""
    model, image = network(), picture()
    five, ten = (replace(MC, passes=passes)([model], image, CPU, [ADDRESS])[0].of(ClassMaps) for passes in (5, 10))
    with torch.inference_mode():
        state, rest = model.encode(image), ClassMapSums(3, 1, (33, 46), image.device)
        for number in range(5, 10):
            rest.add(MC._decode(model, state, [(*ADDRESS, 0, number)], 1))
    torch.testing.assert_close(ten.mean, (five.mean + rest.class_maps()[0].mean) / 2, rtol=0, atol=1e-6)


def digests_here() -> list[str]:
    evidence = [predictor(networks(predictor), picture(), CPU, [ADDRESS])[0] for predictor in (MC, COMBINED)]
    return [digest(one.of(ClassMaps)) for one in evidence]


def test_another_process_gives_the_same_maps_bit_for_bit() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_predictors as t; print(*t.digests_here())"
    told = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert told.split() == digests_here()


def test_weights_read_back_from_disk_give_the_same_maps(tmp_path: Path) -> None:
    models = [network(number) for number in range(2)]
    torch.save([model.state_dict() for model in models], tmp_path / "weights.pt")
    read = load(UNet(width=2, dropout=0.2, sites="all", classes=3), torch.load(tmp_path / "weights.pt"))
    before, after = (
        replace(MC, members=2)(some, picture(), CPU, [ADDRESS])[0].of(ClassMaps)
        for some in (models, [CPU.place(one) for one in read])
    )
    assert same(before, after)


def test_the_scores_of_a_subset_of_the_pool_are_those_of_the_whole(tmp_path: Path) -> None:
    glands = read_glands(
        root=str(tmp_path), run=0, val=2, train=8, rare=0, test_a=2, test_b=2, size=[32, 32], constructed=True
    )
    models = [network()]

    def scores(subset: int | None) -> dict[str, float]:
        pool = Pool(glands.pool, glands)
        task = SemanticSegmentation(objects=False, bayesian=False)
        round_view = RoundView(pool, lambda: models, MC, CPU, ("a", "b", "c"), run=0, round=1, task=task)
        asking = Asking(
            heuristic=BALD(), name="bald", also={"entropy": Entropy()}, selector=Top(), predictor=MC,
            granularity=Image(reduction="mean", top_share=1.0), subset=subset, shortlist=10,
        )  # fmt: skip
        table = asking(round_view, Oracle(glands, task, "true"), Budget(1, "images", "pool")).scores
        return dict(zip(table["image"], table["bald"], strict=True))

    whole, part = scores(None), scores(3)
    assert len(whole) == len(set(whole.values())) == len(glands.pool)
    assert len(part) == 3
    assert part == {name: whole[name] for name in part}


# --- precision


@EVERY
def test_bfloat16_passes_are_summed_in_float32(predictor: Predictor) -> None:
    models = networks(predictor)
    types: set[torch.dtype] = set()
    models[0].steps[-1].classifier.register_forward_hook(lambda module, inputs, output: types.add(output.dtype))
    maps = predictor(models, picture(), BFLOAT16, [ADDRESS])[0].of(ClassMaps)
    assert types == {torch.bfloat16}
    for name in ("mean", "variance", "expected_entropy"):
        assert getattr(maps, name).dtype == torch.float32, name
    assert float((maps.mean.sum(0) - 1).abs().max()) < 1e-3
    exact = predictor(models, picture(), CPU, [ADDRESS])[0].of(ClassMaps)
    assert 0 < float((maps.mean - exact.mean).abs().max()) < 0.1


def test_many_bfloat16_passes_lose_nothing_in_their_sum() -> None:
    maps = replace(MC, passes=100)([network()], picture(16, 16), BFLOAT16, [ADDRESS])[0].of(ClassMaps)
    assert float((maps.mean.sum(0) - 1).abs().max()) < 1e-5


def test_features_are_the_first_models_in_float32_with_dropout_off() -> None:
    models, image = networks(COMBINED), picture()
    for compute in (CPU, BFLOAT16):
        (features,) = features_of(models, image, compute)
        assert features.deepest.dtype == features.penultimate.dtype == torch.float32
        with torch.inference_mode():
            deepest, penultimate = models[0].embed(image)
        scale = float(deepest.abs().max())
        tolerance = 1e-6 if compute is CPU else 0.1
        torch.testing.assert_close(features.deepest, deepest[0], rtol=0, atol=tolerance * scale)
        torch.testing.assert_close(
            features.penultimate, penultimate[0], rtol=0, atol=tolerance * float(penultimate.abs().max())
        )
    assert not MC(models[:1], image, CPU, [ADDRESS])[0].holds(Features)


# --- what goes wrong


def test_features_of_a_model_without_any_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"Pointwise has no embed.+selector=top, or another model"):
        features_of([Pointwise()], picture(), CPU)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_an_error_not_a_score(value: float) -> None:
    good, bad = network(0), network(1)
    nn.init.constant_(bad.steps[-1].classifier.bias, value)
    pair = replace(MC, members=2)
    for models in ([good, bad], [bad, good]):
        told = r"NaN or infinity, first in the output of layer steps\.\d+\.classifier \(Conv2d\)"
        with pytest.raises(NotFinite, match=told):
            pair(models, picture(), CPU, [ADDRESS])
        with pytest.raises(NotFinite, match=told):
            mean_probabilities(models, picture(), CPU)


def test_a_single_pixel_that_is_not_finite_is_enough() -> None:
    image = picture(300, 400)
    image[0, 0, 299, 399] = float("nan")
    with pytest.raises(NotFinite):
        SINGLE([Pointwise()], image, CPU, [ADDRESS])


@pytest.mark.parametrize("fails", [False, True])
@EVERY
def test_a_prediction_leaves_its_models_off_and_as_they_were(predictor: Predictor, fails: bool) -> None:
    models = networks(predictor)
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    generator = torch.random.get_rng_state()
    if fails:
        models[0].steps[-1].register_forward_hook(_fail)
        with pytest.raises(RuntimeError, match="planted"):
            predictor(models, picture(), CPU, [ADDRESS])
    else:
        predictor(models, picture(), CPU, [ADDRESS])
    assert torch.equal(torch.random.get_rng_state(), generator)
    for model, state in zip(models, before, strict=True):
        assert all(layer.seeds is None for layer in dropouts(model).values())
        assert not any(module.training for module in model.modules())
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def _fail(module: nn.Module, inputs: Any, output: Any) -> None:
    raise RuntimeError("planted")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(SINGLE, passes=0), r"predictor\.passes=0, which mc_iters sets: .+ use predictor=single"),
        (lambda: replace(SINGLE, passes=7), r"predictor\.passes=7 would repeat one pass: turn on dropout or views"),
        (lambda: replace(MC, members=0), r"predictor\.members=0: choose at least 1"),
        (lambda: replace(MC, snapshots=-1), r"predictor\.snapshots=-1: choose at least 1"),
        (lambda: replace(MC, chunk=0), r"predictor\.chunk=0: choose at least 1"),
        (lambda: replace(CPU, devices=0), r"devices=0: at least 1"),
        (lambda: replace(CPU, threads=0), r"threads is at least 1, not 0"),
        (lambda: replace(CPU, workers=-1), r"workers=-1: choose 0 .+ or auto"),
        (lambda: replace(CPU, precision="float16"), r"float16 needs a GPU; on a CPU use float32 or bfloat16"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_name_their_key_and_say_what_to_choose(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_gpu_that_is_not_there_is_an_error_and_auto_does_without() -> None:
    with pytest.raises(ValueError, match=r"device=cuda, but .+ use device=auto or device=cpu"):
        replace(CPU, device="cuda")
    automatic = LocalCompute(device="auto", precision="auto", devices=1, workers="auto", threads="auto")
    assert (automatic.kind, automatic.number_type, automatic.loaders) == ("cpu", "float32", 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("sites", ["all", "bottleneck"])
def test_on_a_gpu_the_chunk_size_does_not_change_class_maps(sites: UNetSites) -> None:
    compute = replace(CPU, device="cuda")
    model, image = compute.place(network(sites=sites)), picture().cuda()
    evidence = [replace(MC, passes=9, chunk=chunk)([model], image, compute, [ADDRESS])[0] for chunk in (1, 2, 4, 9)]
    first, *others = (one.of(ClassMaps) for one in evidence)
    assert all(same(first, other, atol=1e-5) for other in others)
