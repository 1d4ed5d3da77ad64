"""What heuristics and granularities read and give, looked at in the same words by a run and by the laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seg_al.core import EvidenceSet, Granularity, Heuristic, Painted, Task


def of_reads(reads: object, words: tuple[str, ...] = ()) -> str | None:
    """What is wrong with a part's `reads`, which is a kind of evidence or one of these words."""
    if (isinstance(reads, type) and "called" in dir(reads)) or (isinstance(reads, str) and reads in words):
        return None
    kind = "a class such as seg_al.predictors.features.Features"
    choice = f"{', '.join(repr(word) for word in words)} or a kind of evidence, {kind}" if words else kind
    return f"reads={reads!r}; it has to be {choice}"


def of_granularity(granularity: Granularity) -> list[str]:
    """What is wrong with what a granularity says that it reads and joins."""
    joins = of_reads(granularity.joins)
    found = [of_reads(granularity.reads, ("image", "scores")), joins and joins.replace("reads=", "joins=")]
    return [one for one in found if one]


def painted_by(task: Task[Any], heuristic: Heuristic[Any], evidence: EvidenceSet, image: str) -> Painted:
    """What the heuristic says of the image, without its gradient. Raises ValueError for what is no map of it."""
    painted = task.paint(heuristic, evidence)
    scores = score_map(heuristic, painted.map, evidence.size, image)
    return replace(painted, map=scores.detach()) if scores.requires_grad else painted


def score_map(heuristic: Heuristic[Any], values: object, size: tuple[int, int], image: str) -> Tensor:  # [H, W]
    """The scores as they are. Raises ValueError for what is no map of the image."""
    what = f"heuristic {type(heuristic).__name__}"
    scores = _map(what, f"{what} paints", values, size, image)
    if not scores.is_floating_point():
        raise ValueError(f"{what} gives {scores.dtype} for image {image}; it has to give floating-point numbers")
    return scores


def unit_ids(granularity: Granularity, values: object, size: tuple[int, int], image: str) -> Tensor:  # [H, W]
    """The ids. Raises ValueError for what is no map of ids of the image."""
    what = f"granularity {type(granularity).__name__}"
    ids = _map(what, f"{what} gives ids", values, size, image)
    if ids.dtype != torch.long:
        raise ValueError(f"{what} gives ids of {ids.dtype} for image {image}; they have to be torch.long")
    return ids


def nothing_cut(granularity: Granularity) -> str:
    """What is wrong where a granularity that looks at the image alone cuts no unit."""
    return (
        f"granularity {type(granularity).__name__} gives -1 everywhere, so that nothing can be asked about; ids of "
        "units begin with 0"
    )


def _map(part: str, gives: str, values: object, size: tuple[int, int], image: str) -> Tensor:
    if not isinstance(values, Tensor):
        kind = "None" if values is None else f"a {_named(type(values))}"
        raise ValueError(f"{part} gives {kind} for image {image}; it has to give a torch tensor {[*size]}")
    if tuple(values.shape) != tuple(size):
        raise ValueError(
            f"{gives} of the shape {[*values.shape]} for an image of {size[0]} x {size[1]} pixels; it has to be "
            f"[{size[0]}, {size[1]}], one value for each pixel"
        )
    return values


def _named(kind: type) -> str:
    room = kind.__module__.partition(".")[0]
    return kind.__name__ if room == "builtins" else f"{room}.{kind.__name__}"
