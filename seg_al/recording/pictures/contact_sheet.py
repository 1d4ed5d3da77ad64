"""Draws the asked images of a round on one sheet, as small pictures with the asked regions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from seg_al.core import ByteImage, Query
from seg_al.recording.pictures.overlay import (
    DOTS,
    DPI,
    Overlay,
    draw_overlay,
    extent,
    overlay,
    shrunk,
    stride,
    write_picture,
)
from seg_al.recording.pictures.query_regions import QueryRegions

THUMBNAILS = 40
"""Most images on a sheet."""
PICTURES_IN_A_ROW = 8
PICTURE_WIDTH = 1.8  # inches, the width of one picture
TEXT = 0.36  # inches, the height of two lines under it
NAME_LETTERS = 24
"""Letters of a name that fit under a picture; the middle of a longer name is left out."""


@dataclass(frozen=True)
class Thumbnail:
    """One image with all the round's queries about it."""

    image: ByteImage  # [H, W, 3]
    queries: tuple[Query, ...]
    whole: bool
    """Whether one query asks for the whole image without its void pixels: then there is no overlay."""


def spaced(count: int) -> list[int]:
    """At most THUMBNAILS of the positions 0..count-1, evenly spaced, with the first and the last."""
    shown = min(count, THUMBNAILS)
    return [round(place * (count - 1) / max(shown - 1, 1)) for place in range(shown)]


def contact_sheet(thumbnails: Iterable[Thumbnail], path: Path, caption: str) -> None:
    """Draws the images in their order to a PNG, row by row; an iterator needs memory for one.

    Raises ValueError where there is none.
    """
    cells = [_laid(one) for one in thumbnails]
    if not cells:
        raise ValueError("the contact sheet has no image to draw")
    columns = min(PICTURES_IN_A_ROW, len(cells))
    rows = -(-len(cells) // columns)
    picture = PICTURE_WIDTH * float(np.clip(max(drawn.size[0] / drawn.size[1] for _, drawn, _ in cells), 0.4, 1.6))
    dotted = any(len(drawn.dots) for _, drawn, _ in cells)
    row, top, gap = picture + TEXT + 0.12, 0.57 if dotted else 0.4, 0.08  # inches
    width, height = max(columns * (PICTURE_WIDTH + gap) + gap, 6.0), rows * row + top
    figure = Figure(figsize=(width, height), dpi=DPI)
    for position, (image, drawn, words) in enumerate(cells):
        left, below = gap + position % columns * (PICTURE_WIDTH + gap), height - top - (position // columns + 1) * row
        box = (left / width, (below + TEXT + 0.12) / height, PICTURE_WIDTH / width, picture / height)
        axes = figure.add_axes(box)
        axes.set_anchor("S")
        axes.set_axis_off()
        axes.imshow(image, extent=extent(drawn.size))
        draw_overlay(axes, drawn)
        figure.text(left / width, (below + TEXT + 0.08) / height, words, fontsize=7.5, va="top")
    figure.text(gap / width, 1 - 0.12 / height, f"{caption}\n{DOTS}" if dotted else caption, fontsize=10, va="top")
    write_picture(figure, path)


def _laid(thumbnail: Thumbnail) -> tuple[ByteImage, Overlay, str]:
    places = QueryRegions.of([query.region for query in thumbnail.queries])
    zoom = PICTURE_WIDTH * DPI / places.size[1]
    return shrunk(thumbnail.image, stride(zoom)), overlay(places, thumbnail.whole, zoom), _words(thumbnail, places)


def _words(thumbnail: Thumbnail, places: QueryRegions) -> str:
    """The name, how much was asked, and the best score."""
    name = thumbnail.queries[0].image
    if len(name) > NAME_LETTERS:
        name = f"{name[: NAME_LETTERS // 2 - 1]}…{name[-NAME_LETTERS // 2 :]}"
    scores = [query.score for query in thumbnail.queries if query.score is not None]
    parts = [f"best {max(scores):.3g}" if len(scores) > 1 else f"score {scores[0]:.3g}"] if scores else []
    if not thumbnail.whole:
        parts.insert(0, f"{len(thumbnail.queries):,} asked, {100 * places.share:.2g} %")
    return "\n".join([name, "; ".join(parts)])
