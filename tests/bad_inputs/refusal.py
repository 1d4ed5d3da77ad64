"""What is asserted of a bad line, and the good inputs that lines are tried on."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import pytest

from bad_inputs.goods import Bad
from bad_inputs.line import Good, ended, message

SECONDS = 60
"""A line that takes so long hangs: it takes half a second."""
PROGRAM = ("config", "commands", "disk", "results", "scripts")
DATA = ("files", "folder", "glas", "coco", "labelme")
"""The areas of the table, in two halves that are tried beside each other."""


def lines_of(areas: Sequence[str]) -> list[tuple[str, Bad]]:
    return [(area, bad) for area in areas for bad in import_module(f"bad_inputs.{area}").LINES]


def quick(area: str, bad: Bad) -> bool:
    """Nine lines of twenty, drawn by what they say."""
    return zlib.crc32(f"{area}: {bad} {bad.words}".encode()) % 20 < 9


def parameters(areas: Sequence[str]) -> list[object]:
    """Each line as a parameter; those that are not quick run where slow tests do."""
    return [
        pytest.param(area, bad, id=f"{area}: {bad}", marks=() if quick(area, bad) else pytest.mark.slow)
        for area, bad in lines_of(areas)
    ]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Good], Path]:
    """The directory of a good input, made once; nobody may change it."""
    made: dict[str, Path] = {}

    def make(one: Good) -> Path:
        if one.name not in made:
            made[one.name] = tmp_path_factory.mktemp(one.name)
            one.make(made[one.name])
        return made[one.name]

    return make


def left(place: Path) -> set[str]:
    """The folders of runs."""
    return {path.name for path in (place / "runs").glob("[!.]*")}


def refused(bad: Bad, good: Callable[[Good], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The message of the line, with names and numbers left out, after all that must be true of it."""
    place = good(bad.on)
    if bad.damage:
        place = Path(shutil.copytree(place, tmp_path / "place"))
        bad.damage(place)
    monkeypatch.chdir(place)
    before = left(place)
    code, text = ended(bad.line, bad.on)
    assert code != 0, text
    assert "Traceback" not in text, text
    assert [word for word in bad.words if word not in text] == [], text
    assert left(place) == before
    return message(text)
