"""Merges the objects of several passes or models into one set of detections."""

from __future__ import annotations

import numpy as np

from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Detections
from seg_al.tasks.objects.passes import Group, Objects


def merged(objects: Objects) -> Detections:
    """One detection per object: mean box, the pixels that at least half of its members cover, the most frequent class.

    Its score is its `certainty_of`.
    """
    count = len(objects)
    boxes, scores, classes = np.zeros((count, 4), np.float32), np.zeros(count), np.zeros(count, np.int64)
    codes = []
    for place, group in enumerate(objects.groups):
        boxes[place] = group.boxes.mean(0)
        scores[place] = certainty_of(group, objects.passes)
        classes[place] = np.bincount(group.classes).argmax()
        x0, y0, _, _ = group.window
        codes.append(rle.encode(group.consensus, objects.size, (x0, y0)))
    return Detections(objects.size, boxes, scores, classes, tuple(codes))


def certainty_of(group: Group, passes: int) -> float:
    """The sum of the members' scores, divided by K passes, so that objects that few passes saw are uncertain."""
    return min(1.0, float(group.scores.sum()) / passes)
