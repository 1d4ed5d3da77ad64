"""Draws objects on a picture: their outline in each pass, what the passes agree on, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from skimage.measure import find_contours

from seg_al.core import PixelSet
from seg_al.recording.pictures.labels import ObjectLabel, labels, write_labels
from seg_al.recording.pictures.overlay import Points, borders, sampled
from seg_al.tasks.objects.merging import certainty_of
from seg_al.tasks.objects.objects import Instances, object_map
from seg_al.tasks.objects.passes import Floats, Group, Integers, Objects

THICK, THIN, RARE = 1.1, 0.4, 0.8
"""Line widths in points around a large object: agreed by the passes, of one pass, unlikely or seen by few."""
BORDER = 0.8  # points, the lines between true objects or predicted ones
FAINT = 0.12
"""Smallest opacity of a line; otherwise its opacity is the certainty."""
OUTLINE_DASHES = (0.0, (2.5, 1.5))
LARGE = 30.0
"""Side of an object in screen pixels above which its lines have their full width."""
LIKELY = 0.5
"""Objects of at least this certainty (mean score over all passes) count as likely."""

DOUBTED = 5
"""How many of the surest objects a prediction shows where none is likely."""

Colours = npt.NDArray[np.floating[Any]]  # [N, 3] in 0..1


@dataclass(frozen=True)
class SeenObjects:
    """The objects that a network found in one image."""

    objects: Objects
    scores: Floats | None
    """[N], the score of each object, higher = more wanted; None: the heuristic uses no image."""

    def likely(self) -> PixelSet:  # [N]
        passes = self.objects.passes
        return np.array([certainty_of(group, passes) >= LIKELY for group in self.objects.groups], dtype=np.bool_)

    def few(self) -> PixelSet:  # [N]
        """Whether fewer than half of the passes saw the object."""
        return np.array([2 * seen_by(group) < self.objects.passes for group in self.objects.groups], dtype=np.bool_)


@dataclass(frozen=True)
class Sketch:
    """The lines and numbers of one picture's objects, in the image's own pixel coordinates."""

    several: bool
    """Whether there is more than one pass."""
    members: tuple[Points, ...]
    """The outlines of single passes."""
    member_classes: Integers
    """For each line of `members`, the class that the pass gave the object."""
    member_scores: Floats
    """For each line of `members`, the certainty of the pass."""
    agreed: tuple[Points, ...]
    """The outlines of the pixels that at least half of an object's members cover."""
    owners: Integers
    """For each line of `agreed`, its object."""
    classes: Integers  # [N], the most frequent class of each object
    sure: Floats  # [N], the mean score of an object's members
    likely: PixelSet  # [N]
    few: PixelSet  # [N], whether fewer than half of the passes saw the object
    counts: tuple[ObjectLabel, ...]
    """How many passes saw an object, such as "3/10", for the surest objects that few passes saw."""
    scores: tuple[ObjectLabel, ...]
    """The scores of the most wanted objects, where there is room."""
    division: Points  # [2 S, 2], the borders of the likely objects, every two points a line
    doubted: Points  # [2 S, 2], those of the surest objects where none is likely
    weight: float
    """Factor of the lines' width, at most 1: small objects have thin lines."""


def sketch(seen: SeenObjects, step: int, zoom: float) -> Sketch:
    """The lines of the objects at `zoom` screen pixels per image pixel, from every `step`-th pixel."""
    objects, few, likely = seen.objects, seen.few(), seen.likely()
    members, agreed = [], []
    for place, group in enumerate(objects.groups):
        for crop, one, score in zip(group.masks, group.classes.tolist(), group.scores.tolist(), strict=True):
            members += [(line, one, score) for line in object_outlines(crop.mask, crop.window[:2], step)]
        agreed += [(line, place) for line in object_outlines(group.consensus, group.window[:2], step)]
    sides = np.sqrt([np.count_nonzero(group.consensus) for group in objects.groups]) * zoom
    sure = np.array([group.scores.mean() for group in objects.groups], dtype=np.float64)
    shares = [f"{seen_by(group)}/{objects.passes}" for group in objects.groups]
    rare = [place for place in np.argsort(-sure, kind="stable").tolist() if few[place]]
    scores = np.zeros(0) if seen.scores is None else seen.scores
    wanted = np.argsort(-scores, kind="stable").tolist()
    there = tuple(group for group, kept in zip(objects.groups, likely.tolist(), strict=True) if kept)
    return Sketch(
        several=objects.passes > 1,
        members=tuple(line for line, _, _ in members),
        member_classes=np.array([one for _, one, _ in members], dtype=np.int64),
        member_scores=np.array([score for _, _, score in members], dtype=np.float64),
        agreed=tuple(line for line, _ in agreed),
        owners=np.array([place for _, place in agreed], dtype=np.int64),
        classes=np.array([np.bincount(group.classes).argmax() for group in objects.groups], dtype=np.int64),
        sure=sure,
        likely=likely,
        few=few,
        counts=labels(objects, rare, shares, zoom),
        scores=labels(objects, wanted, [f"{score:.3g}" for score in scores.tolist()], zoom),
        division=_division(replace(objects, groups=there).map, step),
        doubted=_division(replace(objects, groups=() if there else _surest(objects, sure)).map, step),
        weight=float(np.clip(np.median(sides) / LARGE, 0.6, 1.0)) if len(sides) else 1.0,
    )


def _surest(objects: Objects, sure: Floats) -> tuple[Group, ...]:
    return tuple(objects.groups[place] for place in np.argsort(-sure, kind="stable")[:DOUBTED].tolist())


def seen_by(group: Group) -> int:
    """How many passes saw the object; with FirstMatch one pass may have several members."""
    return len(np.unique(group.passes))


def summary_of(seen: SeenObjects) -> str:
    """The number of objects, how many of them few passes saw, and the highest score."""
    count, passes = len(seen.objects), seen.objects.passes
    if count == 0:
        return "no object" if passes == 1 else f"no object in {passes} passes"
    text = f"{count:,} {'object' if count == 1 else 'objects'}"
    likely = int(np.count_nonzero(seen.likely()))
    if not likely:
        best = max(certainty_of(group, passes) for group in seen.objects.groups)
        text += f", none of certainty {LIKELY:g} or more (best {best:.2g})"
    elif passes > 1 or likely < count:
        text += f", {likely:,} of them likely"
    if few := int(np.count_nonzero(seen.few())):
        text += f", {few:,} seen by fewer than half of {passes} passes"
    return text if seen.scores is None else f"{text}; most wanted {seen.scores.max():.3g}"


def explained(drawn: Sequence[Sketch]) -> list[str]:
    """What the lines and numbers of the pictures mean."""
    notes = []
    if any(one.several and len(one.classes) for one in drawn):
        notes.append("thin lines: an object in each pass, fainter where less certain")
    if any(one.likely.any() for one in drawn):
        notes.append(f"thick: likely objects (mean certainty of at least {LIKELY:g})")
    if any(len(one.doubted) for one in drawn):
        notes.append(f"dotted in the prediction: the surest objects (at most {DOUBTED}), where none is likely")
    if any(one.few.any() for one in drawn):
        notes.append("dashed, 2/10: seen by fewer than half of the passes")
    if any(one.scores for one in drawn):
        notes.append("numbers: scores of the most wanted")
    return notes


def object_outlines(mask: PixelSet, corner: tuple[int, int], step: int) -> list[Points]:
    """Closed lines [n, 2] half-way between the pixels in the mask and those beside it.

    `mask`: [h, w]; `corner`: x, y of its first pixel. Only every `step`-th pixel is read,
    unless the mask is too small for that.
    """
    step = 1 if min(mask.shape, default=0) < 4 * step else step
    framed = np.pad(sampled(mask, step).astype(np.float32), 1) if mask.size else np.zeros((2, 2), np.float32)
    first = np.array(corner) + step // 2 * (step > 1)
    return [(line[:, ::-1] - 1) * step + first for line in find_contours(framed, 0.5)]


def true_division(instances: Instances, step: int) -> Points:  # [2 S, 2]
    """The borders of the objects, also where two touch; crowds have none."""
    return _division(object_map(instances) - 1, step)


def _division(places: npt.NDArray[np.int32], step: int) -> Points:  # [H, W], -1: none
    return borders(sampled(places, step)) * step - 0.5


def draw_passes(axes: Axes, drawn: Sketch, colours: npt.NDArray[np.uint8]) -> None:
    """Draws each pass's outlines in class colours, the agreed ones, and how few passes saw one; `colours` [256, 3]."""
    own = np.column_stack([colours[drawn.member_classes] / 255, drawn.member_scores.clip(FAINT, 1)])
    axes.add_collection(LineCollection(drawn.members, colors=own, linewidths=THIN * drawn.weight), autolim=False)
    _draw_agreed(axes, drawn, colours[drawn.classes] / 255, drawn.counts)


def draw_scores(axes: Axes, drawn: Sketch) -> None:
    """Draws the outlines that the passes agree on, in white, and the scores of the most wanted."""
    _draw_agreed(axes, drawn, np.ones((len(drawn.sure), 3)), drawn.scores)


def draw_division(axes: Axes, division: Points, weight: float) -> None:  # [2 S, 2]
    """Draws the borders of objects, also between touching ones; `weight` is a factor of the lines' width."""
    lines = LineCollection(
        list(division.reshape(-1, 2, 2)), colors="black", linewidths=BORDER * weight, capstyle="projecting"
    )
    axes.add_collection(lines, autolim=False)


def draw_doubted(axes: Axes, drawn: Sketch) -> None:
    """Draws the surest objects where none is likely: dotted white on a pale black line, visible on every class."""
    pieces = list(drawn.doubted.reshape(-1, 2, 2))
    ground = LineCollection(pieces, colors=(0.0, 0.0, 0.0, 0.5), linewidths=BORDER)
    dots = LineCollection(pieces, colors="white", linewidths=BORDER, linestyles=":")
    axes.add_collection(ground, autolim=False)
    axes.add_collection(dots, autolim=False)


def _draw_agreed(axes: Axes, drawn: Sketch, colours: Colours, told: Sequence[ObjectLabel]) -> None:  # [N, 3]
    """Draws one line per outline: dashed where few passes saw the object, thick and on black where it is likely.

    Objects that are likely or labelled are opaque.
    """
    opacity = np.where(drawn.likely, 1.0, drawn.sure.clip(FAINT, 1))
    opacity[[label.place for label in told]] = 1.0
    thick, dashed = drawn.likely[drawn.owners], drawn.few[drawn.owners].tolist()
    ground = [drawn.agreed[place] for place in np.flatnonzero(thick).tolist()]
    width = drawn.weight * np.r_[np.full(len(ground), 2 * THICK), np.where(thick, THICK, RARE)]
    own = np.column_stack([colours, opacity])[drawn.owners]
    colour = np.concatenate([np.tile([0.0, 0.0, 0.0, 1.0], (len(ground), 1)), own])
    styles = ["solid"] * len(ground) + [OUTLINE_DASHES if one else "solid" for one in dashed]
    lines = LineCollection([*ground, *drawn.agreed], colors=colour, linewidths=width, linestyles=styles)
    axes.add_collection(lines, autolim=False)
    write_labels(axes, told)
