"""Which images of COCO files are trained on, choose and report: by file, by lists, or drawn from `run` by groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seg_al.datasets.coco_file import Listed
from seg_al.datasets.file_patterns import Found
from seg_al.datasets.folder_checks import Problems
from seg_al.datasets.folder_splits import Wanted, draw, named_parts

Column = Callable[[str, Sequence[str]], Mapping[str, str]]
"""The values of a column for some images."""


@dataclass(frozen=True)
class Splits:
    """Names, sorted."""

    pool: tuple[str, ...]
    val: tuple[str, ...]
    tests: Mapping[str, tuple[str, ...]]


def split_of(
    images: Mapping[str, Listed], wanted: Wanted, stratify: Sequence[str], column: Column, run: int, root: Path
) -> Splits:
    """Numbers are drawn so that every group of images that agree in the columns `stratify` has its share.

    ValueError for lists that do not fit, images in two splits and columns that are not there.
    """
    found = {name: Found(image.file, {"split": image.split}, image.page) for name, image in images.items()}
    parts = named_parts(wanted, found, root)
    problems = Problems()
    problems.merge(parts.problems)
    problems.raise_for(root)
    drawn = isinstance(wanted.val, int | float) or isinstance(wanted.test, int | float)
    groups = None
    if drawn and stratify:
        train = sorted(parts.train)
        columns = [column(key, train) for key in stratify]
        groups = {name: " ".join(values[name] for values in columns) for name in train}
    return Splits(*draw(parts, wanted, run, groups))
