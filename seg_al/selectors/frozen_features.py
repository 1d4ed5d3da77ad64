"""Features of a network that is not trained: computed once per image and kept on disk, without passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from seg_al.core import Evidence, Scene
from seg_al.features.encoder import FrozenEncoder
from seg_al.models.inputs import Statistics
from seg_al.selectors.descriptors import means_of_cells


@dataclass(frozen=True)
class FrozenFeature:
    """The mean over the unit of a frozen encoder's deepest map, as [U, D]; what cold starts are chosen by.

    Weights that know natural pictures tell most pools apart (arXiv 2202.02794 and its successors take such features);
    fresh ones are for tries only.
    """

    encoder: str
    """The encoder's name in segmentation_models_pytorch, such as resnet50, or tu- and a name of timm's."""
    weights: str | None
    """File of the encoder's weights; package:NAME: the file in an installed package; None: fresh, always the same."""
    normalize: Statistics
    """Mean and spread of the pictures that the weights know."""
    folder: str
    """Where features are kept, one file per image and network."""
    normalised: bool
    """Whether they are divided by their Euclidean length, so that distances compare directions."""
    reads: ClassVar[tuple[type[Evidence], ...]] = ()

    def __post_init__(self) -> None:
        self._encoder.check()

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        maps = self._encoder.maps(scene.name, scene.image())
        means = means_of_cells(maps.to(ids.device), ids, count)
        return functional.normalize(means, dim=1) if self.normalised else means

    @cached_property
    def _encoder(self) -> FrozenEncoder:
        return FrozenEncoder(self.encoder, self.weights, self.normalize, self.folder, "descriptor")
