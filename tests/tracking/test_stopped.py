"""What stands in a run's folder after an attempt that ended before its time."""

from __future__ import annotations

import logging
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from seg_al.tracking.signals import Signalled
from seg_al.tracking.stopped import noted, stop_of


def attempt(folder: Path, error: BaseException) -> None:
    with noted(folder):
        logging.getLogger().warning("about to fail")
        raise error


@pytest.mark.parametrize(
    ("error", "how", "reason"),
    [
        (ValueError("model.width is 0"), "failed", "model.width is 0"),
        (RuntimeError("no kernel"), "failed", "RuntimeError: no kernel"),
        (Signalled("SIGTERM", "INTERRUPTED"), "interrupted", "Signalled: SIGTERM"),
    ],
)
def test_an_error_is_noted_and_comes_out_as_it_is(error: BaseException, how: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as raised:
        attempt(tmp_path, error)
    assert raised.value is error
    stop = stop_of(tmp_path)
    assert (stop.how, stop.reason) == (how, reason)
    assert "about to fail" in (tmp_path / "run.log").read_text()
    with noted(tmp_path):
        assert stop_of(tmp_path) is None


def test_on_a_full_disk_any_error_is_that_and_what_is_half_written_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = tmp_path / "rounds" / "01" / ".weights.partial.pt"
    half.parent.mkdir(parents=True)
    half.touch()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(4096))
    with pytest.raises(ValueError, match=rf"the disk of {tmp_path} is full; make room, and run the same command again"):
        attempt(tmp_path, RuntimeError("PytorchStreamWriter failed writing file data/2: file write failed"))
    assert stop_of(tmp_path).reason.startswith("the disk of ")
    assert not half.exists()
    with pytest.raises(Signalled):  # which is no failure
        attempt(tmp_path, Signalled("SIGTERM", "INTERRUPTED"))
