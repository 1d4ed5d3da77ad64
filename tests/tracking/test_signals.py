"""Signals that end a run: each one arrives, also where Python drops the exception, and none cuts what it has begun."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from seg_al.core import Tracker
from seg_al.tracking.backends import FileTracking
from seg_al.tracking.signals import Ending, Signalled

# sacred 0.8.7 asks for the time in a way that Python 3.12 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

PATIENCE = 10.0
"""Seconds that a test waits for a signal that it has lost; it comes after half of one."""


class Signalling:
    """Gets a signal while it is being deleted, where Python ignores exceptions."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.fixture
def ignored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Python has ignored, in words; pytest's own hook would keep the exceptions alive."""
    words: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: words.append(repr(told.exc_value)))
    return words


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    """Python's own handlers: what started the tests may ignore some."""
    ours = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler, signal.SIGUSR2: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in ours.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def losing(number: int) -> None:
    """Loses a signal, then works on until it is heard of again."""
    Signalling(number)  # deleted at once
    work(PATIENCE)


def work(seconds: float) -> None:
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        time.sleep(0.01)


def test_a_signal_that_python_has_ignored_comes_again_and_ends_the_run_by_its_name(
    ignored: list[str], tmp_path: Path
) -> None:
    def main(tracker: Tracker) -> None:
        losing(signal.SIGUSR2)

    with pytest.raises(Signalled, match="SIGUSR2"):
        FileTracking(60.0, "sys").record(main, {"run": 1}, tmp_path, "one")
    assert ignored == ["Signalled('SIGUSR2')"]
    assert json.loads((tmp_path / "sacred" / "1" / "run.json").read_text())["status"] == "TIMEOUT"


def test_a_signal_that_is_ignored_several_times_comes_until_it_arrives(ignored: list[str]) -> None:
    class Deaf:
        """Is being deleted for longer than a signal takes to come again."""

        def __del__(self) -> None:
            losing(signal.SIGTERM)

    def run() -> None:
        Deaf()
        losing(signal.SIGTERM)

    with pytest.raises(Signalled, match="SIGTERM"), Ending().handled():
        run()
    assert ignored == ["Signalled('SIGTERM')"] * 3


def test_a_signal_that_a_careless_except_has_swallowed_comes_again() -> None:
    swallowed = []

    def run() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            swallowed.append(str(error))
        work(PATIENCE)

    with pytest.raises(Signalled, match="SIGTERM"), Ending().handled():
        run()
    assert swallowed == ["SIGTERM"]


def test_the_last_writes_after_a_signal_are_not_cut_by_a_repetition_or_by_a_second_signal() -> None:
    done = []

    def run() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            work(1.2)  # more than two turns of the watch
            done.append("written")

    with pytest.raises(Signalled, match="SIGTERM"), Ending().handled():
        run()
    assert done == ["written"]


def test_what_the_handler_of_a_scheduler_library_raises_may_be_lost_too_and_the_handler_is_called_once(
    ignored: list[str], tmp_path: Path
) -> None:
    called = []

    def requeue(number: int, frame: Any) -> None:
        called.append(number)
        sys.exit(-1)

    signal.signal(signal.SIGUSR2, requeue)
    with pytest.raises(Signalled, match="SIGUSR2"):
        FileTracking(60.0, "no").record(lambda tracker: losing(signal.SIGUSR2), {"run": 1}, tmp_path, "one")
    assert ignored == ["SystemExit(-1)"]
    assert called == [signal.SIGUSR2]
    assert json.loads((tmp_path / "sacred" / "1" / "run.json").read_text())["status"] == "TIMEOUT"


def test_an_error_that_takes_the_place_of_a_signal_is_an_interruption(tmp_path: Path) -> None:
    """As a function of an extension does where the conversion of an argument raises anything."""

    def main(tracker: Tracker) -> None:
        with suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)
        raise TypeError("incompatible function arguments")

    with pytest.raises(Signalled, match="SIGTERM") as raised:
        FileTracking(60.0, "no").record(main, {"run": 1}, tmp_path, "one")
    assert str(raised.value.__cause__) == "incompatible function arguments"
    assert json.loads((tmp_path / "sacred" / "1" / "run.json").read_text())["status"] == "INTERRUPTED"


def test_a_signal_lost_as_a_run_ends_leaves_its_record_complete_and_ends_the_process(
    ignored: list[str], tmp_path: Path
) -> None:
    """Else the next run of a sweep would be in the way of the scheduler's kill."""

    def main(tracker: Tracker) -> float:
        Signalling(signal.SIGTERM)
        return 0.5

    with pytest.raises(Signalled, match="SIGTERM"):
        FileTracking(60.0, "no").record(main, {"run": 1}, tmp_path, "one")
    run = json.loads((tmp_path / "sacred" / "1" / "run.json").read_text())
    assert (run["status"], run["result"]) == ("COMPLETED", 0.5)
    assert ignored == ["Signalled('SIGTERM')"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_nothing_is_left_of_a_run_without_a_signal() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Ending().handled():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    watches = [thread for thread in threading.enumerate() if thread.name == "seg_al signals"]
    for thread in watches:
        thread.join(0.1)  # it does not finish its turn first
    assert not any(thread.is_alive() for thread in watches)
