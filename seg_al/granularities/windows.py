"""RIPU's squares around the best pixels of an image, at a distance from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.core import PixelSet, Scene
from seg_al.granularities.joining import Joined


def greedy(scores: npt.NDArray[Any], allowed: PixelSet, most: int, suppress: int) -> list[int]:  # [H, W], [H, W]
    """Flat indices of up to `most` allowed pixels: the highest score, again and again, none near an earlier one.

    Near is within `suppress` rows and columns. Of equal scores the lowest index comes first. The picks are those of a
    search for the maximum after each pick; but as a pick frees no pixel and takes away (2 suppress + 1)^2 at most, the
    highest of all scores are enough, sorted once.
    """
    assert np.isfinite(scores[allowed]).all(), "scores that are not finite have no order"
    values = np.where(allowed, scores, -np.inf).ravel()
    enough = min((most - 1) * (2 * suppress + 1) ** 2 + 1, int(np.count_nonzero(allowed)))
    if enough == 0:
        return []
    threshold = np.partition(values, len(values) - enough)[len(values) - enough]
    highest = np.flatnonzero(values >= threshold)
    order = highest[np.argsort(-values[highest], kind="stable")]
    free = allowed.copy()
    picks: list[int] = []
    for start in range(0, len(order), 256):  # in blocks, so that most of what is taken away is never looked at
        block = order[start : start + 256]
        for place in block[free.ravel()[block]].tolist():
            row, column = divmod(place, free.shape[1])
            if not free[row, column]:
                continue
            picks.append(place)
            if len(picks) == most:
                return picks
            free[max(0, row - suppress) : row + suppress + 1, max(0, column - suppress) : column + suppress + 1] = False
    return picks


@dataclass(frozen=True)
class Window(Joined):
    """Squares of (2 radius + 1)^2 pixels around the places where the score map is highest (RIPU, arXiv 2111.12940).

    A square ends at the border and loses what may not be asked about; its id is the flat index of its centre. RIPU's
    regions have radius 1 and suppress 2, its single pixels radius 0 and suppress 32. We differ in that the surroundings
    of an answer are kept free within a round only: in later rounds their unknown pixels may be asked about. A heuristic
    that uses no image gets places that are drawn uniformly, one after the other.
    """

    radius: int
    """Pixels from the centre to the side of a square; 0: single pixels."""
    suppress: int | None
    """Rows and columns around a centre without another one, at least 2 radius; None: 2 radius."""
    most: int
    """Squares per image and round."""
    reads: ClassVar[Literal["scores"]] = "scores"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.radius < 0:
            raise ValueError(f"granularity.radius is at least 0 pixels, not {self.radius}")
        if self.suppress is not None and self.suppress < 2 * self.radius:
            raise ValueError(
                f"granularity.suppress={self.suppress} lets squares overlap; it is at least 2 radius = "
                f"{2 * self.radius}, or null"
            )
        if self.most < 1:
            raise ValueError(f"granularity.most is at least 1 square per image, not {self.most}")

    def units(self, scene: Scene) -> Tensor:
        within = scene.within.cpu().numpy()
        if scene.score_map is None:
            scores = scene.rng.random(scene.size)
        else:
            scores = scene.score_map.detach().cpu().numpy()
            if not np.isfinite(scores[within]).all():
                raise ValueError(f"image {scene.name}: the score map that places its squares holds NaN or infinity")
        suppress = 2 * self.radius if self.suppress is None else self.suppress
        ids = np.full(scene.size, -1, dtype=np.int64)
        for place in greedy(scores, within, self.most, suppress):
            row, column = divmod(place, scene.size[1])
            rows = slice(max(0, row - self.radius), row + self.radius + 1)
            ids[rows, max(0, column - self.radius) : column + self.radius + 1] = place
        return torch.from_numpy(ids)
