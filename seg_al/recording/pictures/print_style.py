"""The look of every figure in print: colours, markers and lines of an arm, axes, notes, files.

Figures are drawn at the width of a column or a page of a paper, so that their fonts stay readable,
on matplotlib's objects and the Agg canvas: no window, no global state, safe in any process.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import EngFormatter, MaxNLocator

from seg_al.core import CostUnit, Metric
from seg_al.recording.pictures.plain_text import without_formulas

# Okabe and Ito (2008), with grey for its yellow, which is invisible on white; black and greys are for random.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888")
MARKERS = ("s", "^", "D", "v", "p", "<", "h", ">", "d", "X")
DASHES: tuple[Any, ...] = ("-", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)))
CEILING = "#555555"
WARNING = "#8a1c00"
"""Of texts that a reader must not miss."""
COST_AXES: dict[CostUnit, str] = {
    "images": "labelled images (count)",
    "pixels": "labelled pixels (count)",
    "regions": "answered regions (count)",
    "clicks": "clicks (count)",
    "vertices": "drawn polygon corners (count)",
}
COLUMN, PAGE = 3.5, 7.0
"""Width in inches of a column and of a page of text."""
SMALL, NORMAL = 7, 8
"""Font sizes in points: of ticks, legends and notes; of labels and titles."""
LINE = 0.13
"""Inches from line to line of small text; matplotlib's layout makes room for a text's height, not for its width."""
NOTES = 5
"""Notes that a figure shows; the rest is counted."""


@dataclass(frozen=True)
class Style:
    """One arm's colour, marker and dashes; any two of the first arms differ in all three, also in grey."""

    colour: str
    marker: str
    dashes: Any
    hollow: bool = False
    """Whether its marks are rings."""

    def line(self) -> dict[str, Any]:
        """For axes.plot."""
        return {"color": self.colour, "linestyle": self.dashes, "linewidth": 1.4, **self.mark()}

    def mark(self) -> dict[str, Any]:
        ring = {"markerfacecolor": "white", "markeredgecolor": self.colour, "markeredgewidth": 1.0}
        edge = ring if self.hollow else {"markeredgecolor": "white", "markeredgewidth": 0.4}
        return {"marker": self.marker, "markersize": 4, **edge}


def style_of(index: int) -> Style:
    """The style of the n-th arm that is not random."""
    colours = COLOURS[1:-1]
    return Style(colours[index % len(colours)], MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)])


def plain_axes(axes: Axes) -> None:
    """A light grid, no box, and fonts for the width that the figure is printed at."""
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL, length=2.5)
    axes.xaxis.label.set_fontsize(NORMAL)
    axes.yaxis.label.set_fontsize(NORMAL)
    axes.title.set_fontsize(NORMAL)


def width_of(text: str, points: float = SMALL) -> float:
    """The width in inches of the longest line of a text."""
    font = FontProperties(size=points)
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in text.split("\n")]
    return float(max(widths)) / 72


def wrapped(text: str, letters: int) -> str:
    """Lines of at most `letters` letters: % * and − stay with their word; a long word breaks behind = _ or -."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines.append("")
        for word in re.sub(" (?=[%*−])", "\u00a0", line).split(" "):
            parts = re.findall(r"[^=_-]*[=_-]|[^=_-]+", word) if len(word) > letters else [word]
            pieces = [part[at : at + letters] for part in parts for at in range(0, len(part), letters)]
            for place, piece in enumerate(pieces):
                longer = f"{lines[-1]} {piece}" if lines[-1] and place == 0 else lines[-1] + piece
                if len(longer) <= letters:
                    lines[-1] = longer
                else:
                    lines.append(piece)
    return "\n".join(lines).replace("\u00a0", " ")


def wrapped_to_width(text: str, inches: float, points: float = NORMAL) -> str:
    """The text in the fewest lines that fit into `inches`, of about equal length, but of at least eight letters."""
    if width_of(text, points) <= inches:
        return text
    ways = [wrapped(text, letters) for letters in range(8, len(text))]
    fitting = [way for way in ways if width_of(way, points) <= inches] or ways[:1]
    return min(fitting, key=lambda way: (way.count("\n"), width_of(way, points)))


def say(axes: Axes, inches: float, title: str, xlabel: str, points: float = NORMAL) -> float:
    """Sets the title and the x label within a width in inches; returns the height of their lines after the first."""
    title, xlabel = wrapped_to_width(title, inches, points), wrapped_to_width(xlabel, inches, points)
    axes.set_title(title, fontsize=points)
    axes.set_xlabel(xlabel, fontsize=points)
    return LINE * points / SMALL * (title.count("\n") + xlabel.count("\n"))


def row_names(labels: Iterable[str], letters: int) -> tuple[list[str], float, float]:
    """Wrapped names for the rows of an axis, their width in inches, and the height that a row needs."""
    texts = [wrapped(label, letters) for label in labels]
    lines = max(text.count("\n") + 1 for text in texts)
    return texts, max(map(width_of, texts)) + 0.15, LINE * lines + 0.04


def cost_axis(axes: Axes, cost: CostUnit, costs: Sequence[float] | pd.Series[float], room: int = 10) -> None:
    """Ticks at the costs themselves where they are whole numbers and apart by at least 1/`room` of the axis."""
    axes.set_xlabel(COST_AXES.get(cost, f"{cost} (count)"))
    ticks = sorted(set(costs))
    closest = min((after - before for before, after in pairwise(ticks)), default=1)
    if max(ticks) >= 10_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=room // 2 + 1))
    elif ticks[-1] - ticks[0] < room * closest and all(float(tick).is_integer() for tick in ticks):
        axes.set_xticks(ticks)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=room))


def legend(figure: Figure, styles: Mapping[str, Style], names: Mapping[str, str]) -> float:
    """Adds a legend of the arms under the figure, in as many columns as fit; returns its height in inches."""
    letters = figure.get_figwidth() * 17.5
    longest = min(max(map(len, names.values())), int(letters) - 12)
    columns = max(1, min(len(names), int(letters / (longest + 10))))
    texts = {label: wrapped(text, longest) for label, text in names.items()}
    handles = [Line2D([], [], label=text, **styles[label].line()) for label, text in texts.items()]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False, handlelength=3.2,
        columnspacing=1.2, labelspacing=0.35,
    )  # fmt: skip
    lines = sum(text.count("\n") + 1 for text in texts.values())
    return 0.15 + 0.145 * -(-lines // columns)


def caption(figure: Figure, notes: Sequence[str]) -> None:
    """Writes above the axes what is missing or unequal, so that the picture is never seen without it.

    Behind what stands there already.
    """
    if not notes:
        return
    width = int(figure.get_figwidth() * 21)
    lines = [there] if (there := figure.get_suptitle()) else []
    lines += [textwrap.shorten(note, 2 * width, placeholder=" …") for note in notes[:NOTES]]
    if len(notes) > NOTES:
        lines.append(f"and {len(notes) - NOTES} more; the printed report names all")
    text = "\n".join(textwrap.fill(line, width, subsequent_indent="   ") for line in lines)
    figure.set_figheight(figure.get_figheight() + 0.11 * (text.count("\n") + 1))
    figure.suptitle(text, x=0.01, ha="left", fontsize=6, color=WARNING)


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Writes <stem>.png and <stem>.pdf; the layout is computed once."""
    png, pdf = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".pdf")
    write_figure(figure, png, dpi=200)
    figure.set_layout_engine("none")
    write_figure(figure, pdf, dpi=200)
    return png, pdf


def write_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Writes the file without dates and versions inside, so that equal numbers give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix.removeprefix(".")
    metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    FigureCanvasAgg(figure)
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        without_formulas(figure).savefig(path, format=kind, dpi=dpi, metadata=metadata)


def frame(axes: Axes, values: npt.ArrayLike, metric: Metric) -> tuple[float, float]:
    """Limits of the y axis: the finite values that must be visible and a margin, without impossible values.

    Equal values also get limits that differ.
    """
    seen = np.asarray(values, dtype=np.float64)
    seen = seen[np.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    room = 0.15 * (high - low) or 0.1 * abs(high) or 0.1
    bottom, top = low - room, high + room
    if metric.lowest is not None:
        bottom = min(low, max(bottom, metric.lowest))
    if metric.highest is not None:
        top = max(high, min(top, metric.highest))
    axes.set_ylim(bottom, top)
    return bottom, top
