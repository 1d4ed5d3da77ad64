"""The metric of val that chooses checkpoints, in the direction that its task declares."""

from __future__ import annotations

import torch
from counting.counting import ERROR, Counter, Counting, Dots

from seg_al.running.compute import LocalCompute
from seg_al.tasks.judge import Judge

COMPUTE = LocalCompute(device="cpu", precision="float32", devices=1, workers=0, threads=1)


def counter(wrong_by: float) -> Counter:
    """Counts bright pixels, always as many too many."""
    model = Counter(classes=1)
    with torch.no_grad():
        model.line.weight.fill_(1.0)
        model.line.bias.fill_(wrong_by)
    return model


def test_of_an_error_the_judge_prefers_the_least() -> None:
    judge = Judge(Counting(), Dots(), COMPUTE, ERROR)
    assert abs(judge(counter(0.0))) < 1e-5
    assert abs(judge(counter(2.0)) + 2.0) < 1e-5
