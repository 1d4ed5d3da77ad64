"""Connected components of the predicted class map: each is one question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from skimage.measure import label
from torch import Tensor

from seg_al.core import Scene
from seg_al.granularities.joining import Joined
from seg_al.predictors.class_maps import ClassMaps

ComponentIds = npt.NDArray[np.int64]


def absorbed(ids: ComponentIds, small: npt.NDArray[np.bool_]) -> ComponentIds:  # [H, W], [ids] -> [H, W]
    """Gives each small unit the id of the other one that it shares the longest border with, in a tie the lowest.

    A small unit between small ones waits until one of these has been given away. Where all are small, the largest
    stays.
    """
    count = len(small)
    if small[np.unique(ids)].all():
        small = small.copy()
        small[np.bincount(ids.ravel()).argmax()] = False
    while small[ids].any():
        inner, outer = [], []
        for one, other in ((ids[1:], ids[:-1]), (ids[:, 1:], ids[:, :-1])):
            for this, that in ((one, other), (other, one)):
                border = small[this] & ~small[that]
                inner.append(this[border])
                outer.append(that[border])
        pairs, lengths = np.unique(np.concatenate(inner) * count + np.concatenate(outer), return_counts=True)
        longest = pairs[np.lexsort((pairs, -lengths))]
        given, first = np.unique(longest // count, return_index=True)
        new = np.arange(count)
        new[given] = longest[first] % count
        ids = new[ids]
    return ids


@dataclass(frozen=True)
class Component(Joined):
    """The 8-connected components of argmax of the mean probabilities, so that a thin diagonal object stays whole.

    They are those of the whole image: answers and void pixels neither split nor shrink them before they are measured.
    """

    least: int
    """Pixels below which a component is small; 1: none is."""
    small: Literal["join", "drop"]
    """Small ones become part of the unit around them (that with the longest common border), or are never asked."""
    reads: ClassVar[type[ClassMaps]] = ClassMaps

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least < 1:
            raise ValueError(f"granularity.least is at least 1 pixel, not {self.least}")

    def units(self, scene: Scene) -> Tensor:
        ids = (
            label(scene.evidence.of(ClassMaps).mean.argmax(0).cpu().numpy(), background=-1, connectivity=2).astype(
                np.int64
            )
            - 1
        )
        small = np.bincount(ids.ravel()) < self.least
        if self.small == "join":
            return torch.from_numpy(absorbed(ids, small))
        return torch.from_numpy(np.where(small[ids], -1, ids))
