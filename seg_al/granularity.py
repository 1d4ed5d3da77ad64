"""What one question is about: an id map cuts the image into units, one scatter-reduce joins a score map over each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seg_al.beliefs import Beliefs
from seg_al.core import ByteImage

Reduction = Literal["mean", "max", "sum", "top"]


def cut(ids: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:  # [H, W] long, [H, W] bool
    """The ids [U] that still have a pixel to keep, ascending, and a map [H, W] of their positions (-1: in none)."""
    keep = keep & (ids >= 0)
    found, positions = torch.unique(ids[keep], return_inverse=True)
    compact = torch.full_like(ids, -1)
    compact[keep] = positions
    return found, compact


def join(score_map: Tensor, ids: Tensor, count: int, reduction: Reduction, top_share: float) -> Tensor:
    """Joins a map [H, W] over units 0..count-1 (-1: in none) into [U], in float64, so that order does not matter.

    "top" is the mean of the `top_share` largest pixels of a unit, at least one.
    """
    inside = ids >= 0
    values, units = score_map[inside].double(), ids[inside]
    if reduction == "top":
        values, units = _largest(values, units, count, top_share)
    out = torch.zeros(count, dtype=torch.float64, device=values.device)
    how = {"mean": "mean", "max": "amax", "sum": "sum", "top": "mean"}[reduction]
    return out.scatter_reduce(0, units, values, how, include_self=False)


def _largest(values: Tensor, units: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    order = values.argsort(descending=True)
    order = order[units[order].argsort(stable=True)]
    values, units = values[order], units[order]
    areas = torch.bincount(units, minlength=count)
    rank = torch.arange(len(units), device=units.device) - (areas.cumsum(0) - areas)[units]
    chosen = rank < (areas * share).ceil().clamp_min(1)[units]
    return values[chosen], units[chosen]


@dataclass(frozen=True)
class _Joined:
    reduction: Reduction
    top_share: float
    """Share of a unit's pixels, in (0, 1], that the reduction "top" takes the mean of."""

    def __post_init__(self) -> None:
        if not 0 < self.top_share <= 1:
            raise ValueError(f"granularity.top_share is a share in (0, 1], not {self.top_share}")

    def reduce(self, score_map: Tensor, ids: Tensor, count: int) -> Tensor:
        return join(score_map, ids, count, self.reduction, self.top_share)


@dataclass(frozen=True)
class Image(_Joined):
    """One unit: the whole image."""

    def units(self, size: tuple[int, int], image: Callable[[], ByteImage], beliefs: Beliefs) -> Tensor:
        return torch.zeros(size, dtype=torch.long)


@dataclass(frozen=True)
class Grid(_Joined):
    """Square tiles; those at the right and lower border may be smaller."""

    tile: int
    """Side of a tile in pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tile < 1:
            raise ValueError(f"granularity.tile is at least 1 pixel, not {self.tile}")

    def units(self, size: tuple[int, int], image: Callable[[], ByteImage], beliefs: Beliefs) -> Tensor:
        rows = torch.arange(size[0]) // self.tile
        columns = torch.arange(size[1]) // self.tile
        return rows[:, None] * (1 + (size[1] - 1) // self.tile) + columns[None, :]
