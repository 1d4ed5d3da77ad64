"""Draws asked regions on a picture: outlines, and dots where a region is too small for an outline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Line
from PIL import Image

from seg_al.core import ByteImage, PixelSet
from seg_al.recording.pictures.plain_text import without_formulas
from seg_al.recording.pictures.query_regions import QueryRegions

DPI = 100
"""Screen pixels per inch of every picture."""
OUTLINED = 6.0
"""Side in screen pixels from which on a region has an outline; half of it where most regions are larger, and
twice where most are smaller, because an image with both outlines and dots is hard to read."""
DOT = 7.0
"""Screen pixels, the largest dot; many dots are smaller, so that they cover a tenth of the picture at most."""
RIMMED = 3.0
"""Screen pixels from which on a dot has a rim, so that it is visible on any background."""
DOT_COLOUR = "#ff3fd0"  # far from viridis and from most photographs

DOTS = "dots: asked regions too small to be outlined"

Scalar = TypeVar("Scalar", bound=np.generic)
Points = npt.NDArray[np.float64]  # [n, 2] x, y in pixels of the image


@dataclass(frozen=True)
class Overlay:
    """Lines and dots in the image's own pixel coordinates, for one size on the screen."""

    size: tuple[int, int]
    """Height and width of the image in pixels."""
    outlines: Points  # [2 S, 2], every two points a line
    weight: float
    """Points, the width of the lines."""
    dots: Points
    small: PixelSet  # [n], the regions that are dots
    dot: float
    """Screen pixels, a dot's side."""


def overlay(places: QueryRegions, whole: bool, zoom: float) -> Overlay:
    """The lines and dots at `zoom` screen pixels per image pixel; none for a whole image."""
    sides = np.sqrt(places.areas) * zoom  # [n] screen pixels
    least = OUTLINED / 2 if np.median(sides) >= OUTLINED else 2 * OUTLINED
    small = (sides < least) & (places.areas > 0) & (not whole)
    large = (sides >= least) & (not whole)
    outlines = np.zeros((0, 2))
    if large.any():
        step = stride(zoom)
        kept = np.where(np.append(large, False)[places.ids()], places.ids(), -1)  # -1 takes the appended value
        outlines = borders(sampled(kept, step)) * step - 0.5
    screen = places.size[0] * places.size[1] * zoom**2
    dot = float(np.clip(np.sqrt(screen / (10 * max(small.sum(), 1))), 1.0, DOT))
    weight = float(np.clip(np.median(sides[large]) / 20, 0.4, 1.0)) if large.any() else 0.0
    return Overlay(places.size, outlines, weight, places.centres()[small][:, ::-1], small, dot)


def stride(zoom: float) -> int:
    """The step between pixels of an image that leaves two per screen pixel."""
    return max(1, int(0.5 / zoom))


def sampled(array: npt.NDArray[Scalar], step: int) -> npt.NDArray[Scalar]:  # [H, W] -> [~ H / step, ~ W / step]
    """The middle pixel of every square of `step` pixels, because class ids cannot be averaged; returns a small copy."""
    return array[min(step // 2, array.shape[0] - 1) :: step, min(step // 2, array.shape[1] - 1) :: step].copy()


def shrunk(image: ByteImage, step: int) -> ByteImage:  # [H, W, 3] -> [ceil(H / step), ceil(W / step), 3]
    """The mean colour of every square of `step` pixels."""
    return image if step == 1 else np.asarray(Image.fromarray(image).reduce(step))


def borders(ids: npt.NDArray[np.generic]) -> Points:  # [H, W] -> [2 S, 2] x, y of corners, 0..W and 0..H
    """The lines between pixels of different ids, straight ones in one piece, closed at the border; -1: no region."""
    framed = np.pad(ids, 1, constant_values=-1)
    across = _straight(framed[:-1, 1:-1] != framed[1:, 1:-1])  # [S, 3] row, first column, last column
    down = _straight((framed[1:-1, :-1] != framed[1:-1, 1:]).T)
    lines = np.concatenate([across[:, [1, 0, 2, 0]], down[:, [0, 1, 0, 2]]])
    return lines.reshape(-1, 2).astype(np.float64)


def _straight(edges: PixelSet) -> npt.NDArray[np.int64]:  # [H, W] -> [S, 3] row, start and stop of each run of True
    turns = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(turns == 1)
    return np.stack([rows, starts, np.nonzero(turns == -1)[1]], axis=1)


def extent(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The extent of an image of this height and width on axes in its own pixels, at any resolution."""
    return (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)


def draw_overlay(axes: Axes, drawn: Overlay, colours: npt.NDArray[np.floating] | None = None) -> None:
    """Draws on the axes of a picture with the centre of pixel (row 0, column 0) at (0, 0).

    `colours` [n dots, 3] in 0..1 fill the dots; None: one colour.
    """
    if len(drawn.outlines):
        codes = np.tile(np.array([Line.MOVETO, Line.LINETO], dtype=np.uint8), len(drawn.outlines) // 2)
        line = Line(drawn.outlines, codes)
        for colour, width in (("white", 2.6), ("black", 1.0)):
            patch = PathPatch(line, fill=False, edgecolor=colour, linewidth=width * drawn.weight, capstyle="projecting")
            axes.add_artist(patch)  # add_patch would take seconds to compute the limits, which are set below
    if len(drawn.dots):
        x, y = drawn.dots.T
        points = 72 / DPI  # in screen pixels
        rim = points if drawn.dot >= RIMMED else 0.0
        face = DOT_COLOUR if colours is None else colours
        marker = "o" if rim else "s"
        edge = "black" if rim else "none"
        area = (drawn.dot * points) ** 2
        if rim:
            axes.scatter(x, y, s=area * 1.9, c="white", marker=marker, linewidths=0)
        axes.scatter(x, y, s=area, c=face, marker=marker, linewidths=rim, edgecolors=edge)
    height, width = drawn.size
    margin = 0.01 * max(height, width) if len(drawn.outlines) or len(drawn.dots) else 0.0
    axes.set_xlim(-0.5 - margin, width - 0.5 + margin)
    axes.set_ylim(height - 0.5 + margin, -0.5 - margin)


def write_picture(figure: Figure, path: Path) -> None:
    """Writes a PNG without a version inside, so that equal pictures are equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    without_formulas(figure).savefig(path, format="png", dpi=DPI, metadata={"Software": None})
