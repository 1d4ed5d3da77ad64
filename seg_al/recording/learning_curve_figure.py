"""Draws the learning curve of one run, for its page in Omniboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from seg_al.core import Metric
from seg_al.measuring.learned import CONSTANT, NOT_LEARNED, UNTRAINED, learned
from seg_al.recording.pictures.print_style import (
    CEILING,
    cost_axis,
    frame,
    plain_axes,
    style_of,
    write_figure,
)

_LEVELS = (
    (CONSTANT, "constant predictor", ":", 1.4),
    (UNTRAINED, "untrained network", "-", 0.5),
)
"""What is scored on test without learning, as level lines: prefix, label, dashes and width."""


def learning_curve_figure(rounds: Sequence[Mapping[str, Mapping[str, float]]], path: Path, metric: Metric) -> None:
    """One run's metric on test and val over its labelled images, as a small PNG; `rounds` are its metrics.json objects.

    A split on which the run was not measured is left out. Rounds that have not learned are hollow on test.
    """
    there = {name for entry in rounds for name in entry["metrics"]}
    drawn = [name for name in (f"test/{metric.name}", f"val/{metric.name}") if name in there]
    figure = Figure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    seen = [entry["metrics"][name] for entry in rounds for name in drawn if name in entry["metrics"]]
    for index, name in enumerate(drawn):
        own = [entry for entry in rounds if name in entry["metrics"]]
        costs, values = [e["cost"]["images"] for e in own], [e["metrics"][name] for e in own]
        axes.plot(costs, values, label=name, clip_on=False, **style_of(index).line())
    style = style_of(0)
    if hollow := [entry for entry in rounds if learned(entry["metrics"], metric) is False]:
        axes.plot(
            [entry["cost"]["images"] for entry in hollow],
            [entry["metrics"][f"test/{metric.name}"] for entry in hollow],
            style.marker, markersize=5, label=NOT_LEARNED, clip_on=False, zorder=3,
            markerfacecolor="white", markeredgecolor=style.colour,
        )  # fmt: skip
    for prefix, label, dashes, width in _LEVELS:
        found = [entry["metrics"].get(f"test/{prefix}{metric.name}") for entry in rounds]
        if levels := [level for level in found if level is not None]:
            axes.axhline(
                levels[-1], label=f"{label} (test)", color=CEILING, linestyle=dashes, linewidth=width, zorder=1
            )
            seen.append(levels[-1])
    cost_axis(axes, "images", [entry["cost"]["images"] for entry in rounds])
    frame(axes, seen, metric)
    axes.set_ylabel(metric.name + (f" ({metric.unit})" if metric.unit else ""))
    plain_axes(axes)
    figure.legend(loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    write_figure(figure, path, dpi=120)
