"""Rooms that serve every task name none: what a label is, is said in tasks/, measuring/ and the rooms around them."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "seg_al"

ROOMS = ("asking", "selectors", "results", "tracking")
WORDS = {"semantic", "instance", "instances", "object", "objects", "mask", "masks", "dice", "miou", "ap"}
"""Of labels and of how they are measured."""
OTHERS = {"object", "read_object", "OBJECT", "ObjectId"}
"""Names of Python's own object, of those of JSON, and of MongoDB's keys."""


DROPOUT = {"asking/audit.py": {"mask", "masks"}}
"""Modules that speak of the masks of dropout."""


def named(source: str) -> Iterator[str]:
    """The words of a module's names, texts and comments that are of one task."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = token.string
        if token.type == tokenize.NAME:
            text = "" if text in OTHERS else re.sub(r"([a-z])([A-Z])", r"\1_\2", text)
        words = re.findall(r"[a-z]+", re.sub(r"JSON objects?", "", text).lower())
        yield from (f"{token.start[0]}: {word}" for word in words if word in WORDS)


FILES = sorted([*(path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")), *PACKAGE.glob("*.py")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_that_serves_every_task_names_none(path: Path) -> None:
    allowed = DROPOUT.get(str(path.relative_to(PACKAGE)), set())
    assert [line for line in named(path.read_text()) if line.split(": ")[1] not in allowed] == []


def test_the_search_finds_names_texts_and_comments() -> None:
    source = (
        'def of_masks(value: object) -> str:  # Dice\n    return "test/ap: a JSON object, no instance"\nObjectMap = 1\n'
    )
    assert list(named(source)) == ["1: masks", "1: dice", "2: ap", "2: instance", "3: object"]
