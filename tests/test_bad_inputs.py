"""Bad inputs, line by line: each is refused in words that help, without a traceback, and leaves nothing behind."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import bad_inputs
import pytest
from bad_inputs.goods import GOODS, WORDS, Bad
from bad_inputs.line import ROOT, Good, ended, message

SECONDS = 60
"""A line that takes so long hangs: it takes half a second."""
AREAS = {one.name: import_module(f"bad_inputs.{one.name}") for one in iter_modules(bad_inputs.__path__)}
LINES = [(area, bad) for area, module in AREAS.items() for bad in getattr(module, "LINES", ())]
MESSAGES: dict[str, str] = {}
"""What each line was told; the last test counts the different ones."""

pytestmark = pytest.mark.timeout(SECONDS)


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


@pytest.mark.parametrize(("area", "bad"), LINES, ids=[f"{area}: {bad}" for area, bad in LINES])
def test_a_bad_line_is_refused_in_words_that_help(
    area: str,
    bad: Bad,
    good: Callable[[Good], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = good(bad.on)
    if bad.damage:
        place = Path(shutil.copytree(place, tmp_path / "place"))
        bad.damage(place)
    monkeypatch.chdir(place)
    before = left(place)
    code, text = ended(bad.line, bad.on)
    MESSAGES[f"{area}: {bad}"] = message(text)
    assert code != 0, text
    assert "Traceback" not in text, text
    assert [word for word in bad.words if word not in text] == [], text
    assert left(place) == before


@pytest.mark.parametrize("one", GOODS, ids=lambda one: one.name)
def test_the_good_input_of_the_table_is_accepted(
    one: Good, good: Callable[[Good], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(good(one), tmp_path / "place"))
    code, text = ended("", one)
    assert code == 0, text


@pytest.mark.parametrize("words", ["budget=x", "-m run=0,1 mc_iters=0", "dataset=nowhere"])
def test_a_bad_line_is_refused_alike_by_the_program_itself(words: str, good: Callable[[Good], Path]) -> None:
    place = good(GOODS[0])
    program = [sys.executable, str(ROOT / "run.py"), *WORDS, *shlex.split(words)]
    found = subprocess.run(program, cwd=place, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "Traceback" not in found.stdout + found.stderr
    assert not left(place)
