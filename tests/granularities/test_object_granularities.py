"""What an image makes of the scores of its objects, and objects as units."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from object_evidence import SIZE, boxes_of, found_by, group_of, random_group, seen

from seg_al.core import EvidenceSet, Scene
from seg_al.granularities.objects import ImageOfObjects, Instance
from seg_al.heuristics.objects import ObjectCertainty
from seg_al.predictors.class_maps import ClassMaps
from seg_al.tasks.objects.certainty import PaintedObjects
from seg_al.tasks.objects.passes import Objects

MASKAL = ObjectCertainty("entropy", False, True, "iou", "plain", "linear", "uncertain")
FOUR = [(0, 0, 4, 4), (10, 0, 14, 4), (20, 0, 24, 4), (30, 0, 34, 4)]
"""Four objects side by side."""
SCORES = [0.1, 0.4, 0.3, 0.9]


def four(known_until: int) -> tuple[PaintedObjects, torch.Tensor]:
    """With the columns left of `known_until` known."""
    objects = found_by(1, *[group_of(boxes_of(one), [[0, 1]]) for one in FOUR])
    ids = torch.zeros(SIZE, dtype=torch.long)
    ids[:, :known_until] = -1
    return PaintedObjects(torch.zeros(SIZE), torch.tensor(SCORES, dtype=torch.float64), objects), ids


@pytest.mark.parametrize(
    ("known_until", "expected"),
    [
        (0, {"mean": 1.7 / 4, "max": 0.9, "min": 0.1, "sum": 1.7, "top": (0.9 + 0.4) / 2}),
        (13, {"mean": 1.6 / 3, "max": 0.9, "min": 0.3, "sum": 1.6, "top": (0.9 + 0.4) / 2}),
        (14, {"mean": 1.2 / 2, "max": 0.9, "min": 0.3, "sum": 1.2, "top": 0.9}),
        (34, dict.fromkeys(("mean", "max", "min", "sum", "top"), -2.5)),
    ],
)
def test_an_image_joins_the_scores_of_the_objects_that_are_not_wholly_known(known_until, expected):
    painted, ids = four(known_until)
    for reduction, value in expected.items():
        joined = ImageOfObjects(reduction, 0.5, -2.5).reduce(painted, ids, 1)
        assert joined.dtype == torch.float64
        assert joined.shape == (1,)
        assert joined.item() == pytest.approx(value, abs=1e-12)


def test_the_top_share_of_few_objects_is_at_least_one():
    assert ImageOfObjects("top", 0.01, 0.0).reduce(*four(0), 1).item() == pytest.approx(0.9)


def test_an_image_without_an_object_has_the_score_that_is_configured():
    painted = PaintedObjects(torch.zeros(SIZE), torch.zeros(0, dtype=torch.float64), Objects(SIZE, 5, ()))
    ids = torch.zeros(SIZE, dtype=torch.long)
    for reduction in ("mean", "max", "min", "sum", "top"):
        assert ImageOfObjects(reduction, 0.1, 0.75).reduce(painted, ids, 1).tolist() == [0.75]


def test_an_object_below_another_counts_until_its_pixels_are_known():
    """Two objects of one mask, such as one of each class: the map shows but one of them."""
    twins = [group_of(boxes_of((3, 3, 9, 9)), [[0, 1, 0]]), group_of(boxes_of((3, 3, 9, 9)), [[0, 0, 1]])]
    objects = found_by(1, *twins)
    assert set(np.unique(objects.map)) < {-1, 0, 1}
    painted = PaintedObjects(torch.zeros(SIZE), torch.tensor([0.2, 0.6], dtype=torch.float64), objects)
    ids = torch.zeros(SIZE, dtype=torch.long)
    assert ImageOfObjects("mean", 1.0, 0.0).reduce(painted, ids, 1).item() == pytest.approx(0.4)
    ids[3:9, 3:9] = -1
    assert ImageOfObjects("mean", 1.0, 0.0).reduce(painted, ids, 1).item() == 0


def test_wrong_settings_are_told_with_their_remedy():
    with pytest.raises(ValueError, match=r"top_share is a share in \(0, 1\], not 0"):
        ImageOfObjects("mean", 0, 1.0)
    with pytest.raises(ValueError, match=r"granularity\.empty=nan"):
        ImageOfObjects("mean", 0.1, math.nan)


def scene(evidence: EvidenceSet) -> Scene:
    black, everywhere = np.zeros((*SIZE, 3), np.uint8), torch.ones(SIZE, dtype=torch.bool)
    return Scene("a", lambda: black, everywhere, evidence, None, np.random.default_rng(0))


def test_every_object_is_a_unit_of_the_pixels_that_are_seen_of_it():
    large, small = group_of(boxes_of((0, 0, 10, 10)), [[0, 1]]), group_of(boxes_of((2, 2, 5, 6)), [[0, 1]])
    rng = np.random.default_rng(5)
    objects = found_by(4, large, small, random_group(rng, 3, 2))
    instance = Instance("mean", 1.0)
    ids = instance.units(scene(seen(objects, 2)))
    assert ids.dtype == torch.long
    assert (ids == 1).sum() == 12
    assert ids[9, 9] == 0
    assert np.array_equal(ids.numpy(), objects.map)
    painted = PaintedObjects(MASKAL(objects), MASKAL.of_objects(objects), objects)
    torch.testing.assert_close(instance.reduce(painted, ids, 3), painted.scores, atol=1e-7, rtol=0)


def test_objects_are_no_units_before_a_model_has_looked_or_where_it_finds_none():
    unseen, of_classes = EvidenceSet(SIZE), EvidenceSet(SIZE, (seen(found_by(2)).of(ClassMaps),))
    with pytest.raises(ValueError, match=r"^objects are asked for, but the evidence of the image is nothing$"):
        Instance("mean", 1.0).units(scene(unseen))
    with pytest.raises(ValueError, match=r"^objects are asked for, but the evidence of the image is class maps$"):
        Instance("mean", 1.0).units(scene(of_classes))
