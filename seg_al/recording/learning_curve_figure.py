"""Draws the learning curve of one run, for its page in Omniboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from seg_al.core import Metric
from seg_al.recording.pictures.print_style import (
    cost_axis,
    frame,
    plain_axes,
    style_of,
    write_figure,
)


def learning_curve_figure(rounds: Sequence[Mapping[str, Mapping[str, float]]], path: Path, metric: Metric) -> None:
    """One run's metric on test and val over its labelled images, as a small PNG; `rounds` are its metrics.json objects.

    A split on which the run was not measured is left out.
    """
    there = {name for entry in rounds for name in entry["metrics"]}
    drawn = [name for name in (f"test/{metric.name}", f"val/{metric.name}") if name in there]
    figure = Figure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for index, name in enumerate(drawn):
        own = [entry for entry in rounds if name in entry["metrics"]]
        costs, values = [e["cost"]["images"] for e in own], [e["metrics"][name] for e in own]
        axes.plot(costs, values, label=name, clip_on=False, **style_of(index).line())
    cost_axis(axes, "images", [entry["cost"]["images"] for entry in rounds])
    frame(axes, [entry["metrics"][name] for entry in rounds for name in drawn if name in entry["metrics"]], metric)
    axes.set_ylabel(metric.name + (f" ({metric.unit})" if metric.unit else ""))
    plain_axes(axes)
    figure.legend(loc="outside upper center", ncols=len(drawn), fontsize=8, frameon=False)
    write_figure(figure, path, dpi=120)
