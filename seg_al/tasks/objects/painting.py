"""Paints the objects of one pass as a map of class probabilities, so that heuristics of pixels can score objects."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from seg_al.tasks.objects.passes import PlacedPass


def painted(found: PlacedPass, classes: int, device: torch.device) -> Tensor:  # [C, H, W]
    """Probabilities in float32: class 0, the background, outside all masks; inside, the softmax of the object.

    Where objects overlap, the more certain is on top, in a tie the earlier.
    """
    assert found.probabilities.shape == (len(found), classes)
    top = np.zeros(found.size, dtype=np.int32)  # the object's number from 1; 0: none
    order = np.argsort(-found.scores, kind="stable")[::-1]
    for place in order.tolist():
        x0, y0, x1, y1 = found.masks[place].window
        top[y0:y1, x0:x1][found.masks[place].mask] = place + 1
    table = np.vstack([np.eye(1, classes), found.probabilities]).astype(np.float32)  # [N + 1, C]
    columns = torch.from_numpy(np.ascontiguousarray(table.T)).to(device)
    return columns.index_select(1, torch.from_numpy(top).to(device).flatten()).reshape(classes, *found.size)
