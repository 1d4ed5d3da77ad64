"""The pool as a round sees it: through the models of the last round, and their passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg_al.asking.pool import Pool
from seg_al.core import Compute, Evidence, EvidenceSet, Model, Nothing, Task
from seg_al.features.network import NetworkFeatures
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

    def evidence(
        self, name: str, kinds: Collection[type[Evidence]], watch: Callable[[EvidenceSet], None] | None = None
    ) -> EvidenceSet:
        """The evidence of the asked kinds; draws only passes that one of them needs, which give all kinds of the task.

        Raises ValueError naming the image and the layer where the models put out NaN or infinity, and for a kind that
        nothing here makes.
        """
        picture = self.pool.images.image(name)
        evidence = EvidenceSet(self.pool.images.size(name))
        try:
            if any(kind in self.task.kinds for kind in kinds):
                image, address = self.compute.picture(picture), (self.run, self.round, name)
                evidence = self.predictor(self.models(), image, self.compute, address, self.task.reading, watch)
            if Features in kinds or LabelledDistances in kinds:
                evidence = evidence.also(self.features(name, picture, self.models, self.compute))
            if LabelledDistances in kinds:
                evidence = evidence.also(distances_to(self._labelled_features, evidence.of(Features)))
        except NotFinite as error:
            raise ValueError(f"image {name}: {error}; training has diverged, lower the learning rate") from error
        assert all(evidence.holds(kind) for kind in kinds), "experiments are checked for what nothing makes"
        return evidence

    @cached_property
    def _labelled_features(self) -> Tensor:  # [L, D]
        """Features of all that is labelled, made once a round."""
        pool = self.pool
        return torch.cat(
            [
                labelled_features(
                    self.features(name, pool.images.image(name), self.models, self.compute).deepest,
                    torch.from_numpy(pool.known(name)),
                )
                for name in pool.labelled
            ]
        )

    def asks_networks(self, kinds: Collection[type[Evidence]]) -> bool:
        """Whether evidence of these kinds is made by the models of the last round."""
        return any(kind in self.task.kinds or (self.features.trained and kind in OF_FEATURES) for kind in kinds)

    def gives(self, kind: type[Evidence]) -> bool:
        """Whether this kind of evidence can be made."""
        return kind in (Nothing, *OF_FEATURES, *self.task.kinds)

    def rng(self, *what: str) -> np.random.Generator:
        return numpy_rng(self.run, self.round, *what)
