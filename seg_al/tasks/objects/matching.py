"""Finds detections of different passes that are the same object, by the IoU of their masks.

BestMatch is the project's rule, FirstMatch that of its predecessors. Both take passes one by one, and `objects` may be
read at any time; a later pass does not change what it returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seg_al.tasks.objects.passes import Crop, Group, Integers, Objects, PlacedPass
from seg_al.tasks.objects.placement import selected
from seg_al.tasks.objects.rle import PixelBox, Size


class Matcher(Protocol):
    """Collects the passes of one image in their order."""

    def add(self, found: PlacedPass) -> None: ...
    def objects(self) -> Objects: ...


class Matching(Protocol):
    """A rule by which passes are matched."""

    def begin(self, size: Size) -> Matcher: ...  # for one image


@dataclass(frozen=True)
class BestMatch:
    """At most one detection of a pass joins an object: pairs in the order of their IoU, the best first.

    A detection is compared with the pixels that at least half of the object's members cover so far. A detection that
    joins no object becomes a new one, and detections of one pass do not join it. Pairs are taken best first, not by
    the largest sum of IoU, so that a detection and an object that fit each other best are always a pair, whatever lies
    around them. The order of detections within a pass has no effect. The order of the passes has none while objects
    keep apart; it can have one where IoUs lie near `iou`, as when two cells are one object in some passes, and where a
    pass finds an object twice, as either copy may then join either group.
    """

    iou: float = 0.5
    """The least intersection over union of a pair."""
    class_aware: bool = False
    """Whether only detections of the object's most frequent class join it (in a tie of the lower class)."""
    least: int = 0
    """Pixels; detections with smaller masks are left out."""

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise ValueError(f"BestMatch: iou={self.iou} of masks; choose more than 0 and at most 1, such as 0.5")
        _check_least("BestMatch", self.least)

    def begin(self, size: Size) -> Matcher:
        return _Best(size, self)


@dataclass(frozen=True)
class FirstMatch:
    """The predecessors' grouping, for comparison: the first group whose first member is alike takes a detection.

    Passes and detections go in order, groups in that of their creation; several detections of a pass may join one
    group, and classes do not count. maskAL (Blok et al. 2022, doi 10.1016/j.compag.2022.106917) takes iou=0.5, least=0;
    its successor for cells 0.2, and 0.1 for views, with least=50. Masks without a pixel, which joined any group there,
    do not get here.
    """

    iou: float = 0.5
    """Intersection over union that the two masks must exceed."""
    least: int = 0
    """Pixels; detections with smaller masks are left out."""

    def __post_init__(self) -> None:
        if not 0 <= self.iou < 1:
            raise ValueError(f"FirstMatch: iou={self.iou} of masks, to be exceeded; choose 0 to below 1, such as 0.5")
        _check_least("FirstMatch", self.least)

    def begin(self, size: Size) -> Matcher:
        return _First(size, self)


def _check_least(rule: str, least: int) -> None:
    if least < 0:
        raise ValueError(f"{rule}: least={least} pixels; choose 0 to keep every detection, or more")


class _Best:
    def __init__(self, size: Size, rule: BestMatch) -> None:
        self._size, self._rule = size, rule
        self._passes = 0
        self._groups: list[Group] = []

    def add(self, found: PlacedPass) -> None:
        assert found.size == self._size
        ranks = np.lexsort((found.proposals, found.classes, -found.scores))  # so that no other order matters
        found = _large(found, self._rule.least, ranks.tolist())
        homes = self._homes(found)
        for place in range(len(found)):
            if place in homes:
                self._groups[homes[place]] = _joined(self._groups[homes[place]], _alone(found, place, self._passes))
            else:
                self._groups.append(_alone(found, place, self._passes))
        self._passes += 1

    def objects(self) -> Objects:
        return Objects(self._size, self._passes, tuple(self._groups))

    def _homes(self, found: PlacedPass) -> dict[int, int]:
        """The group that each detection joins, by positions."""
        running = [Crop(group.window, group.consensus) for group in self._groups]
        major = np.array([np.bincount(group.classes).argmax() for group in self._groups], dtype=np.int64)
        near = _possible(found.masks, running, self._rule.iou)
        same = found.classes[:, None] == major
        if self._rule.class_aware:
            near &= same
        pairs = []
        for place, number in np.argwhere(near).tolist():
            iou = _iou(found.masks[place], running[number])
            if iou >= self._rule.iou:
                pairs.append((-iou, not same[place, number], place, number))
        homes: dict[int, int] = {}
        taken: set[int] = set()
        for _, _, place, number in sorted(pairs):
            if place not in homes and number not in taken:
                homes[place] = number
                taken.add(number)
        return homes


class _First:
    def __init__(self, size: Size, rule: FirstMatch) -> None:
        self._size, self._rule = size, rule
        self._passes = 0
        self._groups: list[Group] = []

    def add(self, found: PlacedPass) -> None:
        assert found.size == self._size
        found = _large(found, self._rule.least, list(range(len(found))))
        firsts = [group.masks[0] for group in self._groups]
        near = _possible(found.masks, [*firsts, *found.masks], self._rule.iou)
        columns = list(range(len(firsts)))  # of `near`, by group
        for place, mask in enumerate(found.masks):
            alone = _alone(found, place, self._passes)
            candidates = np.flatnonzero(near[place, columns]).tolist()
            home = next((one for one in candidates if _iou(mask, self._groups[one].masks[0]) > self._rule.iou), None)
            if home is None:
                columns.append(len(firsts) + place)
                self._groups.append(alone)
            else:
                self._groups[home] = _joined(self._groups[home], alone)
        self._passes += 1

    def objects(self) -> Objects:
        return Objects(self._size, self._passes, tuple(self._groups))


def _large(found: PlacedPass, least: int, places: list[int]) -> PlacedPass:
    """The detections, in their order, whose masks have enough pixels."""
    return selected(found, [place for place in places if found.masks[place].area >= least])


def _alone(found: PlacedPass, place: int, number: int) -> Group:
    """A group with the detection as its only member."""
    row, crop = slice(place, place + 1), found.masks[place]
    return Group(
        np.array([number]),
        found.boxes[row],
        found.probabilities[row],
        found.classes[row],
        found.scores[row],
        (crop,),
        crop.window,
        crop.mask.astype(np.uint16),
    )


def _joined(group: Group, other: Group) -> Group:
    """A new group; objects that were returned before keep the old one."""
    (x0, y0), (x1, y1) = np.minimum(group.window, other.window)[:2], np.maximum(group.window, other.window)[2:]
    window: PixelBox = (int(x0), int(y0), int(x1), int(y1))
    counts = np.zeros((window[3] - window[1], window[2] - window[0]), dtype=np.uint16)
    for one in (group, other):
        left, top = one.window[0] - window[0], one.window[1] - window[1]
        counts[top : top + one.counts.shape[0], left : left + one.counts.shape[1]] += one.counts
    return Group(
        np.append(group.passes, other.passes),
        np.concatenate([group.boxes, other.boxes]),
        np.concatenate([group.probabilities, other.probabilities]),
        np.append(group.classes, other.classes),
        np.append(group.scores, other.scores),
        (*group.masks, *other.masks),
        window,
        counts,
    )


def _possible(one: tuple[Crop, ...], other: list[Crop], iou: float) -> npt.NDArray[np.bool_]:  # [N, M]
    """Pairs that could reach an IoU, because their windows overlap enough for their areas."""
    (boxes, areas), (others, other_areas) = _extents(one), _extents(tuple(other))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    most = np.minimum((high - low).clip(0).prod(2), np.minimum(areas[:, None], other_areas))  # shared pixels
    enough: npt.NDArray[np.bool_] = (most > 0) & (most >= iou * (areas[:, None] + other_areas - most) * (1 - 1e-9))
    return enough


def _extents(crops: tuple[Crop, ...]) -> tuple[Integers, Integers]:  # [N, 4] windows, [N] pixels
    windows = np.array([crop.window for crop in crops], dtype=np.int64).reshape(-1, 4)
    return windows, np.array([crop.area for crop in crops], dtype=np.int64)


def _iou(one: Crop, other: Crop) -> float:
    """The IoU of two masks whose windows overlap."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one.window, other.window
    x0, y0, x1, y1 = max(ax0, bx0), max(ay0, by0), min(ax1, bx1), min(ay1, by1)
    common = one.mask[y0 - ay0 : y1 - ay0, x0 - ax0 : x1 - ax0] & other.mask[y0 - by0 : y1 - by0, x0 - bx0 : x1 - bx0]
    shared = int(np.count_nonzero(common))
    return shared / (one.area + other.area - shared)
