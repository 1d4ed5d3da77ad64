"""Scores every unit of an image: gets its evidence, cuts it, and joins each heuristic's map over the units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.asking.given import painted_by, unit_ids
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
Join = Callable[[Tensor, int], npt.NDArray[np.float64]]
"""Gives scores [U] for the map of the units' places [H, W] and their count."""


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

    def __call__(self, name: str) -> tuple[UnitTable, IdMap]:
        """All units of the image, and the map of their places. Raises ValueError where a score is not finite."""
        within = self.round_view.pool.unknown(name)
        early = self._small_cut(name, within) if self.granularity.reads == "image" else None
        after: dict[int, Join] = {}
        scene, painted = self._scene(name, within, partial(self._watch, name, after, early))
        found, ids = (early[0], early[1].long()) if early else self._cut(scene)
        areas = torch.bincount(ids[ids >= 0], minlength=len(found))
        scores = {
            key: self._unit_scores(key, heuristic, scene, painted if key == self.name else None, ids, len(found))
            for key, heuristic in self._heuristics.items()
            if heuristic.min_passes <= scene.evidence.passes and scene.evidence.holds(heuristic.reads)
        }
        block = UnitTable(
            image=name,
            whole=self.round_view.pool.askable_area(name),
            units=found.cpu().numpy(),
            areas=areas.cpu().numpy(),
            scores=scores,
            after={passes: joined(ids, len(found)) for passes, joined in after.items()},
            descriptors=self._described(scene, ids, len(found)),
            drawn=np.ones(len(found), dtype=np.bool_),
        )
        return block, ids.cpu().numpy()

    def known(self, name: str) -> Described | None:
        """Descriptors of the labelled part of the image, cut and described like its candidates."""
        scene, _ = self._scene(name, self.round_view.pool.known(name))
        found, ids = self._cut(scene)
        return self._described(scene, ids, len(found))

    def regions(self, name: str, units: Sequence[int]) -> dict[int, Region]:
        """The region of each unit; the image is cut once more, which needs no model where the picture decides."""
        within = self.round_view.pool.unknown(name)
        scene = self._unseen(name, within) if self.granularity.reads == "image" else self._scene(name, within)[0]
        found, ids = self._cut(scene)
        rows = np.searchsorted(found.cpu().numpy(), units).tolist()
        by_row = regions_of(ids.cpu().numpy(), rows)
        return {unit: by_row[row] for unit, row in zip(units, rows, strict=True)}

    def regions_at(self, places: Sequence[Place]) -> dict[Place, Region]:
        """The region of each unit of any image."""
        units: dict[str, list[int]] = {}
        for name, unit in places:
            units.setdefault(name, []).append(unit)
        return {(name, unit): region for name, own in units.items() for unit, region in self.regions(name, own).items()}

    def cheapest(self, name: str, unit: BudgetUnit) -> float | None:
        """The cost of the image's cheapest unit; None where evidence decides the units, or there are none."""
        if self.granularity.reads != "image":
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

    def _scene(
        self, name: str, within: PixelSet, watch: Callable[[list[EvidenceSet]], None] | None = None
    ) -> tuple[Scene, Painted | None]:
        """The image with its evidence and the scores of the heuristic."""
        unseen = self._unseen(name, within)
        if not self.kinds:
            return unseen, None
        (evidence,) = self.round_view.evidence([name], self.kinds, watch)
        painted = self._painted(self.heuristic, evidence, name) if self._paints else None
        return replace(unseen, evidence=evidence, score_map=None if painted is None else painted.map), painted

    def _painted(self, heuristic: Heuristic[Any], evidence: EvidenceSet, image: str) -> Painted:
        return painted_by(self.round_view.task, heuristic, evidence, image)

    def _unseen(self, name: str, within: PixelSet) -> Scene:
        inside = torch.from_numpy(within).to(self.round_view.compute.torch_device)
        evidence = EvidenceSet((within.shape[0], within.shape[1]))
        image = partial(self.round_view.pool.images.image, name)
        return Scene(name, image, inside, evidence, None, self.round_view.rng("units", name))

    def _cut(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """The ids of the units that there are, and the map of their places."""
        ids = unit_ids(self.granularity, self.granularity.units(scene), scene.size, scene.name)
        return cut(ids.to(scene.within.device), scene.within)

    def _small_cut(self, name: str, within: PixelSet) -> tuple[Tensor, Tensor]:
        """Cuts the image without evidence; the map takes half the bytes, as it is kept while passes are drawn."""
        found, ids = self._cut(self._unseen(name, within))
        return found, ids.int()

    def _watch(
        self, name: str, after: dict[int, Join], early: tuple[Tensor, Tensor] | None, found: list[EvidenceSet]
    ) -> None:
        """Notes the chosen heuristic's scores after so many passes; as a map only where units are not known yet."""
        if self._paints:
            (evidence,) = found
            painted = self._painted(self.heuristic, evidence, name)
            if early is None:
                after[evidence.passes] = partial(self._joined, replace(painted, map=painted.map.clone()))
            else:
                scores = self._joined(painted, early[1].long(), len(early[0]))
                after[evidence.passes] = lambda ids, count: scores

    def _unit_scores(
        self, key: str, heuristic: Heuristic[Any], scene: Scene, painted: Painted | None, ids: Tensor, count: int
    ) -> npt.NDArray[np.float64]:  # [U]
        if heuristic.reads is Nothing:  # all units are alike, whatever their area does to a sum
            return np.ones(count)
        scores = self._joined(painted or self._painted(heuristic, scene.evidence, scene.name), ids, count)
        if not np.isfinite(scores).all():
            raise ValueError(f"image {scene.name}: the heuristic {key} scores NaN or infinity")
        return scores

    def _joined(self, painted: Painted, ids: Tensor, count: int) -> npt.NDArray[np.float64]:  # [U]
        joined: npt.NDArray[np.float64] = self.granularity.reduce(painted, ids, count).double().cpu().numpy()
        return joined

    def _described(self, scene: Scene, ids: Tensor, count: int) -> Described | None:
        return None if self.descriptor is None else self.descriptor(scene, ids, count).float().cpu().numpy()
