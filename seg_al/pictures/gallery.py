"""What a round asked, and why, as one picture: a row per asked image with prediction, truth and score map."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from seg_al.core import IGNORE, BoolMask, ByteImage, Query
from seg_al.instances.nouns import Instances
from seg_al.pictures.objects import (
    Seen,
    Sketch,
    draw_division,
    draw_passes,
    draw_scores,
    explained,
    sketch,
    true_division,
    words_of,
)
from seg_al.pictures.overlay import DPI, Overlay, Points, draw, extent, overlay, sampled, shrunk, stride, write
from seg_al.pictures.palette import UNKNOWN_COLOUR, legend_entries, palette
from seg_al.pictures.places import Places

ClassMap = npt.NDArray[np.integer]  # [H, W], IGNORE where unknown

SCORE_COLOURS = "viridis"
TITLES = ("image", "prediction", "truth", "score map")
CELL, OBJECTS_CELL = 2.5, 3.6  # inches, the width of one picture, without and with objects
STRIP, TOWER = 0.45, 1.6
"""Heights over widths between which a picture has the full width."""
LINE = 0.17  # inches, the height of one line of text
LEGEND_COLUMNS = 7
FADED = 0.7
"""How far the truth that was known before is faded towards white."""


@dataclass(frozen=True)
class Panel:
    """One image with all queries of the round about it, and what the network saw in it."""

    image: ByteImage  # [H, W, 3]
    prediction: ClassMap  # [H, W] class ids
    truth: ClassMap  # [H, W] class ids, IGNORE where unknown
    score_map: npt.NDArray[np.floating]  # [H, W], higher = more wanted; NaN where not scored
    queries: tuple[Query, ...]
    """Of this image only; they share no pixel."""
    whole: bool
    """Whether one query asks for all of the image that is of any class: then there is no overlay."""
    seen: Seen | None = None
    """What the network found object by object; None where the task has no objects."""
    true: Instances | None = None
    """The true objects that are known, once the queries are answered; drawn where there are `seen` ones."""


@dataclass(frozen=True)
class _Row:
    """A panel in the size in which it is drawn."""

    cell: float  # inches, the width of one picture

    image: ByteImage  # [h, w, 3]
    prediction: ClassMap  # [h, w]
    truth: ClassMap  # [h, w]
    faded: BoolMask  # [h, w], known before
    score_map: npt.NDArray[np.floating]  # [h, w]
    overlay: Overlay
    dot_classes: npt.NDArray[np.int64]  # [n dots]
    words: tuple[str, str]
    sketch: Sketch | None
    division: Points | None  # [2 S, 2], of the true objects


def query_gallery(
    panels: Iterable[Panel], classes: Sequence[str], path: Path, unit: str = "score", images: int | None = None
) -> None:
    """Draws the panels to a PNG; `unit` stands at the colour bar, which all rows share.

    Panels are looked at one by one, so that an iterator needs memory for one. `images`: how many were asked about, if
    these are not all. Raises ValueError without panels, and for a panel whose parts disagree in size or image, or hold
    an unknown class.
    """
    rows = [_laid(panel, len(classes)) for panel in panels]
    if not rows:
        raise ValueError("the gallery has no panel to draw")
    heights = [_height(row) for row in rows]
    legend_rows = -(-(len(classes) + 1) // LEGEND_COLUMNS)
    cell = max(row.cell for row in rows)
    size = (4 * cell + 3.1, sum(heights) + 1.1 + 0.22 * legend_rows)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    shares = {"width_ratios": [1, 1, 1, 1, 0.95 * CELL / cell], "height_ratios": [*heights, 0.14]}
    grid = figure.add_gridspec(len(rows) + 1, 5, **shares)
    scale = _scale(rows)
    for number, row in enumerate(rows):
        axes = [figure.add_subplot(grid[number, column]) for column in range(5)]
        _draw(axes, row, palette(len(classes)), scale)
        for title, one in zip(TITLES if number == 0 else (), axes, strict=False):
            one.set_title(title, fontsize=11)
    bar = ScalarMappable(scale, SCORE_COLOURS)
    figure.colorbar(bar, cax=figure.add_subplot(grid[-1, 3]), orientation="horizontal", label=unit)
    _legend(figure, classes, rows)
    if note := _note(rows, images):
        figure.supxlabel(note, fontsize=10, x=0.01, ha="left")
    write(figure, path)


def _laid(panel: Panel, classes: int) -> _Row:
    _check(panel, classes)
    places = Places.of([query.region for query in panel.queries])
    cell = CELL if panel.seen is None else OBJECTS_CELL
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
        score_map=sampled(panel.score_map, step),
        overlay=drawn,
        dot_classes=places.classes(np.asarray(panel.truth))[drawn.small],
        words=words(panel),
        sketch=None
        if panel.seen is None
        else sketch(panel.seen, step, min(1, TOWER * places.size[1] / places.size[0]) * zoom),
        division=None if panel.true is None else true_division(panel.true, step),
    )


def _check(panel: Panel, classes: int) -> None:
    size = panel.image.shape[:2]
    names = sorted({query.image for query in panel.queries})
    if len(names) != 1:
        raise ValueError(f"a panel shows the queries of one image, not of {len(names)}: {', '.join(names)}")
    name = names[0]
    if panel.image.ndim != 3 or panel.image.shape[2] != 3 or panel.image.dtype != np.uint8:
        raise ValueError(f"{name}: the image is {panel.image.shape} {panel.image.dtype}, not [H, W, 3] uint8")
    for part in ("prediction", "truth", "score_map"):
        if (shape := getattr(panel, part).shape) != size:
            raise ValueError(f"{name}: the {part} is {shape}, but the image is {size}")
    for query in panel.queries:
        if query.region.size != size:
            raise ValueError(f"{name}: a query is made for {query.region.size} pixels, but the image is {size}")
    if not any(query.region.area for query in panel.queries):
        raise ValueError(f"{name}: the queries hold no pixel, so nothing was asked")
    for part in ("prediction", "truth"):
        ids = np.unique(getattr(panel, part))
        if wrong := [int(one) for one in ids if not (0 <= one < classes or one == IGNORE)]:
            raise ValueError(f"{name}: the {part} holds class {wrong}, but there are {classes} classes")


def _scale(rows: Sequence[_Row]) -> Normalize:
    """One colour scale for all rows, so that they can be compared; what is not finite has no say."""
    values = np.concatenate([row.score_map[np.isfinite(row.score_map)] for row in rows])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return Normalize(low, high if high > low else low + 1.0)


def _draw(axes: Sequence[Axes], row: _Row, colours: npt.NDArray[np.uint8], scale: Normalize) -> None:
    place = extent(row.overlay.size)
    faded = np.rint((1 - FADED) * colours + FADED * 255).astype(np.uint8)
    faded[IGNORE] = colours[IGNORE]
    truth = np.where(row.faded[..., None], faded[row.truth], colours[row.truth])
    axes[0].imshow(row.image, extent=place)
    axes[1].imshow(colours[row.prediction], interpolation="nearest", extent=place)
    axes[2].imshow(truth, interpolation="nearest", extent=place)
    axes[3].set_facecolor(UNKNOWN_COLOUR)
    axes[3].imshow(np.ma.masked_invalid(row.score_map), cmap=SCORE_COLOURS, norm=scale, extent=place)
    for title, one in zip(TITLES, axes, strict=False):
        one.set_anchor("N")  # beside the first line of the text
        one.set_xticks([])
        one.set_yticks([])
        _draw_objects(title, one, row, colours)
        draw(one, row.overlay, colours[row.dot_classes] / 255 if title == "truth" else None)
    axes[4].set_axis_off()
    name, text = row.words
    corner: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    axes[4].annotate(name, (0, 1), xytext=(0, 0), fontsize=10, weight="bold", **corner)
    below = -72 * LINE * (name.count("\n") + 1) - 3
    axes[4].annotate(text, (0, 1), xytext=(0, below), fontsize=10, **corner)


def _draw_objects(title: str, axes: Axes, row: _Row, colours: npt.NDArray[np.uint8]) -> None:
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


def words(panel: Panel) -> tuple[str, str]:
    """The image's name and what is said of its queries, wrapped to their column."""
    queries = panel.queries
    height, width = panel.image.shape[:2]
    lines = [f"{width} × {height} pixels"]
    if len(queries) == 1:
        lines += queries[0].why.splitlines()
    else:
        scored = [query for query in queries if query.score is not None]
        lines.append(f"{len(queries):,} queries")
        if scored:
            best, worst = (how(scored, key=lambda query: query.score or 0.0) for how in (max, min))
            lines += [f"best: {best.why}", f"worst: {worst.why}"]
    if panel.seen is not None:
        lines.append(words_of(panel.seen))
    if not panel.whole:
        area = sum(query.region.area for query in queries)
        share = 100 * area / (height * width)
        lines.append(f"asked: {area:,} {'pixel' if area == 1 else 'pixels'}, {share:.3g} %")
    return textwrap.fill(queries[0].image, 26), "\n".join(textwrap.fill(line, 30) for line in lines)


def _height(row: _Row) -> float:
    """Inches of a row: the picture's shape, kept between a strip and a tower, but never less than its text."""
    height, width = row.overlay.size
    picture = row.cell * float(np.clip(height / width, STRIP, TOWER))
    return max(picture, LINE * (sum(part.count("\n") + 1 for part in row.words) + 1)) + 0.1


def _note(rows: Sequence[_Row], images: int | None) -> str:
    notes = [f"{len(rows)} of {images} asked images"] if images is not None and images > len(rows) else []
    if any((row.faded & (row.truth != IGNORE)).any() for row in rows):
        notes.append("faded truth: known before this round")
    sketches = [row.sketch for row in rows if row.sketch is not None]
    return "; ".join([*notes, *explained(sketches)])


def _legend(figure: Figure, classes: Sequence[str], rows: Sequence[_Row]) -> None:
    entries = legend_entries(classes, any((one == IGNORE).any() for row in rows for one in (row.prediction, row.truth)))
    columns = min(len(entries), LEGEND_COLUMNS)
    figure.legend(handles=entries, loc="outside upper left", ncols=columns, fontsize=10, frameon=False)
