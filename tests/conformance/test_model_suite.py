"""Every model in conf/ keeps the laws of models, and each law catches one that breaks it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from broken_models import BROKEN, Right
from hydra.utils import instantiate
from torch import Tensor

from experiments import composed
from seg_al.asking.audit import differ
from seg_al.conformance.laws import Law, findings
from seg_al.conformance.models import (
    LAWS,
    ModelCase,
    ModelSuite,
    check_model,
    is_cut_at_its_dropout,
    is_finite,
    sees_each_image_alone,
    sum_of_outputs,
)
from seg_al.predictors.dropout import dropouts

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
SMALL_ENCODER = "tu-test_efficientnet"
CHEAP = {
    "unet": ("model.width=2",),
    "unet_small": ("model.width=2",),
    "unet_small_v0": ("model.width=2",),
    "lite_unet": ("model.weights=null", f"model.encoder={SMALL_ENCODER}", "model.decoder=[8,8,8,8]"),
    "deeplab": (f"model.encoder={SMALL_ENCODER}",),
    "fpn": (f"model.encoder={SMALL_ENCODER}",),
    "mask_rcnn_small": (
        "model.weights=null", f"model.backbone.encoder={SMALL_ENCODER}", "model.backbone.width=16",
        "model.proposals.after=60", "model.detecting.most=20",
    ),
}  # fmt: skip
"""What makes an option small and leaves its code the same."""
SLOW = {"drn_c26", "drn_d38", "mask_rcnn", "mask_rcnn_detectron2"}
"""Tens of millions of weights, and no option makes them fewer; drn_d22 is of the same code."""
OF_OBJECTS = {"mask_rcnn", "mask_rcnn_small", "mask_rcnn_detectron2"}


def losses(model: Any, images: Tensor) -> Tensor:
    """The sum of the losses where each image holds one object in its middle."""
    height, width = images.shape[2:]
    box = torch.tensor([[width * 0.25, height * 0.25, width * 0.75, height * 0.75]])
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    mask[:, height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 1
    target = {
        "boxes": box, "labels": torch.tensor([1]), "masks": mask,
        "unknown": torch.zeros(height, width, dtype=torch.bool),
    }  # fmt: skip
    return torch.stack(list(model(images, [target] * len(images)).values())).sum()


def case_of(option: str, *changes: str) -> ModelCase:
    if option == "mask_rcnn_detectron2" and find_spec("detectron2") is None:
        pytest.skip("detectron2 is not installed: see docs/objects.md")
    cfg, _ = composed(f"model={option}", *CHEAP.get(option, ()), *changes)
    loss = losses if option in OF_OBJECTS else sum_of_outputs
    return ModelCase(instantiate(cfg.model, _convert_="all"), classes=2 if option in OF_OBJECTS else 3, loss=loss)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(
    "option", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in OPTIONS]
)
def test_an_option_keeps_the_law(option: str, law: Law[ModelCase]) -> None:
    law(case_of(option))


@pytest.mark.parametrize("kind", ["element", "channel"])
@pytest.mark.parametrize("option", ["unet", "unet_small", "lite_unet", "deeplab", "fpn", "drn_d22", "mask_rcnn_small"])
def test_dropout_of_either_kind_and_pictures_by_their_own_statistics_keep_the_laws(option: str, kind: str) -> None:
    place = "model.backbone.normalize" if option in OF_OBJECTS else "model.normalize"
    case = case_of(option, f"model.dropout_kind={kind}", f"{place}=each")
    layers = dropouts(case.built())
    assert layers
    assert {layer.channels for layer in layers.values()} == {kind == "channel"}
    for law in (is_cut_at_its_dropout, sees_each_image_alone, is_finite):
        law(case)
    images = case.images(1)
    with torch.inference_mode():
        one, brighter = (case.taught()(shown) for shown in (images, images * 0.5 + 0.25))
    assert not differ(one, brighter), "light and contrast of a whole picture change nothing"


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_model_is_caught_by_the_law_that_it_breaks(what: str) -> None:
    factory, law = BROKEN[what]
    assert law in {one.check for one in findings(ModelCase(factory, size=(20, 24)), LAWS) if not one.passed}


def test_every_law_has_a_model_that_breaks_it() -> None:
    assert {law for _, law in BROKEN.values()} == {law.__name__.replace("_", " ") for law in LAWS}


def test_all_that_is_broken_is_said_at_once() -> None:
    check_model(Right)
    factory, _ = BROKEN["an unused layer"]
    with pytest.raises(AssertionError, match=r"1 of 11 laws are broken:\n.*2 weights get no gradient.*unused\.weight"):
        check_model(factory)


class TestFromOutside(ModelSuite):
    """As the tests of another repository would have it."""

    def make(self) -> ModelCase:
        return ModelCase(Right)
