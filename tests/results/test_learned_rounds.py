"""What has not learned more than a constant predictor is marked, and no comparison is made of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_figures import table_from

from seg_al.core import Metric
from seg_al.recording.metric_declarations import NOTE
from seg_al.results.arm_statistics import areas, finals
from seg_al.results.curves import curves_of, differences, table_of
from seg_al.results.learned_rounds import NoComparison, comparable, learned_rounds
from seg_al.results.metrics import Declarations
from seg_al.results.ranks import aligned_arms

CONSTANT = 0.6
"""So that the bar is 0.64: a tenth of the way to 1."""
LATE = {"random": [0.63, 0.65, 0.66, 0.70], "bald": [0.63, 0.63, 0.70, 0.80]}
"""random learns in round 1, bald in round 2; costs are 4, 6, 8, 10."""


def told(curves: dict[str, list[float]], constant: float = CONSTANT, name: str = "dice") -> pd.DataFrame:
    """Three runs of each arm, 0.01 apart, the middle one as given, with the constant in each round."""
    apart = 0.01 * np.array([[-1.0], [0.0], [1.0]])
    table = table_from({label: np.array(values) + apart for label, values in curves.items()})
    table["metric"] = f"test/{name}"
    constants = table.assign(metric=f"test/constant_{name}", value=constant)
    return pd.concat([table, constants], ignore_index=True)


def test_a_round_has_learned_where_the_mean_of_its_runs_reaches_the_bar() -> None:
    rounds = learned_rounds(told(LATE), "test/dice").set_index(["label", "point"])
    assert rounds["learned"].unstack().loc["random"].tolist() == [False, True, True, True]
    assert rounds["learned"].unstack().loc["bald"].tolist() == [False, False, True, True]
    assert rounds["bar"].tolist() == pytest.approx([0.64] * 8)
    assert table_of(told(LATE), "test/dice")["learned"].tolist() == [False, True, True, True, False, False, True, True]


def test_costs_count_from_the_one_on_from_which_every_arm_has_learned() -> None:
    table = told(LATE)
    curves = curves_of(table, "test/dice", "images")
    assert {label: runs[1].costs.tolist() for label, runs in curves.items()} == {"random": [8, 10], "bald": [8, 10]}
    scores = areas(table, "test/dice").set_index(["label", "run"])["score"]
    assert scores[("bald", 1)] == pytest.approx(0.75)
    assert scores[("random", 0)] == pytest.approx(0.68 - 0.01)
    assert aligned_arms(table, "test/dice").costs.tolist() == [8, 10]
    assert comparable(table, "test/dice", "images").notes == (
        "Compared from 8 images on: in earlier rounds networks have not learned, those of bald (round 0 and 1) and "
        "random (round 0).",
    )


def test_a_fall_back_below_the_bar_takes_the_rounds_before_it_with_it() -> None:
    table = told({"random": [0.7, 0.7, 0.7, 0.7], "bald": [0.7, 0.7, 0.63, 0.7]})
    assert set(areas(table, "test/dice")["score"].round(9)) == {0.69, 0.70, 0.71}
    assert curves_of(table, "test/dice", "images")["random"][1].costs.tolist() == [10]


def test_arms_of_other_steps_are_cut_at_the_same_cost() -> None:
    table = told({"random": [0.7, 0.7, 0.7, 0.7], "bald": [0.63, 0.7, 0.8, 0.9]})
    bald = table["label"] == "bald"
    table.loc[bald, "images"] += 1  # 5, 7, 9, 11
    curves = curves_of(table, "test/dice", "images")
    assert curves["random"][0].costs.tolist() == [8, 10]
    assert curves["bald"][0].costs.tolist() == [7, 9, 11]
    all_learned = told({"random": [0.7, 0.7, 0.7, 0.7], "bald": [0.7, 0.7, 0.8, 0.9]})
    all_learned.loc[bald, "images"] += 1
    assert curves_of(all_learned, "test/dice", "images")["random"][0].costs.tolist() == [4, 6, 8, 10]


def test_an_arm_that_never_learns_is_left_out_by_name_and_the_others_are_compared() -> None:
    table = told({**LATE, "worst": [0.60, 0.61, 0.62, 0.63]})
    assert set(finals(table, "test/dice")["label"]) == {"random", "bald"}
    assert comparable(table, "test/dice", "images").notes[0] == (
        "Not compared: the networks of worst have not learned: their test/dice of 0.6300 does not reach 0.6400, 10 % "
        "of the way from the constant predictor (0.6000) to a perfect one."
    )
    assert list(differences(table, "test/dice")["label"]) == ["bald"]


def test_where_fewer_than_two_arms_learn_the_sentence_stands_for_the_comparison() -> None:
    table = told({"random": [0.6, 0.6, 0.6, 0.63], "bald": LATE["bald"]})
    with pytest.raises(NoComparison) as caught:
        areas(table, "test/dice")
    assert str(caught.value) == (
        "No comparison: the networks of random have not learned: their test/dice of 0.6300 does not reach 0.6400, 10 % "
        "of the way from the constant predictor (0.6000) to a perfect one."
    )
    with pytest.raises(NoComparison, match=r"of random and bald .* of 0\.6200 and 0\.6100 does"):
        curves_of(told({"random": [0.6, 0.62], "bald": [0.6, 0.61]}), "test/dice", "images")
    with pytest.raises(NoComparison, match="of random have"):
        finals(told({"random": [0.6, 0.62]}), "test/dice")


def test_a_value_at_the_bar_has_learned_and_arms_that_tie_do_so_together() -> None:
    table = told({"random": [0.64 + 1e-12] * 2, "bald": [0.64 + 1e-12] * 2})
    assert learned_rounds(table, "test/dice")["learned"].all()
    assert comparable(table, "test/dice", "images").notes == ()
    assert set(areas(table, "test/dice")["score"].round(9)) == {0.63, 0.64, 0.65}


def test_of_an_error_a_network_has_learned_below_the_bar() -> None:
    table = told({"random": [0.6, 0.5, 0.4], "bald": [0.6, 0.58, 0.3]}, name="error")
    table.attrs[NOTE] = Declarations((Metric("error", "lower", lowest=0),))  # the bar: 0.54
    assert learned_rounds(table, "test/error")["learned"].tolist() == [False, True, True, False, False, True]
    table.loc[table["label"] == "random", "value"] = 0.6
    with pytest.raises(NoComparison, match=r"their test/error of 0\.6000 does not fall to 0\.5400, 10 % of the way"):
        areas(table, "test/error")
    table.attrs[NOTE] = Declarations((Metric("error", "lower"),))
    with pytest.raises(NoComparison, match=r"0\.5400, 10 % better than the constant predictor \(0\.6000\)\.$"):
        areas(table, "test/error")


def test_another_metric_is_judged_by_the_first_of_the_task_where_it_has_no_constant() -> None:
    table = told(LATE)
    iou = table[table["metric"] == "test/dice"].assign(metric="test/iou")
    both = pd.concat([table, iou], ignore_index=True)
    assert curves_of(both, "test/iou", "images")["random"][0].costs.tolist() == [8, 10]


def test_each_dataset_is_compared_from_its_own_cost_on() -> None:
    glas, other = told(LATE), told({"random, other": [0.7] * 4, "bald, other": [0.8] * 4})
    other["dataset"] = "other"
    table = pd.concat([glas, other], ignore_index=True)
    curves = curves_of(table, "test/dice", "images")
    assert curves["bald"][0].costs.tolist() == [8, 10]
    assert curves["bald, other"][0].costs.tolist() == [4, 6, 8, 10]
    broken = pd.concat([told({"random": [0.6] * 4, "bald": [0.6] * 4}), other], ignore_index=True)
    assert set(curves_of(broken, "test/dice", "images")) == {"random, other", "bald, other"}
    assert (
        comparable(broken, "test/dice", "images").notes[0].startswith("No comparison: the networks of random and bald")
    )


def test_runs_that_recorded_no_constant_are_compared_as_they_always_were() -> None:
    table = told(LATE)
    old = table[table["metric"] == "test/dice"]
    assert "learned" not in table_of(old, "test/dice")
    assert comparable(old, "test/dice", "images").notes == ()
    assert curves_of(old, "test/dice", "images")["bald"][0].costs.tolist() == [4, 6, 8, 10]
