"""Whether a network has learned: it has to be better than the best constant prediction by a stated margin."""

from __future__ import annotations

from seg_al.core import Metric

LEARNED_MARGIN = 0.1
"""Share of the way from the constant to the best possible value that a network has to go."""
CONSTANT = "constant_"
"""Begins the name of what the best constant prediction gets of a metric."""
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
