"""Scores every unit of an image: gets its evidence, cuts it, and joins each heuristic's map over the units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.asking.canvas import Canvas, LaidUnits, Scores, canvases
from seg_al.asking.given import unit_ids
from seg_al.asking.round_view import RoundView
from seg_al.asking.unit_table import IdMap, Place, UnitTable, regions_of
from seg_al.core import (
    BudgetUnit,
    Descriptor,
    Evidence,
    EvidenceSet,
    Granularity,
    Heuristic,
    Nothing,
    Painted,
    PixelSet,
    Region,
    Scene,
    price,
)
from seg_al.granularities.joining import cut

Described = npt.NDArray[np.float32]  # [U, D]
Units = tuple[Tensor, Tensor]
"""The ids of an image's units [U], and the map of their places among them [H, W], -1: in none."""
Join = Callable[[Sequence[LaidUnits]], list[Scores]]
"""Gives the scores [U] of each image of a batch for the places of its units."""


@dataclass(frozen=True)
class Scored:
    """All units of an image, and the map of their places."""

    table: UnitTable
    ids: IdMap


@dataclass(frozen=True)
class _Seen:
    """A batch of images with what the models saw of them."""

    scenes: list[Scene]
    canvases: Sequence[Canvas]
    painted: Sequence[Painted]
    """What the chosen heuristic says, for each canvas; empty where it uses no image."""

    @property
    def evidence(self) -> EvidenceSet:
        """Of the first image; that of the others is of the same kinds and passes."""
        return self.scenes[0].evidence


@dataclass(frozen=True)
class Scorer:
    """Scores the units of the images of one round."""

    round_view: RoundView
    heuristic: Heuristic[Any]
    name: str
    """The heuristic's name, for the record."""
    also: Mapping[str, Heuristic[Any]]
    """Heuristics that score as well, by name."""
    granularity: Granularity
    descriptor: Descriptor | None
    """What the selector must know of a unit beyond its score."""

    def __call__(self, names: Sequence[str]) -> list[Scored]:
        """The units of images of one size. Raises ValueError where a score is not finite."""
        within = [self.round_view.pool.unknown(name) for name in names]
        early = [self._small_cut(*pair) for pair in zip(names, within, strict=True)] if self._cuts_pictures else None
        after: dict[int, Join] = {}
        seen = self._seen(names, within, partial(self._watch, names, after, early))
        units = [(found, ids.long()) for found, ids in early] if early else [self._cut(scene) for scene in seen.scenes]
        places = _places(seen.canvases, units)
        scores = {
            key: self._unit_scores(key, heuristic, seen, places)
            for key, heuristic in self._heuristics.items()
            if heuristic.min_passes <= seen.evidence.passes and seen.evidence.holds(heuristic.reads)
        }
        later = {passes: join(places) for passes, join in after.items()}
        return [
            self._scored(
                scene,
                units[place],
                {key: values[place] for key, values in scores.items()},
                {passes: values[place] for passes, values in later.items()},
            )
            for place, scene in enumerate(seen.scenes)
        ]

    def _scored(self, scene: Scene, units: Units, scores: dict[str, Scores], after: dict[int, Scores]) -> Scored:
        found, ids = units
        areas = torch.bincount(ids[ids >= 0], minlength=len(found))
        table = UnitTable(
            image=scene.name,
            whole=self.round_view.pool.askable_area(scene.name),
            units=found.cpu().numpy(),
            areas=areas.cpu().numpy(),
            scores=scores,
            after=after,
            descriptors=self._described(scene, ids, len(found)),
            drawn=np.ones(len(found), dtype=np.bool_),
        )
        return Scored(table, ids.cpu().numpy())

    def known(self, names: Sequence[str]) -> list[Described | None]:
        """Descriptors of the labelled parts of images of one size, cut and described like their candidates."""
        seen = self._seen(names, [self.round_view.pool.known(name) for name in names])
        cuts = [(scene, *self._cut(scene)) for scene in seen.scenes]
        return [self._described(scene, ids, len(found)) for scene, found, ids in cuts]

    def regions(self, wanted: Mapping[str, Sequence[int]], batch: Sequence[str]) -> dict[Place, Region]:
        """The regions of units in images of a batch; they are cut once more.

        Where the picture decides, no model is needed; else the whole batch is seen again, as evidence may differ in the
        last bit beside other images.
        """
        own = [name for name in batch if name in wanted] if self._cuts_pictures else list(batch)
        within = [self.round_view.pool.unknown(name) for name in own]
        unseen = [self._unseen(*pair) for pair in zip(own, within, strict=True)]
        scenes = unseen if self._cuts_pictures else self._seen(own, within).scenes
        regions: dict[Place, Region] = {}
        for scene in scenes:
            if scene.name in wanted:
                found, ids = self._cut(scene)
                rows = np.searchsorted(found.cpu().numpy(), wanted[scene.name]).tolist()
                by_row = regions_of(ids.cpu().numpy(), rows)
                units = zip(wanted[scene.name], rows, strict=True)
                regions |= {(scene.name, unit): by_row[row] for unit, row in units}
        return regions

    def regions_at(self, places: Sequence[Place], batches: Sequence[Sequence[str]]) -> dict[Place, Region]:
        """The region of each unit of any image that was scored in these batches."""
        units: dict[str, list[int]] = {}
        for name, unit in places:
            units.setdefault(name, []).append(unit)
        parts = [self.regions(units, batch) for batch in batches if not units.keys().isdisjoint(batch)]
        return {place: region for part in parts for place, region in part.items()}

    def cheapest(self, name: str, unit: BudgetUnit) -> float | None:
        """The cost of the image's cheapest unit; None where evidence decides the units, or there are none."""
        if not self._cuts_pictures:
            return None
        found, ids = self._small_cut(name, self.round_view.pool.unknown(name))
        areas = torch.bincount(ids[ids >= 0], minlength=len(found)).tolist()
        return min((price(area, self.round_view.pool.askable_area(name), unit) for area in areas), default=None)

    @property
    def _heuristics(self) -> dict[str, Heuristic[Any]]:
        """The chosen one first, with its own options, whatever else scores under its name."""
        others = {name: heuristic for name, heuristic in self.also.items() if name != self.name}
        return {self.name: self.heuristic, **others}

    @property
    def kinds(self) -> frozenset[type[Evidence]]:
        """The kinds of evidence that heuristic, granularity and selector read; a query makes no others."""
        kinds: set[type[Evidence]] = {self.heuristic.reads, self.granularity.joins} if self._paints else set()
        if not isinstance(self.granularity.reads, str):
            kinds.add(self.granularity.reads)
        if self.descriptor is not None:
            kinds.update(self.descriptor.reads)
        return frozenset(kinds - {Nothing})

    @property
    def _paints(self) -> bool:
        """Whether the heuristic scores images; otherwise all units have one score."""
        return self.heuristic.min_passes > 0 or self.heuristic.reads is not Nothing

    @property
    def _cuts_pictures(self) -> bool:
        """Whether the picture decides the units, or what models saw of it."""
        return self.granularity.reads == "image"

    def _seen(
        self,
        names: Sequence[str],
        within: Sequence[PixelSet],
        watch: Callable[[list[EvidenceSet]], None] | None = None,
    ) -> _Seen:
        """Images of one size with their evidence and the scores of the heuristic."""
        unseen = [self._unseen(*pair) for pair in zip(names, within, strict=True)]
        if not self.kinds:
            return _Seen(unseen, self._canvases(names, [scene.evidence for scene in unseen]), [])
        evidence = self.round_view.evidence(names, self.kinds, watch)
        laid = self._canvases(names, evidence)
        painted = [canvas.painted(self.heuristic) for canvas in laid] if self._paints else []
        maps = [one for canvas, own in zip(laid, painted, strict=True) for one in canvas.maps(own)] if painted else []
        scenes = [
            replace(scene, evidence=evidence[place], score_map=maps[place] if maps else None)
            for place, scene in enumerate(unseen)
        ]
        return _Seen(scenes, laid, painted)

    def _canvases(self, names: Sequence[str], evidence: Sequence[EvidenceSet]) -> list[Canvas]:
        return canvases(self.round_view.task, self.granularity, names, evidence)

    def _unseen(self, name: str, within: PixelSet) -> Scene:
        inside = torch.from_numpy(within).to(self.round_view.compute.torch_device)
        evidence = EvidenceSet((within.shape[0], within.shape[1]))
        image = partial(self.round_view.pool.images.image, name)
        return Scene(name, image, inside, evidence, None, self.round_view.rng("units", name))

    def _cut(self, scene: Scene) -> Units:
        ids = unit_ids(self.granularity, self.granularity.units(scene), scene.size, scene.name)
        return cut(ids.to(scene.within.device), scene.within)

    def _small_cut(self, name: str, within: PixelSet) -> Units:
        """Cuts the image without evidence; the map takes half the bytes, as it is kept while passes are drawn."""
        found, ids = self._cut(self._unseen(name, within))
        return found, ids.int()

    def _watch(
        self, names: Sequence[str], after: dict[int, Join], early: Sequence[Units] | None, found: list[EvidenceSet]
    ) -> None:
        """Notes the chosen heuristic's scores after so many passes; as maps only where units are not known yet."""
        if self._paints:
            laid = self._canvases(names, found)
            painted = [canvas.painted(self.heuristic) for canvas in laid]
            if early is None:
                kept = [replace(one, map=one.map.clone()) for one in painted]
                after[found[0].passes] = partial(self._joined, kept)
            else:
                places = _places(laid, [(own, ids.long()) for own, ids in early])
                scores = self._joined(painted, places)
                after[found[0].passes] = lambda places: scores

    def _unit_scores(
        self, key: str, heuristic: Heuristic[Any], seen: _Seen, places: Sequence[LaidUnits]
    ) -> list[Scores]:  # [U] of each image
        if heuristic.reads is Nothing:  # all units are alike, whatever their area does to a sum
            return [np.ones(count) for own in places for count in own.counts]
        painted = seen.painted if key == self.name else [canvas.painted(heuristic) for canvas in seen.canvases]
        scores = self._joined(painted, places)
        for scene, own in zip(seen.scenes, scores, strict=True):
            if not np.isfinite(own).all():
                raise ValueError(f"image {scene.name}: the heuristic {key} scores NaN or infinity")
        return scores

    def _joined(self, painted: Sequence[Painted], places: Sequence[LaidUnits]) -> list[Scores]:  # [U] of each image
        pairs = zip(painted, places, strict=True)
        return [scores for one, own in pairs for scores in own.joined(self.granularity, one)]

    def _described(self, scene: Scene, ids: Tensor, count: int) -> Described | None:
        return None if self.descriptor is None else self.descriptor(scene, ids, count).float().cpu().numpy()


def _places(laid: Sequence[Canvas], units: Sequence[Units]) -> list[LaidUnits]:
    """The units of the images of each canvas."""
    left = iter(units)
    return [canvas.placed(list(islice(left, len(canvas.names)))) for canvas in laid]
