"""Feature pyramids under a region network: a ResNet-50 as torchvision has it, or any encoder under a narrow pyramid."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import segmentation_models_pytorch as smp
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from seg_al.models.encoders import check_names, fill_encoder, without_chance
from seg_al.models.inputs import Statistics
from seg_al.models.weights import COUNTER, fill, read

LEVELS = ("0", "1", "2", "3", "pool")
"""Names of a pyramid's maps as torchvision gives them: strides 4, 8, 16, 32, and every second point of the last."""
LAST_STRIDE = 32
"""Of the coarsest map that the encoder itself makes; images are continued to a multiple of it."""
FIRST_STRIDE = 4
STAGES = 5


@dataclass(frozen=True)
class ResNet50:
    """torchvision's ResNet-50 under a pyramid of 256 channels, with its names.

    With given weights its batch norm is frozen and only the last stages learn; without, all of it learns, batch norm
    included, as torchvision does.
    """

    trainable: int
    """Stages of the ResNet that learn where weights are given, from the deepest; 5: all, the stem included."""
    normalize: Statistics
    """Mean and spread of the pictures that the weights know."""

    def __post_init__(self) -> None:
        if not 0 <= self.trainable <= STAGES:
            raise ValueError(f"model.backbone.trainable={self.trainable}: a ResNet has 5 stages; choose 0 to 5")

    def __call__(self, fresh: bool) -> nn.Module:
        pyramid: nn.Module = resnet_fpn_backbone(
            backbone_name="resnet50",
            weights=None,
            norm_layer=nn.BatchNorm2d if fresh else FrozenBatchNorm2d,
            trainable_layers=STAGES if fresh else self.trainable,
        )
        return pyramid

    def fill(self, pyramid: Any, source: str) -> None:
        """Gives the ResNet the weights of an ImageNet classifier in torchvision's names; the pyramid stays fresh."""
        tensors = read(source)
        kept = {name: one for name, one in tensors.items() if not name.startswith("fc.") and not name.endswith(COUNTER)}
        fill(pyramid.body, kept, source)


@dataclass(frozen=True)
class EncoderPyramid:
    """An encoder of segmentation_models_pytorch by name under a pyramid of any width, for work on a CPU."""

    encoder: str
    """Its name in that library, such as mobilenet_v2, or tu- and a name of timm's."""
    width: int
    """Channels of each level of the pyramid."""
    frozen: bool
    """Whether batch norm keeps the statistics of the given weights while training, for batches of a few images."""
    normalize: Statistics
    """Mean and spread of the pictures that the weights know."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"model.backbone.width={self.width}: choose at least 1 channel")
        _naming_the_key(check_names, self.encoder)

    def __call__(self, fresh: bool) -> nn.Module:
        return Pyramid(self.encoder, self.width, self.frozen and not fresh)

    def fill(self, pyramid: Any, source: str) -> None:
        """Gives the encoder the weights of a file (seg_al.models.encoders); the pyramid stays fresh."""
        _naming_the_key(fill_encoder, pyramid.body, self.encoder, source)


def _naming_the_key(function: Any, *given: Any) -> None:
    """Calls it; its errors name the key of segmentation models, which is another here."""
    try:
        function(*given)
    except ValueError as error:
        raise ValueError(str(error).replace("model.encoder", "model.backbone.encoder")) from None


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(channels, 8), channels)


class Pyramid(nn.Module):
    """A feature pyramid (arXiv 1612.03144) over the maps of an encoder at the strides 4, 8, 16 and 32.

    Its levels have group norm (arXiv 1803.08494), since encoders differ much in the size of what they put out: without,
    the levels over EfficientNet-Lite0 have a standard deviation of 15.
    """

    def __init__(self, encoder: str, width: int, frozen: bool) -> None:
        super().__init__()
        try:
            self.body: Any = smp.encoders.get_encoder(encoder, weights=None)
        except ValueError as error:
            raise ValueError(
                f"model.backbone.encoder={encoder} has no maps of the strides 4, 8, 16 and 32 ({error}); choose a "
                "convolutional encoder, such as resnet18, mobilenet_v2 or tu-tf_efficientnet_lite0"
            ) from None
        without_chance(self.body)
        self.fpn = FeaturePyramidNetwork(list(self.body.out_channels[-4:]), width, LastLevelMaxPool(), _group_norm)
        self.out_channels = width
        self.frozen = frozen

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # [B, 3, H, W]
        maps: list[Tensor] = self.body(images)[-4:]
        levels: dict[str, Tensor] = self.fpn(OrderedDict(zip(LEVELS[:4], maps, strict=True)))
        return levels

    def train(self, mode: bool = True) -> Pyramid:
        super().train(mode)
        if self.frozen:
            for module in self.body.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
