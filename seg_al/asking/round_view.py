"""What a round looks at, and through what: the pool, the models of the last round, and their passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seg_al.asking.pool import Pool
from seg_al.core import Compute, Model
from seg_al.predictors.class_maps import Beliefs, NotFinite
from seg_al.predictors.predictor import Predictor
from seg_al.randomness import numpy_rng
from seg_al.tasks.task import Task


@dataclass(frozen=True)
class RoundView:
    """One round's view of the pool."""

    pool: Pool
    models: Callable[[], Sequence[Model]]
    """The models of the last round; loaded only if something is looked at."""
    predictor: Predictor
    compute: Compute
    classes: tuple[str, ...]
    run: int
    round: int
    task: Task

    def beliefs(self, name: str, *, features: bool = False, watch: Callable[[Beliefs], None] | None = None) -> Beliefs:
        """Raises ValueError naming the image and the layer where the models put out NaN or infinity."""
        image = self.compute.picture(self.pool.images.image(name))
        address = (self.run, self.round, name)
        try:
            return self.predictor(self.models(), image, self.compute, address, features, watch, self.task.reading)
        except NotFinite as error:
            raise ValueError(f"image {name}: {error}; training has diverged, lower the learning rate") from error

    def rng(self, *what: str) -> np.random.Generator:
        return numpy_rng(self.run, self.round, *what)
