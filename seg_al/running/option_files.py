"""The files of conf/ and of users' folders that are chosen as options, and what is wrong in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def option_of(path: Path, group: str) -> dict[str, Any]:
    """The values of an option's file; one that also chooses other groups has its values under its group's name.

    Raises ValueError, naming the file, for one that is no option.
    """
    if wrong := mistake_of(path):
        raise ValueError(wrong)
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return content.get(group) or {} if "defaults" in content else content


def options_in(folders: Sequence[Path], group: str) -> list[Path]:
    """The file of each option of a group; of two with one name Hydra takes the first."""
    return [path for folder in folders for path in sorted((folder / group).glob("*.yaml"))]


def mistake_of(path: Path) -> str:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if node is not None and not isinstance(node, yaml.MappingNode):
            return f"{path} holds no keys with values, such as budget: 3"
        if node is not None and _size(node, {}) > MOST_VALUES:
            return f"{path} holds more than {MOST_VALUES} values, by aliases of aliases (*NAME): write them out"
        return _doubled(path, node)
    except yaml.MarkedYAMLError as error:
        lines = [mark.line + 1 for mark in (error.context_mark, error.problem_mark) if mark]
        seen = f" in line {lines[-1]}" if len(set(lines)) > 1 else ""
        found = ", ".join(filter(None, (error.context, error.problem)))
        return f"{path}, line {lines[0] if lines else 1}: {found}{seen}"
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"{path} is no YAML: {' '.join(str(error).split())}"


MOST_VALUES = 100_000
"""Values in one file, where each alias (*NAME) counts as all that it repeats: a short file can hold billions."""


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """The values that the node stands for, infinite where it holds itself; each node is visited once."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until all values below it are counted
        below = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else []
        below = node.value if isinstance(node, yaml.SequenceNode) else below
        known[id(node)] = 1 + sum(_size(one, known) for one in below)
    return known[id(node)]


def _doubled(path: Path, node: yaml.Node | None) -> str:
    """The first key that stands twice in a mapping."""
    if isinstance(node, yaml.SequenceNode):
        return next(filter(None, (_doubled(path, one) for one in node.value)), "")
    seen: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        if str(key.value) in seen:
            return f"{path}, line {line}: {key.value} stands in line {seen[str(key.value)]} already"
        seen[str(key.value)] = line
        if told := _doubled(path, value):
            return told
    return ""
