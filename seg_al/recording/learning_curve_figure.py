"""One run's own learning curve, for its page in Omniboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from seg_al.recording.pictures.print_style import (
    cost_axis,
    frame,
    plain_axes,
    style_of,
    write_figure,
)


def learning_curve_figure(
    rounds: Sequence[Mapping[str, Mapping[str, float]]],
    path: Path,
    metrics: Sequence[str] = ("test/dice", "val/dice"),
) -> None:
    """One run's metrics over its labelled images, as a small PNG; `rounds` are its metrics.json objects.

    Metrics that the run does not have are left out.
    """
    there = {name for entry in rounds for name in entry["metrics"]}
    drawn = [name for name in metrics if name in there]
    figure = Figure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for index, name in enumerate(drawn):
        own = [entry for entry in rounds if name in entry["metrics"]]
        costs, values = [e["cost"]["images"] for e in own], [e["metrics"][name] for e in own]
        axes.plot(costs, values, label=name, clip_on=False, **style_of(index).line())
    cost_axis(axes, "images", [entry["cost"]["images"] for entry in rounds])
    frame(axes, [entry["metrics"][name] for entry in rounds for name in drawn if name in entry["metrics"]])
    axes.set_ylabel(drawn[0].rpartition("/")[2] if len({n.rpartition("/")[2] for n in drawn}) == 1 else "metric")
    plain_axes(axes)
    figure.legend(loc="outside upper center", ncols=len(drawn), fontsize=8, frameon=False)
    write_figure(figure, path, dpi=120)
