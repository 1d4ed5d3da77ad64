"""An encoder that is never trained: its deepest map of each image, computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from seg_al.core import ByteImage
from seg_al.kept_arrays import KeptArrays
from seg_al.models.encoders import check_names, fill_encoder, without_chance
from seg_al.models.inputs import Statistics, normalization
from seg_al.randomness import torch_seeded

STRIDE = 32
"""Of the deepest map; images are continued by their last pixels to a multiple of it."""


@dataclass(frozen=True)
class FrozenEncoder:
    """Weights that know natural pictures tell most pools apart; fresh ones are for tries only."""

    encoder: str
    """The encoder's name in segmentation_models_pytorch, such as resnet50, or tu- and a name of timm's."""
    weights: str | None
    """File of the encoder's weights; package:NAME: the file in an installed package; None: fresh, always the same."""
    normalize: Statistics
    """Mean and spread of the pictures that the weights know."""
    folder: str
    """Where features are kept, one file per image and network."""
    key: str
    """Of the config, that holds these values, for errors."""

    def check(self) -> None:
        """Raises ValueError for an encoder that there is not, and for a folder that cannot be written."""
        with self._naming_the_key():
            check_names(self.encoder)
        self._kept.check()

    def try_out(self) -> None:
        """Raises ValueError for weights that are not there or not the encoder's, and for one that sees no picture."""
        small = np.zeros((STRIDE + 1, 2 * STRIDE, 3), dtype=np.uint8)
        try:
            maps = self._made(small)
        except ValueError:
            raise
        except Exception as error:  # a network of a library may raise anything
            said = str(error).splitlines()
            raise ValueError(self._unfit(said[0] if said else type(error).__name__)) from error
        if maps.ndim != 3:
            raise ValueError(self._unfit(f"it makes no map [D, h, w], but an array of the shape {maps.shape}"))

    def maps(self, name: str, image: ByteImage) -> Tensor:  # [H, W, 3] -> [D, h, w]
        """The deepest map, on the CPU; made only where the folder does not have it."""
        made_by = {"encoder": self.encoder, "weights": self._fingerprint, "normalize": self.normalize}
        return torch.from_numpy(self._kept(name, made_by, image, lambda: self._made(image)))

    def _unfit(self, why: str) -> str:
        return f"{self.key}.encoder={self.encoder} cannot see pictures of any size: {why}; choose another encoder"

    @contextmanager
    def _naming_the_key(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ValueError(str(error).replace("model.", f"{self.key}.")) from None

    @property
    def _kept(self) -> KeptArrays:
        return KeptArrays(Path(self.folder), f"{self.key}.folder", "features")

    @cached_property
    def _network(self) -> nn.Module:
        with torch_seeded("frozen features", self.encoder):
            network: nn.Module = smp.encoders.get_encoder(self.encoder, weights=None)
        if self.weights is not None:
            with self._naming_the_key():
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
    def _made(self, image: ByteImage) -> npt.NDArray[np.float32]:  # [H, W, 3] -> [D, h, w]
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        right, below = (-picture.shape[axis] % STRIDE for axis in (3, 2))
        padded = nn.functional.pad(normalization(self.normalize)(picture), (0, right, 0, below), mode="replicate")
        deepest: npt.NDArray[np.float32] = self._network(padded)[-1][0].numpy()
        return deepest
