"""Mask R-CNN of detectron2: cut like torchvision's, equal to upstream where nothing is dropped or unknown."""

from __future__ import annotations

import copy
import logging
import pickle
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from seg_al.asking.audit import audit
from seg_al.models.detectron2_mask_rcnn import LOSSES, Detectron2MaskRCNN
from seg_al.models.pickled_arrays import read_arrays
from seg_al.models.roi_heads import Detecting
from seg_al.predictors.dropout import drawing
from seg_al.randomness import torch_seeded
from seg_al.running.compute import LocalCompute
from seg_al.tasks.objects.passes import Passed

built = pytest.mark.skipif(find_spec("detectron2") is None, reason="detectron2 is not installed: see docs/objects.md")
pytestmark = [
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated:UserWarning"),  # detectron2.model_zoo imports it
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),  # detectron2 scripts small functions
    pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning"),  # its anchors name no order of axes
]
FPN, C4, DC5 = (f"COCO-InstanceSegmentation/mask_rcnn_R_50_{name}.yaml" for name in ("FPN_3x", "C4_1x", "DC5_1x"))
AGNOSTIC = "Misc/mask_rcnn_R_50_FPN_1x_cls_agnostic.yaml"
SMALL = {
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.FPN.OUT_CHANNELS": 32,
    "MODEL.ANCHOR_GENERATOR.SIZES": [[8], [16], [32], [64], [128]],
    "MODEL.ROI_BOX_HEAD.FC_DIM": 64,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 16,
    "MODEL.ROI_MASK_HEAD.NUM_CONV": 1,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 100,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 64,
}
THIN = {  # C4 has a last stage of bottlenecks, so it needs a ResNet of them
    "MODEL.RESNETS.WIDTH_PER_GROUP": 32,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 32,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 16,
}
HEADS = ("box_head", "predictor", "mask_head")
SIZE = (90, 117)


def make(config: str = FPN, classes: int = 3, **changed: Any) -> Detectron2MaskRCNN:
    """A small network in evaluation mode; its class logits are spread, so that scores differ."""
    given: dict[str, Any] = {
        "options": THIN if config in (C4, DC5) else SMALL,
        "weights": None,
        "dropout": 0.3,
        "sites": HEADS[1:] if config == C4 else HEADS,
        "proposals": 40,
        "detecting": Detecting(0.05, 0.5, False, 20),
        "unknown": 0.3,
        **changed,
    }
    with torch_seeded("weights"):
        model = Detectron2MaskRCNN(config=config, classes=classes, **given)
        predictor = model.network.roi_heads.box_predictor
        torch.nn.init.normal_(predictor.cls_score.weight, std=4 * predictor.cls_score.in_features**-0.5)
        torch.nn.init.constant_(predictor.cls_score.bias[-1:], -2.0)  # few regions are background
        torch.nn.init.normal_(predictor.bbox_pred.weight, std=0.05)
        torch.nn.init.normal_(model.network.roi_heads.mask_head.predictor.weight, std=0.5)
    return model.eval()


def pictures(count: int = 2) -> Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def target(boxes: list[list[float]], unknown: Tensor | None = None) -> dict[str, Tensor]:
    masks = torch.zeros(len(boxes), *SIZE, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = 1
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.arange(len(boxes)) % 2 + 1,
        "masks": masks,
        "unknown": torch.zeros(SIZE, dtype=torch.bool) if unknown is None else unknown,
    }


def tensors(passed: Passed) -> list[Tensor]:
    return [one for one in vars(passed).values() if isinstance(one, Tensor)]


def same(one: Passed, other: Passed) -> bool:
    return all(map(torch.equal, tensors(one), tensors(other)))


@built
@pytest.mark.parametrize("config", [FPN, C4, DC5])
def test_passes_differ_by_counted_dropout_alone_and_forward_is_decode_of_encode(config: str) -> None:
    audit(make(config, proposals=20), pictures(1), LocalCompute("cpu", "float32", 1, 0, 1), dropout=True)


@built
@torch.inference_mode()
def test_a_pass_depends_on_its_address_and_not_on_the_batch_it_is_drawn_in() -> None:
    model, images = make(), pictures()
    rows = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    with drawing(model, rows):
        together = model.decode(model.repeat(model.encode(images), 2))
    with drawing(model, rows[3:]):
        alone = model.decode(model.encode(images[1:]))
    assert same(together[3], alone[0]) or all(
        torch.allclose(one, other, atol=1e-4)
        for one, other in zip(tensors(together[3]), tensors(alone[0]), strict=True)
    )
    assert not torch.equal(together[2].logits, together[3].logits)
    assert len(together[0].masks)
    with drawing(model, rows):
        assert all(map(same, together, model.decode(model.repeat(model.encode(images), 2))))


@built
@torch.inference_mode()
def test_a_network_survives_copies_and_pickling_with_its_dropout() -> None:
    model = make()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with drawing(model, [("a", 0)]), drawing(other, [("a", 0)]):
            assert same(model(pictures(1))[0], other(pictures(1))[0])


@built
@pytest.mark.parametrize("site", ["box_head", "predictor", "deltas", "mask_head"])
@torch.inference_mode()
def test_each_site_of_dropout_changes_what_stands_behind_it_and_nothing_else(site: str) -> None:
    model, plain = make(sites=(site,)), make(sites="none")
    with drawing(model, [("a", 0)]):
        passed = model.decode(model.encode(pictures(1)))[0]
    bare = plain.decode(plain.encode(pictures(1)))[0]
    assert torch.allclose(passed.logits, bare.logits, atol=1e-4) == (site in ("deltas", "mask_head"))
    boxes = passed.boxes.shape == bare.boxes.shape and torch.allclose(passed.boxes, bare.boxes, atol=1e-2)
    assert boxes == (site == "mask_head")
    if site == "mask_head":
        assert not torch.allclose(passed.masks, bare.masks, atol=1e-2)


@built
@pytest.mark.parametrize("config", [FPN, C4, DC5, AGNOSTIC])
@torch.inference_mode()
def test_without_dropout_a_pass_is_what_detectron2_itself_finds(config: str) -> None:
    """Colours, padding, order of classes, thresholds and masks, against upstream's own inference."""
    model = make(config, proposals=20, sites="none")
    predictor = model.network.roi_heads.box_predictor
    predictor.test_score_thresh, predictor.test_nms_thresh, predictor.test_topk_per_image = 0.05, 0.5, 20
    images = pictures()
    inputs = [{"image": 255 * image.flip(0)} for image in images]  # BGR
    theirs = model.network.inference(inputs, do_postprocess=False)
    for passed, wanted in zip(model(images), theirs, strict=True):
        assert len(passed.boxes) == len(wanted) > 3
        assert torch.allclose(passed.boxes, wanted.pred_boxes.tensor, atol=1e-3)
        assert torch.allclose(passed.scores, wanted.scores, atol=1e-5)
        assert torch.equal(passed.classes, wanted.pred_classes + 1)
        assert torch.allclose(passed.masks, wanted.pred_masks[:, 0], atol=1e-4)


@built
@torch.inference_mode()
def test_each_detection_names_the_proposal_whose_softmax_gave_its_score() -> None:
    model = make(classes=4)
    with drawing(model, [("a", 0)]):
        passed = model.decode(model.encode(pictures(1)))[0]
    assert passed.logits.shape == (40, 4)
    own = passed.logits.softmax(1)[passed.proposals, passed.classes]
    assert torch.equal(own, passed.scores)
    assert (own[:-1] >= own[1:]).all()
    assert (own > 0.05).all()
    assert set(passed.classes.tolist()) <= {1, 2, 3}
    x0, y0, x1, y1 = passed.boxes.T
    assert (x0 >= 0).all()
    assert (y0 >= 0).all()
    assert (x1 <= SIZE[1]).all()
    assert (y1 <= SIZE[0]).all()


@built
@torch.inference_mode()
def test_class_agnostic_suppression_leaves_one_class_per_place() -> None:
    apart, joint = (
        make(AGNOSTIC, detecting=Detecting(0.05, 0.5, agnostic, 40), sites="none")(pictures(1))[0]
        for agnostic in (False, True)
    )
    assert box_iou(joint.boxes, joint.boxes).fill_diagonal_(0).max() <= 0.5
    assert box_iou(apart.boxes, apart.boxes).fill_diagonal_(0).max() > 0.5


@built
@torch.inference_mode()
def test_embeddings_lie_on_the_image() -> None:
    deepest, finest = make().embed(pictures())
    assert deepest.shape == (2, 32, 3, 4)
    assert finest.shape == (2, 32, 23, 30)


@built
def test_each_loss_teaches_the_layers_that_it_is_made_of_the_encoder_and_no_other_output() -> None:
    model = make(dropout=0.1).train()
    heads, generator = model.network.roi_heads, model.network.proposal_generator.rpn_head
    outputs = {
        "loss_classifier": heads.box_predictor.cls_score,
        "loss_box_reg": heads.box_predictor.bbox_pred,
        "loss_mask": heads.mask_head.predictor,
        "loss_objectness": generator.objectness_logits,
        "loss_rpn_box_reg": generator.anchor_deltas,
    }
    assert outputs.keys() == set(LOSSES.values())
    with torch_seeded("losses"):
        found = model(pictures(), [target([[10, 10, 40, 50], [60, 20, 100, 80]]), target([[30, 30, 70, 60]])])
    assert found.keys() == outputs.keys()
    encoder = list(model.encoder_parameters())
    for name, loss in found.items():
        model.zero_grad(set_to_none=True)
        loss.backward(retain_graph=True)
        taught = {one for one, layer in outputs.items() if layer.weight.grad is not None and layer.weight.grad.any()}
        assert taught == {name}
        assert any(one.grad is not None and bool(one.grad.any()) for one in encoder), name
        assert all(one.grad is None or bool(one.grad.isfinite().all()) for one in model.parameters()), name


@built
def test_images_without_objects_teach_background_and_no_mask() -> None:
    model = make().train()
    found = model(pictures(), [target([]), target([])])
    assert found["loss_objectness"] > 0
    assert found["loss_classifier"] > 0
    assert [found[name].item() for name in ("loss_mask", "loss_box_reg", "loss_rpn_box_reg")] == [0, 0, 0]
    torch.stack(list(found.values())).sum().backward()
    assert all(one.grad is None or one.grad.isfinite().all() for one in model.parameters())


@built
def test_an_image_of_which_nothing_is_known_teaches_nothing() -> None:
    found = make().train()(pictures(1), [target([], torch.ones(SIZE, dtype=torch.bool))])
    assert all(loss.item() == 0 for loss in found.values())


@built
def test_negatives_are_drawn_outside_the_unknown_and_objects_are_kept() -> None:
    from detectron2.structures import Boxes, Instances

    from seg_al.models.detectron2_parts import Truth
    from seg_al.models.partial_labels import share_unknown

    model = make()
    unknown = torch.zeros(SIZE, dtype=torch.bool)
    unknown[:, 50:] = True
    unknown[20:60, 60:100] = False
    truth = Truth(target([[60, 20, 100, 60]], unknown), torch.device("cpu"))
    anchors = model.network.proposal_generator.anchor_generator(
        [torch.zeros(1, 32, 128 // stride, 160 // stride) for stride in (4, 8, 16, 32, 64)]
    )
    with torch_seeded("anchors"):
        labels, _ = model.network.proposal_generator.label_and_sample_anchors(anchors, [truth])
    every = Boxes.cat(anchors).tensor
    assert (share_unknown(every[labels[0] == 0], unknown) <= 0.3).all()
    assert (labels[0] == 0).sum() > 200
    assert (labels[0] == 1).any()

    proposals = Instances(SIZE)
    proposals.proposal_boxes = Boxes(torch.tensor([[60.0, 20, 100, 58], [105, 70, 130, 100], [5, 5, 40, 40]]))
    proposals.objectness_logits = torch.zeros(3)
    from detectron2.utils.events import EventStorage

    with EventStorage():
        (sampled,) = model.network.roi_heads.label_and_sample_proposals([proposals], [truth])
    boxes = {
        tuple(box): int(one)
        for box, one in zip(sampled.proposal_boxes.tensor.tolist(), sampled.gt_classes, strict=True)
    }
    assert boxes == {(60, 20, 100, 58): 0, (60, 20, 100, 60): 0, (5, 5, 40, 40): 2}  # the last: background


@built
def test_where_all_is_known_anchors_proposals_and_losses_are_upstreams() -> None:
    from detectron2.modeling.proposal_generator import RPN
    from detectron2.modeling.roi_heads import ROIHeads

    model = make(sites="none").train()
    targets = [target([[10, 10, 40, 50]]), target([])]

    def losses() -> dict[str, float]:
        with torch_seeded("losses"):
            return {name: loss.item() for name, loss in model(pictures(), targets).items()}

    ours = losses()
    generator, heads = model.network.proposal_generator, model.network.roi_heads
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(generator), "label_and_sample_anchors", RPN.label_and_sample_anchors)
        patch.setattr(type(generator), "losses", RPN.losses)
        patch.setattr(type(heads), "label_and_sample_proposals", ROIHeads.label_and_sample_proposals)
        assert losses() == pytest.approx(ours, rel=1e-5)


@built
def test_losses_are_means_over_what_is_judged_however_little_that_is() -> None:
    model = make().train()
    generator = model.network.proposal_generator
    noted: list[tuple[Any, ...]] = []
    plain = generator.losses
    generator.losses = lambda *given: (noted.append(given), plain(*given))[1]
    unknown = torch.ones(SIZE, dtype=torch.bool)
    unknown[:20, :20] = False
    found = model(pictures(1), [target([], unknown)])
    _, logits, labels, *_ = noted[0]
    judged = labels[0] >= 0
    assert 0 < judged.sum() < 256
    wanted = functional.binary_cross_entropy_with_logits(torch.cat(logits, 1)[0][judged], labels[0][judged].float())
    assert found["loss_objectness"].item() == pytest.approx(wanted.item(), rel=1e-5)


@built
@pytest.mark.parametrize("config", [FPN, C4])
@torch.inference_mode()
def test_images_without_a_likely_region_have_no_detections(config: str) -> None:
    model = make(config, detecting=Detecting(0.9999, 0.5, False, 20), proposals=10)
    for passed in model(pictures()):
        assert len(passed.boxes) == len(passed.masks) == len(passed.proposals) == 0
        assert passed.logits.shape == (10, 3)


@built
@torch.inference_mode()
def test_half_precision_changes_little_and_gives_full_precision() -> None:
    model, images = make(sites="none"), pictures(1)
    full = model.encode(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert {one.dtype for one in tensors(model(images)[0])} == {torch.float32, torch.int64}
        half = model.decode(full)[0]
    assert torch.allclose(half.logits, model.decode(full)[0].logits, atol=0.2)


@built
def test_losses_need_training_mode_and_targets_with_an_area() -> None:
    model = make()
    with pytest.raises(ValueError, match="call train"):
        model(pictures(1), [target([])])
    with pytest.raises(ValueError, match=r"call eval"):
        model.train()(pictures(1))
    with pytest.raises(ValueError, match="too small"):
        model.eval()(torch.rand(1, 3, 20, 200))
    model.train()
    with pytest.raises(ValueError, match="image 1 of the batch has no width"):
        model(pictures(2), [target([]), target([[5, 5, 5, 9]])])


def saved(model: Detectron2MaskRCNN, path: Path, change: Callable[[str], str] = str, **more: Any) -> str:
    """A file as detectron2's model zoo has it."""
    arrays = {change(name): one.numpy() for name, one in model.network.state_dict().items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "someone", **more}))
    return str(path)


@built
def test_weights_of_the_model_zoo_fill_all_but_the_layers_of_other_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {**SMALL, "MODEL.RESNETS.NORM": "FrozenBN"}
    given = make(classes=5, options=options)
    file = saved(given, tmp_path / "all.pkl")
    with caplog.at_level(logging.INFO, "seg_al"), torch_seeded("other"):
        model = Detectron2MaskRCNN(
            config=FPN, options=options, weights=file, dropout=0.3, sites=HEADS, proposals=40,
            detecting=Detecting(0.05, 0.5, False, 20), unknown=0.3, classes=3,
        )  # fmt: skip
    own, theirs = model.network.state_dict(), given.network.state_dict()
    fresh = {name for name in own if own[name].shape != theirs[name].shape}
    assert {name.rpartition(".")[0] for name in fresh} == {
        "roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred", "roi_heads.mask_head.predictor",
    }  # fmt: skip
    assert all(torch.equal(own[name], theirs[name]) for name in own if name not in fresh)
    assert "roi_heads.mask_head.predictor.weight" in caplog.text
    assert f"{len(own) - 6} of {len(own)} tensors" in caplog.text
    assert not model.network.backbone.bottom_up.stem.conv1.weight.requires_grad  # frozen as upstream freezes it
    torch.save({"model": theirs, "iteration": 3}, tmp_path / "all.pth")
    again = make(classes=5, options=options, weights=str(tmp_path / "all.pth"))
    trunk = "backbone.bottom_up.stem.conv1.weight"
    assert torch.equal(again.network.state_dict()[trunk], theirs[trunk])


@built
def test_weights_of_a_classifier_fill_the_trunk_by_detectron2s_rules_for_names(tmp_path: Path) -> None:
    given = make()
    arrays = {
        name.removeprefix("backbone.bottom_up."): one.numpy()
        for name, one in given.network.state_dict().items() if name.startswith("backbone.bottom_up.")
    }  # fmt: skip
    path = tmp_path / "trunk.pkl"
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "someone", "matching_heuristics": True}))
    options = {**SMALL, "MODEL.RESNETS.NORM": "GN"}
    model = make(weights=str(path), options=options)
    name = "backbone.bottom_up.res5.1.conv2.weight"
    assert torch.equal(model.network.state_dict()[name], given.network.state_dict()[name])
    assert not model.network.backbone.bottom_up.stem.conv1.weight.requires_grad


def in_caffe2(name: str) -> str:
    """The name that a ResNet's tensor has in detectron2's files of classifiers, such as R-50.pkl."""
    name = name.removeprefix("backbone.").replace("stem.conv1.norm", "res_conv1_bn").replace("stem.conv1", "conv1")
    name = re.sub(r"\.conv(\d)", lambda found: "_branch2" + "abc"[int(found[1]) - 1], name)
    name = name.replace(".shortcut", "_branch1").replace(".norm", "_bn")
    kinds = {"weight": "s" if "_bn" in name else "w", "bias": "b"}
    return re.sub(r"\.(weight|bias)$", lambda found: f"_{kinds[found[1]]}", name).replace(".", "_")


@built
def test_weights_in_the_names_of_caffe2_fill_the_backbone(tmp_path: Path) -> None:
    options = {**THIN, "MODEL.RESNETS.NORM": "FrozenBN"}
    given = make(DC5, options=options).network.state_dict()
    own = [name for name in given if name.startswith("backbone.") and "running" not in name]
    arrays = {in_caffe2(name): given[name].numpy() for name in own}
    assert {"conv1_w", "res_conv1_bn_s", "res2_0_branch1_w", "res5_2_branch2c_bn_b"} <= set(arrays)
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({**arrays, "fc1000_w": np.zeros((10, 10)), "fc1000_w_momentum": np.zeros(3)}))
    with torch_seeded("other"):
        model = Detectron2MaskRCNN(
            config=DC5, options=THIN, weights=str(path), dropout=0, sites="none", proposals=40,
            detecting=Detecting(0.05, 0.5, False, 20), unknown=0.3, classes=3,
        )  # fmt: skip
    filled = model.network.state_dict()
    assert all(torch.equal(filled[name], given[name]) for name in own)
    assert not torch.equal(filled["roi_heads.box_head.fc1.weight"], given["roi_heads.box_head.fc1.weight"])


@built
def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = saved(make(), tmp_path / "small.pkl")
    with pytest.raises(ValueError, match=r"does not fit model.config.*give the config"):
        make(weights=file, options={**SMALL, "MODEL.RESNETS.NORM": "GN", "MODEL.RESNETS.DEPTH": 34})
    other = saved(make(), tmp_path / "other.pkl", lambda name: f"x.{name}")
    with pytest.raises(ValueError, match=r"does not fit model.config"):
        make(weights=other, options={**SMALL, "MODEL.RESNETS.NORM": "GN"})
    with pytest.raises(ValueError, match="there is no file"):
        make(weights=str(tmp_path / "none.pkl"))


@built
def test_without_weights_nothing_is_frozen_and_every_normalisation_learns() -> None:
    model = make()
    assert all(one.requires_grad for one in model.parameters())
    assert not [one for one in model.modules() if type(one).__name__ == "FrozenBatchNorm2d"]


@built
@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml", "MODEL.ROI_HEADS.NAME=CascadeROIHeads"),
        ("COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml", "MODEL.META_ARCHITECTURE=PanopticFPN"),
        ("COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml", "MODEL.MASK_ON=False"),
        ("COCO-Detection/retinanet_R_50_FPN_1x.yaml", "MODEL.META_ARCHITECTURE=RetinaNet"),
        ("COCO-Detection/fast_rcnn_R_50_FPN_1x.yaml", "MODEL.MASK_ON=False"),
        ("new_baselines/mask_rcnn_R_50_FPN_100ep_LSJ.py", "name of a .yaml file"),
        ("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_4x.yaml", "mask_rcnn_R_50_FPN_3x.yaml"),
    ],
)
def test_configs_of_other_networks_are_refused_by_name(config: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"model.config=") as error:
        make(config, options={})
    assert told in str(error.value)


@built
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"options": {"MODEL.NOTHING": 1}}, "MODEL.NOTHING"),
        ({"options": {"MODEL.RPN.NMS_THRESH": "high"}}, "model.options"),
        ({"options": {"MODEL.ROI_HEADS.NUM_CLASSES": 7}}, "follow from other keys"),
        ({"sites": ("neck",)}, "model.sites names neck"),
        ({"config": C4, "sites": HEADS}, "leave it out"),
        ({"dropout": 1.0}, "model.dropout"),
        ({"proposals": 0}, "model.proposals=0"),
        ({"classes": 1}, "at least 2"),
    ],
)
def test_settings_that_make_no_network_are_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        make(**changed)
    assert told in str(error.value)


def test_without_detectron2_the_model_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "seg_al.models.detectron2_parts", raising=False)
    monkeypatch.delattr("seg_al.models.detectron2_parts", raising=False)
    monkeypatch.setitem(sys.modules, "detectron2", None)
    with pytest.raises(ValueError, match=r"pip install --no-build-isolation git\+https.*model=mask_rcnn"):
        make()


def test_a_file_of_arrays_is_read_and_code_in_it_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "arrays.pkl"
    given = {"model": {"a": np.arange(6.0).reshape(2, 3), "b": np.float32(2)}, "__author__": "someone"}
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps(given, protocol))
        found = read_arrays(path)
        assert np.array_equal(found["model"]["a"], given["model"]["a"])
        assert found["model"]["b"] == 2

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    path.write_bytes(pickle.dumps({"model": Evil()}))
    with pytest.raises(ValueError, match="no pickled file of arrays alone"):
        read_arrays(path)
    assert not (tmp_path / "ran").exists()
