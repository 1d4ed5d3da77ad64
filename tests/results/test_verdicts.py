"""The picture, the table and the sentences for a newcomer say what was learned, and by whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from test_figures import study_of
from test_learned_rounds import LATE, told

from seg_al.results.curves import table_of
from seg_al.results.figures import curves_figure, draw
from seg_al.results.levels import levels_of
from seg_al.results.metrics import CONSTRUCTED
from seg_al.results.verdicts import in_short, last_savings, verdicts

LEARNED = {"random": [0.70, 0.72, 0.74, 0.80], "bald": [0.70, 0.80, 0.85, 0.88], "worst": [0.70, 0.70, 0.71, 0.72]}


def said(table: pd.DataFrame) -> list[str]:
    study = study_of(table)
    return verdicts(study, last_savings(study, "test/dice", "images"), "test/dice", "images")


def short(table: pd.DataFrame) -> str:
    study = study_of(table)
    return in_short(study, last_savings(study, "test/dice", "images"), "test/dice", "images")


def with_level(table: pd.DataFrame, name: str, value: float) -> pd.DataFrame:
    rows = table[table["metric"] == "test/dice"]
    full = rows.head(1).assign(label="all of the pool", ceiling=True, identity="full", value=value)
    other = rows.assign(metric=f"test/{name}", value=value)
    return pd.concat([table, full if name == "full" else other], ignore_index=True)


def test_each_arm_has_one_sentence_against_random() -> None:
    assert said(told(LEARNED)) == [
        "bald reaches random's last test/dice (0.800) with 60 % [60, 60] of its images",
        "worst never reaches random's last test/dice (0.800)",
    ]
    assert short(told(LEARNED)).endswith("\nbald reaches random's last score with 60 % [60, 60] of its images.")
    assert short(told({"random": LEARNED["random"], "worst": LEARNED["worst"]})).endswith(
        "\nNo arm reaches random's last score with fewer images."
    )
    assert said(told({"random": [0.8, 0.7], "bald": [0.8, 0.7]})) == [
        "bald: the first compared labels reach random's last test/dice (0.700) already, nothing could be saved"
    ]
    assert said(told({"bald": [0.7, 0.8], "entropy": [0.7, 0.8]})) == []
    assert short(told({"bald": [0.7, 0.8], "entropy": [0.7, 0.8]})) == ""


def test_of_an_arm_that_is_there_in_its_first_compared_round_the_share_is_a_bound() -> None:
    late = {"random": [0.63, 0.65, 0.66, 0.68], "bald": LATE["bald"]}  # compared from 8 images on
    assert said(told(late)) == ["bald reaches random's last test/dice (0.680) with at most 80 % [80, 80] of its images"]


def test_without_learning_the_sentence_says_that_there_is_no_comparison() -> None:
    table = told({"random": [0.6, 0.63], "bald": [0.6, 0.7], "entropy": [0.6, 0.62]})
    assert said(table) == [
        "bald: no comparison with random, the networks of random have not learned",
        "entropy: no comparison with random, the networks of entropy and random have not learned",
    ]
    assert short(table).endswith("\nNo comparison: networks have not learned.")
    worst = told({**LATE, "worst": [0.6, 0.6, 0.61, 0.62]})
    assert said(worst)[1] == "worst: no comparison with random, the networks of worst have not learned"


def test_what_has_not_learned_is_a_ring_and_the_legend_says_so() -> None:
    figure = curves_figure(told(LATE), "test/dice", "images", [])
    rings = {tuple(line.get_xdata()) for line in lines_of(figure) if line.get_markerfacecolor() == "white"}
    assert rings == {(4,), (4, 6)}
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["random (n = 3)", "bald (n = 3)", "constant predictor", "not learned"]
    learned = curves_figure(told(LEARNED), "test/dice", "images", [])
    assert not any(line.get_markerfacecolor() == "white" for line in lines_of(learned))
    assert "not learned" not in [text.get_text() for text in learned.legends[0].get_texts()]


def lines_of(figure: object) -> list[Line2D]:
    return list(figure.axes[0].lines)  # type: ignore[attr-defined]


def test_arms_with_one_curve_have_rings_of_their_own() -> None:
    values = [0.6, 0.61, 0.62, 0.7]
    figure = curves_figure(told({"random": values, "bald": values}), "test/dice", "images", [])
    rings = [list(line.get_xdata()) for line in lines_of(figure) if line.get_markerfacecolor() == "white"]
    assert rings == [[4, 8], [6]]


def test_the_frame_holds_the_constant_and_the_whole_pool_and_no_untrained_network_far_below() -> None:
    table = with_level(with_level(told(LEARNED), "full", 0.95), "untrained_dice", 0.1)
    assert {level.name: round(level.value, 9) for level in levels_of(table, "test/dice")} == {
        "all of the pool (n = 1)": 0.95, "constant predictor": 0.6, "untrained network": 0.1,
    }  # fmt: skip
    figure = curves_figure(table, "test/dice", "images", [])
    assert figure.axes[0].get_ylim() == pytest.approx((0.6 - 0.15 * 0.35, 1.0))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[-2:] == ["all of the pool (n = 1)", "constant predictor"]
    near = curves_figure(with_level(told(LEARNED), "untrained_dice", 0.58), "test/dice", "images", [])
    assert near.legends[0].get_texts()[-1].get_text() == "untrained network"


def test_a_wide_interval_decides_no_frame() -> None:
    rows = told({"random": [0.7, 0.7], "bald": [0.7, 0.8]})
    wide = rows["value"].where(rows["metric"] != "test/dice", rows["value"] + 0.09 * (rows["run"] - 1))
    table = rows.assign(value=wide)  # runs 0.1 apart: an interval of 0.25 to either side
    assert table_of(table, "test/dice")["high"].max() > 1
    assert curves_figure(table, "test/dice", "images", []).axes[0].get_ylim() == pytest.approx((0.555, 0.945))


def test_each_dataset_has_a_constant_of_its_own() -> None:
    other = told({"random, other": [0.7] * 4}, constant=0.3).assign(dataset="other")
    levels = levels_of(pd.concat([told(LEARNED), other], ignore_index=True), "test/dice")
    assert [(level.name, round(level.value, 9)) for level in levels] == [
        ("constant predictor, glas", 0.6), ("constant predictor, other", 0.3),
    ]  # fmt: skip


def test_constructed_data_is_marked_in_figure_text_and_every_file(tmp_path: Path) -> None:
    table = told(LEARNED)
    table.attrs[CONSTRUCTED] = ("glas",)
    drawing = draw(study_of(table), "test/dice", "images", tmp_path / "fig")
    assert drawing.text.startswith("glas · unet · test/dice · constructed data")
    for path in drawing.paths[2:]:
        assert set(pd.read_csv(path)["data"]) == {"constructed"}
    title = curves_figure(table, "test/dice", "images", []).axes[0].get_title()
    assert "constructed data" in title.replace("\n", " ")


def test_the_curves_of_older_runs_have_the_columns_that_they_always_had(tmp_path: Path) -> None:
    table = told(LEARNED)
    old = table[table["metric"] == "test/dice"]
    paths = draw(study_of(old), "test/dice", "images", tmp_path / "old").paths
    assert list(pd.read_csv(paths[2])) == ["label", "cost", "mean", "sd", "n", "low", "high"]
    assert list(pd.read_csv(paths[3])) == ["label", "baseline", "cost", "difference", "low", "high", "n"]
    new = pd.read_csv(draw(study_of(told(LATE)), "test/dice", "images", tmp_path / "new").paths[2])
    np.testing.assert_array_equal(new["learned"], [False, True, True, True, False, False, True, True])


def test_a_newcomer_s_picture_has_bands_of_a_standard_error_and_no_name_of_the_usual_selector() -> None:
    table = told(LEARNED).replace({"label": {"bald": "bald, selector=top", "random": "random, selector=top"}})
    figure = curves_figure(table, "test/dice", "images", [], "What should be labelled next?")
    edges = [line.get_ydata() for line in lines_of(figure) if line.get_linewidth() == 0.6]
    np.testing.assert_allclose(edges[0], np.array(LEARNED["random"]) - 0.01 / 3**0.5)
    assert not figure.findobj(LineCollection)
    assert figure.legends[0].get_texts()[1].get_text() == "bald (n = 3)"
    assert "standard error" in figure.axes[0].get_title()
    assert said(table)[0] == "bald reaches random's last test/dice (0.800) with 60 % [60, 60] of its images"
