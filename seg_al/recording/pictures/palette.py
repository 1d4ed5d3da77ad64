"""The colours of classes, the same in every picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from skimage.color import rgb2lab

from seg_al.core import IGNORE, Colour

Palette = npt.NDArray[np.uint8]  # [256, 3]

# A dark grey, since the first class is mostly the background, then seven of Okabe and Ito (2008). Each of the others
# is the colour, neither very dark nor very light, that differs most (CIEDE2000) from all before it, from the unknown,
# black and white, as people with and without red or green blindness see them (Machado, Oliveira and Fernandes 2009).
CLASS_COLOURS = (
    "#3b3b46", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
    "#b4002d", "#87ffb4", "#a50f78", "#5a695a", "#7878ff", "#ffd2ff", "#4b0ff0", "#b4b478",
    "#d2a5a5", "#ff0069", "#4b8787", "#87784b", "#1e4bb4", "#2d693c", "#0fd2b4", "#c32d00",
)  # fmt: skip
UNKNOWN_COLOUR = "#d9d9d9"


MOST_NAMED = 20
"""Most classes that a legend names."""


def palette(classes: int, own: Sequence[Colour] | None = None) -> Palette:
    """The colour of every class id: the data set's own where it has one, else ours, which all differ.

    Ours are fixed for 24 classes; each further one is the colour that differs most from all before it.
    """
    table = np.tile(_bytes(UNKNOWN_COLOUR), (256, 1))
    count = min(classes, IGNORE)
    table[:count] = _ours(max(count, len(CLASS_COLOURS)))[:count]
    if own is not None:
        table[:count] = np.asarray(own, dtype=np.uint8)[:count]
    return table


@cache
def _ours(count: int) -> Palette:  # [count, 3]
    """Our fixed colours, then those of a grid of colours that differ most (CIE 1976) from all before them."""
    steps = np.arange(15, 256, 30, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    fixed = np.array([_bytes(one) for one in CLASS_COLOURS])
    kept_clear = np.concatenate([fixed, [_bytes(UNKNOWN_COLOUR), _bytes("#ffffff"), _bytes("#000000")]])
    places = rgb2lab(grid / 255)
    away = np.linalg.norm(places[:, None] - rgb2lab(kept_clear / 255), axis=2).min(axis=1)
    further = []
    for _ in range(count - len(fixed)):
        farthest = int(away.argmax())
        further.append(grid[farthest])
        away = np.minimum(away, np.linalg.norm(places - places[farthest], axis=1))
    return np.concatenate([fixed, further]) if further else fixed


def _bytes(colour: str) -> npt.NDArray[np.uint8]:  # [3]
    return np.asarray(np.rint(255 * np.array(to_rgb(colour))), dtype=np.uint8)


def legend_entries(classes: Sequence[str], colours: Palette, drawn: npt.NDArray[np.int64]) -> list[Patch]:
    """A legend entry per class, and one for the unknown where it is drawn; `drawn` [256] counts pixels by class id.

    With more than MOST_NAMED classes, those that occur are named, the largest first, and the others counted.
    """
    ids = list(range(len(classes)))
    if len(ids) > MOST_NAMED:
        ids = [one for one in np.argsort(-drawn[: len(classes)], kind="stable").tolist() if drawn[one]]
    named = [(colours[one] / 255, classes[one]) for one in ids[:MOST_NAMED]]
    if drawn[IGNORE]:
        named.append((colours[IGNORE] / 255, "unknown"))
    entries = [Patch(facecolor=colour, edgecolor="black", linewidth=0.5, label=name) for colour, name in named]
    smaller, absent = len(ids[MOST_NAMED:]), len(classes) - len(ids)
    texts = [f"and {smaller} smaller ones"] * bool(smaller) + [f"{absent} classes do not occur"] * bool(absent)
    return entries + [Patch(visible=False, label=text) for text in texts]
