"""The objects that single passes find in one image, and the objects that the passes agree on.

The network gives Passed, which is placed in the image as PlacedPass and joins the running Objects. Axes: R proposals
of the network, N detections of a pass or objects of an image, C classes with the background first, n members.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seg_al.core import PixelSet
from seg_al.tasks.objects.rle import PixelBox, Size

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Passed:
    """The output of one pass, on the network's device; most certain detections first."""

    size: Size
    """Height and width in pixels of the image that the network saw."""
    logits: Tensor  # [R, C], of all proposals
    boxes: Tensor  # [N, 4], x0, y0, x1, y1 in pixels of the image
    classes: Tensor  # [N], long, from 1
    scores: Tensor  # [N], probability of the class
    proposals: Tensor  # [N], long, the row of `logits` that each detection comes from
    masks: Tensor  # [N, m, m], probability that a point of the frame belongs to the object
    frames: Tensor | None = None  # [N, 4], the box that each mask fills, near its own; None: its own


@dataclass(frozen=True)
class Crop:
    """A mask within the window that holds it; both may be empty."""

    window: PixelBox
    """x0, y0, x1, y1 in whole pixels, inside the image."""
    mask: PixelSet  # [y1 - y0, x1 - x0]

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True)
class PlacedPass:
    """The detections of one pass in the pixels of the image, as parallel columns; most certain first."""

    size: Size
    boxes: Floats  # [N, 4]
    probabilities: Floats  # [N, C], the full softmax of each one's proposal
    classes: Integers  # [N], from 1
    scores: Floats  # [N]
    proposals: Integers  # [N], the proposal of each
    masks: tuple[Crop, ...]  # N

    def __len__(self) -> int:
        return len(self.masks)


@dataclass(frozen=True)
class Group:
    """Detections of several passes that are the same object."""

    passes: Integers  # [n], the pass of each member, ascending
    boxes: Floats  # [n, 4]
    probabilities: Floats  # [n, C]
    classes: Integers  # [n]
    scores: Floats  # [n]
    masks: tuple[Crop, ...]  # n
    window: PixelBox
    """The window around all masks."""
    counts: npt.NDArray[np.uint16]  # [h, w] of the window, how many members cover each pixel

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def mean_mask(self) -> Floats:  # [h, w] of the window
        """The share of the members that cover each pixel."""
        return self.counts / len(self)

    @cached_property
    def consensus(self) -> PixelSet:  # [h, w] of the window
        """The pixels that at least half of the members cover; where there are none, those that most cover."""
        half = min(len(self) / 2, float(self.counts.max(initial=0)))
        return (self.counts > 0) & (self.counts >= half)


@dataclass(frozen=True)
class Objects:
    """The objects that K passes found in one image, one group per object."""

    size: Size
    passes: int
    """K, including passes that found nothing."""
    groups: tuple[Group, ...]  # N
    called: ClassVar[str] = "objects"

    def __len__(self) -> int:
        return len(self.groups)

    @cached_property
    def map(self) -> npt.NDArray[np.int32]:  # [H, W]
        """For each pixel, the position of its object among the groups, smaller objects on top; -1: none."""
        painted = np.full(self.size, -1, dtype=np.int32)
        areas = [int(np.count_nonzero(group.consensus)) for group in self.groups]
        for place in np.argsort(areas, kind="stable")[::-1].tolist():
            x0, y0, x1, y1 = self.groups[place].window
            painted[y0:y1, x0:x1][self.groups[place].consensus] = place
        return painted
