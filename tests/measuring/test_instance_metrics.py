"""AP, aggregated Jaccard, panoptic quality and DSB2018's metric against hand-made cases and brute force."""

from __future__ import annotations

import logging
from contextlib import redirect_stdout
from io import StringIO
from itertools import product
from typing import Any

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval
from scipy.optimize import linear_sum_assignment

from seg_al.measuring import coco_ap as module
from seg_al.measuring.coco_ap import coco_metrics, perfect_ap
from seg_al.measuring.objects import (
    THRESHOLDS,
    Panoptic,
    aji,
    aji_plus,
    average_precision,
    instance_metrics,
    label_image,
    label_metrics,
    objects_of_classes,
    overlaps,
    panoptic,
    without_void,
)
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Detections, Instances

SIZE = (40, 60)
CLASSES = ("background", "cell", "bud")


def block(top: int, left: int, height: int, width: int, size: tuple[int, int] = SIZE) -> rle.Code:
    return rle.encode(np.ones((height, width), dtype=np.bool_), size, (left, top))


def truth(*blocks: tuple[int, int, int, int], classes: Any = None, crowd: Any = None) -> Instances:
    count = len(blocks)
    codes = [block(*one) for one in blocks]
    return Instances.of(SIZE, codes, classes or [1] * count, crowd or [False] * count)


def found(*blocks: tuple[int, int, int, int], scores: Any = None, classes: Any = None) -> Detections:
    count = len(blocks)
    codes = [block(*one) for one in blocks]
    return Detections.of(SIZE, codes, scores or [1 - 0.01 * n for n in range(count)], classes or [1] * count)


TWO = ((2, 2, 10, 10), (20, 30, 10, 10))


def test_perfect_detections_have_an_ap_of_one_and_none_at_all_has_zero() -> None:
    truths = {"a": truth(*TWO), "b": truth()}
    perfect = coco_metrics(truths, {"a": found(*TWO), "b": found()}, CLASSES)
    nothing = coco_metrics(truths, {"a": found(), "b": found()}, CLASSES)
    keys = {f"{kind}_{key}" for kind in ("bbox", "segm") for key in ("ap", "ap50", "ap75", "ap_small", "ar", "ap_cell")}
    assert perfect == dict.fromkeys(sorted(keys), pytest.approx(1))  # no object is medium or large, none is a bud
    assert nothing == dict.fromkeys(sorted(keys), 0.0)


def test_a_shifted_box_counts_up_to_its_overlap_and_a_false_one_costs_precision() -> None:
    """A 10x10 box moved by 2 has the IoU 80 / 120 = 0.667: a hit at 0.50 to 0.65, which is 4 of 10 thresholds."""
    truths = {"a": truth((10, 10, 10, 10))}
    moved = coco_metrics(truths, {"a": found((10, 12, 10, 10))}, CLASSES)
    assert [moved[f"bbox_{key}"] for key in ("ap", "ap50", "ap75")] == pytest.approx([0.4, 1, 0])
    assert moved["segm_ap"] == pytest.approx(0.4)
    first = coco_metrics(truths, {"a": found((30, 40, 5, 5), (10, 10, 10, 10))}, CLASSES)
    assert first["bbox_ap"] == pytest.approx(0.5)  # the false one is more certain: precision 1/2 at full recall
    last = coco_metrics(truths, {"a": found((10, 10, 10, 10), (30, 40, 5, 5))}, CLASSES)
    assert last["bbox_ap"] == pytest.approx(1)
    half = coco_metrics({"a": truth(*TWO)}, {"a": found(TWO[0])}, CLASSES)
    assert half["segm_ap"] == pytest.approx(51 / 101)  # recall 0.5 is reached at 51 of 101 places
    assert half["segm_ar"] == pytest.approx(0.5)


def test_masks_and_boxes_are_measured_apart_and_models_of_boxes_have_box_metrics_only() -> None:
    whole = found((10, 10, 10, 10))
    triangle = rle.encode(np.tri(10, dtype=np.bool_), SIZE, (10, 10))  # 55 of 100 pixels in the same box
    metrics = coco_metrics({"a": truth((10, 10, 10, 10))}, {"a": Detections.of(SIZE, [triangle], [1.0], [1])}, CLASSES)
    assert metrics["bbox_ap"] == pytest.approx(1)
    assert metrics["segm_ap"] == pytest.approx(0.2)  # IoU 0.55: 0.50 and 0.55
    boxes = Detections(SIZE, whole.boxes, whole.scores, whole.classes, None)
    only = coco_metrics({"a": truth((10, 10, 10, 10))}, {"a": boxes}, CLASSES)
    assert only["bbox_ap"] == pytest.approx(1)
    assert not [key for key in only if key.startswith("segm")]


def test_the_size_of_a_true_object_is_that_of_its_mask() -> None:
    triangle = rle.encode(np.tri(36, dtype=np.bool_), SIZE, (10, 2))  # 666 pixels in a box of 1296
    truths = {"a": Instances.of(SIZE, [triangle], [1], [False])}
    metrics = coco_metrics(truths, {"a": Detections.of(SIZE, [triangle], [1.0], [1])}, CLASSES)
    for kind in ("bbox", "segm"):
        assert metrics[f"{kind}_ap_small"] == pytest.approx(1)
        assert f"{kind}_ap_medium" not in metrics


def test_a_crowd_is_neither_to_be_found_nor_a_mistake() -> None:
    truths = {"a": truth((2, 2, 10, 10), (20, 20, 20, 40), crowd=[False, True])}
    metrics = coco_metrics(truths, {"a": found((25, 25, 8, 8), (30, 40, 8, 8), (2, 2, 10, 10))}, CLASSES)
    assert [metrics["segm_ap"], metrics["bbox_ap"]] == pytest.approx([1, 1])


def test_classes_without_truth_leave_the_means_and_are_named(caplog: Any) -> None:
    truths = {"a": truth((2, 2, 10, 10))}
    with caplog.at_level(logging.INFO):
        metrics = coco_metrics(truths, {"a": found((2, 2, 10, 10), (20, 20, 9, 9), classes=[1, 2])}, CLASSES)
    assert metrics["bbox_ap"] == pytest.approx(1)
    assert "bbox_ap_bud" not in metrics
    assert "without a true object: bud" in caplog.text
    both = coco_metrics({"a": truth(*TWO, classes=[1, 2])}, {"a": found(TWO[0])}, CLASSES)
    assert [both[f"bbox_ap{key}"] for key in ("", "_cell", "_bud")] == pytest.approx([0.5, 1, 0])


def test_the_most_certain_detections_count_and_the_number_can_be_raised() -> None:
    blocks = [(row, column, 2, 2) for row, column in product(range(0, 40, 4), range(0, 60, 4))]  # 150
    truths, detections = {"a": truth(*blocks)}, {"a": found(*blocks, scores=[1 - n / 1000 for n in range(150)])}
    assert coco_metrics(truths, detections, CLASSES)["segm_ar"] == pytest.approx(100 / 150)
    assert coco_metrics(truths, detections, CLASSES, most=150)["segm_ap"] == pytest.approx(1)


def test_our_means_are_those_that_pycocotools_prints(capsys: Any) -> None:
    rng = np.random.default_rng(0)
    truths: dict[str, Instances] = {}
    detections: dict[str, Detections] = {}
    size = (200, 200)
    for name in "abcd":
        sides = rng.integers(4, 120, (12, 2)) if name != "a" else rng.integers(30, 36, (12, 2))
        corners = rng.integers(0, 200 - sides) if name != "a" else rng.integers(50, 60, (12, 2))  # a: one heap
        codes = [block(int(t), int(x), int(h), int(w), size) for (t, x), (h, w) in zip(corners, sides, strict=True)]
        truths[name] = Instances.of(size, codes, rng.integers(1, 3, 12).tolist(), (rng.random(12) < 0.1).tolist())
        moved = np.clip(corners + rng.integers(-4, 5, (12, 2)), 0, 200 - sides)
        codes = [block(int(t), int(x), int(h), int(w), size) for (t, x), (h, w) in zip(moved, sides, strict=True)]
        detections[name] = Detections.of(size, codes, rng.random(12).tolist(), truths[name].classes.tolist())
    ours = coco_metrics(truths, detections, CLASSES)
    assert capsys.readouterr().out == ""
    for kind in ("bbox", "segm"):
        rows = [[row for n, name in enumerate("abcd") for row in module._rows(side[name], n, kind)]
                for side in (truths, detections)]  # fmt: skip
        with redirect_stdout(StringIO()):
            theirs = COCOeval(*(module._coco([size] * 4, [1, 2], side) for side in rows), kind)
            theirs.evaluate()
            theirs.accumulate()
            theirs.summarize()
        keys = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
        for key, value in zip(keys, theirs.stats, strict=False):
            assert ours[f"{kind}_{key}"] == pytest.approx(value), key
        assert ours[f"{kind}_ar"] == pytest.approx(theirs.stats[8])
        assert 0.1 < ours[f"{kind}_ap"] < 0.9


def test_what_means_nothing_is_refused_with_its_reason() -> None:
    one = {"a": truth((2, 2, 5, 5))}
    for truths, detections, reason in (
        ({"a": truth()}, {"a": found()}, "none of the 1 images has an object"),
        (one, {}, "an image in which nothing is found"),
        (one, {"a": found((1, 1, 2, 2), classes=[3])}, "class ids from 1 to 3"),
        (one, {"a": found((1, 1, 2, 2), scores=[float("nan")])}, "NaN"),
        (one, {"a": Detections.of((9, 9), [], [], [])}, "resize them"),
    ):
        with pytest.raises(ValueError, match=reason):
            coco_metrics(truths, detections, CLASSES)


def brute(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """The same by sets of pixels, with loops."""
    ps = [set(np.flatnonzero(predicted == i).tolist()) for i in np.unique(predicted) if i]
    ts = [set(np.flatnonzero(true == i).tolist()) for i in np.unique(true) if i]
    iou = [[len(p & t) / len(p | t) for t in ts] for p in ps]

    def aggregated(pairs: list[tuple[int, int]]) -> float:
        pairs = [(p, t) for p, t in pairs if ps[p] & ts[t]]
        shared = sum(len(ps[p] & ts[t]) for p, t in pairs)
        joined = sum(len(ps[p] | ts[t]) for p, t in pairs)
        joined += sum(len(one) for p, one in enumerate(ps) if p not in {p for p, _ in pairs})
        joined += sum(len(one) for t, one in enumerate(ts) if t not in {t for _, t in pairs})
        return shared / joined

    best = [(max(range(len(ps)), key=lambda p: iou[p][t]), t) for t in range(len(ts))]
    hits = [value for row in iou for value in row if value > 0.5]
    total = len(ps) + len(ts)
    counts = [sum(value > threshold for row in iou for value in row) for threshold in THRESHOLDS]
    return {
        "aji": aggregated(best),
        "aji_plus": aggregated(list(zip(*(a.tolist() for a in linear_sum_assignment(-np.array(iou))), strict=True))),
        "sq": sum(hits) / len(hits) if hits else 0.0,
        "dq": len(hits) / (len(hits) + (total - 2 * len(hits)) / 2),
        "pq": sum(hits) / (len(hits) + (total - 2 * len(hits)) / 2),
        "dsb_ap": float(np.mean([count / (total - count) for count in counts])),
    }


def scattered(rng: np.random.Generator, moved: int) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.zeros((2, 30, 30), dtype=np.int32)
    for number in range(1, 9):
        top, left = rng.integers(0, 24, 2)
        true[top : top + 6, left : left + 6] = 3 * number
        top, left = np.clip(np.array([top, left]) + rng.integers(-moved, moved + 1, 2), 0, 24)
        predicted[top : top + 6, left : left + 6] = 100 - number
    return predicted, true


def test_every_metric_of_label_images_is_that_of_loops_over_sets() -> None:
    rng = np.random.default_rng(0)
    values = []
    for moved in (0, 1, 1, 2, 3, 8):
        predicted, true = scattered(rng, moved)
        ours, loops = label_metrics(predicted, true), brute(predicted, true)
        assert ours == {key: pytest.approx(value) for key, value in loops.items()}
        values.append(tuple(ours.values()))
    assert len(set(values)) == len(values)
    assert values[0] == pytest.approx((1,) * 6)


def test_hand_made_cases_of_aji_and_pq() -> None:
    """Two squares of 16; one is found 12 pixels large, the other is missed, and 4 pixels are found in vain."""
    true, predicted = np.zeros((2, 12, 12), dtype=np.int64)
    true[0:4, 0:4], true[6:10, 6:10] = 1, 2
    predicted[0:3, 0:4], predicted[10:12, 0:2] = 5, 9
    pair = overlaps(predicted, true)
    assert aji(pair) == aji_plus(pair) == pytest.approx(12 / (16 + 16 + 4))
    assert panoptic(pair) == Panoptic(1, 2, 2, 0.75)
    assert (panoptic(pair).quality, panoptic(pair).detection) == (pytest.approx(0.375), 0.5)
    assert average_precision(pair) == pytest.approx(0.5 * (1 / 3))  # IoU 0.75 is above 0.50 to 0.70: five of ten
    both = np.zeros_like(true)
    both[0:4, 0:4], both[0:4, 4:8] = 1, 2
    merged = np.where(both > 0, 1, 0)
    assert aji(overlaps(merged, both)) == pytest.approx((16 + 16) / (32 + 32))  # one prediction serves both
    assert aji_plus(overlaps(merged, both)) == pytest.approx(16 / (32 + 16))  # and here only one
    assert panoptic(overlaps(merged, both)).hits == 0  # an IoU of 0.5 is no hit


def test_nothing_in_both_is_agreement_and_nothing_in_one_is_failure() -> None:
    empty, some = np.zeros((5, 5), dtype=np.int32), np.eye(5, dtype=np.int32)
    assert set(label_metrics(empty, empty).values()) == {1.0}
    assert set(label_metrics(some, empty).values()) == set(label_metrics(empty, some).values()) == {0.0}
    with pytest.raises(ValueError, match="not of one size"):
        overlaps(some, np.zeros((5, 6), dtype=np.int32))
    with pytest.raises(ValueError, match="negative"):
        overlaps(-some, some)


def test_the_more_certain_detection_keeps_the_pixels_and_a_remnant_is_left_out() -> None:
    detections = found((0, 0, 10, 10), (0, 4, 10, 10), (0, 1, 10, 10), scores=[0.5, 0.9, 0.7])
    painted = label_image(detections)
    expected = np.zeros(SIZE, dtype=np.int32)
    expected[:10, 4:14] = 2
    np.testing.assert_array_equal(painted, expected)  # the third keeps 30 of 100 pixels, the first 40
    assert np.unique(label_image(detections, kept=0.3)).tolist() == [0, 2, 3]


def test_void_takes_pixels_and_objects_that_lie_mostly_there() -> None:
    predicted = label_image(found((0, 0, 4, 10), (10, 0, 4, 10)))
    void = np.zeros(SIZE, dtype=np.bool_)
    void[:4, 4:], void[10:14, 5:] = True, True  # 6 of 10 columns of the first, 5 of 10 of the second
    expected = np.zeros(SIZE, dtype=np.int32)
    expected[10:14, :5] = 2
    np.testing.assert_array_equal(without_void(predicted, void), expected)


def test_crowds_cost_nothing_and_classes_have_their_own_quality() -> None:
    truths = {"a": truth(*TWO, (30, 0, 10, 20), classes=[1, 2, 1], crowd=[False, False, True]), "b": truth()}
    detections = {"a": found(*TWO, (31, 2, 6, 6), scores=[0.9, 0.8, 0.7], classes=[1, 1, 1]), "b": found()}
    metrics = instance_metrics(truths, detections, CLASSES)
    assert metrics["pq"] == metrics["aji"] == metrics["dsb_ap"] == 1.0  # whatever the classes
    assert metrics["pq_cell"] == pytest.approx(2 / 3)
    assert metrics["pq_bud"] == 0.0
    assert metrics["mpq"] == pytest.approx(1 / 3)
    high = instance_metrics(truths, detections, CLASSES, least_score=0.85)
    assert high["dq"] == pytest.approx(2 / 3)
    assert instance_metrics(truths, {"a": found(), "b": found()}, CLASSES)["aji"] == 0.0
    assert "mpq" not in instance_metrics(truths, detections, CLASSES[:2])
    with pytest.raises(ValueError, match="not the same"):
        instance_metrics(truths, {"a": found()}, CLASSES)


def test_images_without_objects_are_counted_apart() -> None:
    truths = {"a": truth(*TWO), "b": truth(), "c": truth()}
    metrics = instance_metrics(truths, {"a": found(*TWO), "b": found(), "c": found(TWO[0])}, CLASSES[:2])
    assert (metrics["aji"], metrics["empty_images"], metrics["empty_correct"]) == (1.0, 2.0, 0.5)
    nothing = instance_metrics(truths, {name: found() for name in truths}, CLASSES[:2])
    assert (nothing["pq"], nothing["empty_images"], nothing["empty_correct"]) == (0.0, 2.0, 1.0)
    assert instance_metrics({"b": truth()}, {"b": found()}, CLASSES[:2]) == {"empty_images": 1.0, "empty_correct": 1.0}


def test_the_perfect_ap_is_that_of_the_truth_itself_cut_to_what_counts() -> None:
    places = [(4 * (place // 8), 4 * (place % 8), 3, 3) for place in range(40)]
    truths = {"a": truth(*places, classes=[1] * 33 + [2] * 7), "b": truth(*places[:5], classes=[1] * 5)}
    perfect = {name: Detections.of(one.size, one.masks, np.ones(len(one)), one.classes) for name, one in truths.items()}
    for most in (1, 3, 7, 12, 32):
        assert perfect_ap(truths, most) == pytest.approx(
            coco_metrics(truths, perfect, CLASSES, most)["segm_ap"], abs=1e-12
        )
    assert perfect_ap(truths, 33) is None
    assert coco_metrics(truths, perfect, CLASSES, 33)["segm_ap"] == 1.0


def test_components_of_a_semantic_model_are_objects_from_a_least_size() -> None:
    foreground = np.zeros((6, 6), dtype=np.bool_)
    foreground[0, 0] = foreground[1, 1] = foreground[4, 4] = True
    assert objects_of_classes(foreground, least=1).max() == 2  # corners touch
    np.testing.assert_array_equal(
        objects_of_classes(foreground, least=2) > 0, np.eye(6, dtype=np.bool_) & (np.arange(6) < 2)
    )
