"""Checks the values that describe a folder of images, before any file is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from seg_al.datasets.file_patterns import Pattern


def refuse_other_kinds(
    texts: Mapping[str, object],
    maybe_texts: Mapping[str, object],
    lists: Mapping[str, object],
    splits: Mapping[str, object],
    numbers: Mapping[str, object],
) -> None:
    """ValueError that lists each key whose value is not of its kind: text, text or null, list, split, number."""
    wrong = [f"dataset.{key}={value!r} is not a text" for key, value in texts.items() if not _is_text(value)]
    wrong += [
        f"dataset.{key}={value!r} is not a text, or null"
        for key, value in maybe_texts.items()
        if not (value is None or _is_text(value))
    ]
    wrong += [f"dataset.{key}={value!r} is not a list" for key, value in lists.items() if not _is_list(value)]
    wrong += [
        f"dataset.{key}={value!r} is not a name, a list of names, or a number"
        for key, value in splits.items()
        if not (_is_number(value) or isinstance(value, str | bool) or _is_names(value))
    ]
    wrong += [f"dataset.{key}={value!r} is not a number" for key, value in numbers.items() if not _is_number(value)]
    if wrong:
        raise ValueError("the dataset is described wrongly:\n" + "\n".join(f"  - {one}" for one in wrong))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_names(value: object) -> bool:
    return isinstance(value, Sequence) and all(isinstance(one, str) for one in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def pattern_problems(patterns: Mapping[str, str]) -> list[str]:
    """Problems of patterns: fields that the images do not have, and two equal patterns."""
    fields = Pattern(patterns["images"]).fields
    wrong = []
    for key, text in patterns.items():
        strange = [one for one in Pattern(text).fields if one not in fields]
        if strange:
            known = ", ".join(fields) or "none"
            wrong.append(f"dataset.{key}={text} has {{{strange[0]}}}, but the fields of dataset.images are: {known}")
        if key != "images" and text == patterns["images"]:
            wrong.append(f"dataset.{key}={text} is the same as dataset.images")
    return wrong


def size_problems(scale: float, size: Sequence[int] | None) -> list[str]:
    """Problems of scale and size: wrong values, and both given at once."""
    if not (math.isfinite(scale) and scale > 0):
        return [f"dataset.scale={scale} is not a factor above 0; 1.0 keeps the size, 0.5 halves it"]
    if size is not None and (
        not _is_list(size) or len(size) != 2 or any(not isinstance(one, int) or one < 1 for one in size)
    ):
        return [f"dataset.size={size} is not [height, width] in pixels"]
    if size is not None and scale != 1:
        return [f"dataset.size={list(size)} and dataset.scale={scale} contradict; set size=null or scale=1.0"]
    return []
