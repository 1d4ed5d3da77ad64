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
    CEILING,
    COLUMN,
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
from seg_al.results.arms import missing
from seg_al.results.curves import as_text, differences, differences_as_text, points_of, table_of
from seg_al.results.mean_lines import BANDED, banded, mean_lines
from seg_al.results.metrics import metric_of, unit_of


@dataclass(frozen=True)
class Drawing:
    """What `draw` made: the report for a terminal, and the files."""

    text: str
    paths: tuple[Path, ...]


def draw(table: pd.DataFrame, metric: str, cost: CostUnit, stem: Path) -> Drawing:
    """Draws the curves, writes the tables as CSV, and says everything that a person should know of them.

    Writes <stem>.png, <stem>.pdf, <stem>.csv and, where there is a random arm, <stem>_difference.csv.
    """
    means, gains = table_of(table, metric, cost), differences(table, metric, cost)
    notes = missing(table, cost, metric)
    paths = [*save(curves_figure(table, metric, cost, notes), stem), stem.with_name(stem.name + ".csv")]
    means.to_csv(paths[-1], index=False)
    lines = [f"{figure_title(table, metric)}: mean ± sd (runs)", as_text(means, cost)]
    lines += [f"{label}: {score:.4f} (mean of {n} full-data runs)" for label, score, n in ceilings(table, metric)]
    if len(gains):
        paths.append(stem.with_name(stem.name + "_difference.csv"))
        gains.to_csv(paths[-1], index=False)
        lines += ["", "Last round, paired by run:", *differences_as_text(gains, cost)]
    if notes:
        lines += ["", "Not equal, or missing:", *(f"  {note}" for note in notes)]
    return Drawing("\n".join([*lines, "", *(str(path) for path in paths)]), tuple(paths))


def curves_figure(table: pd.DataFrame, metric: str, cost: CostUnit, notes: Sequence[str]) -> Figure:
    """Mean curves, their 95 % t intervals from BANDED runs on, single runs faint behind, full-data runs as a level."""
    means, points, styles = table_of(table, metric, cost), points_of(table, metric, cost), styles_of(table)
    figure = Figure(figsize=(COLUMN, 2.5), layout="constrained")
    axes = figure.add_subplot()
    arms = {str(label): rows for label, rows in means.groupby("label", sort=False)}
    twins = mean_lines(axes, means, styles, opacity=0.05 if len(arms) > 3 else 0.12)
    for label, rows in arms.items():
        if (runs := int(rows["n"].max())) > 1:
            _single_runs(axes, points[points["label"] == label], styles[label], banded=runs >= BANDED)
    cost_axis(axes, cost, means["cost"])
    axes.set_ylabel(wrapped_to_width(metric + unit_of(metric_of(table, metric)), 1.9))
    plain_axes(axes)
    levels = ceilings(table, metric)
    bottom, top = frame(axes, [*points["value"], *(score for _, score, _ in levels)], metric_of(table, metric))
    bands = banded(means)
    cut = bool((bands["low"] < bottom).any() or (bands["high"] > top).any())
    full = _levels(axes, levels)
    lines = [figure_title(table, metric), _about(means), *(["intervals are cut by the frame"] if cut else [])]
    axes.set_title(wrapped_to_width("\n".join(lines), COLUMN - 0.6, SMALL), fontsize=SMALL)
    names = {label: f"{label} ({_count(rows['n'])})" for label, rows in arms.items()}
    names |= {label: f"{names[label]}, identical to {twin}" for label, twin in twins.items()}
    height = legend(figure, styles | full, names | {label: f"{label} (n = {n})" for label, _, n in levels})
    figure.set_figheight(2.5 + height)
    caption(figure, notes)
    return figure


def ceilings(table: pd.DataFrame, metric: str) -> list[tuple[str, float, int]]:
    """Label, mean score and number of the full-data runs."""
    full = table[table["ceiling"] & (table["metric"] == metric)].groupby("label", sort=False)["value"]
    return [(str(label), float(values.mean()), len(values)) for label, values in full]


def _about(means: pd.DataFrame) -> str:
    """What the lines and bands are."""
    fewest, most = int(means["n"].min()), int(means["n"].max())
    if most == 1:
        return "single runs"
    if most < BANDED:
        return f"mean; thin: single runs; no interval below {BANDED} runs"
    return "mean, 95 % interval" + (f" from {BANDED} runs on" if fewest < BANDED else "") + "; thin: single runs"


def _single_runs(axes: Axes, points: pd.DataFrame, style: Style, banded: bool) -> None:
    """Faint behind their band; where there is none, they are what shows the spread."""
    lines = [run[["cost", "value"]].to_numpy(float) for _, run in points.groupby("run", sort=False)]
    faint = max(0.04, min(0.25, 4 / len(lines))) if banded else 0.6
    axes.add_collection(LineCollection(lines, colors=style.colour, linewidths=0.4, alpha=faint, zorder=1))


def _count(counts: pd.Series[int]) -> str:
    fewest, most = int(counts.min()), int(counts.max())
    return f"n = {most}" if fewest == most else f"n = {fewest} to {most}"


def _levels(axes: Axes, levels: Sequence[tuple[str, float, int]]) -> dict[str, Style]:
    """Full-data runs across the axes; returns their styles, for the legend, where curves do not run over the names."""
    styles = {label: Style(CEILING, "", (0, (8, 3, *[1, 3] * number))) for number, (label, _, _) in enumerate(levels)}
    for label, score, _ in levels:
        axes.axhline(score, zorder=2, **styles[label].line())
    return styles
