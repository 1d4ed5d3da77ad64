"""Places short texts at the objects of a picture, where there is room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from seg_al.recording.pictures.overlay import DPI
from seg_al.tasks.objects.passes import Group, Objects

LABELS = 6
"""The largest number of texts in one picture."""
LETTER_HEIGHT = 7.5  # points, the height of a text

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the image


class ObjectLabel(NamedTuple):
    """A text about an object."""

    place: int
    """The number of the object."""
    x: float
    y: float
    """The middle of the text in pixels of the image."""
    text: str


def labels(objects: Objects, order: Iterable[int], texts: Sequence[str], zoom: float) -> tuple[ObjectLabel, ...]:
    """The texts of the first LABELS objects of `order` that have room, in the object or beside it.

    A text keeps clear of those before it and of the picture's border, and lies in an object only where that is
    larger than the text.
    """
    high = LETTER_HEIGHT * DPI / 72 / zoom * 1.15
    taken: list[Box] = []
    found: list[ObjectLabel] = []
    for place in order:
        if len(found) == LABELS:
            break
        wide = high * (0.6 * len(texts[place]) + 0.3)
        for x, y in _spots(objects.groups[place], wide, high):
            box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
            if _inside(box, objects.size) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                found.append(ObjectLabel(place, x, y, texts[place]))
                break
    return tuple(found)


def _spots(group: Group, wide: float, high: float) -> list[tuple[float, float]]:
    """Possible centres of a text, the best first; none for an object without a pixel."""
    rows, columns = np.nonzero(group.consensus)
    if not len(rows):
        return []
    left, top = group.window[:2]
    x, y = left + float(columns.mean()), top + float(rows.mean())
    x0, x1 = left + float(columns.min()) - 0.5, left + float(columns.max()) + 0.5
    y0, y1 = top + float(rows.min()) - 0.5, top + float(rows.max()) + 0.5
    beside = [(x, y0 - high / 2), (x, y1 + high / 2), (x1 + wide / 2, y), (x0 - wide / 2, y)]
    return [(x, y), *beside] if x1 - x0 > 1.4 * wide and y1 - y0 > 1.4 * high else beside


def _inside(box: Box, size: tuple[int, int]) -> bool:
    return box[0] >= -0.5 and box[1] >= -0.5 and box[2] <= size[1] - 0.5 and box[3] <= size[0] - 0.5


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def write_labels(axes: Axes, told: Iterable[ObjectLabel]) -> None:
    """White on black, which can be read on any background."""
    for label in told:
        axes.text(
            label.x, label.y, label.text, fontsize=LETTER_HEIGHT, color="white", ha="center", va="center",
            path_effects=[withStroke(linewidth=1.8, foreground="black")],
        )  # fmt: skip
