"""From the values in a mask, ids or colours, to class ids: the table of a dataset's classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from seg_al.core import IGNORE, ByteImage
from seg_al.datasets.files.pixels import read_colours, read_ids

MaskCoding = Literal["ids", "colours"]
UNKNOWN = IGNORE - 1
"""In the lookup table: a value that is neither of a class nor void."""
HIGHEST_ID = 2**16 - 1
RANGE = re.compile(r"(\d{1,5}) *- *(\d{1,5})|(>=|>|<=|<) *(\d{1,5})")


@dataclass(frozen=True)
class ClassIds:
    """Which mask value is of which class; `class_ids` makes it from a config. A colour is 65536 R + 256 G + B."""

    names: tuple[str, ...]
    """In the order of the class ids."""
    of_value: Mapping[int, int]
    """Class id by mask value; IGNORE for void."""
    coding: MaskCoding
    nearest: int = 0
    """How far a value may be from a listed one, in each channel, to count as it; of two equally near, the smaller."""
    _near: dict[int, int | None] = field(default_factory=dict, repr=False, compare=False)

    def class_of(self, value: int) -> int | None:
        """The class id of a mask value, IGNORE for void; None where it is neither."""
        if value in self.of_value or self.nearest == 0:
            return self.of_value.get(value)
        if value not in self._near:
            shift = (0,) if self.coding == "ids" else (16, 8, 0)
            every = (
                (
                    max(
                        abs((value >> by) - (one >> by))
                        if self.coding == "ids"
                        else abs((value >> by & 255) - (one >> by & 255))
                        for by in shift
                    ),
                    one,
                )
                for one in self.of_value
            )
            distance, one = min(every)
            self._near[value] = self.of_value[one] if distance <= self.nearest else None
        return self._near[value]

    def name_of(self, value: int) -> str:
        place = self.class_of(value)
        return "unknown" if place is None else "void" if place == IGNORE else self.names[place]

    @cached_property
    def _lookup(self) -> ByteImage:
        table = np.full(max(256, *(value + 1 for value in self.of_value)), UNKNOWN, dtype=np.uint8)
        table[list(self.of_value)] = list(self.of_value.values())
        return table

    def values(self, path: Path, page: int | None = None) -> npt.NDArray[Any]:  # [H, W]
        """The values in the file. ValueError where it is corrupt, or coloured although ids are asked for."""
        return read_ids(path, page) if self.coding == "ids" else read_colours(path, page)

    def __call__(self, values: npt.NDArray[Any]) -> ByteImage:  # [H, W] -> [H, W]
        """Class ids, IGNORE where void. ValueError naming the values that the table does not have."""
        if values.min() >= 0 and values.max() < len(self._lookup):
            target: ByteImage = self._lookup[values]
            if not (target == UNKNOWN).any():
                return target
        every, places = np.unique(values, return_inverse=True)
        found = [self.class_of(value) for value in every.tolist()]
        unknown = [value for value, place in zip(every.tolist(), found, strict=True) if place is None]
        if not unknown:
            return np.array(found, dtype=np.uint8)[places].reshape(values.shape)
        raise ValueError(f"it holds values outside the class list: {', '.join(map(self.show, unknown[:20]))}")

    def show(self, value: int) -> str:
        """The value as it is written in a config."""
        return str(value) if self.coding == "ids" else f"[{value >> 16}, {value >> 8 & 255}, {value & 255}]"

    def labelled(self, counts: Mapping[int, int]) -> int:
        """Number of pixels that belong to a class; `counts` gives the pixels of each mask value."""
        return sum(count for value, count in counts.items() if self.class_of(value) not in (IGNORE, None))


def count_values(values: npt.NDArray[Any]) -> dict[int, int]:
    """Pixels by value."""
    if values.dtype in (np.uint8, np.uint16):
        every = np.bincount(values.reshape(-1))
        return {value: int(every[value]) for value in np.flatnonzero(every).tolist()}
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def class_ids(classes: Sequence[Sequence[Any]], void: Sequence[Any], coding: MaskCoding, nearest: int = 0) -> ClassIds:
    """`classes` are pairs of a name and a value or several; `void` are values.

    Raises one ValueError that lists malformed entries, entries that stand twice, and too few or too many classes.
    """
    if coding not in get_args(MaskCoding):
        raise ValueError(f"dataset.coding={coding!r} is unknown; choose {' or '.join(get_args(MaskCoding))}")
    problems: list[str] = []
    names: list[str] = []
    of_value: dict[int, int] = {}
    owner: dict[int, str] = {}
    for name, given, identity in _entries(classes, void, problems):
        if name in names:
            problems.append(f"dataset.classes has {name!r} twice")
        if identity != IGNORE:
            names.append(name)
        try:
            values = _values(given, coding)
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        others = dict.fromkeys(owner[value] for value in values if value in owner)
        problems += [f"the value {given} of {name} is also that of {other}" for other in others]
        owner.update(dict.fromkeys(values, name))
        of_value.update(dict.fromkeys(values, identity))
    if not 2 <= len(classes) <= UNKNOWN:
        problems.append(f"dataset.classes has {len(classes)} entries; 2 to {UNKNOWN} are possible")
    if not _whole([nearest], HIGHEST_ID):
        problems.append(f"dataset.nearest={nearest!r} is not a distance of mask values: 0 or a larger whole number")
    if problems:
        raise ValueError("dataset.classes and dataset.void do not fit:\n" + "\n".join(f"  - {one}" for one in problems))
    return ClassIds(tuple(names), of_value, coding, nearest)


def _entries(
    classes: Sequence[Sequence[Any]], void: Sequence[Any], problems: list[str]
) -> Iterator[tuple[str, Any, int]]:
    """Name, values as given and class id of each entry; the malformed ones go into `problems`."""
    for identity, entry in enumerate(classes):
        if (
            isinstance(entry, str)
            or not isinstance(entry, Sequence)
            or len(entry) != 2
            or not isinstance(entry[0], str)
        ):
            problems.append(f"dataset.classes[{identity}]={entry} is not [name, value] or [name, [value, value, ...]]")
        else:
            yield entry[0], entry[1], identity
    yield from (("dataset.void", one, IGNORE) for one in void)


def _values(given: Any, coding: MaskCoding) -> list[int]:
    """The values of one entry as numbers."""
    if coding == "ids":
        entries = [given] if isinstance(given, int | str) else given
        if isinstance(entries, Sequence) and entries:
            ids = [one for entry in entries for one in (_range(entry) if isinstance(entry, str) else [entry])]
            if _whole(ids, HIGHEST_ID):
                return ids
        raise ValueError(
            f'{given} is not an id from 0 to {HIGHEST_ID}, a range such as "1-5" or ">=128", or a list of these'
        )
    colours = [given] if _whole(given, 255) else given
    if isinstance(colours, Sequence) and colours and all(_whole(one, 255) and len(one) == 3 for one in colours):
        return [red << 16 | green << 8 | blue for red, green, blue in colours]
    raise ValueError(f"{given} is not a colour [red, green, blue] of values from 0 to 255, or a list of such colours")


def _range(text: str) -> list[int]:
    """The ids of "1-5", ">=128", ">127", "<=9" or "<10"; none where it is no range of ids."""
    if (match := RANGE.fullmatch(text.strip())) is None:
        return []
    first, last, sign, limit = match.groups()
    if sign is None:
        return list(range(int(first), min(int(last), HIGHEST_ID) + 1))
    edge = int(limit)
    if sign.startswith(">"):
        return list(range(edge + (sign == ">"), HIGHEST_ID + 1))
    return list(range(min(edge + (sign == "<="), HIGHEST_ID + 1)))


def _whole(given: Any, highest: int) -> bool:
    """Whether `value` is a list of whole numbers from 0 to `highest`."""
    return (
        isinstance(given, Sequence)
        and len(given) > 0
        and all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= highest for one in given)
    )
