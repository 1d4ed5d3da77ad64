"""Figures of small panels: classes, costs, effort, the classes that were asked about, passes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seg_al.core import COST_UNITS, CostUnit
from seg_al.recording.pictures.print_style import (
    COLUMN,
    DASHES,
    LINE,
    NORMAL,
    PAGE,
    SMALL,
    Style,
    cost_axis,
    frame,
    legend,
    plain_axes,
    wrapped_to_width,
)
from seg_al.results.arm_statistics import areas, summary
from seg_al.results.arm_styles import styles_of
from seg_al.results.curves import arms_of, table_of
from seg_al.results.mean_lines import banded, mean_lines, rings, seen_with_bands
from seg_al.results.metrics import class_metrics, metric_of, unit_of

MOST_CLASSES = 12
"""Classes of one figure, a small panel each."""
SHARE_OF_CLASS = "asked/share_"
"""What the name of a class's share of the asked pixels begins with."""


def per_class_figure(table: pd.DataFrame, metric: str, cost: CostUnit) -> Figure | None:
    """A panel per class of the metric; None where it has none."""
    classes = class_metrics(table, metric)
    if not classes:
        return None
    shown = most_asked(table, classes)
    figure = _panels(table, {name: (classes[name], cost) for name in shown}, metric_of(table, metric).of_class)
    return _counted(figure, len(shown), len(classes))


def most_asked(table: pd.DataFrame, classes: Mapping[str, str]) -> list[str]:
    """At most MOST_CLASSES of the classes, whose metrics are given, in their order.

    Of more: those with any value but 0, and of these the ones with the largest share of the asked pixels.
    """
    if len(classes) <= MOST_CLASSES:
        return list(classes)
    largest = table.groupby("metric")["value"].max()
    asked = table[table["metric"].str.startswith(SHARE_OF_CLASS)].groupby("metric")["value"].mean()
    seen = {name: bool(largest.get(metric, 0.0) > 0) for name, metric in classes.items()}
    order = sorted(classes, key=lambda name: (not seen[name], -float(asked.get(SHARE_OF_CLASS + name, 0.0))))
    return [name for name in classes if name in order[:MOST_CLASSES]]


def _counted(figure: Figure, shown: int, count: int) -> Figure:
    """Says in the figure that it does not show all classes."""
    if shown < count:
        figure.suptitle(f"{shown} of {count} classes: those most asked about", fontsize=SMALL)
        figure.set_figheight(figure.get_figheight() + 0.2)
    return figure


def cost_axes_figure(table: pd.DataFrame, metric: str) -> Figure | None:
    """The same curves over every cost that was recorded; None where that is one alone."""
    rows = table[(table["metric"] == metric) & ~table["ceiling"]]
    there = [unit for unit in COST_UNITS if rows[unit].notna().any() and rows[unit].max() > 0]
    if len(there) < 2:
        return None
    return _panels(table, {unit: (metric, unit) for unit in there}, metric)


def effort_figure(table: pd.DataFrame) -> Figure | None:
    """Seconds of asking and training, and the peak memory, over the labelled images; None where not recorded."""
    names = {
        "asking (s)": "effort/query_seconds",
        "training (s)": "effort/train_seconds",
        "peak memory of asking (MiB)": "effort/query_peak_mib",
    }
    first_labels = table["metric"].isin([names["asking (s)"], names["peak memory of asking (MiB)"]]) & (
        table["round"] == 0
    )
    table = table[~first_labels]  # which no heuristic asked for
    known = table.loc[table["value"].notna() & ~table["ceiling"], "metric"].unique()
    drawn: dict[str, tuple[str, CostUnit]] = {text: (one, "images") for text, one in names.items() if one in known}
    return _panels(table, drawn, "", bands=False) if drawn else None


def shares_figure(table: pd.DataFrame) -> Figure | None:
    """The share of each class among the pixels that a round asked about; None where not recorded."""
    metrics = sorted({one for one in table["metric"].unique() if one.startswith(SHARE_OF_CLASS)})
    if not metrics:
        return None
    classes = {one.removeprefix(SHARE_OF_CLASS): one for one in metrics}
    shown = most_asked(table, classes)
    figure = _panels(table, {name: (classes[name], "images") for name in shown}, "share of the asked pixels")
    return _counted(figure, len(shown), len(classes))


def _panels(table: pd.DataFrame, drawn: Mapping[str, tuple[str, CostUnit]], ylabel: str, bands: bool = True) -> Figure:
    """Mean curves of every arm, a panel per entry: title -> metric and cost."""
    columns = min(3, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure = Figure(figsize=(PAGE if columns > 1 else COLUMN, 1.9 * rows), layout="constrained")
    panels: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).ravel())
    styles = styles_of(table)
    seen: dict[str, str] = {}
    marks: dict[str, Style] = {}
    for axes, (title, (metric, cost)) in zip(panels, drawn.items(), strict=False):
        means = table_of(table, metric, cost)
        seen |= {str(label): str(label) for label in means["label"]}
        marks |= rings(means)
        mean_lines(axes, means, styles, opacity=0.1 if bands else 0.0)
        own = metric_of(table, metric)
        frame(axes, seen_with_bands(means, own) if bands else means["mean"], own)
        cost_axis(axes, cost, means["cost"], room=7)
        named = title + ("" if ylabel else unit_of(own) * ("(" not in title))
        axes.set_title(wrapped_to_width(named, figure.get_figwidth() / columns - 0.45))
        plain_axes(axes)
    for axes in panels[len(drawn) :]:
        axes.set_axis_off()
    if ylabel:
        figure.supylabel(wrapped_to_width(ylabel, 1.9 * rows), fontsize=NORMAL)
    names = {label: seen[label] for label in styles if label in seen} | {name: name for name in marks}
    height = legend(figure, styles | marks, names)
    figure.set_figheight(figure.get_figheight() + height)
    return figure


def passes_figure(table: pd.DataFrame, metric: str, cost: CostUnit) -> Figure | None:
    """What more passes give: the area under the curve by mc_iters, and the ranking's stability; None if unknown."""
    arms = arms_of(table)
    others = arms["label"].str.replace(r", mc_iters=[^,]+", "", regex=True)
    varied = {str(name): own for name, own in arms.groupby(others, sort=False) if own["mc_iters"].nunique() > 1}
    stem = "stability/kendall_at_"
    names = [name for name in table["metric"].unique() if name.startswith(stem)]
    stable = table[table["metric"].isin(names) & table["value"].notna() & ~table["ceiling"]]
    panels = [*(["areas"] if varied else []), *(["stability"] if len(stable) else [])]
    if not panels:
        return None
    figure = Figure(figsize=(PAGE if len(panels) > 1 else COLUMN, 2.2), layout="constrained")
    drawn = dict(zip(panels, figure.subplots(1, len(panels), squeeze=False).ravel(), strict=True))
    styles, height = styles_of(table), 0.0
    seen: dict[str, str] = {}
    for axes in drawn.values():
        axes.set_xlabel("passes (count)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if "areas" in drawn:
        height += _areas(drawn["areas"], varied, summary(areas(table, metric, cost)), styles)
        drawn["areas"].set_ylabel(wrapped_to_width(f"mean {metric} of the curve", 1.7))
    if "stability" in drawn:
        counts = stable["metric"].str.removeprefix(stem).astype(int)
        means = stable.assign(cost=counts).groupby(["label", "cost"], as_index=False).agg(mean=("value", "mean"))
        mean_lines(drawn["stability"], means, styles, opacity=0.0)
        frame(drawn["stability"], means["mean"], metric_of(table, names[0]))
        seen = {label: label for label in styles if label in set(means["label"])}
        drawn["stability"].set_ylabel("Kendall's τ with all passes")
    for axes in drawn.values():
        plain_axes(axes)
    if seen:
        height += legend(figure, styles, seen)
    figure.set_figheight(2.2 + height)
    return figure


def _areas(axes: Axes, varied: Mapping[str, pd.DataFrame], scores: pd.DataFrame, styles: Mapping[str, Style]) -> float:
    """A line over mc_iters for the arms that differ in nothing else; returns the inches of its names above the axes."""
    found = scores.set_index("label")
    half_widths = banded(found)["high"] - banded(found)["mean"]
    for number, (name, arms) in enumerate(varied.items()):
        own = arms.sort_values("mc_iters")
        half = own["label"].map(half_widths)
        style = styles[str(own["label"].iloc[0])]
        axes.errorbar(
            own["mc_iters"], own["label"].map(found["mean"]), half, capsize=2, label=wrapped_to_width(name, 2.3, SMALL),
            **(style.line() | {"linestyle": DASHES[number % len(DASHES)]}),
        )  # fmt: skip
    names = axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=SMALL, frameon=False, handlelength=3.2)
    return 0.05 + LINE * sum(text.get_text().count("\n") + 1 for text in names.get_texts())
