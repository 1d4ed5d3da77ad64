"""Bad data, line by line: each is refused in words that help, without a traceback, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bad_inputs.goods import Bad
from bad_inputs.line import Good
from bad_inputs.refusal import DATA, SECONDS, good, lines_of, refused

__all__ = ["good"]
MESSAGES: dict[str, str] = {}
"""What each line was told; the last test counts the different ones."""
LINES = lines_of(DATA)

pytestmark = pytest.mark.timeout(SECONDS)


@pytest.mark.parametrize(("area", "bad"), LINES, ids=[f"{area}: {bad}" for area, bad in LINES])
def test_bad_data_are_refused_in_words_that_help(
    area: str, bad: Bad, good: Callable[[Good], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MESSAGES[f"{area}: {bad}"] = refused(bad, good, tmp_path, monkeypatch)


def test_bad_data_are_told_apart() -> None:
    if len(MESSAGES) == len(LINES):  # else some were not chosen to run
        assert len(set(MESSAGES.values())) >= 100
