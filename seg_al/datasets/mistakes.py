"""What is wrong with a data set, in the same words for a run, which looks as it reads, and for the laws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from numbers import Integral

import numpy as np

from seg_al.core import IGNORE, Dataset

FINDS_ALL = "check_dataset of seg_al.conformance.datasets finds all such mistakes"


def splits_of(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """The names of each split; empty for tests that are no mapping, which `of_names` tells."""
    tests = dataset.tests if isinstance(dataset.tests, Mapping) else {}
    return {"pool": dataset.pool, "val": dataset.val, **{f"test {key}": those for key, those in tests.items()}}


def of_names(dataset: Dataset) -> Iterator[str]:
    """Splits that are no sorted tuples of names."""
    if not isinstance(dataset.tests, Mapping):
        kind = type(dataset.tests).__name__
        yield f"tests is a {kind}, not a mapping from the name of a test to its images, as in " + "{'test': ('a', 'b')}"
    for split, names in splits_of(dataset).items():
        if not isinstance(names, tuple):
            yield f"{split} is a {type(names).__name__}, not a tuple of names"
        elif not all(isinstance(name, str) and name for name in names):
            yield f"{split} holds what is no name"
        elif list(names) != sorted(set(names)):
            yield f"{split} is not sorted, or holds a name twice"


def of_shared_images(dataset: Dataset) -> Iterator[str]:
    """Images that are in two splits, so that what is tested was learned or chosen by."""
    listed = {split: names for split, names in splits_of(dataset).items() if isinstance(names, tuple | list)}
    texts = {split: {name for name in names if isinstance(name, str)} for split, names in listed.items()}
    for (one, names), (other, others) in combinations(texts.items(), 2):
        both = sorted(names & others)
        if both:
            more = f" ({len(both)} images are in both)" if len(both) > 1 else ""
            yield f"{both[0]} is in {one} and in {other}{more}; one image is in one split only"


def of_background(background: object, classes: int) -> str | None:
    """A background that is no class id, which metrics would leave out in silence."""
    whole = isinstance(background, Integral) and not isinstance(background, bool)
    if background is None or (whole and 0 <= int(background) < classes):  # type: ignore[call-overload]
        return None
    return f"background={background!r} is no class id; it is 0 to {classes - 1}, or None"


def of_array(what: str, values: object, kind: type[np.generic], shape: Sequence[int], told: str) -> str | None:
    """An array of another type or shape than [H, W, ...], which `told` says where it comes from."""
    wanted = f"{np.dtype(kind)} {[*shape]} {told}"
    if not isinstance(values, np.ndarray):
        given = type(values)
        return f"{what} is a {given.__module__.split('.')[0]}.{given.__name__}, and has to be a numpy array, {wanted}"
    if values.dtype == kind and values.shape == tuple(shape):
        return None
    return f"{what} is {values.dtype} {[*values.shape]}, and has to be {wanted}"


def of_image(image: object, name: str, size: tuple[int, int]) -> str | None:
    return of_array(f"image {name}", image, np.uint8, (*size, 3), "as size tells")


def of_target(target: object, name: str, size: tuple[int, int], classes: int) -> str | None:
    wrong = of_array(f"the target of {name}", target, np.uint8, size, "as size tells")
    if wrong or not isinstance(target, np.ndarray) or not target.size or int(target.max()) < classes:
        return wrong
    others = np.flatnonzero(np.bincount(target.ravel(), minlength=IGNORE)[classes:IGNORE]) + classes
    if not len(others):
        return None
    held = ", ".join(map(str, others[:3].tolist()))
    return f"the target of {name} holds {held}; class ids are 0 to {classes - 1}, and {IGNORE} is void"


def of_askable(askable: object, name: str, size: tuple[int, int]) -> str | None:
    return None if askable is None else of_array(f"askable of {name}", askable, np.bool_, size, "as size tells")


def of_objects(objects: object, name: str, size: tuple[int, int]) -> str | None:
    return None if objects is None else of_array(f"objects of {name}", objects, np.int32, size, "as size tells")


def refuse(dataset: object, wrong: str | None) -> None:
    """Raises ValueError that names the data set, where something is wrong."""
    if wrong:
        raise ValueError(f"dataset {type(dataset).__name__}: {wrong}; {FINDS_ALL}")
