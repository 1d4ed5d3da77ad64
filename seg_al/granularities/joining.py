"""Joins a score map over the units of an image, given by a map of ids, with one scatter-reduce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from seg_al.core import Nothing, Painted

Reduction = Literal["mean", "max", "sum", "top"]
LANES = 4
"""Partial sums of a unit."""


def cut(ids: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:  # [H, W] long, [H, W] bool
    """The ids [U] that still have a pixel to keep, ascending, and a map [H, W] of their positions (-1: in none)."""
    keep = keep & (ids >= 0)
    kept = ids[keep]
    compact = torch.full_like(ids, -1)
    if len(kept) == 0 or int(kept.max()) > 4 * ids.numel():  # a table of all ids would be larger than the image
        found, compact[keep] = torch.unique(kept, return_inverse=True)
        return found, compact
    present = torch.zeros(int(kept.max()) + 1, dtype=torch.bool, device=ids.device)
    present[kept] = True
    compact[keep] = (present.cumsum(0) - 1)[kept]
    return present.nonzero().flatten(), compact


def join(score_map: Tensor, ids: Tensor, count: int, reduction: Reduction, top_share: float) -> Tensor:
    """Joins a map [H, W] over units 0..count-1 (-1: in none) into [U], in float64, so that order does not matter.

    "top" is the mean of the `top_share` largest pixels of a unit, at least one.
    """
    values, units = score_map, ids
    if reduction == "max":
        lowest = torch.full((count + 1,), -torch.inf, dtype=values.dtype, device=values.device)
        return lowest.scatter_reduce(0, units.flatten() + 1, values.flatten(), "amax")[1:].double()
    if reduction == "top":
        inside = units >= 0
        values, units = _largest(values[inside], units[inside], count, top_share)
    sums, areas = _sums(values, units, count)
    return sums if reduction == "sum" else sums / areas.clamp_min(1)


def _sums(values: Tensor, units: Tensor, count: int) -> tuple[Tensor, Tensor]:  # [..., n], [..., n] -> [U], [U]
    """The sum of each unit's values, in float64, and how many they are.

    Neighbours mostly share a unit, and to add to one number again and again is slow; so each unit has several sums,
    that neighbours add to in turn.
    """
    lane = torch.arange(units.shape[-1], device=units.device) % LANES
    places = (units + (1 + (count + 1) * lane)).flatten()  # place 0 of each lane takes what is in no unit
    sums = torch.zeros(LANES * (count + 1), dtype=torch.float64, device=values.device)
    sums.scatter_add_(0, places, values.flatten().double())
    areas = torch.bincount(places, minlength=len(sums))
    return sums.view(LANES, -1).sum(0)[1:], areas.view(LANES, -1).sum(0)[1:]


def _largest(values: Tensor, units: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    order = values.argsort(descending=True)
    order = order[units[order].argsort(stable=True)]
    values, units = values[order], units[order]
    areas = torch.bincount(units, minlength=count)
    rank = torch.arange(len(units), device=units.device) - (areas.cumsum(0) - areas)[units]
    chosen = rank < (areas * share).ceil().clamp_min(1)[units]
    return values[chosen], units[chosen]


@dataclass(frozen=True)
class Joined:
    """The part of a granularity that joins score maps; those that cut images add to it."""

    reduction: Reduction
    top_share: float
    """Share of a unit's pixels, in (0, 1], that the reduction "top" takes the mean of."""
    joins: ClassVar[type[Nothing]] = Nothing

    def __post_init__(self) -> None:
        if not 0 < self.top_share <= 1:
            raise ValueError(f"granularity.top_share is a share in (0, 1], not {self.top_share}")

    def reduce(self, painted: Painted, ids: Tensor, count: int) -> Tensor:
        return join(painted.map, ids, count, self.reduction, self.top_share)
