"""What a task is: how the outputs of its networks are read, and how good they are. Read semantic.py first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor
from tqdm import tqdm

from seg_al.core import Compute, Dataset, Metric
from seg_al.predictors.class_maps import NotFinite
from seg_al.predictors.predictor import Predictor, Reading
from seg_al.tasks.objects.passes import Objects

T = TypeVar("T")


class Task(Protocol):
    """What a network is to tell of an image: the class of each pixel, or its objects one by one."""

    name: ClassVar[str]
    """What models, losses and augmentations made for it call it."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All that `evaluate` measures, but for those of one class; the first is what the log tells of each round."""
        ...

    @property
    def reading(self) -> Reading: ...  # how passes become beliefs

    def problems(self, dataset: Dataset) -> list[str]:
        """What keeps the dataset from being measured as the config wishes, one sentence each, with its remedy."""
        ...

    def judge(self, model: Any, dataset: Dataset, compute: Compute, metric: str) -> float:
        """One of the metrics that judge, on val, dropout off."""
        ...

    def constants(self, dataset: Dataset, metric: str) -> Mapping[str, float]:
        """What one of the metrics that judge gives, on val, to each prediction that looks at no image, by its name."""
        ...

    def evaluate(
        self, models: Sequence[Any], dataset: Dataset, predictor: Predictor, compute: Compute, run: int
    ) -> dict[str, float]:
        """Metrics as "<split>/<metric>" of val and every test; "test" is the union of the tests."""
        ...

    def prediction(self, models: Sequence[Any], image: Tensor, compute: Compute) -> Tensor:  # [1, 3, H, W] -> [C, H, W]
        """The probability of each class at each pixel, dropout off: what a picture shows."""
        ...

    def agreed(self, models: Sequence[Any], image: Tensor, compute: Compute) -> Objects | None:
        """The objects of the same, each model one pass; None where the task has no objects."""
        ...


def tests_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """The test splits and their union under "test"."""
    tests: Mapping[str, tuple[str, ...]] = dataset.tests
    if len(tests) == 1:
        return {"test": next(iter(tests.values()))}
    return {**tests, "test": tuple(name for names in tests.values() for name in names)}


def each_image(names: Iterable[str], predict: Callable[[str], T]) -> Iterator[tuple[str, T]]:
    """Predictions with their names, under a progress bar. ValueError naming the image where one is not finite."""
    for name in tqdm(list(names), desc="evaluate", unit="image", leave=False, disable=None, delay=1):
        try:
            yield name, predict(name)
        except NotFinite as error:
            raise ValueError(f"image {name}: {error}; training has diverged, lower the learning rate") from error
