"""Figures that compare arms: label savings, paired differences, penalties, ranks, agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from seg_al.core import CostUnit
from seg_al.recording.pictures.print_style import (
    COLUMN,
    LINE,
    NORMAL,
    PAGE,
    SMALL,
    Style,
    cost_axis,
    legend,
    plain_axes,
    row_names,
    say,
    width_of,
    wrapped_to_width,
)
from seg_al.results.mean_lines import BANDED, mean_lines
from seg_al.results.ranks import Ranks

MOST_ARMS = 20
"""Arms of one figure, a small panel each."""
NUMBERS = SMALL - 0.5
"""Points of the numbers in a heat map."""
GREY = "light grey: the arm's own heuristic, or one that had no scores in that round"


def sentence_figure(sentence: str) -> Figure:
    """What stands in the place of a comparison that cannot be made."""
    text = wrapped_to_width(sentence, COLUMN - 0.3)
    figure = Figure(figsize=(COLUMN, 0.4 + LINE * NORMAL / SMALL * (text.count("\n") + 1)))
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=NORMAL)
    return figure


def savings_figure(savings: pd.DataFrame, styles: Mapping[str, Style], cost: CostUnit) -> Figure | None:
    """The share of random's labels that each arm needs, with bootstrap intervals; None where nothing is known.

    An arrow to the right: the arm does not reach the goal, and the arrow stands at the least that it needs. To the
    left: random does not reach it, and the arrow stands at the most.
    """
    known = savings["share"].notna() | savings["bound"].notna()
    rows = savings[known & (savings["at_start"] != 1)]
    if rows.empty:
        return None
    targets = list(dict.fromkeys(savings["target"]))
    arms = list(dict.fromkeys(savings["label"]))
    names, left, high = row_names(arms, 22)
    figure = Figure(figsize=(COLUMN, 0.85 + max(0.55, high) * len(arms)), layout="constrained")
    axes = figure.add_subplot()
    finite = rows[["share", "bound", "low", "high"]].replace(np.inf, np.nan)
    right = 100 * max(1.2, 1.1 * float(np.nanmax(finite.to_numpy(float))))
    for index, row in enumerate(savings.to_dict("records")):
        place = arms.index(row["label"]) + 0.27 * (targets.index(row["target"]) - (len(targets) - 1) / 2)
        text = f"{100 * row['target']:.0f} %"
        if savings.index[index] in rows.index:
            _interval(axes, row, place, styles[row["label"]], right)
        else:
            text += ": at the start" if row["at_start"] == 1 else ": neither reaches it" if row["n"] else ": no pair"
        axes.annotate(
            text, (0, place), xytext=(3, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            fontsize=SMALL - 1, va="center", color="#444444",
        )  # fmt: skip
    axes.axvline(100, color="#000000", linewidth=0.9, linestyle="--")
    axes.set_yticks(range(len(arms)), names)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.set_xlim(0, right)
    plain_axes(axes)
    references = " or ".join(dict.fromkeys(rows["reference"]))
    title = f"to reach a share of the {references} score".replace("random's last score", "last score of random")
    further = say(axes, COLUMN - left, title, f"{cost} needed, % of random's (dashed: as many)")
    figure.set_figheight(figure.get_figheight() + further)
    return figure


def _interval(axes: Axes, row: Mapping[Any, Any], place: float, style: Style, right: float) -> None:
    censored = not math.isfinite(row["share"])
    value = 100 * (row["bound"] if censored else row["share"])
    if not math.isnan(row["low"]):
        ends = [min(100 * row["low"], right), min(100 * row["high"], right)]
        axes.plot(ends, [place, place], color=style.colour, linewidth=1.2, solid_capstyle="butt")
        if not math.isfinite(row["high"]):
            axes.plot([right * 0.995], [place], marker=">", color=style.colour, markersize=4, clip_on=False)
    marker = style.marker if not censored else "<" if math.isfinite(row["cost"]) else ">"
    filled = "white" if censored else style.colour
    axes.plot([value], [place], marker=marker, color=style.colour, markerfacecolor=filled, markersize=5)


def gains_figure(compared: pd.DataFrame, styles: Mapping[str, Style], what: str) -> Figure | None:
    """Every arm's paired difference to its baseline, with t intervals and what a star needs; None without pairs."""
    rows = compared[compared["n"] > 0]
    if rows.empty:
        return None
    names, left, high = row_names(_pair_names(rows, 26), 26)
    figure = Figure(figsize=(COLUMN, 0.6 + max(0.34, high) * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows.to_dict("records")):
        style = styles[row["label"]]
        if row["n"] >= BANDED:
            axes.plot([row["low"], row["high"]], [place, place], color=style.colour, linewidth=1.3)
        axes.plot([row["difference"]], [place], linestyle="", **style.mark(), color=style.colour)
    axes.axvline(0, color="#000000", linewidth=0.9, linestyle="--")
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=int((COLUMN - left) / 0.45)))  # numbers with signs do not touch
    plain_axes(axes)
    intervals = "95 % interval" + (f" from {BANDED} pairs on" if rows["n"].min() < BANDED else "")
    further = say(axes, COLUMN - left, "", f"difference in {what}, {intervals}")
    figure.set_figheight(figure.get_figheight() + further)
    return figure


def _pair_names(rows: pd.DataFrame, letters: int) -> list[str]:
    """The two arms of each row with the star of what is significant, an arm a line where one line is too short."""
    pairs = zip(rows["label"], rows["baseline"], rows["star"], strict=True)
    names = [(f"{one} −", f"{two}{' *' if star else ''}") for one, two, star in pairs]
    return [("\n" if len(one) + 1 + len(two) > letters else " ").join((one, two)) for one, two in names]


def penalties_figure(penalties: pd.DataFrame) -> Figure | None:
    """The pairwise penalty matrix as a heat map with its numbers; None where nothing could be tested."""
    if penalties["share"].isna().all():
        return None
    labels = list(dict.fromkeys(penalties["label"]))
    matrix = penalties.pivot(index="label", columns="other", values="share").reindex(index=labels, columns=labels)
    names, left, high = row_names(labels, 20)
    cell = max(0.3, min(0.6, (PAGE - 2) / len(labels)))  # at least a number's width
    width = max(COLUMN, cell * len(labels) + max(1.6, left))
    columns, rotation, below = _column_names(labels, (width - left) / len(labels))
    figure = Figure(figsize=(width, max(cell, high) * len(labels) + below + 0.7), layout="constrained")
    axes = figure.add_subplot()
    _heat(axes, matrix.to_numpy(float), names)
    lost = matrix.mean(axis=0)
    axes.set_xticks(range(len(labels)), [f"{text}\n{lost[x]:.2f}" for x, text in zip(labels, columns, strict=True)])
    axes.tick_params(axis="x", rotation=rotation)
    title = f"share of {int(penalties['rounds'].iloc[0])} rounds in which the row beats the column\n"
    title += "(paired t-test at 5 %; by chance 0.025)"
    under = "under each column: the mean share of rounds that it lost"
    figure.set_figheight(figure.get_figheight() + say(axes, width - left, title, under, SMALL))
    return figure


def _column_names(labels: Sequence[str], cell: float) -> tuple[list[str], int, float]:
    """Names that leave a line to a number and do not touch in columns `cell` inches wide: texts, degrees, inches."""
    texts, _, high = row_names(labels, 20)
    if max(map(width_of, texts)) < cell - 0.05:
        return texts, 0, high + LINE
    letters = 20
    while high + LINE > cell and high > 2 * LINE:
        letters += 2
        texts, _, high = row_names(labels, letters)
    return texts, 90, max(map(width_of, texts))


def _heat(axes: Axes, values: npt.NDArray[np.float64], rows: Sequence[str], numbers: bool = True) -> AxesImage:
    """Shares from 0 to 1, grey where there is none."""
    colours = colormaps["cividis"].with_extremes(bad="#eeeeee")
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if numbers and not math.isnan(value):
            colour = "white" if value < 0.5 else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=NUMBERS, color=colour)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(labelsize=SMALL, length=0)
    axes.spines[:].set_visible(False)
    return image


def ranks_figure(rounds: pd.DataFrame, ranks: Ranks, styles: Mapping[str, Style], cost: CostUnit) -> Figure:
    """The mean rank over the runs at every cost, and of the whole curve with its interval."""
    count = ranks.table["label"].nunique()
    names, width, high = row_names(ranks.table["label"], 24)
    figure = Figure(figsize=(PAGE, max(2.3, 0.6 + high * count)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
    mean_lines(left, rounds.rename(columns={"rank": "mean"}), styles, opacity=0.0)
    cost_axis(left, cost, rounds["cost"])
    left.set_ylabel("mean rank (1 = best)")
    left.set_ylim(count + 0.2, 0.8)
    left.set_yticks(range(1, count + 1))
    plain_axes(left)
    for place, row in enumerate(ranks.table.to_dict("records")):
        style = styles[row["label"]]
        if ranks.n >= BANDED:
            right.plot([row["low"], row["high"]], [place, place], color=style.colour, linewidth=1.3)
        right.plot([row["rank"]], [place], linestyle="", color=style.colour, **style.mark())
    right.set_yticks(range(count), names)
    right.set_ylim(count - 0.5, -0.5)
    right.set_xlim(0.8, count + 0.2)
    plain_axes(right)
    p = "< 0.001" if ranks.friedman < 0.001 else f"= {ranks.friedman:.3f}"
    tests = f"critical difference {ranks.critical:.2f} (Nemenyi), Friedman p {p}"
    tests = "" if math.isnan(ranks.critical) else tests
    further = say(right, (PAGE - width - 0.7) / 2.3, tests, f"mean rank of the whole curve, {ranks.n} runs")
    further += legend(figure, styles, {label: label for label in dict.fromkeys(rounds["label"])})
    figure.set_figheight(figure.get_figheight() + further)
    return figure


def agreement_over_rounds_figure(table: pd.DataFrame) -> Figure | None:
    """Of every arm, which share of its questions the others would have asked, over the rounds; None if unknown."""
    stem, end = "agreement/", "_overlap"
    names = [name for name in table["metric"].unique() if name.startswith(stem) and name.endswith(end)]
    rows = table[table["metric"].isin(names) & table["value"].notna() & ~table["ceiling"]]
    if rows.empty:
        return None
    metrics = sorted(rows["metric"].unique())
    matrices = {
        str(label): own.pivot_table(index="metric", columns="round", values="value").reindex(metrics)
        for label, own in list(rows.groupby("label", sort=False))[:MOST_ARMS]
    }
    others, left, high = row_names((one.removeprefix(stem).removesuffix(end).replace("_", " ") for one in metrics), 26)
    columns = min(2, len(matrices))
    lines, width = math.ceil(len(matrices) / columns), PAGE if columns > 1 else COLUMN + 1
    room = width / columns - left
    cell = room / max(len(matrix.columns) for matrix in matrices.values())
    numbers = cell > width_of("0.00", NUMBERS) + 0.02
    figure = Figure(figsize=(width, lines * (high * len(metrics) + 0.6)), layout="constrained")
    panels: list[Axes] = list(figure.subplots(lines, columns, squeeze=False).ravel())
    further = 0.0
    for axes, (label, matrix) in zip(panels, matrices.items(), strict=False):
        image = _heat(axes, matrix.to_numpy(float), others, numbers)
        rounds = [f"{int(number)}" for number in matrix.columns]
        step = math.ceil((max(map(width_of, rounds)) + 0.05) / cell)
        axes.set_xticks(range(0, len(rounds), step), rounds[::step])
        further = max(further, say(axes, room, f"asked by {label}", "round"))
    for axes in panels[len(matrices) :]:
        axes.set_axis_off()
    if not numbers:
        _bar(figure, panels, image)
    if any(matrix.isna().to_numpy().any() for matrix in matrices.values()):
        figure.supxlabel(wrapped_to_width(GREY, width - 0.2, SMALL), fontsize=SMALL)
    figure.set_figheight(figure.get_figheight() + lines * further + (0.2 if numbers else 0.7))
    return figure


def _bar(figure: Figure, panels: Sequence[Axes], image: AxesImage) -> None:
    """What the colours mean, where the cells have no room for numbers."""
    bar = figure.colorbar(image, ax=panels, location="bottom", shrink=0.5, aspect=40)
    bar.set_label("share of the asked units", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
