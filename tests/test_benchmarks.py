"""The benchmarks write their figures as rows of one table, which stands in a page."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
BENCHMARKS = sorted(SCRIPTS.glob("benchmark_*.py"))


@pytest.fixture
def program() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPTS / "benchmarks.py")))


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda path: path.stem)
def test_every_benchmark_has_a_short_form_with_rows_and_stands_in_the_page(script: Path) -> None:
    text, page = script.read_text(), (SCRIPTS.parent / "docs" / "speed.md").read_text()
    assert [word for word in ('"--short"', '"--rows"') if word not in text] == []
    assert f"`{script.name}`" in page


def test_rows_become_a_table_between_the_marks_of_a_page(program: Any, tmp_path: Path) -> None:
    rows = [
        program.Row("a query", 0.05, "s", "a loop", 3.456, 69.12, 99.2, 1514.0, "the same picks"),
        program.Row("what | failed", note="stopped after 600 s"),
    ]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{program.BEGIN}\nold\n{program.END}\nafter\n")
    program.into_page(page, program.table(rows))
    lines = page.read_text().splitlines()
    assert lines[:3] == ["before", program.BEGIN, ""]
    assert lines[-3:] == ["", program.END, "after"]
    assert "| a query: the same picks | 50 ms | 3.46 s | a loop | 69.1 | 99 MiB / 1,514 MiB |" in lines
    assert "| what \\| failed: stopped after 600 s |  |  |  |  |  |" in lines
    assert "old" not in lines
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="has no lines"):
        program.into_page(page, "")


def test_a_thin_benchmark_writes_rows_with_its_alternative(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # the script sets it too
    monkeypatch.setattr(sys, "argv", ["benchmark_folder.py", "--files", "40", "--rows", str(tmp_path / "rows.json")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / "benchmark_folder.py"), run_name="__main__")
    rows = [program.Row(**one) for one in json.loads((tmp_path / "rows.json").read_text())]
    assert ended.value.code == 0
    assert [row.alternative for row in rows] == ["a loop that opens all"] * 2
    assert all(row.ratio == pytest.approx(row.theirs / row.ours) for row in rows)
