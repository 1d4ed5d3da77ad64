"""Semantic segmentation: a class for every pixel. Dropout off, and, where asked for, the Bayesian mean over passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from seg_al.core import IGNORE, Compute, Dataset, Metric, Model
from seg_al.measuring.class_maps import CLASS_MAP_METRICS, LEAST_OBJECT, Evaluation
from seg_al.measuring.constants import constant_scores
from seg_al.predictors.predictor import LOGITS, Logits, Predictor, mean_probabilities
from seg_al.tasks.task import each_image, tests_of


@dataclass(frozen=True)
class SemanticSegmentation:
    """Reports val and every test split; val alone may choose anything."""

    objects: bool | Literal["auto"]
    """Whether the tests also report the object F1, Dice and Hausdorff distance of the GlaS challenge; "auto": where the
    dataset has a background, one foreground class and object ids."""
    bayesian: bool
    """Whether the tests are also reported with the mean probability over the predictor's passes."""
    least_object: int = LEAST_OBJECT
    """Pixels, of the image as it is measured, below which an object counts on neither side; 0: all count."""
    name: ClassVar[str] = "semantic"
    metrics: ClassVar[tuple[Metric, ...]] = CLASS_MAP_METRICS
    reading: ClassVar[Logits] = LOGITS

    def __post_init__(self) -> None:
        if self.least_object < 0:
            raise ValueError(f"task.least_object={self.least_object} is a number of pixels; 0 counts all objects")

    def problems(self, dataset: Dataset) -> list[str]:
        """Reads targets of val and of the tests until one shows foreground."""
        problems = []
        if self.objects is True and not has_objects(dataset):
            problems.append(
                "objects=true compares whole objects of one foreground class with the dataset's object ids, which this "
                "dataset has not; use objects=auto"
            )
        for split, names in (("val", dataset.val), ("the tests", tests_of(dataset)["test"])):
            if names and not any(_has_foreground(dataset, name) for name in names):
                problems.append(
                    f"none of the {len(names)} images of {split} shows a class other than the background, so Dice "
                    "means nothing there; choose other images for it, or check dataset.background"
                )
        return problems

    def constants(self, dataset: Dataset, metric: str) -> dict[str, float]:
        every = range(len(dataset.classes))
        counts = np.stack([np.bincount(dataset.target(n).ravel(), minlength=IGNORE + 1)[every] for n in dataset.val])
        foreground = [one for one in every if one != dataset.background]
        scores = constant_scores(counts, foreground, metric).tolist()
        return {f"{name} everywhere": score for name, score in zip(dataset.classes, scores, strict=True)}

    def judge(self, model: Model, dataset: Dataset, compute: Compute, metric: str) -> float:
        def predict(name: str) -> Tensor:  # [C, H, W]
            return mean_probabilities([model], compute.tensor(dataset.image(name)), compute)

        return measure(dataset, {"val": dataset.val}, predict, None)[f"val/{metric}"]

    def evaluate(
        self, models: Sequence[Model], dataset: Dataset, predictor: Predictor, compute: Compute, run: int
    ) -> dict[str, float]:
        """Metrics as "<split>/<metric>"; "test" is the union of the tests, "..._bayesian" the mean over passes."""

        def single(name: str) -> Tensor:
            return mean_probabilities(models, compute.tensor(dataset.image(name)), compute)

        def bayesian(name: str) -> Tensor:
            image = compute.tensor(dataset.image(name))
            return predictor(models, image, compute, (run, "evaluate", name)).mean

        objects = self.least_object if self.objects is True or (self.objects and has_objects(dataset)) else None
        tests = tests_of(dataset)
        metrics = measure(dataset, {"val": dataset.val}, single, None)
        metrics |= measure(dataset, tests, single, objects)
        if self.bayesian:
            found = measure(dataset, tests, bayesian, objects)
            metrics |= {f"{key.replace('/', '_bayesian/')}": value for key, value in found.items()}
        return metrics

    def prediction(self, models: Sequence[Any], image: Tensor, compute: Compute) -> Tensor:
        return mean_probabilities(models, image, compute)

    def agreed(self, models: Sequence[Any], image: Tensor, compute: Compute) -> None:
        return None


def has_objects(dataset: Dataset) -> bool:
    """Whether whole objects of the first test image could be found by a network that tells classes apart."""
    first = next((name for names in dataset.tests.values() for name in names), None)
    if dataset.background is None or len(dataset.classes) != 2 or first is None:
        return False
    return dataset.objects(first) is not None


def _has_foreground(dataset: Dataset, name: str) -> bool:
    target = dataset.target(name)
    return bool(((target != IGNORE) & (target != dataset.background)).any())


def measure(
    dataset: Dataset,
    splits: dict[str, tuple[str, ...]],
    predict: Callable[[str], Tensor],
    least_object: int | None,
) -> dict[str, float]:
    """Every metric of every split; an image that stands in several splits is predicted once.

    Whole objects of at least `least_object` pixels are compared too; None: they are not.
    """
    objects = least_object is not None
    evaluations = {
        split: Evaluation(dataset.classes, dataset.background, objects, least_object or 0) for split in splits
    }
    for name, predicted in each_image(sorted({name for split in splits.values() for name in split}), predict):
        probabilities, target = predicted.cpu(), dataset.target(name)
        found = dataset.objects(name) if objects else None
        for split, evaluation in evaluations.items():
            if name in splits[split]:
                evaluation.add(name, probabilities, target, found)
    return {
        f"{split}/{metric}": value
        for split, evaluation in evaluations.items()
        for metric, value in evaluation.result().items()
    }
