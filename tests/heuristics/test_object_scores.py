"""Object scores: closed forms, what every option keeps, and what a user gets wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from object_evidence import SIZE, boxes_of, found_by, group_of, random_objects, seen, softmax_group
from omegaconf import OmegaConf

from seg_al.core import EvidenceSet
from seg_al.heuristics.bald import BALD
from seg_al.heuristics.objects import ObjectCertainty
from seg_al.predictors.class_maps import ClassMaps, class_maps_of
from seg_al.tasks.objects.certainty import (
    ObjectHeuristic,
    box_certainty,
    mask_certainty,
    object_scores,
    occurrence_certainty,
    semantic_certainty,
)
from seg_al.tasks.objects.passes import Group, Objects

CONF = Path(__file__).parents[2] / "conf"
ALL = {path.stem: instantiate(OmegaConf.load(path)) for path in sorted((CONF / "heuristic").glob("*.yaml"))}
OPTIONS = {name: heuristic for name, heuristic in ALL.items() if isinstance(heuristic, ObjectHeuristic)}
SEMANTIC = ("entropy", "top", "margin", "vote_entropy", "vote_margin")
MASKAL = OPTIONS["maskal"]
LN2, LN3 = math.log(2), math.log(3)


@pytest.mark.parametrize(
    ("probabilities", "background", "expected"),
    [
        # entropy, top, margin, vote_entropy, vote_margin; one member per pass
        ([[0.5, 0.5, 0.0]], False, (1, 1, 1, 1, 1)),
        ([[0.5, 0.5, 0.0]], True, (1 - LN2 / LN3, 0.5, 0, 1, 1)),
        ([[0.0, 0.5, 0.5]], False, (0, 0.5, 0, 1, 1)),
        ([[0, 1, 0], [0, 0, 1]], False, (1, 0.5, 0, 0, 0)),
        ([[0, 1, 0], [0, 0, 1]], True, (1, 0.5, 0, 1 - LN2 / LN3, 0)),
        ([[0.2, 0.8], [0.6, 0.4]], False, (0.6, 0.6, 0.6, 1, 1)),  # one class: maskAL's mean probability
        ([[0.4, 0.6], [0.4, 0.6]], True, (1 + (0.4 * math.log(0.4) + 0.6 * math.log(0.6)) / LN2, 0.6, 0.2, 1, 1)),
        ([[1, 0, 0]], False, (0, 0.5, 0, 1, 1)),  # no foreground at all: every class alike
    ],
)
def test_closed_forms_of_semantic_certainty(probabilities, background, expected):
    group = softmax_group(*probabilities)
    values = [semantic_certainty(group, len(probabilities), kind, background) for kind in SEMANTIC]
    assert values == pytest.approx(list(expected), abs=1e-12)


def test_passes_that_miss_an_object_vote_for_the_background_where_it_is_a_class():
    group = softmax_group([0.1, 0.9, 0], [0.2, 0.8, 0], [0.3, 0, 0.7])
    shares = np.array([1, 2, 1]) / 4
    assert semantic_certainty(group, 4, "vote_margin", True) == pytest.approx(1 / 4)
    assert semantic_certainty(group, 4, "vote_entropy", True) == pytest.approx(
        1 + float((shares * np.log(shares)).sum()) / LN3
    )
    assert semantic_certainty(group, 4, "vote_margin", False) == pytest.approx(1 / 3)
    assert semantic_certainty(group, 2, "vote_margin", True) == pytest.approx(1 / 3)  # more members than passes


def test_closed_forms_of_mask_certainty():
    group = softmax_group([0, 1], [0, 1])
    assert mask_certainty(group, "iou") == mask_certainty(group, "variance") == 1
    group = group_of(boxes_of((0, 0, 2, 2), (0, 0, 4, 2)), [[0, 1]] * 2)
    assert mask_certainty(group, "iou") == pytest.approx((4 / 8 + 8 / 8) / 2)
    assert mask_certainty(group, "variance") == pytest.approx(1 - 4 / 8)
    apart = group_of(boxes_of((0, 0, 2, 2), (2, 2, 4, 4)), [[0, 1]] * 2)
    assert mask_certainty(apart, "iou") == pytest.approx(1 / 2)
    assert mask_certainty(apart, "variance") == 0
    scattered = group_of(boxes_of(*[(3 * k, 3, 3 * k + 2, 5) for k in range(5)], (0, 0, 0, 0)), [[0, 1]] * 6)
    assert mask_certainty(scattered, "iou") == 0  # no pixel is covered by a quarter, and one mask is empty
    assert mask_certainty(scattered, "variance") == pytest.approx(1 - 4 / 6 * 5 / 6)


@pytest.mark.parametrize(("members", "expected"), [(4, (3 * 4 / 8 + 1) / 4), (5, (4 * 4 / 4 + 4 / 8) / 5)])
def test_a_quarter_of_the_members_makes_a_pixel_of_the_mean_mask(members, expected):
    """One member covers four pixels more: a quarter of four members, less than a quarter of five."""
    group = group_of(boxes_of((0, 0, 4, 2), *[(0, 0, 2, 2)] * (members - 1)), [[0, 1]] * members)
    assert mask_certainty(group, "iou") == pytest.approx(expected)


def test_closed_forms_of_box_certainty():
    boxes = [[0, 0, 2, 2], [2, 0, 4, 2]]  # their mean is [1, 0, 3, 2]
    group = group_of(boxes_of((0, 0, 2, 2), (2, 0, 4, 2)), [[0, 1]] * 2, boxes)
    assert box_certainty(group, "plain") == pytest.approx(2 / 6)
    assert box_certainty(group, "inclusive") == pytest.approx(6 / 12)
    boxes = [[0, 0, 2, 2]] * 3 + [[8, 0, 10, 2]]  # their mean, [2, 0, 4, 2], touches the first and misses the last
    group = group_of(boxes_of(*[(0, 0, 2, 2)] * 4), [[0, 1]] * 4, boxes)
    assert box_certainty(group, "plain") == 0
    assert box_certainty(group, "inclusive") == pytest.approx(3 / 15 * 3 / 4)
    point = group_of(boxes_of((0, 0, 1, 1)), [[0, 1]], [[3, 3, 3, 3]])
    assert box_certainty(point, "plain") == 0
    assert box_certainty(point, "inclusive") == 1


@pytest.mark.parametrize(
    ("members", "passes", "linear", "parabola"),
    [(1, 20, 0.05, 0.81), (10, 20, 0.5, 0), (20, 20, 1, 1), (23, 20, 1, 1), (1, 1, 1, 1), (15, 20, 0.75, 0.25)],
)
def test_closed_forms_of_occurrence(members, passes, linear, parabola):
    assert occurrence_certainty(members, passes, "linear") == pytest.approx(linear)
    assert occurrence_certainty(members, passes, "parabola") == pytest.approx(parabola)


def test_the_product_is_of_the_parts_that_are_chosen():
    objects = random_objects(1, 6, 4)
    parts = [OPTIONS[f"object_{part}"].of_objects(objects) for part in ("semantic", "mask", "box", "occurrence")]
    certainty = torch.stack([1 - part for part in parts]).prod(0)
    torch.testing.assert_close(MASKAL.of_objects(objects), 1 - certainty, atol=1e-14, rtol=0)
    assert all(part.std() > 0.01 for part in parts)


def test_the_negative_control_wants_what_maskal_wants_least():
    objects = random_objects(2, 6, 4)
    torch.testing.assert_close(OPTIONS["maskal_certain"].of_objects(objects), 1 - MASKAL.of_objects(objects))
    assert replace(OPTIONS["maskal_certain"], wanted="uncertain") == MASKAL


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("classes", [2, 5])
def test_an_option_scores_in_0_to_1_alike_in_any_order_of_the_members_and_paints_its_scores(name, classes):
    objects = random_objects(3, 6, classes)
    heuristic = OPTIONS[name]
    scores, painted = heuristic.of_objects(objects), heuristic(objects)
    assert scores.dtype == torch.float64
    assert scores.shape == (len(objects),)
    assert scores.min() >= 0
    assert scores.max() <= 1
    turned = replace(objects, groups=tuple(backwards(group) for group in objects.groups))
    torch.testing.assert_close(heuristic.of_objects(turned), scores, atol=1e-14, rtol=0)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            place = objects.map[row, column]
            assert painted[row, column] == (scores[place].float() if place >= 0 else 0)


def backwards(group: Group) -> Group:
    rows = slice(None, None, -1)
    return replace(
        group, boxes=group.boxes[rows], probabilities=group.probabilities[rows], classes=group.classes[rows],
        scores=group.scores[rows], masks=group.masks[rows],
    )  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_nothing_found_scores_nothing_and_masks_without_a_pixel_score_a_number(name):
    heuristic = OPTIONS[name]
    none = Objects(SIZE, 5, ())
    assert heuristic.of_objects(none).shape == (0,)
    assert torch.equal(heuristic(none), torch.zeros(SIZE))
    for classes in (2, 4):
        empty = group_of(np.zeros((2, *SIZE), dtype=bool), np.eye(classes)[[0, 0]])  # nor any foreground
        objects = found_by(5, empty)
        assert 0 <= heuristic.of_objects(objects).item() <= 1
        assert not heuristic(objects).any()


def test_without_a_pixel_the_outline_is_not_certain():
    empty = group_of(np.zeros((3, *SIZE), dtype=bool), [[0, 1]] * 3)
    assert mask_certainty(empty, "iou") == mask_certainty(empty, "variance") == 0


@pytest.mark.parametrize("name", ["maskal", "maskal_predecessor", "object_occurrence"])
def test_what_fewer_passes_see_is_wanted_more(name):
    groups = [softmax_group(*[[0.1, 0.7, 0.2]] * seen) for seen in range(1, 9)]
    scores = OPTIONS[name].of_objects(found_by(8, *groups))
    assert (scores.diff() < 0).all()
    flat = OPTIONS["cells"].of_objects(found_by(8, *groups))
    assert flat.argmax() == 3  # four of eight: the parabola doubts them most
    assert flat[0] == pytest.approx(flat[6])


def test_one_foreground_class_leaves_the_cell_variant_without_its_semantic_part():
    doubtful, sure = softmax_group([0.5, 0.5]), softmax_group([0, 1])
    objects = found_by(1, doubtful, sure)
    assert OPTIONS["cells"].of_objects(objects).tolist() == [0, 0]
    assert MASKAL.of_objects(objects).tolist() == pytest.approx([0.5, 0])
    alone = ObjectCertainty("top", True, False, None, None, None, "uncertain")
    with pytest.raises(ValueError, match=r"one_class=true"):
        alone.of_objects(objects)


def test_an_object_score_of_a_map_is_its_mean_over_the_whole_consensus():
    """The second object lies on the first, and takes its pixels on the map of objects but not in its score."""
    large = group_of(boxes_of((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 30, 30)), [[0, 1, 0]] * 3)
    small = group_of(boxes_of((2, 2, 5, 6)), [[0, 0, 1]])
    empty = group_of(np.zeros((1, *SIZE), dtype=bool), [[0, 0, 1]])
    evidence = seen(found_by(3, large, small, empty))
    objects, painted = evidence.of(Objects), BALD()(evidence.of(ClassMaps))
    expected = [painted[:10, :10].double().mean().item(), painted[2:6, 2:5].double().mean().item(), 0]
    assert object_scores(BALD(), objects, painted).tolist() == pytest.approx(expected, rel=1e-12)
    assert torch.equal(object_scores(MASKAL, objects, painted), MASKAL.of_objects(objects))


def test_what_a_user_gets_wrong_is_told_with_its_remedy():
    flat = class_maps_of(torch.full((2, 3, 4, 4), 1 / 3))
    with pytest.raises(ValueError, match=r"^objects are asked for, but the evidence of the image is class maps$"):
        EvidenceSet(flat.size, (flat,)).of(MASKAL.reads)
    with pytest.raises(ValueError, match=r"heuristic\.semantic, \.mask, \.box or \.occurrence"):
        ObjectCertainty(None, True, True, None, None, None, "uncertain")
