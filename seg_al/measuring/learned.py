"""Whether a network has learned: it has to be better than the best constant prediction by a stated margin."""

from __future__ import annotations

from collections.abc import Mapping

from seg_al.core import Metric

NOT_LEARNED = "not learned"
"""What is said of a round whose networks do not reach the bar."""
LEARNED_MARGIN = 0.1
"""Share of the way from the constant to the best possible value that a network has to go."""
CONSTANT = "constant_"
"""Begins the name of what the best constant prediction gets of a metric."""
LEARNED = "learned"
"""The name of the number that trackers get: 1 where a network has learned, else 0."""
END = 5
"""The last of so many equal parts of a training is its end."""
FALLING = 0.2
"""Share of the mean loss at the end of a training that the loss has to lose there, to be called falling: with a cosine
schedule it is near 0, and the noise of 64 losses that vary by a fifth of their mean gives less in 99 of 100 cases."""
UNTRAINED = "untrained_"
"""Begins the name of what the network of round 0 gets of a metric before its training."""


def bar(metric: Metric, constant: float) -> float:
    """The value that a network has to reach, as the best constant prediction gets `constant`.

    Where the metric has no best value, the margin is a share of the size of the constant.
    """
    best = metric.highest if metric.better == "higher" else metric.lowest
    return constant + LEARNED_MARGIN * (metric.sign * abs(constant) if best is None else best - constant)


def has_learned(metric: Metric, value: float, constant: float) -> bool:
    """Whether the value reaches the bar; one that is not a number does not."""
    return metric.sign * value >= metric.sign * bar(metric, constant)


def learned(scores: Mapping[str, float], metric: Metric) -> bool | None:
    """Whether the networks of a round have learned, by its numbers on test; None: unknown, as in older records."""
    value, constant = scores.get(f"test/{metric.name}"), scores.get(f"test/{CONSTANT}{metric.name}")
    return None if value is None or constant is None else has_learned(metric, value, constant)


def still_falls(scores: Mapping[str, float]) -> bool:
    """Whether the line through the losses at the end of a round's training falls clearly; no, where that is unknown."""
    numbers = [scores.get(f"training/{name}") for name in ("steps", "loss", "loss_slope")]
    steps, loss, slope = (0.0 if number is None else number for number in numbers)
    return -slope * steps / END / 100 > FALLING * abs(loss)
