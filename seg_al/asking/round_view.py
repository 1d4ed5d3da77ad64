"""The pool as a round sees it: through the models of the last round, and their passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seg_al.asking.pool import Pool
from seg_al.core import Compute, Evidence, EvidenceSet, Model, Nothing, Task
from seg_al.predictors.class_maps import NotFinite
from seg_al.predictors.features import Features, features_of
from seg_al.predictors.predictor import Predictor
from seg_al.randomness import numpy_rng


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
            if Features in kinds:
                evidence = evidence.also(features_of(self.models(), self.compute.tensor(picture), self.compute))
        except NotFinite as error:
            raise ValueError(f"image {name}: {error}; training has diverged, lower the learning rate") from error
        assert all(evidence.holds(kind) for kind in kinds), "experiments are checked for what nothing makes"
        return evidence

    def gives(self, kind: type[Evidence]) -> bool:
        """Whether this kind of evidence can be made."""
        return kind in (Nothing, Features, *self.task.kinds)

    def rng(self, *what: str) -> np.random.Generator:
        return numpy_rng(self.run, self.round, *what)
