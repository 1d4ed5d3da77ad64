"""No interval of two runs is drawn or decides a frame, and arms with one curve are both seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from test_figures import table_from

from seg_al.core import Metric
from seg_al.recording.pictures.print_style import frame
from seg_al.results.arm_statistics import areas
from seg_al.results.arm_styles import styles_of
from seg_al.results.comparison_figures import gains_figure
from seg_al.results.curves import table_of
from seg_al.results.figures import curves_figure
from seg_al.results.mean_lines import own_pieces, seen_with_bands
from seg_al.results.panel_figures import per_class_figure, shares_figure
from seg_al.results.tables import every_pair
from seg_al.running.nearest_names import meant, nearest_names

SHARE = Metric("dice", lowest=0, highest=1)
SLOPES = {"random": 0.02, "bald": 0.05}


def study(runs: int, apart: float = 0.1) -> pd.DataFrame:
    """Two arms of straight curves, each run `apart` above the one before it."""
    table = table_from(
        {label: 0.3 + slope * np.arange(4) + apart * np.arange(runs)[:, None] for label, slope in SLOPES.items()}
    )
    return pd.concat([table, table.assign(metric="test/dice_gland")], ignore_index=True)


def bands(figure: Figure) -> int:
    found = figure.findobj(PolyCollection)
    return sum(bool(len(one.get_paths()) and len(one.get_paths()[0])) for one in found)


@pytest.mark.parametrize(("runs", "drawn"), [(1, 0), (2, 0), (3, 2), (10, 2)])
def test_intervals_are_drawn_from_three_runs_on_and_the_title_says_so(runs: int, drawn: int) -> None:
    figure = curves_figure(study(runs), "test/dice", "images", [])
    assert bands(figure) == drawn
    title = figure.axes[0].get_title().replace("\n", " ")
    assert ("no interval below 3 runs" in title) is (runs == 2)
    assert ("95 % interval" in title) is (runs >= 3)
    classes = per_class_figure(study(runs), "test/dice", "images")
    assert classes is not None
    assert bands(classes) == drawn


def test_two_runs_are_seen_as_thin_lines() -> None:
    two, ten = (curves_figure(study(runs), "test/dice", "images", []).findobj(LineCollection) for runs in (2, 10))
    assert [len(lines.get_segments()) for lines in two] == [2, 2]
    assert min(lines.get_alpha() or 1.0 for lines in two) > 2 * max(lines.get_alpha() or 1.0 for lines in ten)


@pytest.mark.parametrize("runs", [2, 3, 10])
def test_the_runs_decide_the_frame_and_no_interval(runs: int) -> None:
    table = study(runs, apart=0.05)
    figure = curves_figure(table, "test/dice", "images", [])
    low, high = table["value"].min(), table["value"].max()
    room = 0.15 * (high - low)
    assert figure.axes[0].get_ylim() == pytest.approx((low - room, high + room))


def test_a_panel_of_means_alone_holds_the_bands_but_never_hides_the_means_behind_them() -> None:
    values = np.array([[0.40, 0.44], [0.41, 0.46], [0.42, 0.45]])  # means 0.41 and 0.45
    means = table_of(table_from({"bald": values}), "test/dice", "images")
    low, high = float(means["low"].min()), float(means["high"].max())
    half = 4.302653 * 0.01 / np.sqrt(3)  # t of 3 runs
    assert (low, high) == pytest.approx((0.41 - half, 0.45 + half), abs=1e-6)
    seen = seen_with_bands(means, SHARE)
    assert (seen.min(), seen.max()) == pytest.approx((low, high))  # less than the means' range of 0.04 beyond them
    wide = seen_with_bands(means.assign(low=means["mean"] - 0.3, high=means["mean"] + 0.3), SHARE)
    assert (wide.min(), wide.max()) == pytest.approx((0.37, 0.49))
    share = seen_with_bands(means.assign(mean=[0.0, 0.9], low=-0.3, high=1.3), SHARE)
    assert (share.min(), share.max()) == (0.0, 1.0)  # where no value can be there is no room
    np.testing.assert_array_equal(seen_with_bands(means.assign(mean=0.5), SHARE), [0.5, 0.5])
    table = study(10, apart=0.01)
    figure = shares_figure(table[table["metric"] == "test/dice"].assign(metric="asked/share_gland"))
    assert figure is not None
    half = 2.262157 * np.std(np.arange(10) / 100, ddof=1) / np.sqrt(10)  # t of 10 runs
    low, high = 0.345 - half, 0.495 + half  # of the lowest and the highest mean
    room = 0.15 * (high - low)
    assert figure.axes[0].get_ylim() == pytest.approx((low - room, high + room))


def test_a_panel_of_a_class_is_named_by_its_own_metric_and_not_by_the_mean() -> None:
    table = study(3).replace({"test/dice": "test/miou", "test/dice_gland": "test/iou_gland"})
    figure = per_class_figure(table, "test/miou", "images")
    assert figure is not None
    assert figure.get_supylabel() == "iou"


def test_differences_of_two_pairs_have_no_bar_and_the_axis_says_so() -> None:
    for runs, lengths in ((2, {1}), (3, {1, 2})):
        table = study(runs)
        found = every_pair(areas(table, "test/dice"))
        figure = gains_figure(found, styles_of(table), "mean test/dice of the curve")
        assert figure is not None
        marks = [line for line in figure.axes[0].lines if line.get_linestyle() != "--"]
        assert {len(np.atleast_1d(line.get_xdata())) for line in marks} == lengths
        assert ("from 3 pairs on" in figure.axes[0].get_xlabel().replace("\n", " ")) is (runs == 2)


@pytest.mark.parametrize(
    ("values", "metric", "limits"),
    [([0.0, 0.0], SHARE, (0.0, 0.1)), ([1.0, 1.0], SHARE, (0.9, 1.0)), ([0.0, 0.2], SHARE, (0.0, 0.23)),
     ([-3.0, 7.0], Metric("free"), (-4.5, 8.5)), ([40.0, np.nan, 60.0], Metric("free"), (37.0, 63.0)),
     ([40.0, 60.0], SHARE, (37.0, 60.0)),
     ([0.0, 1.0], Metric("free"), (-0.15, 1.15)), ([np.nan], SHARE, (0.0, 1.0))],
)  # fmt: skip
def test_an_axis_has_no_room_where_no_value_can_be(
    values: list[float], metric: Metric, limits: tuple[float, float]
) -> None:
    axes = Figure().add_subplot()
    assert frame(axes, values, metric) == pytest.approx(limits)
    assert axes.get_ylim() == pytest.approx(limits)


def test_arms_with_one_curve_share_a_line_in_pieces_and_the_legend_says_so() -> None:
    values = np.array([[0.3, 0.4, 0.5, 0.6]] * 3)
    table = table_from({"random": values - 0.1, "bald": values, "entropy": values, "margin": values})
    figure = curves_figure(table, "test/dice", "images", [])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [
        "random (n = 3)", "bald (n = 3)", "entropy (n = 3), identical to bald", "margin (n = 3), identical to bald",
    ]  # fmt: skip
    shared = [line for line in figure.axes[0].lines if line.get_markevery() is not None]
    assert [line.get_markevery() for line in shared] == [(0, 3), (1, 3), (2, 3)]
    pieces = np.zeros(900, dtype=int)  # places along the line, a hundred per line width; who draws there
    for place in range(3):
        offset, (on, off) = own_pieces(place, 3)["linestyle"]
        pieces += ((np.arange(900) / 100 + offset) % (on + off)) < on
    assert (pieces == 1).all()


def test_of_many_classes_the_most_asked_are_drawn_and_the_figure_counts_them() -> None:
    base = table_from({"random": np.array([[0.3, 0.4]])})
    parts = [base]
    for number in range(81):
        parts.append(base.assign(metric=f"test/dice_c{number:02d}", value=0.5 if number % 2 else 0.0))
        parts.append(base.assign(metric=f"asked/share_c{number:02d}", value=number / 4000))
    table = pd.concat(parts, ignore_index=True)
    for figure, shown in (
        (per_class_figure(table, "test/dice", "images"), [f"c{number}" for number in range(57, 81, 2)]),
        (shares_figure(table), [f"c{number}" for number in range(69, 81)]),
    ):
        assert figure is not None
        assert [axes.get_title() for axes in figure.axes] == shown
        assert figure.get_suptitle() == "12 of 81 classes: those most asked about"


def test_of_many_names_a_message_has_the_nearest() -> None:
    there = [f"test/dice_class_{number}" for number in range(200)] + ["test/dice", "val/dice"]
    text = nearest_names("test/dise", there)
    assert text.startswith("202, the nearest test/dice, ")
    assert len(text) < 400
    assert nearest_names("x", ["b", "a"]) == "a, b"
    assert nearest_names("x", []) == "none"
    assert meant("test/dise", there) == "did you mean test/dice?"
    assert meant("x", ["b", "a"]) == "there are a, b"
    assert meant("x", ["a"], "it has") == "it has a"
