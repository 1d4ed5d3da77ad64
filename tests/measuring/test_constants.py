"""What predictions that look at no image score on val, beside which a network's score is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from bare_dataset import BareDataset
from skimage.io import imread
from skimage.measure import label

from experiments import metrics, perform, tiny
from seg_al.core import IGNORE
from seg_al.running.compute import LocalCompute
from seg_al.tasks.instances import InstanceSegmentation
from seg_al.tasks.objects.matching import BestMatch
from seg_al.tasks.objects.objects import Detections, instances_of
from seg_al.tasks.semantic import SemanticSegmentation

Target = npt.NDArray[np.uint8]
GLAS = Path(__file__).parents[3] / "shared" / "datasets" / "glas" / "Warwick_QU_Dataset"
CPU = LocalCompute("cpu", "float32", 1, 0, "auto")
TASK = SemanticSegmentation(objects=False, bayesian=False)
OBJECTS = InstanceSegmentation(BestMatch(0.5, False, 0), 0.3, 3, 0.5, False, None)


@dataclass(frozen=True)
class Drawn(BareDataset):
    """Targets by name, and which of them are val and test."""

    targets: dict[str, Target]
    val: tuple[str, ...]
    tests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    background: int | None = 0
    classes: tuple[str, ...] = ("plain", "defect")
    pool: tuple[str, ...] = ()

    def objects(self, name: str) -> npt.NDArray[np.int32]:
        found: npt.NDArray[np.int32] = label(self.targets[name] == 1).astype(np.int32)
        return found

    def target(self, name: str) -> Target:
        return self.targets[name]


def drawn(val: list[list[int]], test: list[list[int]]) -> Any:
    rows = {f"val_{n}": row for n, row in enumerate(val)} | {f"test_{n}": row for n, row in enumerate(test)}
    targets = {name: np.array([row], dtype=np.uint8) for name, row in rows.items()}
    own = {split: tuple(name for name in targets if name.startswith(split)) for split in ("val", "test")}
    return Drawn(targets, own["val"], {"test": own["test"]})


def test_constants_are_each_class_everywhere_as_val_is_labelled() -> None:
    dataset = drawn([[0, 0, 0, 1], [0, 0, IGNORE, IGNORE], [0, 1, 1, 1]], [[1]])
    assert TASK.constants(dataset, dataset.val, "miou") == pytest.approx(
        {"plain everywhere": 0.3, "defect everywhere": 0.2}
    )
    dice = TASK.constants(dataset, dataset.val, "dice")  # of the two images with a defect
    assert dice == pytest.approx({"plain everywhere": 0.0, "defect everywhere": (2 / 5 + 6 / 7) / 2})
    assert TASK.constants(dataset, ("test_0",), "miou") == {"plain everywhere": 0.0, "defect everywhere": 1.0}
    assert OBJECTS.constants(dataset, dataset.val, "ap") == {"no objects": 0.0}


def test_a_split_without_foreground_is_a_problem_before_training() -> None:
    assert TASK.problems(drawn([[0], [1]], [[0], [0], [1]])) == []
    (problem,) = TASK.problems(drawn([[0, 0], [0, IGNORE]], [[1]]))
    assert problem.startswith("none of the 2 images of val shows a class other than the background")
    (problem,) = TASK.problems(drawn([[1]], [[0], [0], [0]]))
    assert problem.startswith("none of the 3 images of the tests shows")


def test_a_least_size_of_objects_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task\.least_object=-1 is a number of pixels"):
        SemanticSegmentation(objects=False, bayesian=False, least_object=-1)


def test_every_round_records_the_best_constant_and_the_number_of_val_images(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = tiny(data, "rounds=1")
    with caplog.at_level(logging.INFO):
        perform(data, tmp_path, "rounds=1")
    found = metrics(tmp_path, 0)["metrics"]
    constants = experiment.task.constants(experiment.dataset, experiment.dataset.val, "miou")
    best = max(constants, key=lambda name: constants[name])
    assert found["val/constant_miou"] == constants[best]
    assert found["val/images"] == len(experiment.dataset.val)
    assert f"val miou {found['val/miou']:.4f} (best constant, {best}: {constants[best]:.4f})" in caplog.messages


def test_images_of_more_objects_than_ap_counts_are_said_once_with_the_ap_that_remains(
    caplog: pytest.LogCaptureFixture,
) -> None:
    row = np.array([[1, 0, 1, 0, 1, 0, 1, 0, 1]], dtype=np.uint8)  # 5 objects, and AP counts 3
    dataset: Any = Drawn({"many": row, "few": np.where(np.arange(9) < 3, row, 0)}, ("many", "few"))
    task = InstanceSegmentation(BestMatch(0.5, False, 0), 0.3, 3, 0.5, False, None)

    def perfect(names: Sequence[str]) -> list[Detections]:
        truths = [instances_of(dataset, name) for name in names]
        return [Detections.of(one.size, one.masks, [1.0] * len(one), one.classes.tolist()) for one in truths]

    for _ in range(2):
        found = task._splits(dataset, {"val": dataset.val, "test": ("few",)}, perfect, CPU)
    assert found["val/perfect_ap"] == found["val/ap"] == pytest.approx(72 / 101)  # 5 of 7: levels 0 to 0.71
    assert "test/perfect_ap" not in found
    assert found["test/ap"] == 1.0
    (told,) = [one for one in caplog.messages if "task.most" in one]
    assert told.startswith("val: 1 of 2 images hold more objects of a class than task.most=3")
    assert "a perfect prediction is 0.7129, not 1; task.most=5 would count all" in told


def test_a_split_without_an_object_is_a_problem_before_training() -> None:
    row = np.array([[1, 0, 1]], dtype=np.uint8)
    none: Any = Drawn({"a": row, "b": 0 * row}, ("b",), {"test": ("a",)}, pool=("a",))
    assert OBJECTS.problems(none)[0].startswith("none of the 1 images of val holds an object, so AP means nothing")
    some: Any = Drawn({"a": row, "b": 0 * row}, ("a", "b"), {"test": ("b", "a")}, pool=("a",))
    assert OBJECTS.problems(some) == []


@pytest.mark.skipif(not GLAS.is_dir(), reason="the GlaS images are not beside the checkout")
def test_every_glas_image_has_glands_so_that_its_published_dice_is_the_mean_over_all() -> None:
    found = [bool(imread(path).any()) for path in sorted(GLAS.glob("*_anno.*"))]
    assert len(found) >= 165
    assert all(found)
