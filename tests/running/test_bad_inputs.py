"""Bad commands, line by line: each is refused in words that help, without a traceback, and leaves nothing behind."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_inputs.goods import GOODS, WORDS, Bad
from bad_inputs.line import ROOT, Good, ended
from bad_inputs.refusal import DATA, PROGRAM, SECONDS, good, left, lines_of, parameters, quick, refused

__all__ = ["good"]
MESSAGES: dict[str, str] = {}
"""What each line was told; the last test counts the different ones."""

pytestmark = pytest.mark.timeout(SECONDS)


@pytest.mark.parametrize(("area", "bad"), parameters(PROGRAM))
def test_a_bad_line_is_refused_in_words_that_help(
    area: str, bad: Bad, good: Callable[[Good], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MESSAGES[f"{area}: {bad}"] = refused(bad, good, tmp_path, monkeypatch)


def test_the_table_has_many_lines_damaged_files_and_messages() -> None:
    every = [bad for area, bad in lines_of((*PROGRAM, *DATA)) if quick(area, bad)]
    assert len(every) >= 250
    assert sum(bad.damage is not None for bad in every) >= 60
    if len(MESSAGES) > 100:  # else few were chosen to run
        assert len(set(MESSAGES.values())) >= 40


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
