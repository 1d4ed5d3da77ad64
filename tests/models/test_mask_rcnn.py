"""Mask R-CNN cut into encode and decode: its passes, its detections, partial labels, and torchvision's weights."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import MultiScaleRoIAlign, box_iou, clip_boxes_to_image

from seg_al.asking.audit import audit
from seg_al.models.encoders import fill_encoder
from seg_al.models.mask_rcnn import MaskRCNN
from seg_al.models.partial_labels import (
    BoxSampling,
    KnownProposals,
    Learning,
    Proposals,
    Target,
    known_regions,
    mask_loss,
    share_unknown,
)
from seg_al.models.pyramids import EncoderPyramid, Pyramid, ResNet50
from seg_al.models.roi_heads import Detecting, Widths
from seg_al.predictors.dropout import CountedDropout, alone, drawing
from seg_al.running.compute import LocalCompute
from seg_al.tasks.objects.passes import Passed
from seg_al.tasks.objects.placement import placed

SITES = ("box_head", "predictor", "mask_head")
ENCODER = "tu-test_efficientnet"
ANCHORS, REGIONS = BoxSampling(0.7, 0.3, 256, 0.5), BoxSampling(0.5, 0.5, 64, 0.25)
PROPOSALS = Proposals((8, 16, 32, 64, 128), (0.5, 1.0, 2.0), 60, 30, 60, 30, 0.7)
IMAGE = torch.rand(1, 3, 70, 90, generator=torch.Generator().manual_seed(3))


def tiny(seed: int = 0, **changed: Any) -> MaskRCNN:
    """A network of 0.2 M weights; without dropout unless `changed` says so."""
    values: dict[str, Any] = {
        "backbone": EncoderPyramid(ENCODER, 16, True, "imagenet"),
        "weights": None,
        "dropout": 0.0,
        "sites": SITES,
        "proposals": PROPOSALS,
        "heads": Widths(32, (16, 16)),
        "detecting": Detecting(0.05, 0.5, False, 20),
        "learning": Learning(ANCHORS, REGIONS, 0.3, "whole"),
        "classes": 2,
    }
    torch.manual_seed(seed)
    return MaskRCNN(**{**values, **changed}).eval()


def drawn(model: MaskRCNN, state: Any, numbers: list[int]) -> list[Passed]:
    with torch.inference_mode(), drawing(model, [("run", "image", number) for number in numbers]):
        return model.decode(state)


def values(passed: Passed) -> list[Tensor]:
    return [one for one in vars(passed).values() if isinstance(one, Tensor)]


def same(one: Passed, other: Passed) -> bool:
    return all(map(torch.equal, values(one), values(other)))


def disc(size: int, x: int, y: int, radius: float) -> Tensor:  # [size, size] bool
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def target_of(masks: list[Tensor], size: int, unknown: Tensor | None = None) -> Target:
    """Of discs, all of class 1."""
    stack = torch.stack([*masks, torch.zeros(size, size, dtype=torch.bool)])[:-1]
    boxes = [[one.any(0).nonzero().min(), one.any(1).nonzero().min(), one.any(0).nonzero().max() + 1,
              one.any(1).nonzero().max() + 1] for one in masks]  # fmt: skip
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(masks), dtype=torch.int64),
        "masks": stack.to(torch.uint8),
        "unknown": torch.zeros(size, size, dtype=torch.bool) if unknown is None else unknown,
    }


def picture(masks: list[Tensor], seed: int) -> Tensor:  # [3, size, size]
    image = 0.2 + 0.1 * torch.rand(3, *masks[0].shape, generator=torch.Generator().manual_seed(seed))
    image[:, torch.stack(masks).any(0)] = 0.8
    return image


# --- dropout over regions


def test_the_regions_of_a_pass_have_one_mask_that_is_drawn_anew_for_each_pass() -> None:
    layer = torch.nn.ModuleDict({"drop": CountedDropout(0.25, regions=True)}).eval()
    x = torch.ones(40, 30, 4, 4)
    with drawing(layer, [("a", 0), ("a", 1)]):
        passes = []
        for row in (0, 1, 0):
            with alone(layer, row):
                passes.append(layer["drop"](x))
    assert torch.equal(passes[0], passes[2])
    assert not torch.equal(passes[0], passes[1])
    rows = {tuple(row.flatten().tolist()) for row in passes[0]}
    assert len(rows) == len(x)  # regions of a pass differ
    assert passes[0].unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert float(passes[0].mean()) == pytest.approx(1, abs=0.02)


def test_whole_channels_of_single_regions_are_dropped() -> None:
    layer = torch.nn.ModuleDict({"drop": CountedDropout(0.5, channels=True, regions=True)}).eval()
    with drawing(layer, [("a", 0)]):
        x = layer["drop"](torch.ones(20, 30, 4, 4))
    assert torch.equal(x, x[:, :, :1, :1].expand_as(x))
    assert 0.4 < float((x == 0).float().mean()) < 0.6


def test_regions_of_several_passes_at_once_are_refused_and_alone_is_idle_outside_of_passes() -> None:
    layer = torch.nn.ModuleDict({"drop": CountedDropout(0.25, regions=True)}).eval()
    x = torch.ones(2, 3)
    with drawing(layer, [("a", 0), ("a", 1)]), pytest.raises(ValueError, match="2 mask seeds for the regions of one"):
        layer["drop"](x)
    with alone(layer, 1):
        assert torch.equal(layer["drop"](x), x)


# --- passes


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_audit_passes(precision: Any) -> None:
    compute = LocalCompute("cpu", precision, 1, 0, 1)
    audit(tiny(dropout=0.2), IMAGE, compute, dropout=True)
    audit(tiny(), IMAGE, compute, dropout=False)


@pytest.mark.parametrize(
    ("sites", "differing"),
    [
        (("box_head",), {"logits", "boxes"}),
        (("predictor",), {"logits", "boxes"}),
        (("deltas",), {"boxes"}),
        (("mask_head",), {"masks"}),
    ],
)
def test_dropout_at_a_site_parts_the_passes_there_and_behind_it_only(sites: Any, differing: set[str]) -> None:
    model = tiny(dropout=0.3, sites=sites)
    audit(model, IMAGE, LocalCompute("cpu", "float32", 1, 0, 1), dropout=True)
    with torch.inference_mode():
        first, second = drawn(model, model.repeat(model.encode(IMAGE), 2), [0, 1])
    for name in ("logits", "boxes", "masks") if sites == ("mask_head",) else ("logits", "boxes"):
        assert torch.equal(getattr(first, name), getattr(second, name)) == (name not in differing), name


def test_a_pass_depends_on_its_address_alone_and_not_on_the_rows_that_are_decoded_beside_it() -> None:
    model = tiny(dropout=0.3)
    with torch.inference_mode():
        state = model.encode(torch.cat([IMAGE, IMAGE.flip(3)]))
    six = drawn(model, model.repeat(state[:1], 6), list(range(6)))
    assert all(not same(six[0], other) for other in six[1:])
    by_one = [drawn(model, state[:1], [number])[0] for number in range(6)]
    by_two = [one for at in (0, 2, 4) for one in drawn(model, model.repeat(state[:1], 2), [at, at + 1])]
    beside = drawn(model, (state[1], state[0]), [9, 4])[1]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(six, by_one, by_two, strict=True))
    assert same(beside, six[4])
    assert model.repeat(state, 2)[1].levels["0"] is state[0].levels["0"]


def test_without_dropout_decode_of_encode_is_forward_for_each_image_and_survives_copies() -> None:
    model = tiny(dropout=0.3)
    images = torch.cat([IMAGE, IMAGE.flip(3)])
    other = tiny(seed=5, dropout=0.3)
    other.load_state_dict(model.state_dict())
    with torch.inference_mode():
        both = model(images)
        assert len(both) == 2
        for network in (model, copy.deepcopy(model), other):
            assert all(same(a, b) for a, b in zip(network.decode(network.encode(images)), both, strict=True))
    assert not same(*both)


def test_detections_name_their_proposal_and_their_boxes_and_masks_are_those_of_it() -> None:
    model = tiny(classes=4)
    torch.nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, std=0.5)
    torch.nn.init.normal_(model.roi_heads.mask_predictor.mask_fcn_logits.weight, std=0.5)
    heads = model.roi_heads
    with torch.inference_mode():
        (seen,) = model.encode(IMAGE)
        (passed,) = model.decode((seen,))
        logits, deltas = heads.boxes(seen.regions)
        boxes = clip_boxes_to_image(heads.box_coder.decode(deltas, [seen.proposals]), (70, 90))
        alone = [heads.mask_logits(seen.levels, [box[None]], seen.padded)[0].sigmoid() for box in passed.boxes]
    assert len(passed.scores) == 20
    assert set(passed.classes.tolist()) > {1, 2}
    assert torch.equal(passed.logits, logits)
    assert passed.scores.equal(passed.scores.sort(descending=True).values)
    assert passed.size == (70, 90)
    for row, (proposal, own) in enumerate(zip(passed.proposals.tolist(), passed.classes.tolist(), strict=True)):
        assert passed.scores[row] == pytest.approx(float(logits[proposal].softmax(0)[own]), abs=1e-6)
        torch.testing.assert_close(passed.boxes[row], boxes[proposal, own])
        torch.testing.assert_close(passed.masks[row], alone[row][own], atol=1e-5, rtol=0)
    assert float(passed.boxes[:, 0::2].max()) <= 90
    assert float(passed.boxes[:, 1::2].max()) <= 70


def test_detections_compete_within_their_class_or_among_all() -> None:
    best = {}
    for agnostic in (False, True):
        with torch.inference_mode():
            (passed,) = tiny(classes=3, detecting=Detecting(0.05, 0.5, agnostic, 60))(IMAGE)
        overlaps = box_iou(passed.boxes, passed.boxes).fill_diagonal_(0)
        alike = passed.classes[:, None] == passed.classes[None]
        assert float((overlaps * alike).max()) <= 0.5
        best[agnostic] = float(overlaps.max())
    assert best[False] > 0.9
    assert best[True] <= 0.5


def test_regions_are_pooled_at_the_pyramids_strides_whatever_the_images_size() -> None:
    model = tiny()
    with torch.inference_mode():
        (seen,) = model.encode(IMAGE[:, :, :65, :65])
        pooled = model.roi_heads.box_roi_pool(seen.levels, [seen.proposals], [seen.padded])
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    torch.testing.assert_close(pooled, theirs(seen.levels, [seen.proposals], [seen.padded]))
    assert theirs.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]


def test_where_boxes_have_no_dropout_all_passes_share_them_and_what_masks_are_made_of() -> None:
    model = tiny(dropout=0.3, sites=("mask_head",))
    with torch.inference_mode():
        (seen,) = model.encode(IMAGE)
        (own,) = tiny(dropout=0.3).encode(IMAGE)
        heads = model.roi_heads
        expected = heads.detections(*heads.boxes(seen.regions), seen.proposals, seen.size)
    assert own.still is None
    assert seen.still is not None
    assert all(map(torch.equal, seen.still.found, expected))
    for passed in drawn(model, (seen, seen), [0, 1]):
        assert passed.logits is seen.still.logits
        with torch.inference_mode(), drawing(model, [("run", "image", 0)]):
            masks = heads.mask_logits(seen.levels, [expected.boxes], seen.padded)[:, 1].sigmoid()
    torch.testing.assert_close(drawn(model, (seen,), [0])[0].masks, masks)


def test_masks_near_one_that_is_found_without_dropout_are_made_of_its_features_in_its_place() -> None:
    shared, anew = tiny(dropout=0.3, shared_masks=0.7), tiny(dropout=0.3)
    compute = LocalCompute("cpu", "float32", 1, 0, 1)
    audit(shared, IMAGE, compute, dropout=True)
    with torch.inference_mode():
        (seen,), (alone,) = shared.encode(IMAGE), anew.encode(IMAGE)
        (still,) = anew.decode((alone,))
        with drawing(shared, [("run", "image", 3)]):
            (within,) = shared.encode(IMAGE)
    assert seen.still is not None
    assert within.still is not None
    assert torch.equal(seen.still.features, within.still.features)
    assert torch.equal(seen.still.found.boxes, still.boxes)
    (one,), (other,) = drawn(shared, (seen,), [0]), drawn(anew, (alone,), [0])
    assert one.frames is not None
    assert all(map(torch.equal, values(one)[:5], values(other)[:5]))
    overlaps, places = box_iou(one.boxes, still.boxes).max(1)
    near = overlaps >= 0.7
    assert 0 < int(near.sum()) < len(near)
    assert torch.equal(one.frames[near], still.boxes[places[near]])
    assert torch.equal(one.frames[~near], one.boxes[~near])
    torch.testing.assert_close(one.masks[~near], other.masks[~near], atol=1e-5, rtol=0)
    assert not torch.equal(one.masks[near], other.masks[near])
    framed = placed(Passed(one.size, one.logits, one.frames, *values(one)[2:6]))
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(placed(one).masks, framed.masks, strict=True))


def test_only_the_same_box_shares_where_the_overlap_must_be_whole() -> None:
    one, other = tiny(dropout=0.3, shared_masks=1.0), tiny(dropout=0.3)
    with torch.inference_mode():
        states = one.encode(IMAGE), other.encode(IMAGE)
    assert same(drawn(one, states[0], [0])[0], drawn(other, states[1], [0])[0])


def test_no_proposals_give_no_detections() -> None:
    model = tiny(detecting=Detecting(0.99, 0.5, False, 20), dropout=0.2)
    with torch.inference_mode():
        (seen,) = model.encode(IMAGE)
        none = seen._replace(proposals=seen.proposals[:0], regions=seen.regions[:0])
    few, nothing = drawn(model, (seen, none), [0, 1])
    assert few.masks.shape == nothing.masks.shape == (0, 28, 28)
    assert (len(few.logits), nothing.logits.shape) == (30, (0, 2))


def test_embedding_is_the_part_of_the_pyramid_that_lies_on_the_image() -> None:
    with torch.inference_mode():
        deepest, finest = tiny().embed(IMAGE)
    assert deepest.shape == (1, 16, 3, 3)
    assert finest.shape == (1, 16, 18, 23)


# --- training


def certainty(passed: Passed, mask: Tensor) -> tuple[float, float]:
    """The best overlap of a detection's pasted mask with an object, and that detection's score; 0, 0: none."""
    pasted = paste_masks_in_image(passed.masks[:, None], passed.boxes, passed.size)[:, 0] >= 0.5
    union = (pasted | mask).flatten(1).sum(1)
    overlaps = (pasted & mask).flatten(1).sum(1) / union
    best = int(overlaps.argmax()) if len(overlaps) else None
    return (0.0, 0.0) if best is None else (float(overlaps[best]), float(passed.scores[best]))


def test_training_finds_labelled_discs_and_those_that_lay_in_the_unknown() -> None:
    """More of each, and more certainly, than an untrained network finds, whatever the seed."""
    places = [(18, 20, 44, 42), (40, 18, 18, 44), (20, 42, 46, 20)]
    scenes = [(disc(64, a, b, 8), disc(64, c, d, 9)) for a, b, c, d in places]
    around = [disc(64, c, d, 16) for _, _, c, d in places]
    images, others = (
        torch.stack([picture([*discs], first + place) for place, discs in enumerate(scenes)]) for first in (0, 10)
    )
    targets = [target_of([first], 64, unknown) for (first, _), unknown in zip(scenes, around, strict=True)]

    def found(model: MaskRCNN) -> npt.NDArray[np.float64]:  # [labelled or unknown, overlap or score]
        with torch.inference_mode():
            passes = zip(model.eval()(others), scenes, strict=True)
            return np.mean([[certainty(passed, disc) for disc in discs] for passed, discs in passes], axis=0)

    for seed in range(3):
        backbone = EncoderPyramid("tu-test_resnet", 32, True, "imagenet")
        model = tiny(seed, dropout=0.05, backbone=backbone, heads=Widths(64, (16, 16)))
        before = found(model)
        optimizer = torch.optim.AdamW(model.train().parameters(), lr=0.005)
        for _ in range(60):
            loss = torch.stack(list(model(images, targets).values())).sum()  # type: ignore[union-attr]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert (found(model) > before + np.array([0.3, 0.1])).all()


def losses_of(model: MaskRCNN, targets: list[Target], seed: int = 0) -> dict[str, float]:
    torch.manual_seed(seed)
    images = torch.rand(len(targets), 3, 64, 64)
    losses = model.train()(images, targets)
    model.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    assert all(one.grad is None or bool(one.grad.isfinite().all()) for one in model.parameters())
    return {name: value.item() for name, value in losses.items()}


def test_images_without_objects_teach_background_alone_and_beside_others() -> None:
    empty, one = target_of([], 64), target_of([disc(64, 20, 20, 8)], 64)
    losses = losses_of(tiny(), [empty, empty])
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"}
    assert min(losses["loss_classifier"], losses["loss_objectness"]) > 0.3
    assert losses["loss_box_reg"] == losses["loss_mask"] == losses["loss_rpn_box_reg"] == 0
    assert all(value > 0 for value in losses_of(tiny(), [empty, one]).values())


def test_where_nothing_is_known_there_is_nothing_to_lose() -> None:
    model = tiny()
    nothing = target_of([], 64, torch.ones(64, 64, dtype=torch.bool))
    assert set(losses_of(model, [nothing, nothing]).values()) == {0.0}
    assert all(one.grad is None or not bool(one.grad.any()) for one in model.parameters())
    assert losses_of(model, [nothing, target_of([], 64)])["loss_objectness"] > 0


def test_the_losses_of_one_seed_are_the_same_and_those_of_known_labels_are_torchvisions() -> None:
    targets = [target_of([disc(64, 20, 20, 8), disc(64, 40, 44, 10)], 64), target_of([], 64)]
    assert losses_of(tiny(), targets, 1) == losses_of(tiny(), targets, 1)
    assert losses_of(tiny(), targets, 1) != losses_of(tiny(), targets, 2)
    model = tiny().train()
    images = torch.rand(2, 3, 64, 64)
    batch, levels = model._levels(images)
    proposals = model.rpn(batch, levels, targets)[0]
    torch.manual_seed(3)
    own = model.roi_heads.losses(levels, proposals, (64, 64), targets)
    torch.manual_seed(3)
    theirs = model.roi_heads(levels, proposals, [(64, 64)] * 2, targets)[1]  # RoIHeads.forward
    for name in ("loss_classifier", "loss_box_reg"):
        assert own[name].item() == theirs[name].item()
    assert own["loss_mask"].item() == pytest.approx(theirs["loss_mask"].item(), rel=0.1)


@pytest.mark.parametrize("radius", [4.0, 6.5, 20])
def test_a_mask_that_is_learnt_perfectly_is_the_object_again_when_it_is_placed(radius: float) -> None:
    target = target_of([disc(64, 30, 31, radius)], 64)
    logits = torch.zeros(1, 2, 28, 28, requires_grad=True)
    mask_loss(logits, [target["boxes"]], [target], [torch.zeros(1, dtype=torch.int64)], "whole").backward()
    assert logits.grad is not None
    perfect = 0.5 - logits.grad[0, 1] * 28**2  # of the logit 0 the gradient is (1/2 - target) / points
    one = torch.ones(1)
    found = placed(Passed((64, 64), torch.zeros(1, 2), target["boxes"], one.long(), one, one.long() * 0, perfect[None]))
    mask = torch.zeros(64, 64, dtype=torch.bool)
    x0, y0, x1, y1 = found.masks[0].window
    mask[y0:y1, x0:x1] = torch.from_numpy(found.masks[0].mask)
    truth = target["masks"][0].bool()
    assert int((mask & truth).sum()) > 0.97 * int((mask | truth).sum())


def test_the_unknown_share_of_a_box_is_the_mean_over_its_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    unknown = torch.rand(23, 31, generator=generator) < 0.4
    corners = torch.rand(60, 2, generator=generator) * torch.tensor([31.0, 23.0])
    boxes = torch.cat([corners, corners + torch.rand(60, 2, generator=generator) * 12], 1)
    for box, share in zip(boxes.tolist(), share_unknown(boxes, unknown).tolist(), strict=True):
        x0, y0 = int(box[0]), int(box[1])
        x1, y1 = -int(-box[2] // 1), -int(-box[3] // 1)
        assert share == pytest.approx(float(unknown[y0:y1, x0:x1].double().mean()), abs=1e-6), box
    beyond = torch.tensor([[-20.0, -20, -5, -5], [40, 5, 50, 6]])
    assert share_unknown(beyond, unknown).tolist() == [float(unknown[0, 0]), float(unknown[5, 30])]


def test_an_unlabelled_object_in_the_unknown_neither_punishes_nor_teaches_its_proposals() -> None:
    """The gradient of each anchor's score: none where the unlabelled object may be, unless that is known background."""
    labelled, unlabelled = disc(64, 16, 16, 8), disc(64, 46, 46, 8)
    sampling = BoxSampling(0.7, 0.3, 100_000, 0.5)  # all anchors
    network = KnownProposals(16, PROPOSALS, sampling, 0.3)
    coordinates = torch.arange(0, 60, 4.0)
    x, y = torch.meshgrid(coordinates, coordinates, indexing="xy")
    anchors = torch.stack([x.flatten(), y.flatten(), x.flatten() + 16, y.flatten() + 16], 1)
    gradients = {}
    for name, unknown in {"known": torch.zeros_like(unlabelled), "unknown": unlabelled}.items():
        target = target_of([labelled], 64, unknown)
        labels, boxes = network.assign_targets_to_anchors([anchors], [target])
        scores = torch.zeros(len(anchors), requires_grad=True)
        deltas = torch.zeros(len(anchors), 4)
        offsets = network.box_coder.encode(boxes, [anchors])
        network.compute_loss(scores, deltas, labels, offsets)[0].backward()
        assert scores.grad is not None
        gradients[name] = scores.grad
    inside = share_unknown(anchors, unlabelled) > 0.3
    assert 4 < int(inside.sum()) < 60
    assert bool((gradients["known"][inside] > 0).all())
    assert bool((gradients["unknown"][inside] == 0).all())
    assert torch.equal(gradients["known"][~inside].sign(), gradients["unknown"][~inside].sign())
    positive = box_iou(target_of([labelled], 64)["boxes"], anchors)[0] >= 0.7
    assert bool((gradients["unknown"][positive] < 0).all())


def test_regions_in_the_unknown_are_left_out_unless_they_overlap_an_object() -> None:
    labelled = disc(64, 20, 20, 8)
    target = target_of([labelled], 64, ~labelled)
    boxes = torch.tensor([[12.0, 12, 29, 29], [14, 14, 31, 31], [22, 22, 39, 39], [40, 40, 50, 50], [15, 15, 25, 25]])
    learning = Learning(ANCHORS, REGIONS, 0.3, "whole")
    overlaps, shares = box_iou(target["boxes"], boxes)[0], share_unknown(boxes, target["unknown"])
    kept = [True, True, False, False, True]
    assert [bool(a >= 0.5 or b <= 0.3) for a, b in zip(overlaps, shares, strict=True)] == kept
    assert float(overlaps[4]) < 0.5  # background, all of it within the labelled disc
    assert torch.equal(known_regions([boxes], [target], learning)[0], boxes[kept])
    nothing = target_of([], 64, torch.ones(64, 64, dtype=torch.bool))
    assert len(known_regions([boxes], [nothing], learning)[0]) == 0


def test_the_mask_loss_leaves_out_unknown_pixels_only_where_masks_may_be_cut() -> None:
    unknown = torch.zeros(64, 64, dtype=torch.bool)
    unknown[:, 28:] = True
    target = target_of([disc(64, 28, 28, 14)], 64, unknown)
    box = torch.tensor([[14.0, 14, 42, 42]])  # 28 pixels, one per point
    logits = torch.randn(1, 2, 28, 28, generator=torch.Generator().manual_seed(0))
    truth = target["masks"][0, 14:42, 14:42].double()
    own = logits[0, 1].double()
    each = -(truth * own.sigmoid().log() + (1 - truth) * (-own).sigmoid().log())
    place = [torch.zeros(1, dtype=torch.int64)]
    assert mask_loss(logits, [box], [target], place, "whole").item() == pytest.approx(each.mean().item(), rel=1e-5)
    known = mask_loss(logits, [box], [target], place, "known").item()
    assert known == pytest.approx(each[:, :14].mean().item(), rel=1e-5)
    target["unknown"] = torch.ones_like(unknown)
    assert mask_loss(logits, [box], [target], place, "known").item() == 0


# --- weights


def test_torchvisions_network_in_its_names_gives_torchvisions_detections(tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=4, min_size=128, max_size=128, box_score_thresh=0.05,
        rpn_pre_nms_top_n_test=60, rpn_post_nms_top_n_test=30, box_detections_per_img=8,
    ).eval()  # fmt: skip
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(2)
            module.running_mean.normal_(0, 0.1)
    torch.save({"model": theirs.state_dict()}, tmp_path / "weights.pth")
    own = tiny(
        backbone=ResNet50(3, "imagenet"),
        weights=str(tmp_path / "weights.pth"),
        proposals=Proposals((32, 64, 128, 256, 512), (0.5, 1.0, 2.0), 60, 30, 60, 30, 0.7),
        heads=Widths(1024, (256,) * 4),
        detecting=Detecting(0.05, 0.5, False, 8),
        classes=4,
    )
    image = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        expected, passed = theirs(list(image))[0], own(image)[0]
    assert len(passed.scores) == 8
    assert torch.equal(passed.classes, expected["labels"])
    torch.testing.assert_close(passed.scores, expected["scores"])
    torch.testing.assert_close(passed.boxes, expected["boxes"])
    pasted = paste_masks_in_image(passed.masks[:, None], passed.boxes, passed.size)
    torch.testing.assert_close(pasted, expected["masks"], atol=1e-5, rtol=0)
    frozen = {name for name, one in own.backbone.body.named_parameters() if not one.requires_grad}
    assert {name.partition(".")[0] for name in frozen} == {"conv1", "layer1"}


def test_imagenets_resnet_fills_the_body_of_the_pyramid(tmp_path: Path) -> None:
    theirs = resnet50(weights=None)
    torch.save(theirs.state_dict(), tmp_path / "resnet50.pth")
    backbone = ResNet50(5, "imagenet")
    pyramid: Any = backbone(fresh=False)
    backbone.fill(pyramid, str(tmp_path / "resnet50.pth"))
    expected = theirs.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in pyramid.body.state_dict().items())


def test_weights_for_other_classes_leave_the_layers_of_the_classes_fresh_and_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = tiny(seed=1, classes=5)
    path = str(tmp_path / "weights.pth")
    torch.save(given.state_dict(), path)
    with caplog.at_level(logging.INFO, logger="seg_al"):
        own = tiny(seed=2, weights=path)
    assert "but for roi_heads.box_predictor.cls_score.weight" in caplog.text
    expected = given.state_dict()
    for name, value in own.state_dict().items():
        if name.rpartition(".")[0].endswith(("cls_score", "bbox_pred", "mask_fcn_logits")) and "rpn" not in name:
            assert value.shape[1:] == expected[name].shape[1:]
        else:
            assert torch.equal(value, expected[name]), name
    alike = tiny(seed=2, classes=5, weights=path).parameters()
    assert all(torch.equal(a, b) for a, b in zip(alike, given.parameters(), strict=True))


def test_the_names_of_torchvisions_older_files_are_known(tmp_path: Path) -> None:
    given = tiny(seed=1)
    old = {}
    for name, value in given.state_dict().items():
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        name = re.sub(r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", name)
        old[name] = value
    assert len(set(old) - set(given.state_dict())) == 6
    torch.save(old, tmp_path / "old.pth")
    own = tiny(seed=2, weights=str(tmp_path / "old.pth"))
    assert all(torch.equal(a, b) for a, b in zip(own.state_dict().values(), given.state_dict().values(), strict=True))


def test_weights_with_an_unknown_name_are_an_error_that_names_it(tmp_path: Path) -> None:
    tensors = {name.replace("fc6", "fc9"): value for name, value in tiny().state_dict().items()}
    torch.save(tensors, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"another network(.|\n)*box_head\.fc6(.|\n)*box_head\.fc9"):
        tiny(weights=str(tmp_path / "weights.pth"))


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_keeps_the_statistics_of_given_weights_where_it_is_frozen(frozen: bool, tmp_path: Path) -> None:
    encoder = Pyramid(ENCODER, 16, False).body
    torch.save(encoder.state_dict(), tmp_path / "encoder.pth")
    fill_encoder(encoder, ENCODER, str(tmp_path / "encoder.pth"))
    backbone = EncoderPyramid(ENCODER, 16, frozen, "imagenet")
    model = tiny(backbone=backbone, weights=str(tmp_path / "encoder.pth"))
    before = copy.deepcopy(model.backbone.body.state_dict())
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    losses_of(model, [target_of([], 64)])
    after = model.backbone.body.state_dict()
    changed = {name.rpartition(".")[2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == (set() if frozen else {"running_mean", "running_var", "num_batches_tracked"})
    assert any(bool(one.grad.any()) for one in model.encoder_parameters() if one.grad is not None)


# --- what people do wrong


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dropout": 1.0}, "model.dropout is a probability"),
        ({"dropout": 0.1, "sites": ("box_head", "rpn")}, "model.sites names rpn, .*box_head, predictor, deltas, mask"),
        ({"classes": 1}, "at least 2"),
        ({"weights": "/no/such/file.pth"}, "no file"),
    ],
)
def test_a_wrong_value_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**changed)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EncoderPyramid("tu-test_efficientnt", 16, True, "imagenet"), "model.backbone.encoder=.*did you mean"),
        (lambda: EncoderPyramid("tu-test_vit", 16, True, "imagenet")(True), "strides 4, 8, 16 and 32"),
        (lambda: EncoderPyramid(ENCODER, 0, True, "imagenet"), "width=0"),
        (lambda: ResNet50(6, "imagenet"), "trainable=6"),
        (lambda: Proposals((8, 16), (1.0,), 1, 1, 1, 1, 0.7), "sizes=.*five"),
        (lambda: Proposals((8, 16, 32, 64, 128), (), 1, 1, 1, 1, 0.7), "ratios"),
        (lambda: Proposals((8, 16, 32, 64, 128), (1.0,), 1, 0, 1, 1, 0.7), "after=0"),
        (lambda: Proposals((8, 16, 32, 64, 128), (1.0,), 1, 1, 1, 1, 1.7), "nms=1.7"),
        (lambda: BoxSampling(0.3, 0.7, 256, 0.5), "background=0.7 and foreground=0.3"),
        (lambda: BoxSampling(0.7, 0.3, 3, 0.25), "no place for an object"),
        (lambda: Learning(ANCHORS, REGIONS, 2.0, "whole"), "unknown=2"),
        (lambda: Detecting(1.0, 0.5, False, 100), "score=1"),
        (lambda: Detecting(0.05, 0.5, False, 0), "most=0"),
        (lambda: Widths(256, ()), "mask=\\[\\]"),
    ],
)
def test_a_wrong_part_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_tiny_images_empty_boxes_and_the_wrong_mode_are_named() -> None:
    model = tiny()
    with pytest.raises(ValueError, match="20 x 64 pixels is too small"):
        model(torch.rand(1, 3, 20, 64))
    with pytest.raises(ValueError, match="training mode only"):
        model(IMAGE, [target_of([], 64)])
    with pytest.raises(ValueError, match="needs targets"):
        model.train()(IMAGE)
    target = target_of([disc(64, 20, 20, 4)], 64)
    target["boxes"][0, 2] = target["boxes"][0, 0]
    with pytest.raises(ValueError, match="image 1 of the batch has no width"):
        model(torch.rand(2, 3, 64, 64), [target_of([], 64), target])
