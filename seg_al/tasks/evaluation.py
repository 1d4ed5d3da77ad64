"""Evaluates the splits of a dataset, for every task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from tqdm import tqdm

from seg_al.core import Dataset
from seg_al.predictors.class_maps import NotFinite

T = TypeVar("T")


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
