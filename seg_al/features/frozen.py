"""Features of an encoder that is never trained, for whatever reads features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from seg_al.core import ByteImage, Compute, Model
from seg_al.features.encoder import FrozenEncoder
from seg_al.models.inputs import Statistics
from seg_al.predictors.features import Features


@dataclass(frozen=True)
class FrozenFeatures:
    """The encoder's deepest map, once per image, in place of both maps of the trained network.

    Selectors for few labels were published with such features (TypiClust, arXiv 2202.02794; ProbCover, 2205.11320).
    """

    encoder: str
    """The encoder's name in segmentation_models_pytorch, such as resnet50, or tu- and a name of timm's."""
    weights: str | None
    """File of the encoder's weights; package:NAME: the file in an installed package; None: fresh, always the same."""
    normalize: Statistics
    """Mean and spread of the pictures that the weights know."""
    folder: str
    """Where features are kept, one file per image and network."""
    trained: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._encoder.check()

    def check(self) -> None:
        self._encoder.try_out()

    def __call__(
        self,
        names: Sequence[str],
        images: Sequence[ByteImage],
        models: Callable[[], Sequence[Model]],
        compute: Compute,
    ) -> list[Features]:
        """One image at a time: what is kept of one must not depend on those beside it."""
        found = []
        for name, image in zip(names, images, strict=True):
            maps = self._encoder.maps(name, image).to(compute.torch_device)
            found.append(Features((image.shape[0], image.shape[1]), maps, maps))
        return found

    @cached_property
    def _encoder(self) -> FrozenEncoder:
        return FrozenEncoder(self.encoder, self.weights, self.normalize, self.folder, "features")
