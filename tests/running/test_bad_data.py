"""Bad data, line by line: each is refused in words that help, without a traceback, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bad_inputs.goods import Bad
from bad_inputs.line import Good
from bad_inputs.refusal import DATA, SECONDS, good, parameters, refused

__all__ = ["good"]
MESSAGES: dict[str, str] = {}
"""What each line was told; the last test counts the different ones."""

pytestmark = pytest.mark.timeout(SECONDS)


@pytest.mark.parametrize(("area", "bad"), parameters(DATA))
def test_bad_data_are_refused_in_words_that_help(
    area: str, bad: Bad, good: Callable[[Good], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MESSAGES[f"{area}: {bad}"] = refused(bad, good, tmp_path, monkeypatch)


def test_bad_data_are_told_apart() -> None:
    if len(MESSAGES) > 100:  # else few were chosen to run
        assert len(set(MESSAGES.values())) >= 40
