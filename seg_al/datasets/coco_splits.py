"""Splits the images of COCO files into train, val and tests: by file, by lists, or drawn from `run` by groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seg_al.datasets.coco_file import Listed
from seg_al.datasets.file_patterns import MatchedFile
from seg_al.datasets.folder_checks import Problems
from seg_al.datasets.folder_splits import ColumnReader, Wanted, draw_parts, named_parts


@dataclass(frozen=True)
class Splits:
    """Names, sorted."""

    pool: tuple[str, ...]
    val: tuple[str, ...]
    tests: Mapping[str, tuple[str, ...]]


def split_of(images: Mapping[str, Listed], wanted: Wanted, column: ColumnReader, run: int, root: Path) -> Splits:
    """The splits that files or lists name, and those that are drawn as numbers, by strata and groups.

    ValueError for lists that do not fit, images or groups in two splits, and columns that do not exist.
    """
    found = {name: MatchedFile(image.file, {"split": image.split}, image.page) for name, image in images.items()}
    parts = named_parts(wanted, found, root)
    problems = Problems()
    problems.merge(parts.problems)
    problems.raise_for(root)
    return Splits(*draw_parts(parts, wanted, run, column))
