"""Every unit of an image with its scores: look at the image, cut it, join each heuristic's map over the units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.asking.round_view import RoundView
from seg_al.asking.unit_table import IdMap, UnitTable, regions_of
from seg_al.core import BoolMask, BudgetUnit, Granularity, Heuristic, Painted, Region, Scene, price
from seg_al.granularities.joining import cut
from seg_al.predictors.class_maps import Beliefs, unlooked
from seg_al.selectors.descriptors import Descriptor
from seg_al.tasks.objects.certainty import ObjectHeuristic, object_scores

Described = npt.NDArray[np.float32]  # [U, D]
Join = Callable[[Tensor, int], npt.NDArray[np.float64]]
"""Gives scores [U] for the map of the units' places [H, W] and their count."""


@dataclass(frozen=True)
class Scorer:
    """Scores the units of the images that one round looks at."""

    round_view: RoundView
    heuristic: Heuristic
    name: str
    """The heuristic's name, for the record."""
    also: Mapping[str, Heuristic]
    """Heuristics that score as well, by name."""
    granularity: Granularity
    descriptor: Descriptor | None
    """What the selector must know of a unit beyond its score."""

    def __call__(self, name: str) -> tuple[UnitTable, IdMap]:
        """All units of the image, and the map of their places. Raises ValueError where a score is not finite."""
        within = self.round_view.pool.unknown(name)
        early = self._small_cut(name, within) if self.granularity.reads == "image" else None
        after: dict[int, Join] = {}
        scene = self._scene(name, within, partial(self._watch, after, early))
        found, ids = (early[0], early[1].long()) if early else self._cut(scene)
        areas = torch.bincount(ids[ids >= 0], minlength=len(found))
        scores = {
            key: self._unit_scores(key, heuristic, scene, ids, len(found))
            for key, heuristic in self._heuristics.items()
            if _can_score(heuristic, scene.beliefs)
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
        """What is labelled of the image already, cut and described like its candidates."""
        scene = self._scene(name, self.round_view.pool.known(name))
        found, ids = self._cut(scene)
        return self._described(scene, ids, len(found))

    def regions(self, name: str, units: Sequence[int]) -> dict[int, Region]:
        """The region of each unit; the image is cut once more, which needs no model where the picture decides."""
        within = self.round_view.pool.unknown(name)
        scene = (self._unseen if self.granularity.reads == "image" else self._scene)(name, within)
        found, ids = self._cut(scene)
        rows = np.searchsorted(found.cpu().numpy(), units).tolist()
        by_row = regions_of(ids.cpu().numpy(), rows)
        return {unit: by_row[row] for unit, row in zip(units, rows, strict=True)}

    def cheapest(self, name: str, unit: BudgetUnit) -> float | None:
        """What the image's cheapest unit costs; None where what the models see decides the units, or there are none."""
        if self.granularity.reads != "image":
            return None
        found, ids = self._small_cut(name, self.round_view.pool.unknown(name))
        areas = torch.bincount(ids[ids >= 0], minlength=len(found)).tolist()
        return min((price(area, self.round_view.pool.askable_area(name), unit) for area in areas), default=None)

    @property
    def _heuristics(self) -> dict[str, Heuristic]:
        """The chosen one first, with its own options, whatever else scores under its name."""
        others = {name: heuristic for name, heuristic in self.also.items() if name != self.name}
        return {self.name: self.heuristic, **others}

    @property
    def looks(self) -> bool:
        """Whether a query needs the models at all."""
        needed = self.descriptor is not None or self.granularity.reads == "predictions"
        return self.heuristic.min_passes > 0 or needed

    def _scene(self, name: str, within: BoolMask, watch: Callable[[Beliefs], None] | None = None) -> Scene:
        """The image with what the models see in it, if anything needs them."""
        unseen = self._unseen(name, within)
        if not self.looks:
            return unseen
        features = self.descriptor is not None and self.descriptor.needs_features
        beliefs = self.round_view.beliefs(name, features=features, watch=watch)
        score_map = self.heuristic(beliefs) if self.heuristic.min_passes > 0 else None
        return replace(unseen, beliefs=beliefs, score_map=score_map)

    def _unseen(self, name: str, within: BoolMask) -> Scene:
        inside = torch.from_numpy(within).to(self.round_view.compute.torch_device)
        beliefs = unlooked((within.shape[0], within.shape[1]))
        image = partial(self.round_view.pool.images.image, name)
        return Scene(name, image, inside, beliefs, None, self.round_view.rng("units", name))

    def _cut(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """The ids of the units that there are, and the map of their places."""
        return cut(self.granularity.units(scene).to(scene.within.device), scene.within)

    def _small_cut(self, name: str, within: BoolMask) -> tuple[Tensor, Tensor]:
        """Without a look; the map in half the bytes, as it is held while passes are drawn."""
        found, ids = self._cut(self._unseen(name, within))
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

    def _described(self, scene: Scene, ids: Tensor, count: int) -> Described | None:
        return None if self.descriptor is None else self.descriptor(scene.beliefs, ids, count).float().cpu().numpy()


def painted_by(heuristic: Heuristic, beliefs: Beliefs, score_map: Tensor | None = None) -> Painted:
    """The heuristic's map, unless it is at hand, and its score of each object that was found."""
    score_map = heuristic(beliefs) if score_map is None else score_map
    shapes = beliefs.objects
    return Painted(score_map, None if shapes is None else object_scores(heuristic, beliefs, score_map), shapes)


def _can_score(heuristic: Heuristic, beliefs: Beliefs) -> bool:
    """Whether there are passes enough, and objects where it asks for them."""
    wants_objects = isinstance(heuristic, ObjectHeuristic)
    return heuristic.min_passes <= beliefs.passes and (beliefs.objects is not None or not wants_objects)
