"""The known objects of an image of which only some pixels are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seg_al.core import ByteImage, PixelSet
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Detections, Instances


@dataclass(frozen=True)
class KnownObjects:
    """What is known of an image of which some pixels are: their classes, and the objects that they show."""

    labels: ByteImage  # [H, W] class ids; IGNORE where unknown
    all: Instances
    """The true objects of the image, known or not."""
    asked: PixelSet  # [H, W], the pixels that were answered

    @property
    def objects(self) -> Instances:
        """Those of which at least half is known, whole, without crowds."""
        return self._known[0]

    @property
    def unknown(self) -> PixelSet:  # [H, W]
        """Where it is not known what is there."""
        return self._known[1]

    @cached_property
    def _known(self) -> tuple[Instances, PixelSet]:
        return known_instances(self.all, self.asked)


def known_instances(truth: Instances, known: PixelSet, share: float = 0.5) -> tuple[Instances, PixelSet]:
    # [H, W] -> objects without crowds, [H, W]
    """The objects of which at least the share `share` of pixels is known, and the pixels that stay open.

    A person outlines a whole object: its mask is kept whole, and its pixels outside `known` become known.
    A pixel stays open outside kept objects if it is not known, or belongs to an object that is left out or to a
    crowd. Objects without a pixel are left out.
    """
    assert known.shape == truth.size
    down = np.ascontiguousarray(known.T).reshape(-1)  # in the order of the codes
    unknown = ~down
    kept = np.zeros(len(truth), dtype=np.bool_)
    pixels = [rle.positions(code) for code in truth.masks]
    for place, own in enumerate(pixels):
        kept[place] = len(own) > 0 and not truth.crowd[place] and np.count_nonzero(down[own]) >= share * len(own)
        unknown[own] |= not kept[place]
    for place in np.flatnonzero(kept).tolist():
        unknown[pixels[place]] = False
    return truth.select(kept), np.ascontiguousarray(unknown.reshape(truth.size[::-1]).T)


def where_known(found: Detections, unknown: PixelSet) -> Detections:  # [H, W]
    """The detections that lie at most half where it is not known what is there; without masks their boxes count."""
    if not unknown.any():
        return found
    down = np.ascontiguousarray(unknown.T).reshape(-1)  # in the order of the codes
    if found.masks is None:
        corners = np.rint(found.boxes).astype(np.int64).clip(min=0).tolist()
        inside = [unknown[y0:y1, x0:x1].ravel() for x0, y0, x1, y1 in corners]
    else:
        inside = [down[rle.positions(code)] for code in found.masks]
    return found.select(np.array([2 * np.count_nonzero(own) <= len(own) for own in inside], dtype=np.bool_))
