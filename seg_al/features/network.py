"""Features of the network that the run trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from seg_al.core import ByteImage, Compute, Model
from seg_al.predictors.features import Features, features_of


@dataclass(frozen=True)
class NetworkFeatures:
    """Those of the first model of the last round, from one pass without dropout."""

    trained: ClassVar[bool] = True

    def check(self) -> None:
        """Any network will do that gives features."""

    def __call__(
        self,
        names: Sequence[str],
        images: Sequence[ByteImage],
        models: Callable[[], Sequence[Model]],
        compute: Compute,
    ) -> list[Features]:
        return features_of(models(), compute.tensor(*images), compute)
