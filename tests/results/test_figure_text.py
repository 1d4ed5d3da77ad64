"""Every text of a study's figures can be read: none is cut, none runs into another, whatever the arms are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from seg_al.recording.pictures.print_style import cost_axis, wrapped
from seg_al.results.arm_statistics import areas
from seg_al.results.arm_styles import styles_of
from seg_al.results.comparison_figures import (
    agreement_over_rounds_figure,
    gains_figure,
    penalties_figure,
    ranks_figure,
    savings_figure,
)
from seg_al.results.figures import curves_figure
from seg_al.results.panel_figures import cost_axes_figure, passes_figure, per_class_figure
from seg_al.results.ranks import aligned_arms, mean_ranks, penalties, rank_rounds
from seg_al.results.tables import every_pair

METRICS = {"test/dice": 0.5, "test/dice_background": 0.6, "test/dice_gland": 0.4, "stability/kendall_at_5": 0.8}
ASKED = ("bald", "entropy", "expected_entropy", "mean_std")
CHOICES = [("random", "top"), ("bald", "top"), ("bald", "stochastic_batches"), ("expected_entropy", "kmeans_hybrid")]
LONG = [f"{one}, dataset=cityscapes_train_ids, selector={two}, mc_iters=20" for one, two in CHOICES]
SWEPT = [f"bald, selector={selector}, mc_iters={passes}" for selector in ("top", "power") for passes in (5, 20)]
MANY = ["random", *(f"heuristic_{number}" for number in range(11))]


def table_of_arms(labels: Sequence[str], rounds: int = 5) -> pd.DataFrame:
    """Three runs per arm; the higher in the list, the worse; every arm's own heuristic has no agreement."""
    rows = []
    for place, label in enumerate(labels):
        heuristic = label.partition(",")[0]
        overlaps = {f"agreement/{other}_overlap": 0.3 for other in ASKED if other != heuristic}
        for run, number in np.ndindex(3, rounds):
            cost = 4 * (number + 1)
            common = {
                "dataset": "glas", "model": "unet", "heuristic": heuristic, "run": run, "identity": f"{label}/{run}",
                "selector": "power" if "power" in label else "top", "round": float(number), "complete": True,
                "mc_iters": int(label.partition("mc_iters=")[2] or 20), "label": label, "ceiling": False,
                "images": cost, "pixels": 9_000 * cost, "regions": cost, "clicks": 9 * cost, "vertices": 180 * cost,
            }  # fmt: skip
            grown = place / 50 + number / 30 + (run + place) % 3 / 200
            values = {name: start + grown for name, start in METRICS.items()} | (overlaps if number else {})
            rows += [common | {"metric": name, "value": value} for name, value in values.items()]
    return pd.DataFrame(rows)


def with_full_data(table: pd.DataFrame) -> pd.DataFrame:
    last = table[(table["round"] == table["round"].max()) & (table["label"] == table["label"].iloc[0])]
    return pd.concat([table, last.assign(label="all of the pool", ceiling=True, identity="full")], ignore_index=True)


def without_learning(table: pd.DataFrame) -> pd.DataFrame:
    """With a constant that no network beats."""
    one = table[table["metric"] == "test/dice"].assign(metric="test/constant_dice", value=0.99)
    return pd.concat([table, one], ignore_index=True)


def compared(table: pd.DataFrame, name: str) -> Figure | None:
    styles, scores, grid = styles_of(table), areas(table, "test/dice", "images"), aligned_arms(table, "test/dice")
    saved = {"n": 3, "low": 0.7, "high": 0.9, "cost": 9.0, "bound": np.nan, "at_start": 0, "reference": "random's last"}
    rows = [saved | {"label": label, "target": at, "share": 0.8} for label in styles for at in (0.9, 0.95, 1.0)]
    figures = {
        "differences": lambda: gains_figure(every_pair(scores), styles, "mean test/dice of the curve"),
        "penalties": lambda: penalties_figure(penalties(grid)),
        "ranks": lambda: ranks_figure(rank_rounds(grid), mean_ranks(scores), styles, "images"),
        "savings": lambda: savings_figure(pd.DataFrame(rows), styles, "images"),
    }
    return figures[name]()


FIGURES: dict[str, Callable[[pd.DataFrame], Figure | None]] = {
    "curves": lambda table: curves_figure(with_full_data(table), "test/dice", "images", ["bald: lacks run 3"]),
    "curves in words": lambda table: curves_figure(
        without_learning(with_full_data(table)),
        "test/dice",
        "images",
        ["bald: lacks run 3"],
        "What is next?\nThis one.",
    ),
    "classes": lambda table: per_class_figure(table, "test/dice", "images"),
    "costs": lambda table: cost_axes_figure(table, "test/dice"),
    "agreement": agreement_over_rounds_figure,
    "passes": lambda table: passes_figure(table, "test/dice", "images"),
    **{name: partial(compared, name=name) for name in ("differences", "penalties", "ranks", "savings")},
}


def boxes_of(figure: Figure) -> dict[Text, Bbox]:
    """What is printed where, in pixels; ticks beyond the ends of an axis are not printed."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            outside = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high or not axes.axison]
            hidden |= {text for tick in outside for text in (tick.label1, tick.label2)}
    texts = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text() and one not in hidden]
    return {text: text.get_window_extent() for text in texts}


def unreadable(figure: Figure) -> list[str]:
    boxes = boxes_of(figure)
    frame = figure.bbox.padded(0.5)
    cut = [one.get_text() for one, box in boxes.items() if not (frame.contains(*box.min) and frame.contains(*box.max))]
    texts, corners = list(boxes), np.array([(*box.min, *box.max) for box in boxes.values()])  # [T, 4]
    first, second = np.triu_indices(len(texts), k=1)
    shared = np.minimum(corners[first, 2:], corners[second, 2:]) - np.maximum(corners[first, :2], corners[second, :2])
    touching = np.flatnonzero(shared.min(axis=1) > 1)
    cut += [f"{texts[first[pair]].get_text()} / {texts[second[pair]].get_text()}" for pair in touching]
    return cut


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    ("labels", "rounds"), [(LONG, 5), (LONG[:2], 3), (SWEPT, 14), (MANY, 20)], ids=["long", "two", "swept", "many"]
)
def test_no_text_of_a_figure_is_cut_or_runs_into_another(labels: list[str], rounds: int, name: str) -> None:
    figure = FIGURES[name](table_of_arms(labels, rounds))
    assert figure is not None
    assert unreadable(figure) == []


@pytest.mark.parametrize(
    ("text", "letters", "lines"),
    [
        ("random, granularity=superpixel_watershed", 24, ["random, granularity=", "superpixel_watershed"]),
        ("random, granularity=superpixel_watershed", 12, ["random,", "granularity=", "superpixel_", "watershed"]),
        ("of the curve, 95 % interval", 16, ["of the curve,", "95 % interval"]),
        ("entropy, mc_iters=20 *", 20, ["entropy,", "mc_iters=20 *"]),
        ("bald, mc_iters=20", 11, ["bald,", "mc_iters=20"]),
        ("abcdefghij k\nl", 4, ["abcd", "efgh", "ij k", "l"]),
    ],
)
def test_a_name_breaks_between_its_words_and_a_number_keeps_its_percent(
    text: str, letters: int, lines: list[str]
) -> None:
    assert wrapped(text, letters).split("\n") == lines


def test_two_arms_of_a_difference_have_a_line_each_where_one_is_too_short() -> None:
    for labels, shown in (
        (["random", "bald"], ["bald − random"]),
        (["random, mc_iters=20", "bald, mc_iters=10"], ["bald, mc_iters=10 −\nrandom, mc_iters=20"]),
    ):
        figure = compared(table_of_arms(labels, 3), "differences")
        assert figure is not None
        assert [name.get_text().removesuffix(" *") for name in figure.axes[0].get_yticklabels()] == shown


def test_a_line_of_the_passes_joins_arms_that_differ_in_nothing_else() -> None:
    table = table_of_arms(SWEPT)
    figure = passes_figure(table, "test/dice", "images")
    assert figure is not None
    scores = areas(table, "test/dice", "images").groupby("label")["score"].mean()
    lines = {line.get_label(): line.lines[0].get_xydata() for line in figure.axes[0].containers}
    assert sorted(lines) == ["bald, selector=power", "bald, selector=top"]
    for name, line in lines.items():
        np.testing.assert_allclose(line, [(k, scores[f"{name}, mc_iters={k}"]) for k in (5, 20)])


def test_agreement_is_told_by_numbers_where_they_fit_and_by_a_colour_bar_elsewhere() -> None:
    few, many = (agreement_over_rounds_figure(table_of_arms(["bald", "entropy"], rounds)) for rounds in (5, 21))
    assert few is not None
    assert many is not None
    assert [len(axes.texts) for axes in few.axes] == [3 * 4, 3 * 4]  # three others, four rounds that asked
    assert [len(axes.texts) for axes in many.axes] == [0, 0, 0]
    assert many.axes[-1].get_xlabel() == "share of the asked units"
    assert [figure.get_supxlabel().startswith("light grey: the arm's own heuristic") for figure in (few, many)] == [
        True
    ] * 2


def test_full_data_is_named_in_the_legend_where_no_curve_crosses_the_name() -> None:
    figure = curves_figure(with_full_data(table_of_arms(["random", "bald"])), "test/dice", "images", [])
    texts, lines = figure.legends[0].get_texts(), figure.legends[0].legend_handles
    handles = {text.get_text(): line for text, line in zip(texts, lines, strict=True)}
    assert list(handles) == ["random (n = 3)", "bald (n = 3)", "all of the pool (n = 3)"]
    level = [line for line in figure.axes[0].lines if len(set(line.get_ydata())) == 1 and line.get_zorder() == 2]
    assert to_hex(handles["all of the pool (n = 3)"].get_color()) == to_hex(level[-1].get_color())
    assert len(figure.axes[0].texts) == 0


@pytest.mark.parametrize(("costs", "own"), [([4, 8, 12], True), ([100, 101, 200, 300], False), ([7], True)])
def test_costs_are_their_own_ticks_unless_two_would_touch(costs: list[float], own: bool) -> None:
    axes = Figure().add_subplot()
    axes.set_xlim(0, 310)
    cost_axis(axes, "images", costs)
    assert (list(axes.get_xticks()) == costs) is own
