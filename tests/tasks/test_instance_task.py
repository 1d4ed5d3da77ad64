"""How the outputs of models of objects become evidence, detections and reported numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from object_evidence import SIZE, boxes_of, crop_of, found_by, group_of

from seg_al.predictors.class_maps import ClassMaps, ClassMapSums, class_maps_of
from seg_al.predictors.views import View
from seg_al.tasks.instances import ObjectReading
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.matching import BestMatch
from seg_al.tasks.objects.merging import merged
from seg_al.tasks.objects.objects import Detections
from seg_al.tasks.objects.passes import Objects, Passed, PlacedPass
from seg_al.tasks.objects.reported import OperatingPoint

CPU = torch.device("cpu")


def found(*rows: tuple[tuple[int, int, int, int], list[float]]) -> PlacedPass:
    """Detections with square masks and their full softmax."""
    masks = boxes_of(*(square for square, _ in rows))
    p = np.array([one for _, one in rows], dtype=np.float64).reshape(-1, 3)
    return PlacedPass(
        SIZE, np.array([square for square, _ in rows], dtype=np.float64).reshape(-1, 4), p, p[:, 1:].argmax(1) + 1,
        p[:, 1:].max(1), np.arange(len(rows)), tuple(crop_of(mask) for mask in masks),
    )  # fmt: skip


def test_evidence_is_the_moments_of_painted_passes_and_the_matched_objects() -> None:
    passes = [
        found(((2, 2, 8, 8), [0.1, 0.9, 0.0]), ((20, 10, 26, 16), [0.3, 0.1, 0.6])),
        found(((3, 2, 9, 8), [0.2, 0.7, 0.1])),
        found(),
    ]
    sums = ObjectReading(BestMatch(), 0.0).sums(passes[:1], SIZE, CPU)
    assert isinstance(sums.moments, ClassMapSums)
    painted = torch.zeros(3, 3, *SIZE)
    painted[:, 0] = 1
    for number, one in enumerate(passes):
        sums.add([one])
        for row, (x0, y0, x1, y1) in enumerate(one.boxes.astype(int).tolist()):
            painted[number, :, y0:y1, x0:x1] = torch.tensor(one.probabilities[row])[:, None, None].float()
    maps, objects, wanted = sums.evidence()[0].of(ClassMaps), sums.evidence()[0].of(Objects), class_maps_of(painted)
    for name in ("mean", "squares", "expected_entropy", "votes"):
        torch.testing.assert_close(getattr(maps, name), getattr(wanted, name), rtol=0, atol=1e-5)
    assert [(len(group), group.passes.tolist()) for group in objects.groups] == [(2, [0, 1]), (1, [0])]
    assert maps.passes == objects.passes == sums.evidence()[0].passes == 3


def test_evidence_after_fewer_passes_stay_as_they_were() -> None:
    sums = ObjectReading(BestMatch(), 0.0).sums([found()], SIZE, CPU)
    sums.add([found(((2, 2, 8, 8), [0.1, 0.9, 0.0]))])
    early = sums.evidence()[0].of(Objects)
    sums.add([found(((2, 2, 8, 8), [0.1, 0.9, 0.0]))])
    assert (early.passes, len(early.groups[0])) == (1, 1)


def test_what_is_hardly_certain_is_painted_but_is_no_sighting_of_an_object() -> None:
    sums = ObjectReading(BestMatch(), sighting=0.3).sums([found()], SIZE, CPU)
    sums.add([found(((2, 2, 8, 8), [0.7, 0.3, 0.0]), ((20, 10, 26, 16), [0.71, 0.0, 0.29]))])
    evidence = sums.evidence()[0]
    assert [group.scores.tolist() for group in evidence.of(Objects).groups] == [[0.3]]
    assert float(evidence.of(ClassMaps).mean[2, 12, 22]) == pytest.approx(0.29)


def test_merged_objects_have_the_mean_box_the_half_covered_pixels_and_are_as_sure_as_all_passes_are() -> None:
    often = group_of(
        boxes_of((2, 2, 8, 8), (2, 2, 8, 8), (4, 2, 10, 8)), [[0.2, 0.8, 0.0], [0.4, 0.0, 0.6], [0.4, 0.0, 0.6]]
    )
    once = group_of(boxes_of((20, 10, 26, 16)), [[0.0, 1.0, 0.0]])
    detections = merged(found_by(4, often, once))
    np.testing.assert_allclose(detections.scores, [(0.8 + 0.6 + 0.6) / 4, 1 / 4])
    np.testing.assert_allclose(detections.boxes[0], [8 / 3, 2, 26 / 3, 8], rtol=1e-6)
    assert detections.classes.tolist() == [2, 1]
    np.testing.assert_array_equal(detections.full()[0], boxes_of((2, 2, 8, 8))[0])  # 2 of 3 cover it


def test_the_operating_point_shows_what_is_sure_enough_and_one_of_rivals_of_any_class() -> None:
    squares = [(0, 0, 10, 10), (1, 0, 11, 10), (20, 5, 30, 15), (20, 18, 30, 28)]
    codes = [rle.encode(mask, SIZE) for mask in boxes_of(*squares)]
    detections = Detections.of(SIZE, codes, [0.7, 0.9, 0.8, 0.5], [1, 2, 1, 1])
    shown = OperatingPoint("maskal", score=0.5, nms=0.2)(detections)
    assert sorted(shown.scores.tolist()) == [0.8, 0.9]  # 0.7 is a rival of 0.9, and 0.5 is not above 0.5
    assert len(OperatingPoint("maskal", 0.95, 0.2)(detections)) == 0
    with pytest.raises(ValueError, match=r"task\.reported\.nms=2"):
        OperatingPoint("maskal", 0.5, 2)


def test_a_pass_of_a_turned_view_comes_back_to_the_image() -> None:
    turned = View(rows=False, columns=True, degrees=90, noise=0.0, seed=0)
    image = torch.zeros(1, 1, *SIZE)
    image[..., 5:15, 20:32] = 1
    shown = turned.show(image)[0, 0]
    rows, columns = torch.nonzero(shown, as_tuple=True)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    passed = Passed(
        (shown.shape[0], shown.shape[1]), torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([box]).float(),
        torch.tensor([1]), torch.tensor([0.8]), torch.tensor([0]), torch.ones(1, 28, 28),
    )  # fmt: skip
    (back,) = ObjectReading(BestMatch(), 0.0).passes([passed], [turned], SIZE)
    np.testing.assert_allclose(back.boxes, [[20, 5, 32, 15]])
    (crop,) = back.masks
    assert crop.window == (20, 5, 32, 15)
    assert crop.mask.all()
