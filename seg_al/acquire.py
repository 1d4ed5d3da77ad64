"""From the pool to the queries of a round: look at each image, cut it into units, score them, spend the budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from seg_al.audit import audit
from seg_al.beliefs import Beliefs, NotFinite, unlooked
from seg_al.compute import Compute
from seg_al.core import Annotator, Candidates, CostUnit, Granularity, Heuristic, Query, Region, Selector, price
from seg_al.granularity import cut
from seg_al.pool import Pool
from seg_al.predictors import Predictor
from seg_al.randomness import numpy_rng
from seg_al.selectors.spending import ROUNDING

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What is looked at in a round, and through what."""

    pool: Pool
    models: Callable[[], Sequence[nn.Module]]
    """The models of the last round; loaded only if something is looked at."""
    predictor: Predictor
    compute: Compute
    classes: tuple[str, ...]
    run: int
    round: int

    def beliefs(self, name: str, *, features: bool = False, watch: Callable[[Beliefs], None] | None = None) -> Beliefs:
        """Raises ValueError naming the image where the models put out NaN or infinity."""
        image = self.compute.tensor(self.pool.images.image(name))
        address = (self.run, self.round, name)
        try:
            return self.predictor(self.models(), image, self.compute, address, features, watch)
        except NotFinite as error:
            raise ValueError(f"image {name}: {error}; training has diverged, lower the learning rate") from error


@dataclass
class Table:
    """Every scored unit, as growing columns."""

    images: list[str] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    after: dict[int, list[float]] = field(default_factory=dict)
    """The chosen heuristic's scores after so many passes."""
    descriptors: list[npt.NDArray[np.float32]] = field(default_factory=list)
    truths: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """What a round asks, and what it knows of all units."""

    queries: list[Query]
    """Most wanted first."""
    scores: pd.DataFrame
    """One row per unit: image, unit, area (pixels), asked, and the score by each heuristic."""
    passes: pd.DataFrame | None
    """The chosen heuristic's scores after fewer passes: image, unit, passes, score; None where there were few."""
    truths_read: int
    """True facts of unlabelled units that an oracle selector was told; 0 for an honest one."""


@dataclass(frozen=True)
class Asking:
    """How a round asks."""

    heuristic: Heuristic
    name: str
    """The heuristic's name, for the record."""
    also: Mapping[str, Heuristic]
    """Heuristics whose scores are recorded as well, by name; they cost no pass."""
    granularity: Granularity
    selector: Selector
    predictor: Predictor
    subset: int | None
    """Most images that are looked at, drawn from `run` anew each round; None: all."""

    def __call__(self, look: Look, annotator: Annotator, budget: float, cost: CostUnit) -> Asked:
        """Spends the budget on what is not known yet. Raises ValueError where no unit can be bought or scored."""
        if self.heuristic.min_passes > 0 or self.selector.descriptor is not None:
            first = look.compute.tensor(look.pool.images.image(look.pool.open[0]))
            audit(look.models()[0], first, look.compute, self.predictor.dropout)
        table = self._scored(look, annotator)
        candidates = self._candidates(table, look, cost)
        left = float(candidates.costs.sum())
        if budget * ROUNDING < candidates.costs.min():
            raise ValueError(
                f"budget={budget:g} {cost} buys none of the {len(candidates)} units: the cheapest costs "
                f"{candidates.costs.min():g}; raise budget, or choose a finer granularity"
            )
        if budget > left * ROUNDING:
            log.warning("the budget of %g %s exceeds what is left: asking for the rest, %g", budget, cost, left)
        positions = self.selector(candidates, min(budget, left), numpy_rng(look.run, look.round, "select"))
        queries = [self._query(candidates, position, rank, look) for rank, position in enumerate(positions, start=1)]
        return Asked(queries, *self._frames(table, positions), len(table.truths))

    def _frames(self, table: Table, positions: Sequence[int]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        place = pd.DataFrame({"image": table.images, "unit": table.units})
        scores = place.assign(area=table.areas, asked=np.isin(np.arange(len(place)), positions), **table.scores)
        if not table.after:
            return scores, None
        after = {**table.after, self.predictor.total: table.scores[self.name]}
        return scores, pd.concat([place.assign(passes=passes, score=found) for passes, found in after.items()])

    def _scored(self, look: Look, annotator: Annotator) -> Table:
        table = Table()
        names = look.pool.open
        if self.subset is not None and self.subset < len(names):
            drawn = numpy_rng(look.run, look.round, "subset").choice(names, self.subset, replace=False)
            names = tuple(sorted(drawn.tolist()))
        for name in tqdm(names, desc="query", unit="image", leave=False, disable=None, delay=1):
            ids = self._score_image(name, look, table)
            if self.selector.truth is not None:
                masks = (ids == unit for unit in range(int(ids.max()) + 1))
                table.truths += [annotator.truth(self.selector.truth, name, mask) for mask in masks]
        return table

    def _score_image(self, name: str, look: Look, table: Table) -> npt.NDArray[np.int64]:
        """Appends the image's units to the table; gives the map [H, W] of their positions, -1 where known."""
        descriptor = self.selector.descriptor
        maps: dict[int, Tensor] = {}
        if self.heuristic.min_passes == 0 and descriptor is None:
            beliefs = unlooked(look.pool.images.size(name))
        else:
            features = descriptor is not None and descriptor.needs_features
            beliefs = look.beliefs(name, features=features, watch=partial(self._watch, maps))
        found, ids = self._units(name, beliefs, look, ~look.pool.known(name))
        table.images += [name] * len(found)
        table.units += found.tolist()
        table.areas += torch.bincount(ids[ids >= 0], minlength=len(found)).tolist()
        for key, heuristic in {self.name: self.heuristic, **self.also}.items():
            if heuristic.min_passes <= beliefs.passes:
                scores = self._unit_scores(heuristic, beliefs, ids, len(found))
                if not bool(torch.isfinite(scores).all()):
                    raise ValueError(f"image {name}: the heuristic {key} scores NaN or infinity")
                table.scores.setdefault(key, []).extend(scores.tolist())
        for passes, score_map in maps.items():
            table.after.setdefault(passes, []).extend(self.granularity.reduce(score_map, ids, len(found)).tolist())
        if descriptor is not None:
            table.descriptors.append(descriptor(beliefs, ids, len(found)).float().cpu().numpy())
        return ids.cpu().numpy()

    def _watch(self, maps: dict[int, Tensor], beliefs: Beliefs) -> None:
        if self.heuristic.min_passes > 0:
            maps[beliefs.passes] = self.heuristic(beliefs).clone()

    def _units(self, name: str, beliefs: Beliefs, look: Look, keep: npt.NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        size = look.pool.images.size(name)
        ids = self.granularity.units(size, lambda: look.pool.images.image(name), beliefs)
        device = beliefs.mean.device
        return cut(ids.to(device), torch.from_numpy(keep).to(device))

    def _unit_scores(self, heuristic: Heuristic, beliefs: Beliefs, ids: Tensor, count: int) -> Tensor:
        if heuristic.min_passes == 0:  # it knows nothing: all units alike, whatever their area does to a sum
            return torch.ones(count, dtype=torch.float64)
        return self.granularity.reduce(heuristic(beliefs), ids, count)

    def _candidates(self, table: Table, look: Look, cost: CostUnit) -> Candidates:
        selector = self.selector
        regions = zip(table.images, table.areas, strict=True)
        prices = [price(area, look.pool.images.size(name), cost) for name, area in regions]
        known = None
        if selector.reads_known and selector.descriptor is not None:
            known = np.concatenate([self._describe_known(name, look) for name in look.pool.labelled])
        return Candidates(
            images=tuple(table.images),
            units=np.array(table.units, dtype=np.int64),
            scores=np.array(table.scores[self.name], dtype=np.float64),
            costs=np.array(prices, dtype=np.float64),
            descriptors=np.concatenate(table.descriptors) if table.descriptors else None,
            known=known,
            truth=tuple(table.truths) if selector.truth is not None else None,
            round=look.round,
        )

    def _describe_known(self, name: str, look: Look) -> npt.NDArray[np.float32]:
        descriptor = self.selector.descriptor
        assert descriptor is not None
        beliefs = look.beliefs(name, features=descriptor.needs_features)
        found, ids = self._units(name, beliefs, look, look.pool.known(name))
        vectors: npt.NDArray[np.float32] = descriptor(beliefs, ids, len(found)).float().cpu().numpy()
        return vectors

    def _query(self, candidates: Candidates, position: int, rank: int, look: Look) -> Query:
        name = candidates.images[position]
        size = look.pool.images.size(name)
        beliefs = unlooked(size)
        ids = self.granularity.units(size, lambda: look.pool.images.image(name), beliefs).numpy()
        mask = (ids == candidates.units[position]) & ~look.pool.known(name)
        score = float(candidates.scores[position])
        why = f"choice {rank} of {len(candidates)} by {self.name} = {score:.4g}"
        return Query(name, Region.of(mask), why, score)


def first_queries(pool: Pool, initial: int, run: int) -> list[Query]:
    """Whole images drawn at random from `run`, the same for every heuristic."""
    names = numpy_rng(run, "initial").choice(pool.names, initial, replace=False)
    return [Query(name, Region.whole(pool.images.size(name)), "initial") for name in sorted(names.tolist())]
