"""Both ways to add passes against float64 numpy: layouts, extremes, ties, many passes, and any number of threads."""

from __future__ import annotations

import math
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor

from seg_al.predictors.moments import (
    BUILT,
    Accumulate,
    Moments,
    accumulator,
    add_by_torch,
    add_in_tiles,
    blocks,
    compiled_update,
)

compiled = pytest.mark.skipif(not BUILT, reason="seg_al was installed without a C compiler")


@pytest.fixture(params=[add_by_torch, pytest.param(add_in_tiles, marks=compiled)])
def add(request: pytest.FixtureRequest) -> Accumulate:
    way: Accumulate = request.param
    return way


def passes_of(passes: int, images: int, classes: int, size: tuple[int, int], spread: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(classes)
    return spread * torch.randn(passes, images, classes, *size, generator=generator)


def empty(images: int, classes: int, size: tuple[int, int], votes: torch.dtype = torch.uint8) -> Moments:
    maps = (classes, images, *size)
    return Moments(torch.zeros(maps), torch.zeros(maps), torch.zeros(images, *size), torch.zeros(maps, dtype=votes))


def summed(add: Accumulate, passes: Tensor, votes: torch.dtype = torch.uint8) -> Moments:
    moments = empty(passes.shape[1], passes.shape[2], (passes.shape[3], passes.shape[4]), votes)
    for number, logits in enumerate(passes, 1):
        assert add(moments, logits, number)
    return moments


def brute_force(passes: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, sum of squared deviations, expected entropy and votes, in float64."""
    log_p = log_softmax(passes.double().numpy(), axis=2)
    p = np.exp(log_p)
    entropy = -(p * np.where(p > 0, log_p, 0)).sum(2).mean(0)
    winners = passes.double().numpy().argmax(2)
    votes = np.stack([(winners == label).sum(0) for label in range(passes.shape[2])])
    return p.mean(0).swapaxes(0, 1), (len(p) * p.var(0)).swapaxes(0, 1), entropy, votes


def agrees(moments: Moments, passes: Tensor) -> None:
    mean, squares, entropy, votes = brute_force(passes)
    np.testing.assert_allclose(moments.mean.numpy(), mean, atol=2e-6, rtol=0)
    np.testing.assert_allclose(moments.squares.numpy(), squares, atol=2e-6 * len(passes), rtol=0)
    np.testing.assert_allclose(moments.entropy.numpy(), entropy, atol=5e-6, rtol=0)
    assert (moments.votes.numpy() == votes).all()


def channels_last(logits: Tensor) -> Tensor:
    return logits.contiguous(memory_format=torch.channels_last)


def mirrored(logits: Tensor) -> Tensor:
    """The same values, the memory of whose rows and columns is exchanged."""
    return logits.transpose(2, 3).contiguous().transpose(2, 3)


@pytest.mark.parametrize("layout", [torch.clone, channels_last, mirrored])
@pytest.mark.parametrize("classes", [1, 2, 3, 19, 40])
@pytest.mark.parametrize(("images", "size"), [(1, (23, 61)), (3, (7, 5)), (2, (1, 1)), (1, (40, 41))])
def test_moments_entropy_and_votes_agree_with_brute_force(add, layout, classes, images, size):
    passes = passes_of(5, images, classes, size)
    agrees(summed(add, torch.stack([layout(one) for one in passes])), passes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_logits_of_any_precision_are_summed_in_float32(add, dtype):
    passes = passes_of(4, 2, 19, (9, 31)).to(dtype)
    agrees(summed(add, passes), passes)


@pytest.mark.parametrize("spread", [1e-3, 30.0, 1e4])
def test_extreme_logits_agree_with_brute_force(add, spread):
    passes = passes_of(6, 1, 7, (31, 17), spread)
    agrees(summed(add, passes), passes)


def test_more_than_255_passes_are_counted(add):
    passes = passes_of(300, 1, 3, (4, 9))
    moments = summed(add, passes, torch.int16)
    agrees(moments, passes)
    assert (moments.votes.sum(0) == 300).all()


def test_equals_go_to_the_first_class(add):
    passes = passes_of(9, 1, 5, (40, 41)).round()  # many ties
    agrees(summed(add, passes), passes)


def test_equal_passes_have_squares_of_exactly_zero(add):
    moments = summed(add, passes_of(1, 2, 19, (31, 23), 5.0).expand(20, -1, -1, -1, -1))
    assert (moments.squares == 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 2, 10, 6), (1, 1, 5, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_bad_logit_is_found(add, bad, place, dtype):
    logits = passes_of(1, 2, 3, (11, 7))[0].to(dtype)
    assert add(empty(2, 3, (11, 7)), logits, 1)
    logits[place] = bad
    assert not add(empty(2, 3, (11, 7)), logits, 1)


def test_one_class_that_is_bad_is_found(add):
    assert not add(empty(1, 1, (1, 1)), torch.tensor([[[[math.nan]]]]), 1)


def test_pytorch_adds_a_large_image_and_many_small_ones_in_blocks():
    for images, size, expected in ((1, (131, 512), 3), (40, (32, 32), 2)):
        passes = passes_of(2, images, 19, size)
        moments = summed(add_by_torch, passes)
        assert len(blocks(moments.mean)) == expected
        agrees(moments, passes)


def test_an_installation_with_a_compiler_adds_in_tiles_on_a_cpu():
    assert accumulator(torch.device("cpu")) is (add_in_tiles if BUILT else add_by_torch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # PyTorch's own
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ for a CPU")
def test_the_update_that_is_compiled_for_gpus_agrees_with_brute_force_when_compiled_for_a_cpu():
    with torch.inference_mode():
        add = compiled_update()
        for images, classes, size in ((1, 19, (23, 61)), (3, 4, (8, 9))):
            passes = passes_of(4, images, classes, size).round(decimals=1)  # some ties
            agrees(summed(add, torch.stack([channels_last(one) for one in passes])), passes)
        bad = passes[0].clone()
        bad[0, 1, 2, 3] = math.nan
        assert not add(empty(3, 4, (8, 9)), bad, 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_passes_on_a_gpu_agree_with_brute_force():
    device, passes = torch.device("cuda"), passes_of(5, 2, 19, (23, 61))
    moments = Moments(*(one.to(device) for one in empty(2, 19, (23, 61))))
    for number, logits in enumerate(passes, 1):
        assert accumulator(device)(moments, channels_last(logits).to(device), number)
    agrees(Moments(*(one.cpu() for one in moments)), passes)


@compiled
@pytest.mark.parametrize("threads", [2, 3, 16])
def test_the_number_of_threads_changes_no_bit(threads):
    passes = passes_of(3, 2, 19, (50, 40))
    alone, before = summed(add_in_tiles, passes), torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        together = summed(add_in_tiles, passes)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def ulps(values: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in steps of float32 at the exact values."""
    return float((np.abs(values - exact) / np.spacing(exact.astype(np.float32))).max())


@compiled
def test_exponential_and_logarithm_are_exact_to_about_a_step_of_float32():
    """With two classes of which one has the logit 0 and the other x: p = e^x / (1 + e^x), and so on."""
    x = torch.linspace(-87, 0, 400_001)
    moments = summed(add_in_tiles, torch.stack([torch.zeros_like(x), x])[None, None, :, None])
    exact = x.double().numpy()
    power = np.exp(exact)
    assert ulps(moments.mean[1].flatten().numpy(), power / (1 + power)) < 3
    entropy = np.log1p(power) - exact * power / (1 + power)
    near = exact > -10  # of a smaller one, the sum with 1 has lost the digits
    assert np.abs(moments.entropy.flatten().numpy()[near] - entropy[near]).max() < 3e-7


@compiled
def test_moments_of_another_shape_type_or_layout_are_refused():
    good = empty(1, 2, (3, 3))
    wrong = [
        good._replace(mean=torch.zeros(2, 1, 3, 4)),
        good._replace(votes=torch.zeros(2, 1, 3, 3)),
        good._replace(entropy=torch.zeros(1, 3, 3, dtype=torch.float64)),
        good._replace(squares=torch.zeros(3, 1, 3, 3)),
    ]
    for moments in wrong:
        with pytest.raises(ValueError, match="another type, shape or layout"):
            add_in_tiles(moments, torch.zeros(1, 2, 3, 3), 1)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")
def test_the_source_compiles_without_a_warning():
    command = ["gcc", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]
    source = Path(__file__).parents[2] / "seg_al/predictors/compiled_sums.c"
    subprocess.run([*command, f"-I{sysconfig.get_path('include')}", str(source)], check=True)
