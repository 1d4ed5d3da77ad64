"""Features of a network that is not trained: computed once per image and kept on disk, without passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from seg_al.core import ByteImage, Evidence, Scene
from seg_al.kept_arrays import KeptArrays
from seg_al.models.encoders import check_names, fill_encoder, without_chance
from seg_al.models.inputs import Statistics, normalization
from seg_al.randomness import torch_seeded
from seg_al.selectors.descriptors import means_of_cells

STRIDE = 32
"""Of the deepest map; images are continued by their last pixels to a multiple of it."""


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
        check_names(self.encoder)
        self._kept.check()

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        image = scene.image()
        made_by = {"encoder": self.encoder, "weights": self._fingerprint, "normalize": self.normalize}
        maps = torch.from_numpy(self._kept(scene.name, made_by, image, lambda: self._maps(image)))
        means = means_of_cells(maps.to(ids.device), ids, count)
        return nn.functional.normalize(means, dim=1) if self.normalised else means

    @property
    def _kept(self) -> KeptArrays:
        return KeptArrays(Path(self.folder), "descriptor.folder", "features")

    @cached_property
    def _network(self) -> nn.Module:
        with torch_seeded("frozen features", self.encoder):
            network: nn.Module = smp.encoders.get_encoder(self.encoder, weights=None)
        if self.weights is not None:
            fill_encoder(network, self.encoder, self.weights)
        without_chance(network)
        return network.eval()

    @cached_property
    def _fingerprint(self) -> str:
        """A hash of all weights, by which kept features are recognised as those of this network."""
        digest = blake2b(digest_size=8)
        for tensor in self._network.state_dict().values():
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def _maps(self, image: ByteImage) -> npt.NDArray[np.float32]:  # [H, W, 3] -> [D, h, w]
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        right, below = (-picture.shape[axis] % STRIDE for axis in (3, 2))
        padded = nn.functional.pad(normalization(self.normalize)(picture), (0, right, 0, below), mode="replicate")
        deepest: npt.NDArray[np.float32] = self._network(padded)[-1][0].numpy()
        return deepest
