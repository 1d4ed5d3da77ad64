"""A heuristic of features: what is unlike the rest of its image. No pass is drawn for it."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import interpolate

from seg_al.predictors.features import Features


@dataclass(frozen=True)
class Unusual:
    """Distance of the network's deepest features from their mean over the image."""

    reads: ClassVar[type[Features]] = Features
    min_passes: ClassVar[int] = 0

    def __call__(self, features: Features) -> Tensor:  # [H, W]
        maps = features.deepest  # [D, h, w]
        distance = (maps - maps.mean((1, 2), keepdim=True)).norm(dim=0)
        return interpolate(distance[None, None], features.size)[0, 0]
