"""What is kept of a training: its steps, and the mean and the slope of its losses at the end."""

from __future__ import annotations

import numpy as np
import pytest

from seg_al.training.trained import Trained, end_of, training_facts


def of(*losses: float, steps: int = 20) -> Trained:
    return Trained((), steps, np.array(losses, dtype=np.float32))


@pytest.mark.parametrize(("steps", "end"), [(1, 1), (5, 1), (6, 2), (100, 20), (101, 21)])
def test_the_end_is_the_last_fifth_of_the_steps(steps: int, end: int) -> None:
    assert end_of(steps) == end


def test_the_slope_of_a_straight_line_is_its_fall_in_100_steps() -> None:
    facts = training_facts([of(2.0, 1.75, 1.5, 1.25)])
    assert facts == pytest.approx({"training/steps": 20, "training/loss": 1.625, "training/loss_slope": -25.0})


def test_skipped_steps_leave_gaps_in_the_line() -> None:
    facts = training_facts([of(2.0, np.nan, 1.5, 1.25)])
    assert facts["training/loss"] == pytest.approx((2 + 1.5 + 1.25) / 3)
    assert facts["training/loss_slope"] == pytest.approx(-25.0)


def test_members_of_an_ensemble_count_by_their_mean() -> None:
    facts = training_facts([of(1.0, 1.0), of(2.0, 1.5), of(np.nan, np.nan)])
    assert facts == pytest.approx({"training/steps": 20, "training/loss": 1.375, "training/loss_slope": -25.0})


def test_what_too_few_losses_do_not_tell_is_left_out() -> None:
    assert training_facts([of(3.0, steps=1)]) == {"training/steps": 1.0, "training/loss": 3.0}
    assert training_facts([of(np.nan, steps=1)]) == {"training/steps": 1.0}
