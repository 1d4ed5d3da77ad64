"""Learning curves, for a paper, a terminal and a run's own page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from seg_al.core import CostUnit
from seg_al.recording.pictures.print_style import (
    COLUMN,
    LINE,
    SMALL,
    Style,
    caption,
    cost_axis,
    frame,
    legend,
    plain_axes,
    save,
    wrapped_to_width,
)
from seg_al.results.arm_styles import figure_title, styles_of
from seg_al.results.arms import missing, shown
from seg_al.results.curves import differences, points_of, table_of
from seg_al.results.learned_rounds import NoComparison, comparable
from seg_al.results.levels import levels_of
from seg_al.results.mean_lines import BANDED, banded, mean_lines, rings, seen_with_bands
from seg_al.results.metrics import marked, metric_of, unit_of
from seg_al.results.study import Study
from seg_al.results.verdicts import as_text, in_short, last_savings, verdicts

HEADLINE = 9
"""Points of the words above a picture for newcomers."""


@dataclass(frozen=True)
class Drawing:
    """What `draw` made: the report for a terminal, and the files."""

    text: str
    paths: tuple[Path, ...]


def draw(study: Study, metric: str, cost: CostUnit, stem: Path) -> Drawing:
    """Draws the curves, writes the tables as CSV, and says everything that a person should know of them.

    Writes <stem>.png, <stem>.pdf, <stem>.csv and, where there is a random arm, <stem>_difference.csv.
    """
    table, notes = study.table, missing(study.table, cost, metric)
    means, saved = table_of(table, metric, cost), last_savings(study, metric, cost)
    try:
        gains = differences(table, metric, cost)
    except NoComparison:
        gains = pd.DataFrame()
    figure = curves_figure(table, metric, cost, notes, in_short(study, saved, metric, cost))
    paths = [*save(figure, stem), stem.with_name(stem.name + ".csv")]
    marked(means, table).to_csv(paths[-1], index=False)
    if len(gains):
        paths.append(stem.with_name(stem.name + "_difference.csv"))
        marked(gains, table).to_csv(paths[-1], index=False)
    lines = [f"{figure_title(table, metric)}: mean ± sd", as_text(means, gains, cost), ""]
    lines += [f"{level.name}: {level.value:.4f}" for level in levels_of(table, metric)]
    if study.val_images:
        lines.append(f"val: {max(study.val_images):g} images, labelled besides those of the pool")
    lines += [*verdicts(study, saved, metric, cost), *comparable(table, metric, cost).notes]
    if notes:
        lines += ["", "Not equal, or missing:", *(f"  {note}" for note in notes)]
    return Drawing("\n".join([*lines, "", *(str(path) for path in paths)]), tuple(paths))


def curves_figure(table: pd.DataFrame, metric: str, cost: CostUnit, notes: Sequence[str], seen: str = "") -> Figure:
    """Mean curves, their 95 % t intervals from BANDED runs on, single runs faint behind, levels across.

    `seen` stands above in larger letters, for newcomers, who see bands of a standard error and no single runs. What has
    not learned is drawn as rings.
    """
    means, points, styles = table_of(table, metric, cost), points_of(table, metric, cost), styles_of(table)
    if seen:
        half = means["sd"] / means["n"] ** 0.5
        means = means.assign(low=means["mean"] - half, high=means["mean"] + half)
    figure = Figure(figsize=(COLUMN, 2.5), layout="constrained")
    axes = figure.add_subplot()
    arms = {str(label): rows for label, rows in means.groupby("label", sort=False)}
    twins = mean_lines(axes, means, styles, opacity=0.05 if len(arms) > 3 else 0.12)
    for label, rows in arms.items():
        if (runs := int(rows["n"].max())) > 1 and not (seen and runs >= BANDED):
            _single_runs(axes, points[points["label"] == label], styles[label], banded=runs >= BANDED)
    cost_axis(axes, cost, means["cost"])
    axes.set_ylabel(wrapped_to_width(metric + unit_of(metric_of(table, metric)), 1.9))
    plain_axes(axes)
    levels = levels_of(table, metric)
    own = metric_of(table, metric)
    held = [
        *(seen_with_bands(means, own) if seen and means["n"].max() >= BANDED else points["value"]),
        *(one.value for one in levels if one.framed),
    ]
    bottom, top = frame(axes, held, own)
    levels = [one for one in levels if bottom <= one.value <= top]
    bands = banded(means)
    cut = bool((bands["low"] < bottom).any() or (bands["high"] > top).any())
    for level in levels:
        axes.axhline(level.value, zorder=2, **level.style.line())
    lines = [
        figure_title(table, metric),
        _about(means, bool(seen)),
        *(["intervals are cut by the frame"] if cut else []),
    ]
    title = wrapped_to_width("\n".join(lines), COLUMN - 0.6, SMALL)
    axes.set_title(title, fontsize=SMALL)
    if seen:
        lines_below = title.count("\n") + 1
        axes.annotate(
            wrapped_to_width(seen, COLUMN - 0.2, HEADLINE), (0.03, 1), xycoords=("figure fraction", "axes fraction"),
            xytext=(0, 8 + 72 * LINE * lines_below), textcoords="offset points", fontsize=HEADLINE, fontweight="bold",
            va="bottom",
        )  # fmt: skip
    names = {label: f"{shown(label)} ({_count(rows['n'])})" for label, rows in arms.items()}
    names |= {label: f"{names[label]}, identical to {shown(twin)}" for label, twin in twins.items()}
    names |= {level.name: level.name for level in levels} | {name: name for name in rings(means)}
    height = legend(figure, styles | {level.name: level.style for level in levels} | rings(means), names)
    figure.set_figheight(2.5 + height + (0.5 if seen else 0))
    caption(figure, notes)
    return figure


def _about(means: pd.DataFrame, plain: bool) -> str:
    """What the lines and bands are."""
    fewest, most = int(means["n"].min()), int(means["n"].max())
    if most == 1:
        return "single runs"
    if most < BANDED:
        return f"mean; thin: single runs; no interval below {BANDED} runs"
    if plain:
        return "mean; band: its standard error"
    return "mean, 95 % interval" + (f" from {BANDED} runs on" if fewest < BANDED else "") + "; thin: single runs"


def _single_runs(axes: Axes, points: pd.DataFrame, style: Style, banded: bool) -> None:
    """Faint behind their band; where there is none, they are what shows the spread."""
    lines = [run[["cost", "value"]].to_numpy(float) for _, run in points.groupby("run", sort=False)]
    faint = max(0.04, min(0.25, 4 / len(lines))) if banded else 0.6
    axes.add_collection(LineCollection(lines, colors=style.colour, linewidths=0.4, alpha=faint, zorder=1))


def _count(counts: pd.Series[int]) -> str:
    fewest, most = int(counts.min()), int(counts.max())
    return f"n = {most}" if fewest == most else f"n = {fewest} to {most}"
