"""Query passes take bfloat16 where it ranks tiles alike and is faster, and only there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seg_al.asking.pool import Pool
from seg_al.asking.precision import ranks_alike
from seg_al.asking.round_view import RoundView
from seg_al.core import ByteImage
from seg_al.heuristics.entropy import Entropy
from seg_al.heuristics.random import Random
from seg_al.predictors.predictor import Predictor
from seg_al.running.compute import LocalCompute
from seg_al.tasks.semantic import SemanticSegmentation


@dataclass(frozen=True)
class Ramp:
    """One image whose tiles brighten from left to right."""

    def image(self, name: str) -> ByteImage:
        brightness = np.linspace(0, 255, 12).repeat(32).astype(np.uint8)
        return np.broadcast_to(brightness[None, :, None], (32, len(brightness), 3)).copy()

    def size(self, name: str) -> tuple[int, int]:
        return 32, 384

    def askable(self, name: str) -> None:
        return None


class Pointwise(nn.Module):
    """Two logits of a pixel: 0, and its brightness times `slope`, by a weight that autocast may round."""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.weight[1] = slope / 3
            self.layer.bias.copy_(torch.tensor([offset, offset]))

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, state: Tensor) -> Tensor:
        logits: Tensor = self.layer(state)
        return logits

    def repeat(self, state: Tensor, times: int) -> Tensor:
        return state.repeat_interleave(times, 0)


def round_view(model: nn.Module, scoring: str) -> RoundView:
    compute = LocalCompute("cpu", "float32", 1, 0, "auto", scoring)
    predictor = Predictor(1, False, None, 1, 1, 8)
    task = SemanticSegmentation(objects=False, bayesian=False)
    return RoundView(Pool(["a"], Ramp()), lambda: [model.eval()], predictor, compute, ("a", "b"), 0, 1, task)


def clock(usual: float, other: float) -> Callable[[], float]:
    """Reads such that the usual format takes `usual` seconds and then the other one `other`."""
    return iter([10.0, 10.0 + usual, 30.0, 30.0 + other]).__next__


@pytest.mark.parametrize(("usual", "other", "taken"), [(7.5, 5.0, "bfloat16"), (7.5, 12.0, "float32")])
def test_the_faster_is_taken_where_both_rank_alike_and_both_times_are_said(usual, other, taken, caplog) -> None:
    caplog.set_level(logging.INFO)
    wished = round_view(Pointwise(4.0, 0.0), "bfloat16")
    assert ranks_alike(wished, Entropy(), clock(usual, other)).compute.number_type == taken
    assert f"queries run in {taken}: an image takes {usual:g} s in float32 and {other:g} s in bfloat16" in caplog.text


def test_bfloat16_is_refused_and_said_where_rounding_hides_the_ranking(caplog: pytest.LogCaptureFixture) -> None:
    wished = round_view(Pointwise(0.5, 1000.0), "bfloat16")  # one step of bfloat16 at 1000 is 4
    assert ranks_alike(wished, Entropy(), clock(7.5, 5.0)).compute.number_type == "float32"
    assert "not in bfloat16 as wished" in caplog.text


def test_nothing_is_compared_without_a_wish_or_without_passes() -> None:
    calm = round_view(Pointwise(1.0, 0.0), "same")
    assert ranks_alike(calm, Entropy()) is calm
    wished = replace(calm, models=lambda: pytest.fail("looked"), compute=replace(calm.compute, scoring="bfloat16"))
    assert ranks_alike(wished, Random()) is wished
