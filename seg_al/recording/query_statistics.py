"""Counts what a round asked about: classes of the answers, classes found so far, distances between queries."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial import KDTree
from tqdm import tqdm

from seg_al.asking.pool import Pool
from seg_al.core import Annotator, Colour, Truth
from seg_al.recording.pictures.overlay import DPI, write_picture
from seg_al.recording.pictures.palette import palette
from seg_al.recording.pictures.query_regions import Placed, QueryRegions, by_image

BAR = 0.3  # inches, the height of a class in the picture
MOST_DRAWN = 24
"""Most classes of the picture."""
LETTERS = 30
"""Letters in a line of a class's name."""

Floats = npt.NDArray[np.float64]


def statistics(
    queries: Sequence[Placed],
    answers: Sequence[Placed],
    pool: Pool,
    annotator: Annotator[Truth],
    classes: Sequence[str],
    amounts: Callable[[Truth, int], npt.NDArray[np.int64]],
) -> dict[str, Any]:
    """Counts the queries and answers of a round, before the pool marks them as known; no other label is read.

    Each of `answers` belongs to the query at its position; `amounts` counts the classes of a truth. Gives, for JSON:

    - queries, images, pixels: how many were asked, in how many images;
    - classes: names, in the order of their ids;
    - answered, before: how much of each class, such as pixels, is among the round's answers, and was known before;
    - classes_found: the share of all classes that is known from now on, 0 to 1;
    - classes_per_image: the mean number of different classes in the answers about one image;
    - nearest_distance: pixels from the centre of a region to the nearest other one that the round asked about in the
      same image, the mean over all regions that have one; None where no image has two;
    - nearest_distance_random: the same for uniformly random places, see `random_nearest`.
    """
    positions = by_image(queries)
    answered, before = (np.zeros(len(classes), dtype=np.int64) for _ in range(2))
    present: list[int] = []
    apart: list[tuple[int, float, float]] = []  # for each image: regions, distance, and the distance of random places
    names = sorted({*positions, *pool.labelled})
    for name in tqdm(names, desc="asked", unit="image", leave=False, disable=None, delay=1):
        known, own = pool.answered(name), positions.get(name, [])
        then = amounts(annotator.reveal(name, known), len(classes))
        before += then
        if own:
            all_of_it = [*known, *(answers[position].region for position in own)]
            now = amounts(annotator.reveal(name, all_of_it), len(classes)) - then
            answered += now
            present.append(int(np.count_nonzero(now)))
        if len(own) > 1:
            places = QueryRegions.of([queries[position].region for position in own])
            apart.append((places.count, nearest(places.centres()), random_nearest(places.count, places.size)))
    return {
        "queries": len(queries),
        "images": len(positions),
        "pixels": sum(one.region.area for one in queries),
        "classes": list(classes),
        "answered": answered.tolist(),
        "before": before.tolist(),
        "classes_found": float(np.mean((answered + before) > 0)),
        "classes_per_image": float(np.mean(present)) if present else None,
        "nearest_distance": _mean([(count, found) for count, found, _ in apart]),
        "nearest_distance_random": _mean([(count, random) for count, _, random in apart]),
    }


def _mean(weighted: Sequence[tuple[int, float]]) -> float | None:
    total = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / total if total else None


def nearest(centres: npt.NDArray[np.float64]) -> float:  # [n, 2], n > 1
    """The mean distance from a point to the nearest other one, in the unit of the points."""
    distances, _ = KDTree(centres).query(centres, k=2)
    return float(np.asarray(distances)[:, 1].mean())


def random_nearest(count: int, size: tuple[int, int]) -> float:
    """The expected value of `nearest` for points drawn uniformly from a whole image, in pixels.

    sqrt(A / n) / 2 of the endless plane (Clark and Evans 1954), corrected for the points near the border of a rectangle
    as fitted by Donnelly (1978): within 2 % from five points on and 4 % from three, 8 % too small for two, in images up
    to twice as wide as high. It does not know which pixels could not be asked about, nor that places lie on a grid: it
    is 4 % too small where one pixel in 17 is asked, 15 % where it is one in four.
    """
    height, width = size
    border = (0.0514 + 0.041 / count**0.5) * 2 * (height + width) / count
    return float(0.5 * (height * width / count) ** 0.5 + border)


def query_scalars(found: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of `statistics` for a tracker, and whether all scores were equal; shares are of answered pixels."""
    keys = (
        "queries", "images", "pixels", "classes_found", "classes_per_image", "nearest_distance",
        "nearest_distance_random", "all_scores_equal",
    )  # fmt: skip
    told = {f"asked/{key}": float(found[key]) for key in keys if found.get(key) is not None}
    total = sum(found["answered"])
    shares = zip(found["classes"], found["answered"], strict=True)
    return told | {f"asked/share_{name}": count / total for name, count in shares if total}


def query_statistics_figure(
    found: Mapping[str, Any], number: int, path: Path, own: Sequence[Colour] | None = None
) -> None:
    """Draws `statistics` of a round as a PNG: a bar per class for the round, a hatched one for what was known before.

    Of more than MOST_DRAWN classes those that were found are drawn, the largest first, and the others counted.
    """
    names: list[str] = found["classes"]
    now, before = (np.array(found[key], dtype=np.float64) for key in ("answered", "before"))
    now, before = (100 * counts / max(counts.sum(), 1.0) for counts in (now, before))
    drawn = drawn_classes(now, before)
    colours = palette(len(names), own)[drawn] / 255
    now, before, there = now[drawn], before[drawn], [names[one] for one in drawn]
    figure = Figure(figsize=(7.0, BAR * len(drawn) + 1.9), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    rows = np.arange(len(drawn))
    style: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.6}
    axes.barh(rows - 0.19, now, 0.38, color=colours, **style)
    axes.barh(rows + 0.19, before, 0.38, color="white", hatch="////", **style)
    _write_shares(axes, now, before)
    if not len(drawn):
        axes.annotate("no class is known yet", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center")
    missing = now + before == 0
    labels = [f"{name} (not found yet)" if gone else name for name, gone in zip(there, missing, strict=True)]
    axes.set_yticks(rows, [textwrap.fill(label, LETTERS) for label in labels])
    for label, gone in zip(axes.get_yticklabels(), missing, strict=True):
        label.set(color="#777777" if gone else "black", fontsize=9)
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * max(now.max(initial=0.0), before.max(initial=0.0), 1.0))
    axes.set_xlabel(
        "share of labelled pixels (%)\nfilled: answers of this round; hatched: all known before", fontsize=9
    )
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(_title(found, number, len(drawn)), fontsize=10)
    write_picture(figure, path)


def drawn_classes(now: Floats, before: Floats) -> npt.NDArray[np.intp]:  # [C] shares -> class ids
    """All classes in the order of their ids; of more than MOST_DRAWN those that are known, the most asked first."""
    if len(now) <= MOST_DRAWN:
        return np.arange(len(now))
    order = np.lexsort((-before, -now))
    return order[(now + before)[order] > 0][:MOST_DRAWN]


def _write_shares(axes: Axes, now: Floats, before: Floats) -> None:
    for row in range(len(now)):
        for offset, share in ((-0.19, now[row]), (0.19, before[row])):
            if share > 0:
                axes.annotate(
                    f"{share:.2g}" if share < 10 else f"{share:.0f}", (share, row + offset), xytext=(3, 0),
                    textcoords="offset points", va="center", fontsize=7,
                )  # fmt: skip


def _title(found: Mapping[str, Any], number: int, drawn: int) -> str:
    count = len(found["classes"])
    known = round(found["classes_found"] * count)
    lines = [
        f"Round {number}: {_counted(found['queries'], 'query', 'queries')} about "
        f"{_counted(found['pixels'], 'pixel', 'pixels')} of {_counted(found['images'], 'image', 'images')}",
        f"{known} of {count} classes found so far",
    ]
    if drawn < known:
        lines[1] += f", the {drawn} largest drawn"
    if found["nearest_distance"] is not None:
        lines.append(
            f"nearest other query {found['nearest_distance']:.3g} pixels away "
            f"(random: {found['nearest_distance_random']:.3g})"
        )
    return "\n".join(lines)


def _counted(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"
