"""Figures of learning curves, for a paper, a terminal and a run's own page.

Drawn on matplotlib's objects and the Agg canvas: no window, no global state, safe in any process.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from seg_al.arms import missing
from seg_al.core import CostUnit
from seg_al.curves import as_text, differences, differences_as_text, points_of, table_of

# Okabe and Ito (2008), with grey for its yellow, which does not show on white; black is the first arm's.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888")
MARKERS = ("o", "s", "^", "D", "v", "p", "<", "h", ">", "d")
DASHES: tuple[Any, ...] = ("--", "-", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
COST_AXES: dict[CostUnit, str] = {
    "images": "labelled images (count)",
    "pixels": "labelled pixels (count)",
    "regions": "answered regions (count)",
}
NOTES = 5
"""Lines of gaps that a figure spells out; the rest is counted."""


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
    paths = [*learning_curves(table, metric, cost, stem), stem.with_name(stem.name + ".csv")]
    means.to_csv(paths[-1], index=False)
    lines = [f"{_title(table, metric)}: mean ± sd (runs)", as_text(means, cost)]
    if len(gains):
        paths.append(stem.with_name(stem.name + "_difference.csv"))
        gains.to_csv(paths[-1], index=False)
        lines += ["", "Last round, paired by run:", *differences_as_text(gains, cost)]
    if notes := missing(table, cost, metric):
        lines += ["", "Not equal, or missing:", *(f"  {note}" for note in notes)]
    return Drawing("\n".join([*lines, "", *(str(path) for path in paths)]), tuple(paths))


def learning_curves(table: pd.DataFrame, metric: str, cost: CostUnit, path_stem: Path) -> tuple[Path, Path]:
    """Mean curves with 95 % t intervals, single runs faint behind; returns <stem>.png and <stem>.pdf."""
    means, points = table_of(table, metric, cost), points_of(table, metric, cost)
    arms = list(dict.fromkeys(means["label"]))
    figure = Figure(figsize=(7.0, max(4.2, 0.45 * len(arms) + 0.6)), layout="constrained")
    axes = figure.add_subplot()
    for index, label in enumerate(arms):
        runs = [run for _, run in points[points["label"] == label].groupby("run")]
        for run in runs if len(runs) > 1 else []:
            axes.plot(run["cost"], run["value"], color=_colour(index), linewidth=0.5, alpha=0.25, zorder=1)
        _mean_curve(axes, means[means["label"] == label], index, crowded=len(arms) > 4)
    _cost_axis(axes, cost, means["cost"])
    axes.set_ylabel(metric + _unit(metric, points["value"]))
    axes.set_title(_title(table, metric), fontsize=10)
    _plain(axes)
    title = "mean, 95 % interval;\nthin: single runs" if means["n"].max() > 1 else None
    if _frame(axes, means, points):
        title = f"{title}\n(intervals cut by the frame)"
    figure.legend(loc="outside right upper", fontsize=8, title=title, title_fontsize=8, handlelength=3.6)
    _caption(figure, missing(table, cost, metric))
    return _save(figure, path_stem)


def run_curve(
    rounds: Sequence[Mapping[str, Mapping[str, float]]],
    path: Path,
    metrics: Sequence[str] = ("test/dice", "val/dice"),
) -> None:
    """One run's metrics over its labelled images, as a small PNG; `rounds` are its metrics.json objects.

    Metrics that the run does not have are left out; raises ValueError if it has none of them.
    """
    there = {name for entry in rounds for name in entry["metrics"]}
    drawn = [name for name in metrics if name in there]
    if not drawn:
        raise ValueError(f"no round has {' or '.join(metrics)}; there are {', '.join(sorted(there))}")
    figure = Figure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for index, name in enumerate(drawn):
        own = [entry for entry in rounds if name in entry["metrics"]]
        costs, values = [e["cost"]["images"] for e in own], [e["metrics"][name] for e in own]
        axes.plot(costs, values, label=name, **_style(index + 1))
    _cost_axis(axes, "images", [entry["cost"]["images"] for entry in rounds])
    axes.set_ylabel(drawn[0].rpartition("/")[2] if len({n.rpartition("/")[2] for n in drawn}) == 1 else "metric")
    _plain(axes)
    figure.legend(loc="outside upper center", ncols=len(drawn), fontsize=8, frameon=False)
    _write(figure, path, dpi=120)


def _mean_curve(axes: Axes, rows: pd.DataFrame, index: int, crowded: bool) -> None:
    """One arm's mean, its band with a fine edge, so that bands tell apart where they overlap, and its n."""
    fewest, most = int(rows["n"].min()), int(rows["n"].max())
    count = f"n = {most}" if fewest == most else f"n = {fewest} to {most}"
    alone = ", no interval" if most == 1 else ""
    legend = "\n".join(textwrap.wrap(rows["label"].iloc[0], 26)) + f"\n({count}{alone})"
    axes.plot(rows["cost"], rows["mean"], label=legend, zorder=3, **_style(index))
    band, colour = rows[rows["low"].notna()], _colour(index)
    opacity = 0.06 if crowded else 0.13
    axes.fill_between(band["cost"], band["low"], band["high"], color=colour, alpha=opacity, linewidth=0, zorder=2)
    for edge in ("low", "high"):
        axes.plot(band["cost"], band[edge], color=colour, linewidth=0.7, linestyle=":", alpha=0.7, zorder=2)


def _frame(axes: Axes, means: pd.DataFrame, points: pd.DataFrame) -> bool:
    """Keeps the curves readable beside the huge intervals of two or three runs; says whether it cut any."""
    low, high = float(points["value"].min()), float(points["value"].max())
    room = (high - low) or 0.1
    bottom, top = np.nanmin([low, means["low"].min()]), np.nanmax([high, means["high"].max()])
    cut = bool(bottom < low - room / 2 or top > high + room / 2)
    margin = room * 0.05
    bottom, top = max(bottom, low - room / 2), min(top, high + room / 2)
    if low >= 0 and high <= 1:  # a fraction
        bottom, top = max(bottom, 0.0), min(top, 1.0)
    axes.set_ylim(bottom - margin, top + margin)
    return cut


def _cost_axis(axes: Axes, cost: CostUnit, costs: Sequence[float] | pd.Series[float]) -> None:
    """Ticks at the costs themselves while they are few whole numbers."""
    axes.set_xlabel(COST_AXES[cost])
    ticks = sorted(set(costs))
    if cost == "pixels":
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    elif len(ticks) <= 12 and all(float(tick).is_integer() for tick in ticks):
        axes.set_xticks(ticks)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))


def _colour(index: int) -> str:
    return COLOURS[0] if index == 0 else COLOURS[1 + (index - 1) % (len(COLOURS) - 1)]


def _style(index: int) -> dict[str, Any]:
    """Colour, marker and dashes together: any two of the first arms differ in all three."""
    return {
        "color": _colour(index),
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 1.6,
        "markersize": 4.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def _plain(axes: Axes) -> None:
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)


def _title(table: pd.DataFrame, metric: str) -> str:
    parts = [", ".join(sorted(set(table[name].dropna().astype(str)))) for name in ("dataset", "model")]
    return " · ".join([*filter(None, parts), metric])


def _unit(metric: str, values: pd.Series[float]) -> str:
    """The unit behind an axis label; fractions are recognised by their range."""
    for word, unit in (("hausdorff", "pixels"), ("seconds", "s"), ("mib", "MiB"), ("nll", "nats")):
        if word in metric.lower():
            return f" ({unit})"
    return " (0 to 1)" if values.between(0, 1).all() else ""


def _caption(figure: Figure, notes: Sequence[str]) -> None:
    """What is missing or unequal, under the axes, so that the picture never travels without it."""
    if not notes:
        return
    shown = [textwrap.shorten(note, 125, placeholder=" …") for note in notes[:NOTES]]
    if len(notes) > NOTES:
        shown.append(f"and {len(notes) - NOTES} more; the printed report names all")
    figure.supxlabel("\n".join(shown), x=0.01, ha="left", fontsize=7, color="#8a1c00")


def _save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    png, pdf = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".pdf")
    _write(figure, png, dpi=200)
    _write(figure, pdf, dpi=200)
    return png, pdf


def _write(figure: Figure, path: Path, dpi: int) -> None:
    """Without dates and versions inside, so that equal numbers give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix.removeprefix(".")
    metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    FigureCanvasAgg(figure)
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(path, format=kind, dpi=dpi, metadata=metadata)
