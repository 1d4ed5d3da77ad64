"""Splits images into train, val and tests: by their paths, by lists, or drawn from `run`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from seg_al.datasets.file_patterns import MatchedFile
from seg_al.datasets.folder_checks import first_few
from seg_al.datasets.image_names import Names
from seg_al.datasets.splits import drawn, text_of
from seg_al.randomness import numpy_rng

By = Literal["folder", "list"]
SplitValues = str | Sequence[str]
"""One or several values of {split}, or list files."""
ColumnReader = Callable[[str, Sequence[str]], Mapping[str, str]]
"""The values of a column for some images. ValueError where the dataset has no such column."""


@dataclass(frozen=True)
class Wanted:
    """Where the splits come from; the fields are those of a config."""

    split: By
    train: SplitValues | None
    """None: every image that is in neither val nor test."""
    val: SplitValues | float
    """A number is drawn from the training images: a share of them below 1, else a count."""
    test: SplitValues | float
    """As for val; several names are several tests."""
    stratify: Sequence[str] | str = ()
    """Columns whose values keep their shares in what is drawn."""
    group: str | None = None
    """The column whose groups, such as patients, are never divided over two splits."""

    def problems(self, fields: Sequence[str]) -> list[str]:
        """What is wrong with these values for images whose pattern has `fields`."""
        if self.split not in get_args(By):
            return [f"dataset.split={self.split!r} is unknown; choose {' or '.join(get_args(By))}"]
        given = {"train": self.train, "val": self.val, "test": self.test}
        wrong = [f"dataset.{key}={value!r}: {why}" for key, value in given.items() if (why := self._why(value, fields))]
        if isinstance(self.train, int | float):
            wrong.append(f"dataset.train={self.train} is a number, but only val and test can be drawn")
        if not (self.group is None or (isinstance(self.group, str) and self.group)):
            wrong.append(f"dataset.group={self.group!r} is not the name of a column, or null")
        if not isinstance(self.stratify, Sequence) or not all(isinstance(one, str) for one in self.stratify):
            wrong.append(f"dataset.stratify={self.stratify!r} is not a list of the names of columns")
        tests = [] if isinstance(self.test, int | float) else [PurePosixPath(one).stem for one in _words(self.test)]
        if len(tests) > 1 and {"train", "val", "test"} & set(tests):
            wrong.append(
                f"dataset.test={self.test}: several tests are reported under these names, and together as test; "
                "none of them can be called train, val or test"
            )
        return wrong

    def _why(self, value: SplitValues | float | None, fields: Sequence[str]) -> str | None:
        """What is wrong with the value of train, val or test."""
        if isinstance(value, int | float):
            count = value >= 1 and float(value).is_integer()
            if isinstance(value, bool) or not (count or 0 < value < 1):
                return "neither a share between 0 and 1 nor a number of images"
        elif value is not None and not _words(value):
            return "names nothing"
        elif value is not None and self.split == "folder" and "split" not in fields:
            return "split=folder compares it with {split}, which dataset.images does not have"
        return None


@dataclass
class Parts:
    """Image names by split before anything is drawn; None: a split that is drawn."""

    train: set[str]
    val: set[str] | None
    tests: dict[str, set[str]] | None
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By kind."""

    @property
    def used(self) -> tuple[str, ...]:
        return tuple(sorted(self.train.union(self.val or (), *(self.tests or {}).values())))


def named_parts(wanted: Wanted, images: Mapping[str, MatchedFile], root: Path) -> Parts:
    """The images of each split that folders or lists name; `draw_parts` draws the others."""
    parts = Parts(set(), None, None)
    every = Names(images) if wanted.split == "list" else Names({})

    def names_of(word: str) -> set[str]:
        if wanted.split == "list":
            return _listed(root / word, every, parts.problems)
        found = {name for name, image in images.items() if image.fields["split"] == word}
        if not found:
            there = ", ".join(sorted({image.fields["split"] for image in images.values()}))
            parts.problems["split without an image"].append(f"{word} (there are {there})")
        return found

    if not isinstance(wanted.val, int | float):
        parts.val = {name for word in _words(wanted.val) for name in names_of(word)}
    if not isinstance(wanted.test, int | float):
        words = _words(wanted.test)
        parts.tests = {"test" if len(words) == 1 else PurePosixPath(word).stem: names_of(word) for word in words}
    if wanted.train is None:
        parts.train = set(images) - set(parts.used)
        if not parts.train:
            parts.problems["split without an image"].append("train: val and test take all images")
    else:
        parts.train = {name for word in _words(wanted.train) for name in names_of(word)}
    _overlaps(parts)
    return parts


def _words(where: SplitValues) -> list[str]:
    return [where] if isinstance(where, str) and where else list(where)


def _overlaps(parts: Parts) -> None:
    places: dict[str, list[str]] = {}
    for split, names in (("train", parts.train), ("val", parts.val or ()), *(parts.tests or {}).items()):
        for name in names:
            places.setdefault(name, []).append(split)
    twice = [f"{name} ({' and '.join(splits)})" for name, splits in sorted(places.items()) if len(splits) > 1]
    if twice:
        parts.problems["image in two splits"] += twice


def no_column(key: str, names: Sequence[str]) -> Mapping[str, str]:
    """The column reader of images without columns."""
    raise ValueError(f"there is no column {key!r} of {len(names)} images; leave group and stratify out")


def draw_parts(
    parts: Parts, wanted: Wanted, run: int, column: ColumnReader = no_column
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Pool, val and tests, sorted; splits given as numbers are drawn from the training images, the test first.

    Every stratum of `wanted.stratify` has its share of what is drawn; groups of `wanted.group` are drawn whole.
    Raises ValueError where nothing would be left in the pool or nothing drawn, and where a group is in two splits.
    """
    groups = None if wanted.group is None else column(wanted.group, parts.used)
    if groups is not None:
        _refuse_straddling(parts, wanted, groups)
    train = sorted(parts.train)
    strata: Mapping[str, str] = dict.fromkeys(train, "all")
    if wanted.stratify and (parts.tests is None or parts.val is None):
        columns = [column(key, train) for key in _words(wanted.stratify)]
        strata = {name: " ".join(values[name] for values in columns) for name in train}
    chosen: dict[str, tuple[str, ...]] = {}
    for key, part, amount in (("test", parts.tests, wanted.test), ("val", parts.val, wanted.val)):
        if part is None and isinstance(amount, int | float):
            count = int(amount) if amount >= 1 else round(amount * len(parts.train))
            if not 1 <= count < len(train):
                raise ValueError(
                    f"dataset.{key}={amount} draws {count} of the {len(train)} images that are left of the training "
                    f"images; each of {key} and the pool needs at least 1"
                )
            left = None if groups is None else {name: groups[name] for name in train}
            try:
                chosen[key] = drawn(count, {n: strata[n] for n in train}, left, numpy_rng(run, "split", key))
            except ValueError as error:
                raise ValueError(f"dataset.{key}={amount} with dataset.group={wanted.group}: {error}") from error
            train = sorted(set(train) - set(chosen[key]))
    tests = {"test": chosen["test"]} if parts.tests is None else {k: tuple(sorted(v)) for k, v in parts.tests.items()}
    return tuple(train), chosen["val"] if parts.val is None else tuple(sorted(parts.val)), tests


def _refuse_straddling(parts: Parts, wanted: Wanted, groups: Mapping[str, str]) -> None:
    """ValueError where folders or lists put a group into two splits."""
    places: dict[str, list[str]] = {}
    for split, names in (("train", parts.train), ("val", parts.val or ()), *(parts.tests or {}).items()):
        for group in sorted({groups[name] for name in names}):
            places.setdefault(group, []).append(split)
    twice = [f"{group} ({' and '.join(splits)})" for group, splits in sorted(places.items()) if len(splits) > 1]
    if twice:
        raise ValueError(
            f"{len(twice)} groups of dataset.group={wanted.group} are in two splits, so that what is trained on is "
            f"measured: {first_few(twice)}; draw val and test as numbers, or set dataset.group=null"
        )


def _listed(path: Path, names: Names, problems: dict[str, list[str]]) -> set[str]:
    """The images that a list names, one per line, alone or before further columns; "#" begins a comment."""
    if not os.path.isfile(path):  # also where the path is too long for a file
        problems["list that is not there"].append(str(path))
        return set()
    try:
        lines = text_of(path).split("\n")
    except ValueError as error:
        problems["list that cannot be read"].append(str(error))
        return set()
    found: set[str] = set()
    for number, line in enumerate(lines, start=1):
        fitting = names.of_line(line) if line.strip() else []
        if not line.strip() or (line.lstrip().startswith("#") and not fitting):
            continue
        where = f"{path.name} line {number}: {line.strip()}"
        if len(fitting) != 1:
            kind = "list entry that fits several images" if fitting else "list entry without an image"
            problems[kind].append(f"{where} ({', '.join(fitting)})" if fitting else where)
        elif fitting[0] in found:
            problems["image that a list names twice"].append(where)
        found.update(fitting[:1])
    if not found:
        problems["split without an image"].append(str(path))
    return found
