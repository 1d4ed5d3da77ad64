"""The scores of constant class maps: one class everywhere, whatever the image shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seg_al.measuring.class_maps import Confusion, Floats, mean_of_present, overlap_scores


def constant_scores(counts: Confusion, foreground: Sequence[int], metric: str) -> Floats:  # [N, C] -> [C]
    """The metric, "dice" or "miou" as `Evaluation` has it, of each network that predicts one class everywhere.

    `counts` are the pixels of each class in N images. Any network whose pooled IoU is above that of the best constant
    for every class has a higher miou: both are means over the same classes, those of the targets, since a class that is
    only predicted has an IoU of 0 and beats nothing. No such law holds for dice, where a large image with few pixels of
    a class weighs as much as one that is full of it.
    """
    if metric == "miou":
        counts = counts.sum(axis=0, keepdims=True)
        judged = list(range(counts.shape[1]))
    else:
        judged = list(foreground)
        counts = counts[counts[:, judged].any(axis=1)]
    scores = np.empty(counts.shape[1])
    for chosen in range(len(scores)):
        confusions = np.zeros((len(counts), len(scores), len(scores)), dtype=np.int64)
        confusions[:, :, chosen] = counts
        overlaps = [overlap_scores(one)[metric == "dice"] for one in confusions]
        scores[chosen] = np.mean([mean_of_present(one[judged]) for one in overlaps])
    return scores
