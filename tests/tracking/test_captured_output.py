"""The captured output of a run is what its terminal shows: log lines too, each once, to the last one before its end."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from experiments import TINY, command
from seg_al.tracking.backends import FileTracking
from seg_al.tracking.signals import Signalled

# sacred 0.8.7 asks for the time in a way that Python 3.12 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
log = logging.getLogger(__name__)


@contextmanager
def terminal() -> Iterator[logging.StreamHandler[io.StringIO]]:
    """A handler as Hydra makes one before a run: it holds the standard output of that time, here a made-up one."""
    root = logging.getLogger()
    log.setLevel(logging.INFO)
    with redirect_stdout(io.StringIO()) as screen:
        handler = logging.StreamHandler(screen)
        root.addHandler(handler)
        try:
            yield handler
        finally:
            root.removeHandler(handler)


def captured(folder: Path) -> str:
    return (folder / "sacred" / "1" / "cout.txt").read_text()


def test_the_rounds_that_run_py_tells_of_are_captured_and_shown_once_each(tmp_path: Path) -> None:
    ended = command(tmp_path, *TINY, "rounds=2", "tracking=file", "folder=one")
    assert ended.code == 0, ended.text
    shown = [line for line in ended.text.splitlines() if " round " in line]
    kept = [line for line in captured(tmp_path / "one").splitlines() if " round " in line]
    assert kept == shown
    assert len(set(kept)) == len(kept)
    assert any("round 0: 2 images of 6" in line for line in kept)
    assert any("round 1: 3 images, val dice" in line for line in kept)


@pytest.mark.parametrize(("capture", "kept"), [("sys", "printed\nlogged\n"), ("no", "")])
def test_a_handler_of_the_terminal_is_captured_during_the_run_and_left_as_it_was(
    capture: Any, kept: str, tmp_path: Path
) -> None:
    def main(tracker: Any) -> None:
        sys.stdout.write("printed\n")
        log.info("logged")
        raise RuntimeError("on purpose")

    with terminal() as handler:
        screen = handler.stream
        with pytest.raises(RuntimeError, match="on purpose"):
            FileTracking(60.0, capture).record(main, {"run": 1}, tmp_path, "one")
        log.info("after the run")
        assert handler.stream is screen
        assert screen.getvalue() == "printed\nlogged\nafter the run\n"
    assert captured(tmp_path) == kept


def test_a_handler_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Such as that of run.log, or of a library."""
    with terminal() as handler:
        handler.setStream(io.StringIO())
        FileTracking(60.0, "sys").record(lambda tracker: log.info("logged"), {"run": 1}, tmp_path, "one")
        assert handler.stream.getvalue() == "logged\n"
    assert captured(tmp_path) == ""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, "INTERRUPTED"), (signal.SIGUSR2, "TIMEOUT")])
def test_a_run_that_a_signal_stops_keeps_its_output_to_the_last_line(number: int, status: str, tmp_path: Path) -> None:
    def main(tracker: Any) -> None:
        log.info("before the signal")
        try:
            signal.raise_signal(number)
        finally:
            log.info("while it unwinds")
            sys.stdout.write("the last words")

    before = signal.signal(number, signal.SIG_DFL)
    try:
        with terminal(), pytest.raises(Signalled):
            FileTracking(60.0, "sys").record(main, {"run": 1}, tmp_path, "one")
    finally:
        signal.signal(number, before)
    assert captured(tmp_path) == "before the signal\nwhile it unwinds\nthe last words"
    assert json.loads((tmp_path / "sacred" / "1" / "run.json").read_text())["status"] == status


def test_no_line_is_lost_or_overwritten_while_another_thread_reads(tmp_path: Path) -> None:
    """As a beat does."""
    lines = [f"line {number}\n" for number in range(30_000)]

    def main(tracker: Any) -> None:
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                tracker.files.output.text()

        thread = threading.Thread(target=read)
        thread.start()
        try:
            for line in lines:
                sys.stdout.write(line)
        finally:
            over.set()
            thread.join()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        FileTracking(60.0, "sys").record(main, {"run": 1}, tmp_path, "one")
    finally:
        sys.setswitchinterval(before)
    assert captured(tmp_path) == "".join(lines)
