"""A network has learned where it goes a tenth of the way from the best constant to the best possible value."""

from __future__ import annotations

import math

import pytest

from seg_al.core import Metric
from seg_al.measuring.learned import bar, has_learned

DICE = Metric("dice", lowest=0, highest=1)
ERROR = Metric("error", better="lower", lowest=0)
GAIN, LOSS = Metric("gain"), Metric("loss", better="lower")


@pytest.mark.parametrize(
    ("metric", "constant", "reached"),
    [
        (DICE, 0.6, 0.64),
        (DICE, 0.0, 0.1),
        (DICE, 1.0, 1.0),
        (ERROR, 2.0, 1.8),
        (GAIN, 5.0, 5.5),
        (GAIN, -5.0, -4.5),
        (LOSS, 5.0, 4.5),
        (LOSS, -5.0, -5.5),
    ],
)
def test_the_bar_is_a_tenth_of_the_way_to_the_best_value_or_of_the_constant(
    metric: Metric, constant: float, reached: float
) -> None:
    assert bar(metric, constant) == pytest.approx(reached)
    assert has_learned(metric, bar(metric, constant), constant)
    assert has_learned(metric, reached + 0.001 * metric.sign, constant)
    assert not has_learned(metric, reached - 0.001 * metric.sign, constant)


def test_a_score_that_is_no_number_has_not_learned() -> None:
    assert not has_learned(DICE, math.nan, 0.5)
    assert not has_learned(ERROR, math.nan, 0.5)
    assert not has_learned(DICE, 0.9, math.nan)
