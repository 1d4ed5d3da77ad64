"""What a training leaves: weights, its number of steps, and how its loss ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seg_al.measuring.learned import END
from seg_al.training.networks import Weights


@dataclass(frozen=True)
class Trained:
    """The result of one training."""

    weights: tuple[Weights, ...]
    """One set per snapshot, on the CPU."""
    steps: int
    losses: npt.NDArray[np.float32]
    """Those of the steps of the end; NaN: a step without a label, which was skipped."""


def end_of(steps: int) -> int:
    """The number of steps at the end of a training: a fifth of them, at least one."""
    return -(-steps // END)


def training_facts(trained: Sequence[Trained]) -> dict[str, float]:
    """Steps of one training, and the mean loss and its slope at the end, the mean over trainings alike but for seeds.

    The slope is that of the least-squares line per 100 steps; negative: the loss still falls. A number is absent where
    there are too few losses for it.
    """
    facts = {"training/steps": float(trained[0].steps)}
    losses = [one.losses for one in trained if np.isfinite(one.losses).any()]
    if losses:
        facts["training/loss"] = float(np.mean([np.nanmean(own, dtype=np.float64) for own in losses]))
    slopes = [slope for own in losses if (slope := _slope(own)) is not None]
    if slopes:
        facts["training/loss_slope"] = float(np.mean(slopes))
    return facts


def _slope(losses: npt.NDArray[np.float32]) -> float | None:
    """Per 100 steps; None for fewer than two losses."""
    steps = np.flatnonzero(np.isfinite(losses))
    if len(steps) < 2:
        return None
    values, apart = losses[steps].astype(np.float64), steps - steps.mean()
    return float(100 * (apart @ (values - values.mean())) / (apart @ apart))
