"""Draws a round's agreement: how similarly the heuristics ranked, and whether the passes were enough."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import ScaledTranslation, TransformedPatchPath

from seg_al.recording.pictures.plain_text import without_formulas
from seg_al.recording.pictures.print_style import COLOURS

CELL, LEAST_GRID, CURVE = 0.44, 2.3, 3.2
"""In inches: side of a heat map's cell, smallest side of a heat map, width of the curves."""

Shares = Mapping[str, Mapping[str, float | None]]


def agreement_figure(found: Mapping[str, Any], chosen: str, path: Path) -> None:
    """Draws `agreement` as a PNG: rank correlations, overlaps and, where passes were compared, their curves.

    Heuristics that score all units alike are named in a note. Only where `nothing_to_compare` is None.
    """
    names = _with_order(found)
    spearman, overlap = (_among(found[measure], names) for measure in ("spearman", "overlap"))
    grid = max(LEAST_GRID, CELL * len(names))
    curves = [CURVE] if found["stability"] else []
    labels = 0.075 * max(len(line) for name in names for line in _readable(name).split("\n"))  # inches, about
    size = (2 * grid + 1.5 * labels + 1.0 + sum(curves) + 0.6 * len(curves), grid + max(0.8 * labels, 1.0) + 1.1)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.04))
    panels: Sequence[Axes] = figure.subplots(1, 2 + len(curves), squeeze=False, width_ratios=[grid, grid, *curves])[0]
    n, units = found["asked"], found["units"]
    _heat_map(panels[0], spearman, chosen, "RdBu_r", -1.0)
    panels[0].set_title("rank correlation\n(Spearman, −1 to 1)", fontsize=9)
    _heat_map(panels[1], overlap, chosen, "cividis", 0.0)
    panels[1].set_yticklabels([])
    chance = f"by chance {n / units:.2f}" if n else "nothing was asked"
    panels[1].set_title(f"share of the {n} best in common\n({chance})", fontsize=9)
    if curves:
        _curves(panels[2], found["stability"], n / units if n else None)
        under = panels[2].transAxes + ScaledTranslation(0, -0.42, figure.dpi_scale_trans)  # inches: clear of the labels
        panels[2].legend(
            loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=under, fontsize=8, frameon=False, handlelength=3
        )
    head = f"Did it matter which heuristic asked? {n} of {units} units asked, by {chosen.replace('_', ' ')}"
    figure.suptitle(textwrap.fill(head, int(size[0] * 13)), fontsize=10)
    if note := _gaps(found, [*_cells(spearman), *_cells(overlap)]):
        figure.supxlabel(textwrap.fill(note, int(size[0] * 18)), x=0.01, ha="left", fontsize=7, color="#555555")
    _write(figure, path)


def nothing_to_compare(found: Mapping[str, Any]) -> str | None:
    """Why `agreement` has no picture: fewer than two heuristics, and no curve, have an order; None: it has one."""
    if len(_with_order(found)) > 1 or any(entry["kendall"] is not None for entry in found["stability"][:-1]):
        return None
    alike = [name for name in found["spearman"] if name not in _with_order(found)]
    if not alike:
        return "one heuristic alone was scored"
    return f"there is nothing to compare with, as {', '.join(alike)} scored all {found['units']} units alike"


def _with_order(found: Mapping[str, Any]) -> list[str]:
    return [name for name, row in found["spearman"].items() if row[name] is not None]


def _among(shares: Shares, names: Sequence[str]) -> Shares:
    return {name: {other: shares[name][other] for other in names} for name in names}


def _gaps(found: Mapping[str, Any], cells: Sequence[float | None]) -> str:
    """A note on what the picture leaves out, and why."""
    alike = [name.replace("_", " ") for name in found["spearman"] if name not in _with_order(found)]
    notes = [f"not compared, for all units have one score: {', '.join(alike)}"] if alike else []
    notes += ["–: nothing was asked"] if None in cells else []
    if any(entry["kendall"] is None for entry in found["stability"]):
        notes.append("where a curve has no mark, all units have one score")
    return "; ".join(notes)


def _cells(shares: Shares) -> list[float | None]:
    return [value for row in shares.values() for value in row.values()]


def _readable(name: str) -> str:
    return textwrap.fill(name.replace("_", " "), 20)


def _heat_map(axes: Axes, shares: Shares, chosen: str, colours: str, low: float) -> None:
    """A square per pair with its number; grey where there is none; the chosen heuristic in bold."""
    names = list(shares)
    colour_map = colormaps[colours].with_extremes(bad="#eeeeee")
    norm = Normalize(low, 1.0)
    values = np.array([np.nan if value is None else value for value in _cells(shares)]).reshape(len(names), -1)
    axes.imshow(values, cmap=colour_map, norm=norm, aspect="auto")
    inside = TransformedPatchPath(axes.patch)  # one for all cells: each would make its own
    for (row, column), value in np.ndenumerate(values):
        dark = float(np.dot(colour_map(norm(value))[:3], (0.299, 0.587, 0.114))) < 0.5
        text = "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")
        axes.text(
            column, row, text, ha="center", va="center", fontsize=7.5, color="white" if dark else "black",
            clip_path=inside, in_layout=False,
        )  # fmt: skip
    labels = [_readable(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), labels, fontsize=8)
    for labels_of_axis in (axes.get_xticklabels(), axes.get_yticklabels()):
        for name, label in zip(names, labels_of_axis, strict=True):
            label.set_fontweight("bold" if name == chosen else "normal")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _curves(axes: Axes, stability: Sequence[Mapping[str, float | None]], chance: float | None) -> None:
    """Agreement with the largest number of passes against the number of passes; gaps where there is none."""
    counts = [int(entry["passes"] or 0) for entry in stability]
    drawn = (("kendall", "Kendall τ", COLOURS[1], "s", "-"), ("overlap", "overlap of the best", COLOURS[2], "o", "--"))
    lowest = 0.0
    for key, label, colour, marker, line in drawn:
        values = [np.nan if entry[key] is None else float(entry[key] or 0.0) for entry in stability]
        axes.plot(counts, values, color=colour, marker=marker, linestyle=line, label=label, linewidth=1.6, markersize=4)
        lowest = min([lowest, *(value for value in values if not np.isnan(value))])
    if chance is not None:
        axes.axhline(chance, color="#888888", linestyle=":", linewidth=1.2, label="overlap by chance")
    axes.set_xscale("log", base=2)
    axes.set_xlim(counts[0] / 1.25, counts[-1] * 1.25)
    ticks = _apart(counts)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(lowest - 0.05, 1.05)
    axes.set_xlabel("passes (count)", fontsize=9)
    axes.set_title(f"agreement with {counts[-1]} passes\n(τ −1 to 1, overlap 0 to 1)", fontsize=9)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _apart(counts: Sequence[int]) -> list[int]:
    """The counts, from the largest down, whose labels do not touch on a logarithmic axis."""
    gap = max(1.1, (counts[-1] / counts[0]) ** 0.1)
    kept = [counts[-1]]
    for count in reversed(counts[:-1]):
        if kept[-1] / count >= gap:
            kept.append(count)
    return kept[::-1]


def _write(figure: Figure, path: Path) -> None:
    """Writes a PNG without a version inside, so that equal numbers give equal bytes."""
    FigureCanvasAgg(figure)
    without_formulas(figure).savefig(path, format="png", dpi=150, metadata={"Software": None})
