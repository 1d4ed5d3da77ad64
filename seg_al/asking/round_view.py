"""The pool as a round sees it: through the models of the last round, and their passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg_al.asking.pool import Pool
from seg_al.core import Compute, Evidence, EvidenceSet, Model, Nothing, Task
from seg_al.features.network import NetworkFeatures
from seg_al.predictors.batches import batches
from seg_al.predictors.class_maps import NotFinite
from seg_al.predictors.features import (
    Features,
    FeatureSource,
    LabelledDistances,
    distances_to,
    labelled_features,
)
from seg_al.predictors.predictor import Predictor
from seg_al.randomness import numpy_rng

OF_FEATURES: tuple[type[Evidence], ...] = (Features, LabelledDistances)
"""The kinds that are made from features."""


@dataclass(frozen=True)
class RoundView:
    """One round's view of the pool."""

    pool: Pool
    models: Callable[[], Sequence[Model]]
    """The models of the last round; loaded only when evidence needs them."""
    predictor: Predictor
    compute: Compute
    classes: tuple[str, ...]
    run: int
    round: int
    task: Task[Any]
    features: FeatureSource = field(default_factory=NetworkFeatures)

    def batches(self, names: Iterable[str]) -> list[tuple[str, ...]]:
        """Names of images of one size, which the models see together."""
        return batches(names, self.pool.images.size, self.compute.batch)

    def evidence(
        self,
        names: Sequence[str],
        kinds: Collection[type[Evidence]],
        watch: Callable[[list[EvidenceSet]], None] | None = None,
    ) -> list[EvidenceSet]:
        """The evidence of the asked kinds about images of one size.

        Draws only passes that one of the kinds needs, which give all kinds of the task. Raises ValueError naming the
        image and the layer where the models put out NaN or infinity.
        """
        pictures = [self.pool.images.image(name) for name in names]
        found = [EvidenceSet(self.pool.images.size(name)) for name in names]
        try:
            if any(kind in self.task.kinds for kind in kinds):
                images, addresses = self.compute.picture(*pictures), [(self.run, self.round, name) for name in names]
                found = self.predictor(self.models(), images, self.compute, addresses, self.task.reading, watch)
            if Features in kinds or LabelledDistances in kinds:
                features = self.features(names, pictures, self.models, self.compute)
                found = [one.also(own) for one, own in zip(found, features, strict=True)]
            if LabelledDistances in kinds:
                found = [one.also(distances_to(self._labelled_features, one.of(Features))) for one in found]
        except NotFinite as error:
            if len(names) > 1:  # one by one, to find out which
                return [one for name in names for one in self.evidence([name], kinds)]
            raise ValueError(f"image {names[0]}: {error}; training has diverged, lower the learning rate") from error
        assert all(one.holds(kind) for kind in kinds for one in found), "experiments are checked for what nothing makes"
        return found

    @cached_property
    def _labelled_features(self) -> Tensor:  # [L, D]
        """Features of all that is labelled, made once a round."""
        pool, vectors = self.pool, {}
        for batch in self.batches(pool.labelled):
            pictures = [pool.images.image(name) for name in batch]
            found = self.features(batch, pictures, self.models, self.compute)
            for name, own in zip(batch, found, strict=True):
                vectors[name] = labelled_features(own.deepest, torch.from_numpy(pool.known(name)))
        return torch.cat([vectors[name] for name in pool.labelled])

    def asks_networks(self, kinds: Collection[type[Evidence]]) -> bool:
        """Whether evidence of these kinds is made by the models of the last round."""
        return any(kind in self.task.kinds or (self.features.trained and kind in OF_FEATURES) for kind in kinds)

    def gives(self, kind: type[Evidence]) -> bool:
        """Whether this kind of evidence can be made."""
        return kind in (Nothing, *OF_FEATURES, *self.task.kinds)

    def rng(self, *what: str) -> np.random.Generator:
        return numpy_rng(self.run, self.round, *what)
