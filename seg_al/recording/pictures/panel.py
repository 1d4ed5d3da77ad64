"""One row of a gallery: the pictures of one asked image, and its text."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seg_al.core import IGNORE, ByteImage, Query
from seg_al.recording.pictures.objects import SeenObjects, summary_of
from seg_al.tasks.objects.objects import Instances

ClassMap = npt.NDArray[np.integer]  # [H, W], IGNORE where unknown


@dataclass(frozen=True)
class Panel:
    """One image with all the round's queries about it, and what the network predicted."""

    image: ByteImage  # [H, W, 3]
    prediction: ClassMap  # [H, W] class ids
    truth: ClassMap  # [H, W] class ids, IGNORE where unknown
    score_map: npt.NDArray[np.floating] | None  # [H, W], higher = more wanted; NaN where not scored
    """None: the heuristic uses no image, as random does."""
    queries: tuple[Query, ...]
    """The queries of this image, which share no pixel."""
    whole: bool
    """Whether one query asks for the whole image without its void pixels: then there is no overlay."""
    seen: SeenObjects | None = None
    """The objects that the network found; None where the task has no objects."""
    true: Instances | None = None
    """The true objects that are known, once the queries are answered; drawn where there are `seen` ones."""


def check_panel(panel: Panel, classes: int) -> None:
    size = panel.image.shape[:2]
    """Raises ValueError where parts disagree in size or image, or hold an unknown class."""
    names = sorted({query.image for query in panel.queries})
    if len(names) != 1:
        raise ValueError(f"a panel shows the queries of one image, not of {len(names)}: {', '.join(names)}")
    name = names[0]
    if panel.image.ndim != 3 or panel.image.shape[2] != 3 or panel.image.dtype != np.uint8:
        raise ValueError(f"{name}: the image is {panel.image.shape} {panel.image.dtype}, not [H, W, 3] uint8")
    parts = {"prediction": panel.prediction, "truth": panel.truth, "score_map": panel.score_map}
    for part, array in parts.items():
        if array is not None and array.shape != size:
            raise ValueError(f"{name}: the {part} is {array.shape}, but the image is {size}")
    for query in panel.queries:
        if query.region.size != size:
            raise ValueError(f"{name}: a query is made for {query.region.size} pixels, but the image is {size}")
    if not any(query.region.area for query in panel.queries):
        raise ValueError(f"{name}: the queries hold no pixel, so nothing was asked")
    for part, ids in (("prediction", np.unique(panel.prediction)), ("truth", np.unique(panel.truth))):
        if wrong := [int(one) for one in ids if not (0 <= one < classes or one == IGNORE)]:
            raise ValueError(f"{name}: the {part} holds class {wrong}, but there are {classes} classes")


def words(panel: Panel) -> tuple[str, str]:
    """The image's name and the text about its queries, wrapped to their column."""
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
        lines.append(summary_of(panel.seen))
    if not panel.whole:
        area = sum(query.region.area for query in queries)
        share = 100 * area / (height * width)
        lines.append(f"asked: {area:,} {'pixel' if area == 1 else 'pixels'}, {share:.3g} %")
    return textwrap.fill(queries[0].image, 26), "\n".join(textwrap.fill(line, 30) for line in lines)
