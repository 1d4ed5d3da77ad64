"""Calls parts from outside on a small made-up image before a run, so that a slip of the pen fails in a second.

Those of seg_al are called by its tests.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg_al.asking.asking import Asking
from seg_al.asking.spending import spend
from seg_al.core import ByteImage, Candidates, EvidenceSet, Nothing, Painted, Scene
from seg_al.granularities.joining import cut
from seg_al.predictors.class_maps import ClassMaps, class_maps_of
from seg_al.predictors.features import Features, LabelledDistances

MADE_UP = (32, 48)
"""Height and width of the image in pixels."""
PASSES = 3
UNITS = 24
"""Candidates of the selector, in six images."""


def trial_problems(asking: Asking, classes: int) -> list[str]:
    """A sentence for each part from outside that raises an error, or gives what is no score, unit or position."""
    trial = _Trial(asking, _evidence(classes))
    parts: dict[str, tuple[object, Callable[[], object]]] = {
        f"heuristic={asking.name}": (asking.heuristic, trial.paint),
        "granularity": (asking.granularity, trial.cut),
        "selector.descriptor": (asking.selector.descriptor, trial.describe),
        "selector": (asking.selector, trial.select),
    }
    return [
        f"{name} fails on a small made-up image: {wrong}; mend it, and let seg_al.conformance judge it"
        for name, (part, call) in parts.items()
        if part is not None and not type(part).__module__.startswith("seg_al.") and (wrong := _error_of(call))
    ]


def _error_of(call: Callable[[], object]) -> str | None:
    try:
        call()
    except Exception as error:  # code from outside may raise anything
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
    return None


def _evidence(classes: int) -> EvidenceSet:
    """All kinds that can be made up without a network."""
    height, width = MADE_UP
    generator = torch.Generator().manual_seed(0)
    passes = torch.randn(PASSES, max(2, classes), height, width, generator=generator).softmax(1)
    maps = torch.randn(8, height // 8, width // 8, generator=generator)
    features = Features(MADE_UP, maps, maps[:4])
    return EvidenceSet(MADE_UP, (class_maps_of(passes), features, LabelledDistances(MADE_UP, maps[0].abs())))


def _picture() -> ByteImage:
    return np.random.default_rng(0).integers(0, 256, (*MADE_UP, 3), dtype=np.uint8)


@dataclass(frozen=True)
class _Trial:
    asking: Asking
    evidence: EvidenceSet

    @property
    def scene(self) -> Scene:
        maps = self.evidence.of(ClassMaps)
        everywhere = torch.ones(MADE_UP, dtype=torch.bool)
        return Scene("made-up", _picture, everywhere, self.evidence, maps.mean[0], np.random.default_rng(0))

    def paint(self) -> None:
        """Kinds of evidence of other tasks are not made up."""
        heuristic = self.asking.heuristic
        if heuristic.reads is not Nothing and self.evidence.holds(heuristic.reads):
            self._require_map(heuristic(self.evidence.of(heuristic.reads)))

    def cut(self) -> None:
        granularity = self.asking.granularity
        if not isinstance(granularity.reads, str) and not self.evidence.holds(granularity.reads):
            return
        scene = self.scene
        ids = granularity.units(scene)
        self._require_map(ids)
        found, places = cut(ids, scene.within)
        if len(found) and self.evidence.holds(granularity.joins) and scene.score_map is not None:
            self._require_rows(granularity.reduce(Painted(scene.score_map), places, len(found)), len(found))

    def describe(self) -> None:
        descriptor: Any = self.asking.selector.descriptor
        if all(self.evidence.holds(kind) for kind in descriptor.reads):
            ids = torch.arange(MADE_UP[1]).expand(MADE_UP) // (MADE_UP[1] // 4)
            self._require_rows(descriptor(self.scene, ids, 4), 4)

    def select(self) -> None:
        """Descriptors are made up, and no column of truth is known here."""
        selector, rng = self.asking.selector, np.random.default_rng(0)
        if selector.truth is not None:
            return
        vectors = None if selector.descriptor is None else rng.normal(size=(UNITS, 8)).astype(np.float32)
        candidates = Candidates(
            images=tuple(f"image {unit // 4}" for unit in range(UNITS)),
            units=np.arange(UNITS) % 4,
            scores=rng.random(UNITS),
            costs=np.ones(UNITS),
            descriptors=vectors,
            known=vectors if selector.reads_known else None,
            round=1,
        )
        spend(selector, candidates, 3.0, rng)

    def _require_map(self, values: object) -> None:
        if not isinstance(values, Tensor) or tuple(values.shape) != MADE_UP:
            raise ValueError(f"{_told(values)}, where a tensor [H, W] of {MADE_UP[0]} x {MADE_UP[1]} pixels is needed")
        if not torch.isfinite(values).all():
            raise ValueError("a score is NaN or infinite")

    def _require_rows(self, values: object, units: int) -> None:
        if not isinstance(values, Tensor) or len(values) != units:
            raise ValueError(f"{_told(values)}, where a tensor with a row for each of {units} units is needed")


def _told(values: object) -> str:
    return f"a tensor of the shape {[*values.shape]}" if isinstance(values, Tensor) else f"{type(values).__name__}"
