"""From the pool to the queries of a round: look at each image, cut it into units, score them, spend the budget."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from seg_al.asking.audit import audit
from seg_al.asking.given import nothing_cut
from seg_al.asking.memory import thrifty, trimmed
from seg_al.asking.phase import Phase
from seg_al.asking.round_view import RoundView
from seg_al.asking.scorer import Described, Scored, Scorer
from seg_al.asking.spending import ROUNDING, Purchase, purchase
from seg_al.asking.unit_table import IdMap, Place, UnitTable, candidates_of, regions_of, score_table, table_after
from seg_al.core import Annotator, Budget, Granularity, Heuristic, Nothing, Query, Selector
from seg_al.features.network import NetworkFeatures
from seg_al.granularities.fixed import Image
from seg_al.heuristics.random import Random
from seg_al.predictors.features import FeatureSource
from seg_al.predictors.predictor import Predictor
from seg_al.selectors.top import Top

log = logging.getLogger(__name__)

Spent = tuple[list[Query], list[Place], list[UnitTable]]
AUDITED = 256
"""Rows and columns of the image for the audit, large enough that every layer works."""
INITIAL = "initial"
"""Why the first queries are asked."""


@dataclass(frozen=True)
class RoundQueries:
    """The queries of a round, and the scores of its units."""

    queries: list[Query]
    """Most wanted first, image by image where the budget is for each image."""
    scores: pd.DataFrame
    """One row per recorded unit: image, unit, area (pixels), asked, drawn, and the score by each heuristic."""
    passes: pd.DataFrame | None
    """The chosen heuristic's scores after fewer passes: image, unit, passes, score; None where there were few."""
    truths_read: int
    """Number of true facts of unlabelled units that an oracle selector read; 0 for an honest one."""


@dataclass(frozen=True)
class Asking:
    """How the rounds ask."""

    heuristic: Heuristic[Any]
    name: str
    """The heuristic's name, for the record."""
    also: Mapping[str, Heuristic[Any]]
    """Heuristics whose scores are recorded too, by name; they cost no pass."""
    granularity: Granularity
    selector: Selector
    predictor: Predictor
    subset: int | None
    """Most images that a round scores, drawn from `run` anew each round; None: all."""
    shortlist: int
    """Most units of an image that are kept for their scores, and as many that are drawn as a sample of all."""
    phases: tuple[Phase, ...] = ()
    """In the order of their rounds; a round before the first is asked by heuristic and selector above."""

    new_images: int | None = None
    """Where a budget is for each image: images that a round begins, beside those begun before; None: all."""
    features: FeatureSource = field(default_factory=NetworkFeatures)

    def acting(self, rounds: int) -> list[Asking]:
        """How the rounds ask in a run of so many, each way once; that of round 1 where none asks."""
        begins = {1, *(phase.begins for phase in self.phases if phase.begins < rounds)}
        return [self.in_round(number) for number in sorted(begins)]

    def in_round(self, number: int) -> Asking:
        """How this round asks, without other phases."""
        begun = [phase for phase in self.phases if phase.begins <= number]
        if not begun:
            return replace(self, phases=())
        now = begun[-1]
        return replace(self, heuristic=now.heuristic, name=now.name, selector=now.selector, phases=())

    def __call__(self, round_view: RoundView, annotator: Annotator[Any], budget: Budget) -> RoundQueries:
        """Spends the budget on unknown pixels. Raises ValueError where no unit can be bought or scored."""
        scorer = self.scorer(round_view)
        if round_view.asks_networks(scorer.kinds):
            first = round_view.pool.images.image(round_view.pool.open[0])[:AUDITED, :AUDITED]
            audit(round_view.models()[0], round_view.compute.tensor(first), round_view.compute, self.predictor.dropout)
        spent = self._each_image if budget.per == "image" else self._whole_pool
        ranked: list[UnitTable] = []
        with thrifty(round_view.pool.askable_area(round_view.pool.open[0])):
            names = self._drawn(round_view.pool.open, round_view)
            if budget.per == "image" and self.new_images is not None:
                names, ranked = self._with_new_images(self.new_images, round_view, annotator)
            queries, places, blocks = spent(scorer, names, annotator, budget, self._known(scorer))
        if self.heuristic.reads is not Nothing:
            self._warn_of_ties(blocks, round_view.round)
        told = sum(len(block.truth) for block in (*blocks, *ranked) if block.truth is not None)
        return RoundQueries(
            queries, score_table(blocks, places), table_after(blocks, self.name, self.predictor.total), told
        )

    def scorer(self, round_view: RoundView) -> Scorer:
        return Scorer(round_view, self.heuristic, self.name, self.also, self.granularity, self.selector.descriptor)

    def first(self, round_view: RoundView, annotator: Annotator[Any], budget: Budget) -> list[Query]:
        """Units drawn at random from `run` for the budget, the same for every heuristic."""
        blind = replace(self, heuristic=Random(), name=INITIAL, also={}, selector=Top())
        queries = blind(round_view, annotator, budget).queries
        return [replace(query, why=INITIAL, score=None) for query in queries]

    def _drawn(self, names: Sequence[str], round_view: RoundView) -> Sequence[str]:
        """All of the names, or as many as a round scores, drawn from `run`."""
        if self.subset is None or self.subset >= len(names):
            return names
        return sorted(round_view.rng("subset").choice(names, self.subset, replace=False).tolist())

    def _with_new_images(
        self, count: int, round_view: RoundView, annotator: Annotator[Any]
    ) -> tuple[Sequence[str], list[UnitTable]]:
        """The images that were begun before with `count` new ones, and the table by which these were ranked.

        New ones are chosen as whole images, by the mean of the heuristic's map and the selector.
        """
        labelled = set(round_view.pool.labelled)
        begun = [name for name in round_view.pool.open if name in labelled]
        others = self._drawn([name for name in round_view.pool.open if name not in labelled], round_view)
        if not others:
            return begun, []
        whole = replace(self, granularity=Image("mean", 1.0))
        scorer, budget = whole.scorer(round_view), Budget(min(count, len(others)), "regions", "pool")
        queries, _, blocks = whole._whole_pool(scorer, others, annotator, budget, whole._known(scorer))
        asks = "round %d: asks in %d images that were begun before and in %d new ones"
        log.info(asks, round_view.round, len(begun), len(queries))
        return sorted((*begun, *(query.image for query in queries))), blocks

    def _each_image(
        self, scorer: Scorer, names: Sequence[str], annotator: Annotator[Any], budget: Budget, known: Described | None
    ) -> Spent:
        """Spends the budget of each image: the selector sees all units of one image at a time."""
        round_view = scorer.round_view
        done: dict[str, tuple[list[Query], list[int], UnitTable, Purchase]] = {}
        poor: list[str] = []
        for scored in _each(scorer, round_view.batches(names)):
            block, ids, name = scored.table, scored.ids, scored.table.image
            if not len(block):  # the prediction holds nothing to ask about
                poor.append(name)
                continue
            block = self._told(block, range(len(block)), ids, annotator)
            candidates = candidates_of([block], self.name, budget.unit, known, round_view.round)
            left = float(candidates.costs.sum())
            if budget.amount * ROUNDING < candidates.costs.min() or budget.amount > left * ROUNDING:
                poor.append(name)
            bought = purchase(self.selector, candidates, min(budget.amount, left), round_view.rng("select", name))
            regions = regions_of(ids, bought.positions)
            queries = []
            for rank, row in enumerate(bought.positions, start=1):
                why = f"choice {rank} of {len(block)} in its image {self._by(bought, rank, candidates.scores[row])}"
                queries.append(Query(name, regions[row], why, float(candidates.scores[row])))
            kept = block.kept(self.name, self.shortlist, bought.positions, round_view.rng("shortlist", name))
            done[name] = queries, block.units[bought.positions].tolist(), kept, bought
        own = [done[name] for name in names if name in done]
        queries = [query for asked, _, _, _ in own for query in asked]
        places = [(block.image, unit) for _, units, block, _ in own for unit in units]
        blocks, bills = [block for _, _, block, _ in own], [bill for _, _, _, bill in own]
        if not blocks and self.granularity.reads == "image":
            raise ValueError(nothing_cut(self.granularity))
        if not queries:
            raise ValueError(
                f"budget={budget.amount:g} {budget.unit} per image buys no unit of any image; raise budget, or choose "
                "a finer granularity"
            )
        if poor:
            some = ", ".join(sorted(poor)[:3]) + (", ..." if len(poor) > 3 else "")
            log.warning("%g %s per image is not what can be bought in %d images: %s",
                        budget.amount, budget.unit, len(poor), some)  # fmt: skip
        self._tell_of_the_rest(bills, round_view.round)
        return queries, places, blocks

    def _whole_pool(
        self, scorer: Scorer, names: Sequence[str], annotator: Annotator[Any], budget: Budget, known: Described | None
    ) -> Spent:
        """Spends one budget for all images: the selector sees the kept units of each."""
        round_view = scorer.round_view
        batches, found = round_view.batches(names), {}
        for scored in _each(scorer, batches):
            block, name = scored.table, scored.table.image
            kept = block.kept(self.name, self.shortlist, (), round_view.rng("shortlist", name))
            rows = np.searchsorted(block.units, kept.units).tolist()
            found[name] = self._told(kept, rows, scored.ids, annotator)
        blocks = [found[name] for name in names]
        candidates = candidates_of(blocks, self.name, budget.unit, known, round_view.round)
        if not len(candidates):
            if self.granularity.reads == "image":
                raise ValueError(nothing_cut(self.granularity))
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
        bill = purchase(self.selector, candidates, min(budget.amount, left), round_view.rng("select"))
        self._tell_of_the_rest([bill], round_view.round)
        places = [(candidates.images[position], int(candidates.units[position])) for position in bill.positions]
        regions = scorer.regions_at(places, batches)
        scores = candidates.scores[bill.positions].tolist()
        queries = [
            Query(place[0], regions[place], f"choice {rank} of {len(candidates)} {self._by(bill, rank, score)}", score)
            for rank, (score, place) in enumerate(zip(scores, places, strict=True), start=1)
        ]
        return queries, places, blocks

    def _warn_of_ties(self, blocks: Sequence[UnitTable], number: int) -> None:
        """Warns of a round in which all scores are equal, so that it asks what random asks."""
        scores = np.concatenate([block.scores[self.name] for block in blocks])
        if len(scores) > 1 and (scores == scores[0]).all():
            log.warning(
                "round %d: all %d scores by %s are %g: the models tell no unit apart, or see nothing new to ask about, "
                "so that it asks what random asks; train longer (trainer.pace) or begin with more images (initial)",
                number, len(scores), self.name, scores[0],
            )  # fmt: skip

    def _by(self, bill: Purchase, rank: int, score: float) -> str:
        """Whether the selector named the choice of this rank, or its score alone decided."""
        told, kind = f"{self.name} = {score:.4g}", type(self.selector).__name__
        if bill.named is None:
            return f"by {told}"
        if rank <= bill.named:
            return f"by the selector {kind}, {told}"
        return f"by {told}, as the selector {kind} named {bill.named} of {len(bill.positions)}"

    def _tell_of_the_rest(self, bills: Sequence[Purchase], number: int) -> None:
        asked = [bill for bill in bills if bill.named is not None]
        named, units = sum(bill.named or 0 for bill in asked), sum(len(bill.positions) for bill in asked)
        if named < units:
            told = "round %d: the selector %s named %d of %d units; the rest was taken by score"
            log.info(told, number, type(self.selector).__name__, named, units)

    def _told(self, block: UnitTable, rows: Iterable[int], ids: IdMap, annotator: Annotator[Any]) -> UnitTable:
        """The block with the facts that an oracle selector reads about its units, at `rows` in the map of ids."""
        key = self.selector.truth
        if key is None:
            return block
        regions = (ids == row for row in rows)
        return replace(block, truth=tuple(annotator.fact(key, block.image, region) for region in regions))

    def _known(self, scorer: Scorer) -> Described | None:
        """Descriptors of the labelled set, made like those of the candidates, for a selector that reads them."""
        labelled = scorer.round_view.pool.labelled
        if self.selector.descriptor is None or not self.selector.reads_known or not labelled:
            return None
        vectors: dict[str, Described | None] = {}
        for batch in scorer.round_view.batches(labelled):
            vectors |= zip(batch, scorer.known(batch), strict=True)
        return np.concatenate([own for name in labelled if (own := vectors[name]) is not None])


def _each(scorer: Scorer, batches: Sequence[Sequence[str]]) -> Iterator[Scored]:
    """The units of each image, batch by batch, under a progress bar."""
    images = sum(map(len, batches))
    with tqdm(total=images, desc="query", unit="image", leave=False, disable=None, delay=1) as bar:
        for batch in trimmed(batches):
            yield from scorer(batch)
            bar.update(len(batch))
