"""The scored units of a round as parallel columns: one block per image, cut down to what is worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from seg_al.core import BudgetUnit, Candidates, Region, price

IdMap = npt.NDArray[np.int64]  # [H, W], the place of each pixel's unit among the image's units, -1: in none
Place = tuple[str, int]
"""An image and the id of a unit in it."""
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnitTable:
    """Units of one image."""

    image: str
    whole: int
    """Askable pixels of the image."""
    units: npt.NDArray[np.int64]  # [U], their ids in the image, ascending
    areas: npt.NDArray[np.int64]  # [U], pixels that are not known yet
    scores: dict[str, Floats]  # [U] by each heuristic
    after: dict[int, Floats]  # [U], the chosen heuristic's after so many passes
    descriptors: npt.NDArray[np.float32] | None  # [U, D]
    drawn: npt.NDArray[np.bool_]  # [U], whether the unit is of the sample of all, or was kept for its score
    truth: tuple[str, ...] | None = None  # [U], the fact that an oracle selector reads

    def __len__(self) -> int:
        return len(self.units)

    def take(self, rows: Rows) -> UnitTable:
        return replace(
            self,
            units=self.units[rows],
            areas=self.areas[rows],
            scores={name: values[rows] for name, values in self.scores.items()},
            after={passes: values[rows] for passes, values in self.after.items()},
            descriptors=None if self.descriptors is None else self.descriptors[rows],
            drawn=self.drawn[rows],
            truth=None if self.truth is None else tuple(self.truth[row] for row in rows),
        )

    def kept(self, chosen: str, most: int, asked: Sequence[int], rng: np.random.Generator) -> UnitTable:
        """All units if they are no more than `most`; else the best `most` by the chosen heuristic (equal scores in
        random order), as many drawn uniformly, which stand for all, and those asked."""
        if len(self) <= most:
            return self
        best = np.lexsort((rng.random(len(self)), -self.scores[chosen]))[:most]
        uniform = rng.choice(len(self), most, replace=False)
        drawn = np.isin(np.arange(len(self)), uniform)
        rows = np.unique(np.concatenate([best, uniform, np.array(asked, dtype=np.intp)]))
        return replace(self, drawn=drawn).take(rows)


def candidates_of(
    blocks: Sequence[UnitTable],
    chosen: str,
    unit: BudgetUnit,
    known: npt.NDArray[np.float32] | None,
    number: int,
) -> Candidates:
    """What a selector sees of the blocks, in round `number`."""
    prices = [[price(area, block.whole, unit) for area in block.areas.tolist()] for block in blocks]
    descriptors = [block.descriptors for block in blocks if block.descriptors is not None]
    truths = [block.truth for block in blocks if block.truth is not None]
    return Candidates(
        images=tuple(name for block in blocks for name in (block.image,) * len(block)),
        units=np.concatenate([block.units for block in blocks]),
        scores=np.concatenate([block.scores[chosen] for block in blocks]),
        costs=np.concatenate([np.array(one, dtype=np.float64) for one in prices]),
        descriptors=np.concatenate(descriptors) if descriptors else None,
        known=known,
        truth=tuple(truth for own in truths for truth in own) if truths else None,
        round=number,
    )


def score_table(blocks: Sequence[UnitTable], asked: Sequence[tuple[str, int]]) -> pd.DataFrame:
    """One row per unit: image, unit, area (pixels), asked, drawn, and its score by each heuristic."""
    place = _place(blocks)
    wanted = set(asked)
    pairs = zip(place["image"], place["unit"].tolist(), strict=True)
    return place.assign(
        area=np.concatenate([block.areas for block in blocks]),
        asked=np.fromiter((pair in wanted for pair in pairs), dtype=np.bool_, count=len(place)),
        drawn=np.concatenate([block.drawn for block in blocks]),
        **{name: np.concatenate([block.scores[name] for block in blocks]) for name in blocks[0].scores},
    )


def table_after(blocks: Sequence[UnitTable], chosen: str, total: int) -> pd.DataFrame | None:
    """The chosen heuristic's scores after so many passes, up to all of them; None where there were few."""
    if not blocks[0].after:
        return None
    place = _place(blocks)
    drawn = np.concatenate([block.drawn for block in blocks])
    columns = {passes: np.concatenate([block.after[passes] for block in blocks]) for passes in blocks[0].after}
    columns[total] = np.concatenate([block.scores[chosen] for block in blocks])
    return pd.concat([place.assign(passes=passes, score=found)[drawn] for passes, found in columns.items()])


def _place(blocks: Sequence[UnitTable]) -> pd.DataFrame:
    lengths = [len(block) for block in blocks]
    names = np.array([block.image for block in blocks], dtype=object)
    return pd.DataFrame({"image": names.repeat(lengths), "unit": np.concatenate([block.units for block in blocks])})


def regions_of(ids: IdMap, rows: Sequence[int]) -> dict[int, Region]:
    """The pixels of some units of an image, by their place among its units."""
    if len(rows) == 0:
        return {}
    size = ids.shape[0], ids.shape[1]
    flat = ids.ravel()
    wanted = np.zeros(int(flat.max()) + 1, dtype=np.bool_)
    wanted[list(rows)] = True
    pixels = np.flatnonzero((flat >= 0) & wanted[flat])
    pixels = pixels[np.argsort(flat[pixels], kind="stable")]
    owners, starts = np.unique(flat[pixels], return_index=True)
    parts = np.split(pixels, starts[1:])
    return {int(row): Region.of_pixels(size, part) for row, part in zip(owners, parts, strict=True)}
