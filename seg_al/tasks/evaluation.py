"""Evaluates the splits of a dataset, for every task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from tqdm import tqdm

from seg_al.core import Compute, Dataset
from seg_al.predictors.batches import batches
from seg_al.predictors.class_maps import NotFinite

T = TypeVar("T")


def tests_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """The test splits and their union under "test"."""
    tests: Mapping[str, tuple[str, ...]] = dataset.tests
    if len(tests) == 1:
        return {"test": next(iter(tests.values()))}
    return {**tests, "test": tuple(name for names in tests.values() for name in names)}


Predict = Callable[[Sequence[str]], Sequence[T]]
"""Predicts images of one size together; one prediction for each name."""


def each_image(
    dataset: Dataset, names: Iterable[str], predict: Predict[T], compute: Compute
) -> Iterator[tuple[str, T]]:
    """Predictions with their names, under a progress bar. ValueError naming the image where one is not finite."""
    every = list(names)
    with tqdm(total=len(every), desc="evaluate", unit="image", leave=False, disable=None, delay=1) as bar:
        for batch in batches(every, dataset.size, compute.batch):
            yield from zip(batch, predicted(batch, predict), strict=True)
            bar.update(len(batch))


def predicted(names: Sequence[str], predict: Predict[T]) -> Sequence[T]:
    """What is predicted of images of one size. Raises ValueError naming the image where a prediction is not finite."""
    try:
        return predict(names)
    except NotFinite as error:
        if len(names) > 1:  # one by one, to find out which
            return [one for name in names for one in predicted([name], predict)]
        raise ValueError(f"image {names[0]}: {error}; training has diverged, lower the learning rate") from error
