"""Semantic segmentation: a class for every pixel. Dropout off, and, where asked for, the Bayesian mean over passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from seg_al.compute import Compute
from seg_al.core import Dataset
from seg_al.metrics import Evaluation
from seg_al.predictors import LOGITS, Logits, Predictor, mean_probabilities
from seg_al.tasks.task import each_image, tests_of


@dataclass(frozen=True)
class SemanticSegmentation:
    """Reports val and every test split; val alone may choose anything."""

    objects: bool | Literal["auto"]
    """Whether the tests also report the object F1, Dice and Hausdorff distance of the GlaS challenge; "auto": where the
    dataset has a background, one foreground class and object ids."""
    bayesian: bool
    """Whether the tests are also reported with the mean probability over the predictor's passes."""
    name: ClassVar[str] = "semantic"
    headline: ClassVar[str] = "dice"
    judges: ClassVar[tuple[str, ...]] = ("dice", "miou")
    reading: ClassVar[Logits] = LOGITS

    def problems(self, dataset: Dataset) -> list[str]:
        if self.objects is not True or has_objects(dataset):
            return []
        return [
            "objects=true compares whole objects of one foreground class with the dataset's object ids, which this "
            "dataset has not; use objects=auto"
        ]

    def judge(self, model: nn.Module, dataset: Dataset, compute: Compute, metric: str) -> float:
        def predict(name: str) -> Tensor:  # [C, H, W]
            return mean_probabilities([model], compute.tensor(dataset.image(name)), compute)

        return measure(dataset, {"val": dataset.val}, predict, objects=False)[f"val/{metric}"]

    def evaluate(
        self, models: Sequence[nn.Module], dataset: Dataset, predictor: Predictor, compute: Compute, run: int
    ) -> dict[str, float]:
        """Metrics as "<split>/<metric>"; "test" is the union of the tests, "..._bayesian" the mean over passes."""

        def single(name: str) -> Tensor:
            return mean_probabilities(models, compute.tensor(dataset.image(name)), compute)

        def bayesian(name: str) -> Tensor:
            image = compute.tensor(dataset.image(name))
            return predictor(models, image, compute, (run, "evaluate", name)).mean

        objects = has_objects(dataset) if self.objects == "auto" else self.objects
        tests = tests_of(dataset)
        metrics = measure(dataset, {"val": dataset.val}, single, objects=False)
        metrics |= measure(dataset, tests, single, objects=objects)
        if self.bayesian:
            found = measure(dataset, tests, bayesian, objects=objects)
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


def measure(
    dataset: Dataset, splits: dict[str, tuple[str, ...]], predict: Callable[[str], Tensor], *, objects: bool
) -> dict[str, float]:
    """Every metric of every split; an image that stands in several splits is predicted once."""
    evaluations = {split: Evaluation(dataset.classes, dataset.background, objects) for split in splits}
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
