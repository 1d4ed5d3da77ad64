"""What a round asked, and why, as one picture: a row per query with image, prediction, truth and score map."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, hsv_to_rgb, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from seg_al.core import IGNORE, BoolMask, ByteImage

ClassMap = npt.NDArray[np.integer]  # [H, W], IGNORE where unknown
Palette = npt.NDArray[np.uint8]  # [256, 3]

# Okabe and Ito (2008); the first class, mostly the background, is a calm dark grey.
CLASS_COLOURS = ("#3b3b46", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
UNKNOWN_COLOUR = "#d9d9d9"
SCORE_COLOURS = "viridis"
TITLES = ("image", "prediction", "truth", "score map")
CELL = 2.5  # inches, the width of one picture
LINE = 0.17  # inches, the height of one line of text
LEGEND_COLUMNS = 7
DPI = 100


@dataclass(frozen=True)
class Panel:
    """One query, with what the network saw in it."""

    name: str
    image: ByteImage  # [H, W, 3]
    prediction: ClassMap  # [H, W] class ids
    truth: ClassMap  # [H, W] class ids, IGNORE where unknown
    score_map: npt.NDArray[np.floating]  # [H, W], higher = more wanted; NaN where not scored
    region: BoolMask  # [H, W], what was asked
    why: str


def query_gallery(
    panels: Sequence[Panel], classes: Sequence[str], path: Path, unit: str = "score", limit: int = 8
) -> None:
    """Draws the first `limit` panels to a PNG; `unit` stands at the colour bar, which all rows share.

    Raises ValueError without panels, and for a panel whose arrays disagree in size or hold an unknown class.
    """
    if not panels:
        raise ValueError("the gallery has no panel to draw")
    drawn = panels[:limit]
    for panel in drawn:
        _check(panel, len(classes))
    heights = [_height(panel) for panel in drawn]
    legend_rows = -(-(len(classes) + 1) // LEGEND_COLUMNS)
    figure = Figure(figsize=(4 * CELL + 3.1, sum(heights) + 1.1 + 0.22 * legend_rows), layout="constrained")
    shares = {"width_ratios": [1, 1, 1, 1, 0.95], "height_ratios": [*heights, 0.14]}
    grid = figure.add_gridspec(len(drawn) + 1, 5, **shares)
    colours, scale = palette(len(classes)), _scale(drawn)
    for row, panel in enumerate(drawn):
        axes = [figure.add_subplot(grid[row, column]) for column in range(5)]
        _row(axes, panel, colours, scale)
        for title, one in zip(TITLES if row == 0 else (), axes, strict=False):
            one.set_title(title, fontsize=11)
    bar = ScalarMappable(scale, SCORE_COLOURS)
    figure.colorbar(bar, cax=figure.add_subplot(grid[-1, 3]), orientation="horizontal", label=unit)
    _legend(figure, classes, colours, drawn)
    if len(panels) > len(drawn):
        figure.supxlabel(f"{len(drawn)} of {len(panels)} queries shown", fontsize=10, x=0.01, ha="left")
    _write(figure, path)


def palette(classes: int) -> Palette:
    """The colour of every class id, the same in every picture: fixed for eight classes, then hues far apart."""
    table = np.tile(np.array(to_rgb(UNKNOWN_COLOUR)), (256, 1))
    for index in range(min(classes, IGNORE)):
        if index < len(CLASS_COLOURS):
            table[index] = to_rgb(CLASS_COLOURS[index])
        else:  # the golden ratio spreads any number of hues
            table[index] = hsv_to_rgb((index * 0.61803 % 1.0, 0.55 + 0.15 * (index % 3), 0.9 - 0.2 * (index % 2)))
    return np.asarray(np.rint(table * 255), dtype=np.uint8)


def _check(panel: Panel, classes: int) -> None:
    size = panel.image.shape[:2]
    if panel.image.ndim != 3 or panel.image.shape[2] != 3 or panel.image.dtype != np.uint8:
        raise ValueError(f"{panel.name}: the image is {panel.image.shape} {panel.image.dtype}, not [H, W, 3] uint8")
    for part in ("prediction", "truth", "score_map", "region"):
        if (shape := getattr(panel, part).shape) != size:
            raise ValueError(f"{panel.name}: the {part} is {shape}, but the image is {size}")
    if not panel.region.any():
        raise ValueError(f"{panel.name}: the region holds no pixel, so nothing was asked")
    for part in ("prediction", "truth"):
        ids = np.unique(getattr(panel, part))
        if wrong := [int(one) for one in ids if not (0 <= one < classes or one == IGNORE)]:
            raise ValueError(f"{panel.name}: the {part} holds class {wrong}, but there are {classes} classes")


def _scale(panels: Sequence[Panel]) -> Normalize:
    """One colour scale for all rows, so that they can be compared; what is not finite has no say."""
    values = np.concatenate([panel.score_map[np.isfinite(panel.score_map)] for panel in panels])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return Normalize(low, high if high > low else low + 1.0)


def _row(axes: Sequence[Axes], panel: Panel, colours: Palette, scale: Normalize) -> None:
    axes[0].imshow(panel.image)
    axes[1].imshow(colours[panel.prediction], interpolation="nearest")
    axes[2].imshow(colours[panel.truth], interpolation="nearest")
    axes[3].set_facecolor(UNKNOWN_COLOUR)
    axes[3].imshow(np.ma.masked_invalid(panel.score_map), cmap=SCORE_COLOURS, norm=scale)
    for one in axes[:4]:
        one.set_anchor("N")  # beside the first line of the text
        one.set_xticks([])
        one.set_yticks([])
        if not panel.region.all():
            _outline(one, panel.region)
    axes[4].set_axis_off()
    name, text = _words(panel)
    corner: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    axes[4].annotate(name, (0, 1), xytext=(0, 0), fontsize=10, weight="bold", **corner)
    below = -72 * LINE * (name.count("\n") + 1) - 3
    axes[4].annotate(text, (0, 1), xytext=(0, below), fontsize=10, **corner)


def _words(panel: Panel) -> tuple[str, str]:
    """The name and what is said of the query, wrapped to their column."""
    height, width = panel.region.shape
    lines = [f"{width} × {height} pixels", *panel.why.splitlines()]
    if not panel.region.all():
        lines.append(f"asked: {100 * panel.region.mean():.3g} % of the pixels")
    return textwrap.fill(panel.name, 26), "\n".join(textwrap.fill(line, 30) for line in lines)


def _height(panel: Panel) -> float:
    """Inches of a row: the picture's shape, kept between a strip and a tower, but never less than its text."""
    picture = CELL * float(np.clip(panel.image.shape[0] / panel.image.shape[1], 0.45, 1.6))
    return max(picture, LINE * (sum(part.count("\n") + 1 for part in _words(panel)) + 1)) + 0.1


def _outline(axes: Axes, region: BoolMask) -> None:
    """The border of what was asked, black on white to be seen on any ground, closed at the image's edge."""
    padded = np.pad(region, 1).astype(float)
    rows, columns = np.arange(-1, region.shape[0] + 1), np.arange(-1, region.shape[1] + 1)
    axes.contour(columns, rows, padded, levels=[0.5], colors="white", linewidths=2.6)
    axes.contour(columns, rows, padded, levels=[0.5], colors="black", linewidths=1.0)
    axes.set_xlim(-1, region.shape[1])
    axes.set_ylim(region.shape[0], -1)


def _legend(figure: Figure, classes: Sequence[str], colours: Palette, panels: Sequence[Panel]) -> None:
    entries = [
        Patch(facecolor=colours[index] / 255, edgecolor="black", linewidth=0.5, label=name)
        for index, name in enumerate(classes)
    ]
    if any((one == IGNORE).any() for panel in panels for one in (panel.prediction, panel.truth)):
        entries.append(Patch(facecolor=UNKNOWN_COLOUR, edgecolor="black", linewidth=0.5, label="unknown"))
    columns = min(len(entries), LEGEND_COLUMNS)
    figure.legend(handles=entries, loc="outside upper left", ncols=columns, fontsize=10, frameon=False)


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
