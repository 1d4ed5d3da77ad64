"""Images of one size whose maps are painted and joined together, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.asking.given import painted_by
from seg_al.core import EvidenceSet, Granularity, Heuristic, Nothing, Painted, Stacking, Task, TellsItsReach

Scores = npt.NDArray[np.float64]  # [U]


@dataclass(frozen=True)
class Canvas:
    """The evidence about B images of one size, and their names."""

    task: Task[Any]
    names: tuple[str, ...]
    each: tuple[EvidenceSet, ...]
    """Of each image."""

    @cached_property
    def _tall(self) -> EvidenceSet:
        """All images as one, with the kinds of evidence that can be stacked."""
        height, width = self.each[0].size
        kinds = zip(*(one.kinds for one in self.each), strict=True)
        stacked = [first.above(others) for first, *others in kinds if isinstance(first, Stacking)]
        return EvidenceSet((height * len(self.each), width), tuple(stacked))

    def painted(self, heuristic: Heuristic[Any]) -> Painted:
        """What the heuristic says; of several images, their maps one above the other."""
        alone = isinstance(heuristic, TellsItsReach) and heuristic.single_pixels
        if len(self.each) > 1 and alone and self._tall.holds(heuristic.reads):
            return painted_by(self.task, heuristic, self._tall, self.names[0])
        every = [painted_by(self.task, heuristic, *pair) for pair in zip(self.each, self.names, strict=True)]
        return every[0] if len(every) == 1 else Painted(torch.cat([one.map for one in every]))

    def maps(self, painted: Painted) -> list[Tensor]:  # [H, W] each
        return list(torch.split(painted.map, self.each[0].size[0]))

    def placed(self, units: Sequence[tuple[Tensor, Tensor]]) -> LaidUnits:
        """The units of each image, as ids [U] and places [H, W], laid out like the maps."""
        counts = [len(found) for found, _ in units]
        starts = np.cumsum([0, *counts[:-1]]).tolist()
        pairs = zip(units, starts, strict=True)
        places = [torch.where(own >= 0, own + start, own) if start else own for (_, own), start in pairs]
        return LaidUnits(places[0] if len(places) == 1 else torch.cat(places), tuple(counts))


@dataclass(frozen=True)
class LaidUnits:
    """Where the units of a canvas lie."""

    ids: Tensor  # [B H, W], places among all units of the canvas; -1: in none
    counts: tuple[int, ...]
    """Units of each image."""

    def joined(self, granularity: Granularity, painted: Painted) -> list[Scores]:
        """The scores of the units of each image."""
        scores: Scores = granularity.reduce(painted, self.ids, sum(self.counts)).double().cpu().numpy()
        return np.split(scores, np.cumsum(self.counts)[:-1])


def canvases(
    task: Task[Any], granularity: Granularity, names: Sequence[str], evidence: Sequence[EvidenceSet]
) -> list[Canvas]:
    """One canvas for all images of a batch; one for each where the join needs more than a map."""
    if granularity.joins is Nothing:
        return [Canvas(task, tuple(names), tuple(evidence))]
    return [Canvas(task, (name,), (one,)) for name, one in zip(names, evidence, strict=True)]
