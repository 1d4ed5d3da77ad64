"""Did it matter which heuristic asked, and were the passes enough? Numbers per round, and their picture.

A heuristic that scores all units alike (random does) has no order: what compares it is None, never NaN.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import ScaledTranslation
from scipy.stats import kendalltau

from seg_al.pictures.plain_text import without_formulas
from seg_al.results.figures import COLOURS

PLACE = ("image", "unit")
"""What names a unit; between equal scores the first by image name, then by unit id, ranks higher."""
FACTS = (*PLACE, "area", "asked", "drawn")
"""Columns of a score table that are no heuristic's."""
CELL, LEAST_GRID, CURVE = 0.44, 2.3, 3.2
"""Inches: the side of a heat map's cell, the least side of a heat map, the width of the curves."""

Floats = npt.NDArray[np.float64]
Shares = Mapping[str, Mapping[str, float | None]]


def agreement(scores: pd.DataFrame, chosen: str, passes: pd.DataFrame | None) -> dict[str, Any]:
    """Compares the heuristics of a round's score table, and the chosen one with itself after fewer passes.

    `scores` has one row per unit: image, unit, area, asked, and a column per heuristic. `passes` has columns image,
    unit, passes and score: the chosen heuristic's scores of the same units after the first k passes, for several k.
    Gives, ready for JSON:

    - units, asked: how many were scored, and how many of these were asked (n);
    - spearman[a][b]: the heuristics' rank correlation over all units, -1 to 1;
    - overlap[a][b]: the share of the n best units that both have, 0 to 1;
    - stability: for each k its Kendall tau-b and its overlap of the n best with the largest k.

    Equal scores are ranked by image name, then unit id, so that row order plays no part. A comparison is None where
    a side scores all units alike, an overlap also where nothing was asked. Raises ValueError for a score that is not
    finite, naming the unit, and for `passes` whose units differ from those of `scores`.
    """
    names = [str(name) for name in scores.columns if name not in FACTS]
    if chosen not in names:
        raise ValueError(f"the score table has no heuristic {chosen!r}; it has {', '.join(names) or 'none'}")
    ordered = scores.sort_values(list(PLACE), ignore_index=True)
    _check_finite(ordered, names)
    values = ordered[names].to_numpy(np.float64).T  # [heuristics, M]
    asked = int(ordered["asked"].sum())
    return {
        "units": len(ordered),
        "asked": asked,
        "spearman": _named(_spearman(values), names),
        "overlap": _named(_overlap(values, asked), names),
        "stability": [] if passes is None else _stability(ordered, passes, asked),
    }


def scalars(found: Mapping[str, Any], chosen: str) -> dict[str, float]:
    """The chosen heuristic's part of `agreement` for a tracker; comparisons that are None are left out."""
    flat: dict[str, float | None] = {}
    for measure in ("spearman", "overlap"):
        row = found[measure][chosen].items()
        flat |= {f"agreement/{other}_{measure}": value for other, value in row if other != chosen}
    flat |= {f"stability/kendall_at_{entry['passes']}": entry["kendall"] for entry in found["stability"]}
    return {name: value for name, value in flat.items() if value is not None}


def agreement_figure(found: Mapping[str, Any], chosen: str, path: Path) -> None:
    """Draws `agreement` as a PNG: rank correlations, overlaps and, where passes were compared, their curves."""
    names = list(found["spearman"])
    grid = max(LEAST_GRID, CELL * len(names))
    curves = [CURVE] if found["stability"] else []
    labels = 0.075 * max(len(line) for name in names for line in _readable(name).split("\n"))  # inches, about
    size = (2 * grid + 1.5 * labels + 1.0 + sum(curves) + 0.6 * len(curves), grid + max(0.8 * labels, 1.0) + 1.1)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.04))
    panels: Sequence[Axes] = figure.subplots(1, 2 + len(curves), squeeze=False, width_ratios=[grid, grid, *curves])[0]
    n, units = found["asked"], found["units"]
    _heat_map(panels[0], found["spearman"], chosen, "RdBu_r", -1.0)
    panels[0].set_title("rank correlation\n(Spearman, −1 to 1)", fontsize=9)
    _heat_map(panels[1], found["overlap"], chosen, "cividis", 0.0)
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
    drawn = [*_cells(found["spearman"]), *_cells(found["overlap"]), *(e["kendall"] for e in found["stability"])]
    if None in drawn:
        gap = ", and where a curve has no mark" if curves else ""
        note = f"–{gap}: nothing to compare; the scores of all units are equal, or nothing was asked"
        figure.supxlabel(textwrap.fill(note, int(size[0] * 18)), x=0.01, ha="left", fontsize=7, color="#555555")
    _write(figure, path)


def _check_finite(table: pd.DataFrame, columns: Sequence[str]) -> None:
    wrong = np.argwhere(~np.isfinite(table[list(columns)].to_numpy(np.float64)))
    if len(wrong):
        row, column = wrong[0]
        image, unit = table["image"].iloc[row], table["unit"].iloc[row]
        raise ValueError(
            f"image {image}, unit {unit}: {columns[column]} is NaN or infinite ({len(wrong)} such scores in all); "
            "only finite scores have ranks, so look for a diverged training or a faulty heuristic"
        )


def _spearman(values: Floats) -> Floats:  # [heuristics, M] -> [heuristics, heuristics], NaN: no order
    found = np.full((len(values), len(values)), np.nan)
    varied = np.flatnonzero(_varied(values))
    correlation = pd.DataFrame(values[varied].T).corr(method="spearman").to_numpy(np.float64)
    found[np.ix_(varied, varied)] = correlation.clip(-1.0, 1.0)
    return found


def _overlap(values: Floats, n: int) -> Floats:  # [heuristics, M] -> [heuristics, heuristics], NaN: no order, or n = 0
    """Shares of the n best in common; the units come in the order in which equal scores are ranked."""
    found = np.full((len(values), len(values)), np.nan)
    if n == 0:
        return found
    varied = np.flatnonzero(_varied(values))
    best = np.zeros(values[varied].shape)
    for row, score in zip(best, values[varied], strict=True):
        row[np.argsort(-score, kind="stable")[:n]] = 1.0
    found[np.ix_(varied, varied)] = best @ best.T / n
    return found


def _varied(values: Floats) -> npt.NDArray[np.bool_]:  # [rows, M] -> [rows]
    varied: npt.NDArray[np.bool_] = (values != values[:, :1]).any(axis=1)
    return varied


def _stability(ordered: pd.DataFrame, passes: pd.DataFrame, n: int) -> list[dict[str, float | None]]:
    """Every k against the largest, on the units of `ordered`, which is sorted by PLACE."""
    table = passes.sort_values(["passes", *PLACE], ignore_index=True)
    _check_finite(table, ["score"])
    counts = [int(count) for count in table["passes"].unique()]
    assert all(count >= 1 for count in counts)
    expected = [np.tile(ordered[key].to_numpy(), len(counts)) for key in PLACE]
    if any(not np.array_equal(table[key].to_numpy(), units) for key, units in zip(PLACE, expected, strict=True)):
        raise ValueError(
            f"the scores by passes (k = {counts}, {len(table)} rows) are not about the {len(ordered)} units of the "
            "score table; each k needs every unit of the table once"
        )
    values = table["score"].to_numpy(np.float64).reshape(len(counts), len(ordered))  # [k, M]
    shares = _overlap(values, n)
    return [
        {"passes": count, "kendall": _kendall(values[row], values[-1]), "overlap": _number(shares[row, -1])}
        for row, count in enumerate(counts)
    ]


def _kendall(first: Floats, second: Floats) -> float | None:  # [M], [M]
    if not _varied(np.stack([first, second])).all():
        return None
    return float(kendalltau(first, second).statistic)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _named(matrix: Floats, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    rows = zip(names, matrix, strict=True)
    return {name: dict(zip(names, map(_number, row), strict=True)) for name, row in rows}


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
    for (row, column), value in np.ndenumerate(values):
        dark = float(np.dot(colour_map(norm(value))[:3], (0.299, 0.587, 0.114))) < 0.5
        text = "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")
        axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color="white" if dark else "black")
    labels = [_readable(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), labels, fontsize=8)
    for tick in (axes.get_xticklabels()[names.index(chosen)], axes.get_yticklabels()[names.index(chosen)]):
        tick.set_fontweight("bold")
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
    """Those of the sorted counts, the largest first, whose labels do not touch on a logarithmic axis."""
    gap = max(1.1, (counts[-1] / counts[0]) ** 0.1)
    kept = [counts[-1]]
    for count in reversed(counts[:-1]):
        if kept[-1] / count >= gap:
            kept.append(count)
    return kept[::-1]


def _write(figure: Figure, path: Path) -> None:
    """Without a version inside, so that equal numbers give equal bytes."""
    FigureCanvasAgg(figure)
    without_formulas(figure).savefig(path, format="png", dpi=150, metadata={"Software": None})
