"""From the pool to the queries of a round: look at each image, cut it into units, score them, spend the budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from seg_al.audit import audit
from seg_al.beliefs import Beliefs, unlooked
from seg_al.core import Annotator, BoolMask, Budget, Granularity, Heuristic, Painted, Query, Region, Scene, Selector
from seg_al.granularity import cut
from seg_al.heuristics.random import Random
from seg_al.instances.certainty import ObjectHeuristic, object_scores
from seg_al.look import Look
from seg_al.memory import give_freed_memory_back, thrifty
from seg_al.pool import Pool
from seg_al.predictors import Predictor
from seg_al.randomness import numpy_rng
from seg_al.scored import IdMap, Scored, candidates_of, regions_of, score_table, table_after
from seg_al.selectors.spending import ROUNDING
from seg_al.selectors.top import Top

log = logging.getLogger(__name__)

Described = npt.NDArray[np.float32] | None  # [L, D], what is labelled already
Join = Callable[[Tensor, int], npt.NDArray[np.float64]]
"""Gives scores [U] for the map of the units' places [H, W] and their count."""
Place = tuple[str, int]
"""An image and the id of a unit in it."""
Spent = tuple[list[Query], list[Place], list[Scored]]
AUDITED = 256
"""Rows and columns of an image on which the network is audited; every layer is in use there."""
TRIM_EVERY = 50
"""Images after which freed memory goes back to the system, so that a larger pool needs no more of it."""
INITIAL = "initial"
"""Why the first queries are asked."""


@dataclass(frozen=True)
class Asked:
    """What a round asks, and what it knows of the units."""

    queries: list[Query]
    """Most wanted first, image by image where the budget is for each image."""
    scores: pd.DataFrame
    """One row per recorded unit: image, unit, area (pixels), asked, drawn, and the score by each heuristic."""
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
    shortlist: int
    """Most units of an image that are kept for their scores, and as many that are drawn to stand for all."""

    def __call__(self, look: Look, annotator: Annotator, budget: Budget) -> Asked:
        """Spends the budget on what is not known yet. Raises ValueError where no unit can be bought or scored."""
        if self._looks:
            first = look.compute.tensor(look.pool.images.image(look.pool.open[0])[:AUDITED, :AUDITED])
            audit(look.models()[0], first, look.compute, self.predictor.dropout)
        spend = self._each_image if budget.per == "image" else self._whole_pool
        with thrifty(look.pool.askable_area(look.pool.open[0])):
            queries, places, blocks = spend(look, annotator, budget, self._known(look))
        told = sum(len(block.truth) for block in blocks if block.truth is not None)
        return Asked(queries, score_table(blocks, places), table_after(blocks, self.name, self.predictor.total), told)

    def first(self, look: Look, annotator: Annotator, budget: Budget) -> list[Query]:
        """Units drawn at random from `run` for the budget, the same for every heuristic."""
        blind = replace(self, heuristic=Random(), name=INITIAL, also={}, selector=Top())
        queries = blind(look, annotator, budget).queries
        return [replace(query, why=INITIAL, score=None) for query in queries]

    @property
    def _looks(self) -> bool:
        """Whether a query needs the models at all."""
        needed = self.selector.descriptor is not None or self.granularity.reads == "predictions"
        return self.heuristic.min_passes > 0 or needed

    def _names(self, look: Look) -> Iterator[str]:
        names = look.pool.open
        if self.subset is not None and self.subset < len(names):
            names = tuple(sorted(look.rng("subset").choice(names, self.subset, replace=False).tolist()))
        for number, name in enumerate(tqdm(names, desc="query", unit="image", leave=False, disable=None, delay=1)):
            if number % TRIM_EVERY == TRIM_EVERY - 1:
                give_freed_memory_back()
            yield name

    def _each_image(self, look: Look, annotator: Annotator, budget: Budget, known: Described) -> Spent:
        """The budget for each image: its selector sees all of its units, then only what is recorded is kept."""
        queries: list[Query] = []
        places: list[Place] = []
        blocks: list[Scored] = []
        poor: list[str] = []
        for name in self._names(look):
            block, ids = self._scored(name, look)
            if not len(block):  # the prediction holds nothing to ask about
                poor.append(name)
                continue
            block = self._told(block, range(len(block)), ids, annotator)
            candidates = candidates_of([block], self.name, budget.unit, known, look.round)
            left = float(candidates.costs.sum())
            if budget.amount * ROUNDING < candidates.costs.min() or budget.amount > left * ROUNDING:
                poor.append(name)
            rows = list(self.selector(candidates, min(budget.amount, left), look.rng("select", name)))
            regions = regions_of(ids, rows)
            for rank, row in enumerate(rows, start=1):
                why = f"choice {rank} of {len(block)} in its image"
                queries.append(self._query(name, regions[row], why, candidates.scores[row]))
            places += [(name, int(block.units[row])) for row in rows]
            blocks.append(block.kept(self.name, self.shortlist, rows, look.rng("shortlist", name)))
        if not queries:
            raise ValueError(
                f"budget={budget.amount:g} {budget.unit} per image buys no unit of any image; raise budget, or choose "
                "a finer granularity"
            )
        if poor:
            some = ", ".join(poor[:3]) + (", ..." if len(poor) > 3 else "")
            log.warning("%g %s per image is not what can be bought in %d images: %s",
                        budget.amount, budget.unit, len(poor), some)  # fmt: skip
        return queries, places, blocks

    def _whole_pool(self, look: Look, annotator: Annotator, budget: Budget, known: Described) -> Spent:
        """One budget for all images: the selector sees what is kept of each."""
        blocks: list[Scored] = []
        for name in self._names(look):
            block, ids = self._scored(name, look)
            kept = block.kept(self.name, self.shortlist, (), look.rng("shortlist", name))
            blocks.append(self._told(kept, np.searchsorted(block.units, kept.units).tolist(), ids, annotator))
        candidates = candidates_of(blocks, self.name, budget.unit, known, look.round)
        if not len(candidates):
            raise ValueError(
                f"none of the {len(blocks)} images has anything to ask about: the prediction holds no such unit; train "
                "longer or begin with more images, or choose granularity=image"
            )
        left = float(candidates.costs.sum())
        if budget.amount * ROUNDING < candidates.costs.min():
            raise ValueError(
                f"budget={budget.amount:g} {budget.unit} buys none of the {len(candidates)} units: the cheapest costs "
                f"{candidates.costs.min():g}; raise budget, or choose a finer granularity"
            )
        if budget.amount > left * ROUNDING:
            asks = "the budget of %g %s exceeds what is left: asking for the rest, %g"
            log.warning(asks, budget.amount, budget.unit, left)
        chosen = self.selector(candidates, min(budget.amount, left), look.rng("select"))
        places = [(candidates.images[position], int(candidates.units[position])) for position in chosen]
        regions = self._found_again(places, look)
        queries = [
            self._query(place[0], regions[place], f"choice {rank} of {len(candidates)}", candidates.scores[position])
            for rank, (position, place) in enumerate(zip(chosen, places, strict=True), start=1)
        ]
        return queries, places, blocks

    def _query(self, name: str, region: Region, rank: str, score: float) -> Query:
        return Query(name, region, f"{rank} by {self.name} = {score:.4g}", float(score))

    def _scored(self, name: str, look: Look) -> tuple[Scored, IdMap]:
        """All units of the image, and the map of their places."""
        within = look.pool.unknown(name)
        early = self._small_cut(name, look, within) if self.granularity.reads == "image" else None
        after: dict[int, Join] = {}
        scene = self._scene(name, look, within, partial(self._watch, after, early))
        found, ids = (early[0], early[1].long()) if early else self._cut(scene)
        areas = torch.bincount(ids[ids >= 0], minlength=len(found))
        scores = {
            key: self._unit_scores(key, heuristic, scene, ids, len(found))
            for key, heuristic in {self.name: self.heuristic, **self.also}.items()
            if _can_score(heuristic, scene.beliefs)
        }
        block = Scored(
            image=name,
            whole=look.pool.askable_area(name),
            units=found.cpu().numpy(),
            areas=areas.cpu().numpy(),
            scores=scores,
            after={passes: joined(ids, len(found)) for passes, joined in after.items()},
            descriptors=self._described(scene, ids, len(found)),
            drawn=np.ones(len(found), dtype=np.bool_),
        )
        return block, ids.cpu().numpy()

    def _scene(self, name: str, look: Look, within: BoolMask, watch: Callable[[Beliefs], None] | None = None) -> Scene:
        """The image with what the models see in it, if anything needs them."""
        if not self._looks:
            return self._unseen(name, look, within)
        descriptor = self.selector.descriptor
        features = descriptor is not None and descriptor.needs_features
        beliefs = look.beliefs(name, features=features, watch=watch)
        score_map = self.heuristic(beliefs) if self.heuristic.min_passes > 0 else None
        return replace(self._unseen(name, look, within), beliefs=beliefs, score_map=score_map)

    def _unseen(self, name: str, look: Look, within: BoolMask) -> Scene:
        inside = torch.from_numpy(within).to(look.compute.torch_device)
        beliefs = unlooked((within.shape[0], within.shape[1]))
        return Scene(name, partial(look.pool.images.image, name), inside, beliefs, None, look.rng("units", name))

    def _cut(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """The ids of the units that there are, and the map of their places."""
        return cut(self.granularity.units(scene).to(scene.within.device), scene.within)

    def _small_cut(self, name: str, look: Look, within: BoolMask) -> tuple[Tensor, Tensor]:
        """Without a look; the map in half the bytes, as it is held while passes are drawn."""
        found, ids = self._cut(self._unseen(name, look, within))
        return found, ids.int()

    def _watch(self, after: dict[int, Join], early: tuple[Tensor, Tensor] | None, beliefs: Beliefs) -> None:
        """Notes the chosen heuristic's scores after so many passes; as a map only where units are not known yet."""
        if self.heuristic.min_passes > 0:
            painted = painted_by(self.heuristic, beliefs)
            if early is None:
                after[beliefs.passes] = partial(self._joined, replace(painted, map=painted.map.clone()))
            else:
                scores = self._joined(painted, early[1].long(), len(early[0]))
                after[beliefs.passes] = lambda ids, count: scores

    def _unit_scores(
        self, key: str, heuristic: Heuristic, scene: Scene, ids: Tensor, count: int
    ) -> npt.NDArray[np.float64]:  # [U]
        if heuristic.min_passes == 0:  # it knows nothing: all units alike, whatever their area does to a sum
            return np.ones(count)
        score_map = scene.score_map if heuristic is self.heuristic else None
        scores = self._joined(painted_by(heuristic, scene.beliefs, score_map), ids, count)
        if not np.isfinite(scores).all():
            raise ValueError(f"image {scene.name}: the heuristic {key} scores NaN or infinity")
        return scores

    def _joined(self, painted: Painted, ids: Tensor, count: int) -> npt.NDArray[np.float64]:  # [U]
        joined: npt.NDArray[np.float64] = self.granularity.reduce(painted, ids, count).double().cpu().numpy()
        return joined

    def _described(self, scene: Scene, ids: Tensor, count: int) -> Described:
        descriptor = self.selector.descriptor
        return None if descriptor is None else descriptor(scene.beliefs, ids, count).float().cpu().numpy()

    def _known(self, look: Look) -> Described:
        """What is labelled already, described like the candidates, for a selector that reads it."""
        if self.selector.descriptor is None or not self.selector.reads_known:
            return None
        vectors = []
        for name in look.pool.labelled:
            scene = self._scene(name, look, look.pool.known(name))
            found, ids = self._cut(scene)
            vectors.append(self._described(scene, ids, len(found)))
        return np.concatenate([one for one in vectors if one is not None])

    def _told(self, block: Scored, rows: Iterable[int], ids: IdMap, annotator: Annotator) -> Scored:
        """The block with what an oracle selector may know of its units, which stand at `rows` in the map of ids."""
        key = self.selector.truth
        if key is None:
            return block
        masks = (ids == row for row in rows)
        return replace(block, truth=tuple(annotator.truth(key, block.image, mask) for mask in masks))

    def _found_again(self, places: Sequence[Place], look: Look) -> dict[Place, Region]:
        """The region of each place; images are cut once more, which needs no model where the picture decides."""
        units: dict[str, list[int]] = {}
        for name, unit in places:
            units.setdefault(name, []).append(unit)
        regions: dict[Place, Region] = {}
        for name, wanted in units.items():
            blind = self.granularity.reads == "image"
            scene = (self._unseen if blind else self._scene)(name, look, look.pool.unknown(name))
            found, ids = self._cut(scene)
            rows = np.searchsorted(found.cpu().numpy(), wanted).tolist()
            by_row = regions_of(ids.cpu().numpy(), rows)
            regions |= {(name, unit): by_row[row] for unit, row in zip(wanted, rows, strict=True)}
        return regions


def painted_by(heuristic: Heuristic, beliefs: Beliefs, score_map: Tensor | None = None) -> Painted:
    """The heuristic's map, unless it is at hand, and its score of each object that was found."""
    score_map = heuristic(beliefs) if score_map is None else score_map
    shapes = beliefs.objects
    return Painted(score_map, None if shapes is None else object_scores(heuristic, beliefs, score_map), shapes)


def _can_score(heuristic: Heuristic, beliefs: Beliefs) -> bool:
    """Whether there are passes enough, and objects where it asks for them."""
    wants_objects = isinstance(heuristic, ObjectHeuristic)
    return heuristic.min_passes <= beliefs.passes and (beliefs.objects is not None or not wants_objects)


def first_names(names: Sequence[str], count: int, run: int) -> list[str]:
    """Images drawn at random from `run`, the same for every heuristic."""
    drawn: list[str] = numpy_rng(run, "initial").choice(names, count, replace=False).tolist()
    return sorted(drawn)


def first_queries(pool: Pool, count: int, run: int) -> list[Query]:
    """All of the images that are drawn first."""
    names = first_names(pool.names, count, run)
    return [Query(name, Region.of(pool.unknown(name)), INITIAL) for name in names]
