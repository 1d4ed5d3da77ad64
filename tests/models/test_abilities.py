"""Each model says by its type what it can do, and keeps the contract of core: shapes, repeats, and a task."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from seg_al.core import GivesFeatures, HasEncoder, MadeForTask, Model
from seg_al.models.drn import DRN
from seg_al.models.encoder_decoder import FPN, DeepLab
from seg_al.models.mask_rcnn import MaskRCNN
from seg_al.models.partial_labels import BoxSampling, Learning, Proposals
from seg_al.models.pyramids import EncoderPyramid
from seg_al.models.roi_heads import Detecting, Widths
from seg_al.models.unet import UNet

BOXES = BoxSampling(0.7, 0.3, 64, 0.5)
MASK_RCNN = {
    "backbone": EncoderPyramid("resnet18", 16, False, "none"),
    "weights": None,
    "dropout": 0.1,
    "sites": ("predictor",),
    "proposals": Proposals((8, 16, 32, 64, 128), (1.0,), 20, 10, 20, 10, 0.7),
    "heads": Widths(16, (8,)),
    "detecting": Detecting(0.05, 0.5, False, 5),
    "learning": Learning(BOXES, BOXES, 0.3, "whole"),
}
ENCODER = {"encoder": "resnet18", "dropout": 0.1, "sites": "head", "normalize": "none", "weights": None}
DRN_D22 = {"dropout": 0.1, "sites": "head", "upsample": "bilinear", "normalize": "none", "weights": None}
MAKERS: dict[str, Callable[[], Model]] = {
    "unet": lambda: UNet(width=2, dropout=0.1, sites="all", classes=3),
    "drn": lambda: DRN(layout="D-22", classes=3, **DRN_D22),
    "deeplab": lambda: DeepLab(output_stride=16, classes=3, **ENCODER),
    "fpn": lambda: FPN(classes=3, **ENCODER),
    "mask_rcnn": lambda: MaskRCNN(classes=3, **MASK_RCNN),
}
WITHOUT_ENCODER = {"unet", "drn"}
"""Models whose weights all learn at one rate: there is no part that a file for another task would fill."""
IMAGES = torch.rand(2, 3, 40, 52, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MAKERS)
def test_a_model_tells_its_abilities_and_its_task_by_type_and_so_does_its_copy(name: str) -> None:
    model = MAKERS[name]()
    for one in (model, copy.deepcopy(model)):
        assert isinstance(one, nn.Module)
        assert isinstance(one, GivesFeatures)
        assert isinstance(one, HasEncoder) == (name not in WITHOUT_ENCODER)
        assert isinstance(one, MadeForTask)
        assert one.task == ("instances" if name == "mask_rcnn" else "semantic")


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - {"mask_rcnn"}))
@torch.inference_mode()
def test_a_repeated_state_is_decoded_to_repeated_rows_image_by_image(name: str) -> None:
    model = MAKERS[name]()
    model.eval()
    decoded: Tensor = model.decode(model.repeat(model.encode(IMAGES), 2))
    assert decoded.shape == (4, 3, 40, 52)
    once: Tensor = model(IMAGES)
    torch.testing.assert_close(decoded, once.repeat_interleave(2, 0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - WITHOUT_ENCODER))
def test_the_weights_of_an_encoder_are_some_of_the_models_own_each_once(name: str) -> None:
    model = MAKERS[name]()
    assert isinstance(model, HasEncoder)
    inside = [id(one) for one in model.encoder_parameters()]
    own = {id(one) for one in model.parameters()}
    assert len(inside) == len(set(inside)) > 0
    assert set(inside) < own


def test_a_plain_network_has_no_ability() -> None:
    for ability in (GivesFeatures, HasEncoder, MadeForTask):
        assert not isinstance(nn.Conv2d(3, 2, 1), ability)
