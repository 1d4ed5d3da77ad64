"""What is measured is what is declared, in its range and under its name."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from seg_al.core import Metric
from seg_al.measuring.class_maps import CLASS_MAP_METRICS, Evaluation
from seg_al.measuring.coco_ap import COCO_METRICS, coco_metrics, perfect_ap
from seg_al.measuring.declarations import KNOWN, meaning_of
from seg_al.measuring.objects import OBJECT_METRICS, instance_metrics
from seg_al.tasks.instances import InstanceSegmentation
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.matching import BestMatch
from seg_al.tasks.objects.objects import Detections, Instances
from seg_al.tasks.objects.reported import OperatingPoint
from seg_al.tasks.semantic import SemanticSegmentation

SIZE = (120, 120)
ERROR = Metric("error", better="lower", lowest=0, unit="cells", area=True, column="error", of_class="error")


def of_class_maps(classes: int) -> dict[str, float]:
    """A poor prediction of two images, one of them without foreground."""
    rng = np.random.default_rng(0)
    evaluation = Evaluation([f"class{one}" for one in range(classes)], 0, objects=classes == 2)
    for name in ("full", "empty"):
        target = rng.integers(0, classes if name == "full" else 1, size=(24, 24)).astype(np.uint8)
        probabilities = torch.from_numpy(rng.random((classes, 24, 24), dtype=np.float32)).softmax(0)
        evaluation.add(name, probabilities, target, (target > 0).astype(np.int32))
    return evaluation.result()


def of_objects(classes: int) -> dict[str, float]:
    """One of two objects is found, a large one, and something where nothing is."""
    rng = np.random.default_rng(0)
    names = [f"class{one}" for one in range(classes)]
    codes = [rle.encode(np.ones((side, side), dtype=np.bool_), SIZE, (2, 2)) for side in (10, 50, 100)]
    whole = Instances.of(SIZE, codes, [1 + one % (classes - 1) for one in range(3)], [False] * 3)
    truths = {"full": whole, "empty": Instances.of(SIZE, [], [], [])}
    found = {
        "full": Detections.of(SIZE, codes[1:2], rng.random(1) / 2 + 0.5, [1]),
        "empty": Detections.of(SIZE, codes[:1], [0.9], [1]),
    }
    metrics = {key.removeprefix("segm_"): value for key, value in coco_metrics(truths, found, names).items()}
    perfect = perfect_ap(truths, most=1)
    assert perfect is not None
    return {**metrics, "perfect_ap": perfect, **instance_metrics(truths, found, names)}


@pytest.mark.parametrize(
    ("measured", "metrics"),
    [
        ({**of_class_maps(2), **of_class_maps(3)}, CLASS_MAP_METRICS),
        ({**of_objects(2), **of_objects(3)}, (*COCO_METRICS, *OBJECT_METRICS)),
    ],
    ids=["class maps", "objects"],
)
def test_every_number_is_of_a_declared_metric_and_in_its_range_and_every_metric_is_measured(
    measured: dict[str, float], metrics: tuple[Metric, ...]
) -> None:
    for name, value in measured.items():
        metric = meaning_of(f"test/{name}", metrics)
        assert metric is not None, name
        assert metric.lowest is None or metric.lowest <= value, name
        assert metric.highest is None or value <= metric.highest, name
    assert {metric.name for metric in metrics} <= set(measured)


def test_a_task_declares_each_metric_once_and_only_errors_are_the_better_the_lower() -> None:
    matching = BestMatch()
    reported = InstanceSegmentation(matching, 0.0, 100, 0.5, False, OperatingPoint("maskal", 0.5, 0.3))
    for task in (SemanticSegmentation("auto", False), reported):
        names = [metric.name for metric in task.metrics]
        assert len(names) == len(set(names))
    assert "maskal_ap50" in names
    assert [metric.name for metric in KNOWN[0] if metric.better == "lower"] == ["ece", "object_hausdorff"]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("test/error", "error"),
        ("test_bayesian/error", "error"),
        ("test/error_area", "error"),
        ("val/constant_error", "error"),
        ("test/untrained_error", "error"),
        ("labelled/error", "error"),
        ("test/error_car", "error_car"),
    ],
)
def test_a_number_is_explained_by_the_metric_behind_it(number: str, name: str) -> None:
    found = meaning_of(number, [Metric("e"), ERROR])
    assert found is not None
    assert (found.name, found.better, found.unit, found.sign) == (name, "lower", "cells", -1)


def test_a_number_of_no_metric_has_no_meaning() -> None:
    assert meaning_of("effort/train_seconds", [ERROR]) is None
    assert meaning_of("test/errors", [ERROR]) is None


def test_a_declared_metric_is_never_taken_for_that_of_a_class() -> None:
    found = meaning_of("test/ap_small", KNOWN[1])
    assert found is not None
    assert asdict(found) == asdict(next(metric for metric in COCO_METRICS if metric.name == "ap_small"))
