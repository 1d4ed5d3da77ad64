"""Signals that end a run: they become exceptions that unwind it, so that its record says how it ended."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

INTERRUPTED, TIMEOUT = "INTERRUPTED", "TIMEOUT"
STATUSES = {
    "SIGINT": INTERRUPTED,
    "SIGTERM": INTERRUPTED,
    "SIGHUP": INTERRUPTED,
    "SIGUSR1": TIMEOUT,
    "SIGUSR2": TIMEOUT,
    "SIGXCPU": TIMEOUT,
}
"""Signals and the status of the run they end. USR1 and USR2 are what schedulers send before a time limit."""
CALM_SECONDS = 10.0
"""For as long after the first signal another one is ignored, as the last writes are being made."""
WATCH_SECONDS = 0.5
"""Between two looks whether a signal was lost. Python ignores what is raised in a __del__ or a weakref's callback."""
LIMIT_SECONDS = 60.0
"""SIGTERM as near to Slurm's time limit is the limit."""


class Signalled(KeyboardInterrupt):
    """A signal has ended the run; Sacred reads STATUS."""

    def __init__(self, name: str, status: str) -> None:
        super().__init__(name)
        self.STATUS = status


def signalled(number: int) -> Signalled:
    """What a signal becomes."""
    return Signalled(signal.Signals(number).name, _status(number))


@dataclass(frozen=True)
class Seal:
    """Marks an exception that stands for a signal, and lives as long as it; built-in ones take no weak references."""

    status: str


class Ending:
    """Handles the signals while a run is on. Handlers that others have set (submitit's) are called, and listened to.

    Where an exception has vanished before the run's end, it was lost on its way, and its signal is sent again; one
    that unwinds the run, for however long, is left alone.
    """

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._before: dict[int, Any] = {}
        self._first: float | None = None
        self._raised: tuple[int, weakref.ref[Seal]] | None = None  # the last signal that has become an exception

    def status_of(self, error: BaseException) -> str | None:
        """How a run has ended that a signal ended by this error, ours or their handler's; None for any other error."""
        seal = getattr(error, "seal", None)
        return seal.status if isinstance(seal, Seal) else None

    def instead_of(self, error: BaseException) -> BaseException:
        """What has ended a run: this error, or the signal that was lost before. Extensions put errors in its place."""
        lost = self._lost()
        if lost is None:
            return error
        anew = self._signalled(lost)
        anew.__cause__ = error
        return anew

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Outside the main thread, where Python allows no handlers, nothing is changed."""
        over = threading.Event()
        if threading.current_thread() is threading.main_thread():
            threading.Thread(target=self._watch, args=(over,), name="seg_al signals", daemon=True).start()
            for name in STATUSES:
                number = getattr(signal, name, None)  # Windows lacks some
                before = None if number is None else signal.getsignal(number)
                if number is not None and (before is signal.SIG_DFL or callable(before)):
                    self._before[number] = before
                    signal.signal(number, self._handle)
        try:
            yield
        finally:
            over.set()
            for number, before in self._before.items():
                signal.signal(number, before)
            lost = self._lost()
            if lost is not None:  # the run has ended meanwhile; the process shall
                raise self._signalled(lost)

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(WATCH_SECONDS):
            lost = self._lost()
            if lost is not None:
                _send(lost)

    def _lost(self) -> int | None:
        """The signal whose exception is gone."""
        if self._raised is None:
            return None
        number, seal = self._raised
        return number if seal() is None else None

    def _is_theirs(self, number: int) -> bool:
        before = self._before[number]
        return callable(before) and before is not signal.default_int_handler

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if os.getpid() != self._owner:  # a forked worker has inherited this handler: the signal means what it meant
            signal.signal(number, before)
            os.kill(os.getpid(), number)
        elif self._is_theirs(number) and self._lost() != number:  # else it has done its work already
            try:
                before(number, frame)
            except BaseException as error:
                self._seal(error, number)
                raise
        elif self._lost() is not None or self._first is None or time.monotonic() - self._first > CALM_SECONDS:
            self._first = time.monotonic()
            raise self._signalled(number)

    def _signalled(self, number: int) -> BaseException:
        return self._seal(signalled(number), number)

    def _seal(self, error: BaseException, number: int) -> BaseException:
        """Lets `_lost` know whether the error is alive; it is in no variable of a frame that its traceback names."""
        seal = Seal(_status(number))
        error.seal = seal  # type: ignore[attr-defined]  # an exception takes any attribute
        self._raised = (number, weakref.ref(seal))
        return error


def _send(number: int) -> None:
    """To the main thread, also where it waits for the system; Windows can only tell it when it goes on."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)


def _status(number: int) -> str:
    name = signal.Signals(number).name
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if name == "SIGTERM" and end.isdigit() and abs(time.time() - int(end)) < LIMIT_SECONDS:
        return TIMEOUT
    return STATUSES[name]
