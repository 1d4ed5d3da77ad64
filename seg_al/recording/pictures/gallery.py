"""Draws what a round asked, and why: a row per asked image with prediction, truth and score map."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from seg_al.core import IGNORE, ByteImage, Colour, Draw, PixelSet
from seg_al.recording.pictures.objects import (
    Sketch,
    draw_division,
    draw_doubted,
    draw_passes,
    draw_scores,
    explained,
    sketch,
    true_division,
)
from seg_al.recording.pictures.overlay import (
    DOTS,
    DPI,
    Overlay,
    Points,
    draw_overlay,
    extent,
    overlay,
    sampled,
    shrunk,
    stride,
    write_picture,
)
from seg_al.recording.pictures.palette import UNKNOWN_COLOUR, Palette, legend_entries, palette
from seg_al.recording.pictures.panel import ClassMap, Panel, check_panel, words
from seg_al.recording.pictures.print_style import WARNING
from seg_al.recording.pictures.query_regions import QueryRegions

SCORE_COLOURS = "viridis"
TITLES = ("image", "prediction", "truth", "score map")
CELL_WIDTH, OBJECTS_CELL_WIDTH = 2.5, 3.6  # inches, the width of one picture, without and with objects
STRIP, TOWER = 0.45, 1.6
"""The ratios of height to width between which a picture is drawn at full width."""
LINE_HEIGHT = 0.17  # inches, the height of one line of text
LEGEND_COLUMNS = 7
HEADING_LETTERS, NOTE_LETTERS = 11, 13
"""Letters per inch in the line above the pictures and in the note under them."""
FADED = 0.7
"""How pale the truth that was known before is drawn: 0 not at all, 1 white."""


@dataclass(frozen=True)
class _Row:
    """A panel reduced to the size at which it is drawn."""

    cell: float  # inches, the width of one picture

    image: ByteImage  # [h, w, 3]
    prediction: ClassMap  # [h, w]
    truth: ClassMap  # [h, w]
    faded: PixelSet  # [h, w], known before
    score_map: npt.NDArray[np.floating] | None  # [h, w]
    overlay: Overlay
    dot_classes: npt.NDArray[np.int64]  # [n dots]
    words: tuple[str, str]
    sketch: Sketch | None
    division: Points | None  # [2 S, 2], of the true objects


def query_gallery(
    panels: Iterable[Panel],
    classes: Sequence[str],
    path: Path,
    unit: str = "score",
    images: int | None = None,
    own: Sequence[Colour] | None = None,
    warning: str = "",
) -> None:
    """Draws the panels to a PNG, as `gallery_of` says."""
    gallery_of(panels, classes, unit, images, own, warning)(path)


def gallery_of(
    panels: Iterable[Panel],
    classes: Sequence[str],
    unit: str = "score",
    images: int | None = None,
    own: Sequence[Colour] | None = None,
    warning: str = "",
) -> Draw:
    """Draws the panels, which are read at once; `unit` labels the colour bar, which all rows share.

    An iterator of panels needs memory for one of them. `images`: how many images were asked about, if
    these are not all; `own`: the data set's own colours of its classes; `warning`: a line above all. Raises ValueError
    without panels, and for a panel whose parts disagree in size or image, or hold an unknown class.
    """
    rows = [_laid(panel, len(classes)) for panel in panels]
    if not rows:
        raise ValueError("the gallery has no panel to draw")
    return lambda path: _gallery(rows, classes, path, unit, images, own, warning)


def _gallery(
    rows: Sequence[_Row],
    classes: Sequence[str],
    path: Path,
    unit: str,
    images: int | None,
    own: Sequence[Colour] | None,
    warning: str,
) -> None:
    colours, scale = palette(len(classes), own), _scale(rows)
    titles = TITLES if scale is not None else TITLES[:-1]
    ranked = scale is not None and scale.vmin != scale.vmax
    entries = legend_entries(classes, colours, sum((_drawn(row) for row in rows), np.zeros(256, np.int64)))
    heights = [_height(row) for row in rows]
    cell = max(row.cell for row in rows)
    width, legend_rows = len(titles) * cell + 3.1, -(-len(entries) // LEGEND_COLUMNS)
    heading = textwrap.fill(warning, int(width * HEADING_LETTERS))
    room = (1.1 if ranked else 0.6) + LINE_HEIGHT * (heading.count("\n") + 2) * bool(heading)
    size = (width, sum(heights) + room + 0.22 * legend_rows)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    shares = {"width_ratios": [*[1.0] * len(titles), 0.95 * CELL_WIDTH / cell]}
    grid = figure.add_gridspec(
        len(rows) + ranked, len(titles) + 1, height_ratios=[*heights, *[0.14] * ranked], **shares
    )
    for number, row in enumerate(rows):
        axes = [figure.add_subplot(grid[number, column]) for column in range(len(titles) + 1)]
        _draw(dict(zip(titles, axes, strict=False)), row, colours, scale)
        _write_words(axes[-1], row.words)
        for title, one in zip(titles if number == 0 else (), axes, strict=False):
            one.set_title(title, fontsize=11)
    if ranked:
        bar = ScalarMappable(scale, SCORE_COLOURS)
        figure.colorbar(bar, cax=figure.add_subplot(grid[-1, 3]), orientation="horizontal", label=unit)
    columns = min(len(entries), LEGEND_COLUMNS)
    legend = figure.legend(handles=entries, loc="outside upper left", ncols=columns, fontsize=10, frameon=False)
    if heading:
        legend.set_title(heading, FontProperties(size=11))
        legend.set_alignment("left")
        legend.get_title().set_color(WARNING)
    if note := "; ".join([*_counted(rows, images), *_said_of(scale, unit, rows), *_explained(rows)]):
        figure.supxlabel(textwrap.fill(note, int(width * NOTE_LETTERS)), fontsize=10, x=0.01, ha="left")
    write_picture(figure, path)


def _laid(panel: Panel, classes: int) -> _Row:
    check_panel(panel, classes)
    places = QueryRegions.of([query.region for query in panel.queries])
    cell = CELL_WIDTH if panel.seen is None else OBJECTS_CELL_WIDTH
    zoom = cell * DPI / places.size[1]
    step = stride(zoom)
    drawn = overlay(places, panel.whole, zoom)
    asked = places.ids() >= 0
    return _Row(
        cell=cell,
        image=shrunk(panel.image, step),
        prediction=sampled(panel.prediction, step),
        truth=sampled(panel.truth, step),
        faded=sampled(~asked, step),
        score_map=None if panel.score_map is None else sampled(panel.score_map, step),
        overlay=drawn,
        dot_classes=places.classes(np.asarray(panel.truth))[drawn.small],
        words=words(panel),
        sketch=None
        if panel.seen is None
        else sketch(panel.seen, step, min(1, TOWER * places.size[1] / places.size[0]) * zoom),
        division=None if panel.true is None else true_division(panel.true, step),
    )


def _scale(rows: Sequence[_Row]) -> Normalize | None:
    """One colour scale for all rows, so that they can be compared, over the finite values. None: no map."""
    maps = [row.score_map for row in rows if row.score_map is not None]
    if not maps:
        return None
    values = np.concatenate([one[np.isfinite(one)] for one in maps])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return Normalize(low, high)


def _drawn(row: _Row) -> npt.NDArray[np.int64]:  # [256]
    """The pixels of each class in the pictures of a panel."""
    return np.bincount(row.prediction.ravel(), minlength=256) + np.bincount(row.truth.ravel(), minlength=256)


def _draw(axes: Mapping[str, Axes], row: _Row, colours: Palette, scale: Normalize | None) -> None:
    place = extent(row.overlay.size)
    faded = np.rint((1 - FADED) * colours + FADED * 255).astype(np.uint8)
    faded[IGNORE] = colours[IGNORE]
    truth = np.where(row.faded[..., None], faded[row.truth], colours[row.truth])
    axes["image"].imshow(row.image, extent=place)
    axes["prediction"].imshow(colours[row.prediction], interpolation="nearest", extent=place)
    axes["truth"].imshow(truth, interpolation="nearest", extent=place)
    if scale is not None and row.score_map is not None:
        axes["score map"].set_facecolor(UNKNOWN_COLOUR)
        scores = np.ma.masked_invalid(row.score_map)
        axes["score map"].imshow(scores, cmap=SCORE_COLOURS, norm=scale, extent=place)
    for title, one in axes.items():
        one.set_anchor("N")  # beside the first line of the text
        one.set_xticks([])
        one.set_yticks([])
        _draw_objects(title, one, row, colours)
        draw_overlay(one, row.overlay, colours[row.dot_classes] / 255 if title == "truth" else None)


def _write_words(axes: Axes, words: tuple[str, str]) -> None:
    axes.set_axis_off()
    name, text = words
    corner: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    axes.annotate(name, (0, 1), xytext=(0, 0), fontsize=10, weight="bold", **corner)
    below = -72 * LINE_HEIGHT * (name.count("\n") + 1) - 3
    axes.annotate(text, (0, 1), xytext=(0, below), fontsize=10, **corner)


def _draw_objects(title: str, axes: Axes, row: _Row, colours: Palette) -> None:
    if row.sketch is None:
        return
    if title == "image":
        draw_passes(axes, row.sketch, colours)
    elif title == "score map":
        draw_scores(axes, row.sketch)
    else:
        division = row.division if title == "truth" else row.sketch.division
        if division is not None:
            draw_division(axes, division, row.sketch.weight)
        if title == "prediction":
            draw_doubted(axes, row.sketch)


def _height(row: _Row) -> float:
    """Inches of a row: by the picture's shape, within limits, and at least the height of its text."""
    height, width = row.overlay.size
    picture = row.cell * float(np.clip(height / width, STRIP, TOWER))
    return max(picture, LINE_HEIGHT * (sum(part.count("\n") + 1 for part in row.words) + 1)) + 0.1


def _counted(rows: Sequence[_Row], images: int | None) -> list[str]:
    return [f"{len(rows)} of {images} asked images"] if images is not None and images > len(rows) else []


def _said_of(scale: Normalize | None, unit: str, rows: Sequence[_Row]) -> list[str]:
    """The text that replaces the colour bar where it has no use."""
    if scale is None:
        return [f"{unit} has no score map: it uses no image"]
    if all(row.sketch is not None and not len(row.sketch.classes) for row in rows):
        return ["score map: no object to score"]
    return [f"score map: {unit} is {scale.vmin:.3g} everywhere"] if scale.vmin == scale.vmax else []


def _explained(rows: Sequence[_Row]) -> list[str]:
    notes = []
    if any((row.faded & (row.truth != IGNORE)).any() for row in rows):
        notes.append("faded truth: known before this round")
    if any(len(row.overlay.dots) for row in rows):
        notes.append(DOTS)
    return notes + explained([row.sketch for row in rows if row.sketch is not None])
