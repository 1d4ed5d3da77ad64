"""What is known of an image's objects where only some of its pixels are."""

from __future__ import annotations

import numpy as np

from seg_al.core import BoolMask
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Instances


def known_instances(truth: Instances, known: BoolMask, share: float = 0.5) -> tuple[Instances, BoolMask]:
    # [H, W] -> objects without crowds, [H, W]
    """The objects of which at least `share` of the pixels are known, and the pixels where anything may be.

    Who outlines an object outlines all of it: its mask is kept whole, and its pixels beyond `known` are known with it.
    Anything may be where no kept object is and the pixel is not known, or of an object that is left out, or of a
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
