"""The mean curves of arms on one pair of axes: every arm is seen, and no interval decides what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from seg_al.core import Metric
from seg_al.measuring.learned import NOT_LEARNED
from seg_al.recording.pictures.print_style import CEILING, Style

BANDED = 3
"""Least runs that an interval is drawn of: that of two is 9 standard deviations wide to either side."""
PIECE = 3.0
"""Line widths, the length of one arm's piece of a line that several share."""


RINGS = {NOT_LEARNED: Style(CEILING, "o", "", hollow=True)}
"""What the marks of rounds that have not learned are called, for a legend."""


def banded(rows: pd.DataFrame) -> pd.DataFrame:
    """Those rows of a table with n, low and high whose interval is drawn."""
    return rows[(rows["n"] >= BANDED) & rows["low"].notna()]


def mean_lines(axes: Axes, means: pd.DataFrame, styles: Mapping[str, Style], opacity: float) -> dict[str, str]:
    """Draws rows of label, cost, mean, n, low and high; gives the first arm with the same curve of those that have one.

    Arms with one curve share a line: each has its own pieces of it, and its own marks. An opacity of 0 draws no bands.
    Where `means` says which rounds have learned, the marks of the others are rings.
    """
    arms = {str(label): rows for label, rows in means.groupby("label", sort=False)}
    groups = tied(arms)
    for label, rows in arms.items():
        group = next(group for group in groups if label in group)
        style = styles[label]
        place, sharing = group.index(label), len(group)
        axes.plot(rows["cost"], rows["mean"], zorder=3, clip_on=False, **style.line() | own_pieces(place, sharing))
        if len(open_ones := rows_not_learned(rows.iloc[place::sharing])):
            ring = replace(style, dashes="", hollow=True).line()
            axes.plot(open_ones["cost"], open_ones["mean"], zorder=4, clip_on=False, **ring)
        if opacity:
            _band(axes, banded(rows), style, opacity)
    return {label: group[0] for group in groups for label in group[1:]}


def rows_not_learned(means: pd.DataFrame) -> pd.DataFrame:
    """Those rows of a table of means whose networks have not learned."""
    return means[means["learned"].eq(False)] if "learned" in means else means.head(0)


def rings(means: pd.DataFrame) -> dict[str, Style]:
    """What a legend says of the rings; empty where none is drawn."""
    return {} if rows_not_learned(means).empty else RINGS


def tied(arms: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """The arms in groups whose curves are equal, in their order."""
    groups: dict[tuple[bytes, bytes], list[str]] = {}
    for label, rows in arms.items():
        curve = rows["cost"].to_numpy(np.float64).tobytes(), rows["mean"].to_numpy(np.float64).round(9).tobytes()
        groups.setdefault(curve, []).append(label)
    return list(groups.values())


def own_pieces(place: int, sharing: int) -> dict[str, Any]:
    """The dashes and the marks of one of several arms that share a line."""
    if sharing == 1:
        return {}
    dashes = (PIECE * (sharing - place), (PIECE, PIECE * (sharing - 1)))
    return {"linestyle": dashes, "markevery": (place, sharing), "dash_capstyle": "butt"}


def _band(axes: Axes, rows: pd.DataFrame, style: Style, opacity: float) -> None:
    """With a fine edge, so that bands that overlap can still be seen apart."""
    axes.fill_between(rows["cost"], rows["low"], rows["high"], color=style.colour, alpha=opacity, linewidth=0, zorder=2)
    for edge in ("low", "high"):
        axes.plot(rows["cost"], rows[edge], color=style.colour, linewidth=0.6, linestyle=":", alpha=0.7, zorder=2)


def seen_with_bands(means: pd.DataFrame, metric: Metric) -> npt.NDArray[np.float64]:
    """What a frame must hold where no single runs show the spread: the means, and the bands around them.

    Of a band no more than the range of the means to either side, so that it never hides them, and nothing where no
    value can be.
    """
    values = means["mean"].to_numpy(np.float64)
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if not low < high:  # equal values, or none
        return values
    ends = banded(means)[["low", "high"]].to_numpy(np.float64).ravel()
    least, most = 2 * low - high, 2 * high - low
    least = least if metric.lowest is None else min(low, max(least, metric.lowest))
    most = most if metric.highest is None else max(high, min(most, metric.highest))
    return np.concatenate([values, ends.clip(least, most)])
