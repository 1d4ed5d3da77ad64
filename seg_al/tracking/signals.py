"""Handles signals: each one ends a run, or a sweep with its workers, in order, and no process is left behind.

A signal becomes an exception that unwinds what is going on. A run handles it itself (Ending); what goes on around runs
listens (listen), and so do joblib's processes (Worker), which end with their sweep.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import active_children
from types import FrameType
from typing import Any, NoReturn

from seg_al.asking.memory import keep_imports

log = logging.getLogger(__name__)

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
WORKER = "LokyProcess"
"""The beginning of the names of joblib's processes."""
LOOK_SECONDS = 1.0
"""Seconds between two checks of a worker whether its sweep still lives."""


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
        if handlers := _handlers():
            threading.Thread(target=self._watch, args=(over,), name="seg_al signals", daemon=True).start()
        for number, before in handlers.items():
            if before is signal.SIG_DFL or callable(before):
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
        if os.getpid() != self._owner:
            _give_back(number, before)
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


def _handlers() -> dict[int, Any]:
    """What handles each signal that ends a run, by number; none outside the main thread, which alone may change it."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    there = {
        number for name, number in signal.Signals.__members__.items() if name in STATUSES
    }  # some do not exist on Windows
    return {number: signal.getsignal(number) for number in sorted(there)}


def _give_back(number: int, before: Any) -> None:
    """Restores the earlier handler in a forked worker, which has inherited ours, and sends the signal again."""
    signal.signal(number, before)
    os.kill(os.getpid(), number)


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


def listen(act: Callable[[int], None]) -> None:
    """From now on `act` gets the number of a signal that ends a run, one in CALM_SECONDS; not in forks of this process.

    Outside the main thread, where Python allows no handlers, and of signals that others handle, nothing is changed.
    """
    owner, last, before = os.getpid(), -math.inf, dict[int, Any]()

    def handle(number: int, frame: object) -> None:
        nonlocal last
        if os.getpid() != owner:
            _give_back(number, before[number])
        elif time.monotonic() - last > CALM_SECONDS:
            last = time.monotonic()
            act(number)

    for number, now in _handlers().items():
        if now in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, handle)


def raised(number: int) -> NoReturn:
    raise signalled(number)


def number_of(stop: KeyboardInterrupt) -> int:
    """The signal that has become this exception."""
    return int(signal.Signals.__members__.get(str(stop), signal.SIGINT))


def end_workers(number: int, running: Callable[[], bool]) -> None:
    """Sends a signal to joblib's workers, and waits while their runs are `running`, for CALM_SECONDS at most.

    Joblib itself kills its workers as soon as anything is raised.
    """
    workers = [child.pid for child in active_children() if child.name.startswith(WORKER)]
    if not workers:
        return
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(int(pid or 0), number)
    log.info("%s: waits up to %g s for the runs to stop", signal.Signals(number).name, CALM_SECONDS)
    end = time.monotonic() + CALM_SECONDS
    while running() and time.monotonic() < end:
        time.sleep(0.05)


class Worker:
    """A process of joblib: a signal ends its run and then the sweep, and it does not outlive its sweep.

    Between two jobs a signal only waits for the next: a worker that dies, or raises, makes joblib kill those beside it.
    """

    def __init__(self, sweep: int) -> None:
        self._sweep = sweep
        self._signal: int | None = None
        self._in_job = False
        listen(self._heard)
        threading.Thread(target=self._watch, name="seg_al sweep", daemon=True).start()

    @contextmanager
    def job(self) -> Iterator[None]:
        """A signal can stop the block; then the process only waits for the end of the sweep."""
        self._in_job = True
        try:
            if self._signal is not None:
                raised(self._signal)
            yield
        except KeyboardInterrupt as stop:
            self._end(number_of(stop))
        finally:
            self._in_job = False

    def _heard(self, number: int) -> None:
        self._signal = number
        if self._in_job:
            raised(number)

    def _end(self, number: int) -> NoReturn:
        if self._sweep_lives():
            os.kill(self._sweep, number)
        while self._sweep_lives():
            time.sleep(0.05)
        os._exit(128 + number)  # nothing is left that would catch an exception

    def _sweep_lives(self) -> bool:
        return os.getppid() == self._sweep

    def _watch(self) -> None:
        while self._sweep_lives():
            time.sleep(LOOK_SECONDS)
        if self._in_job:
            signal.pthread_kill(int(threading.main_thread().ident or 0), signal.SIGTERM)
        while self._in_job:
            time.sleep(0.05)
        os._exit(128 + signal.SIGTERM)


_workers: list[Worker] = []  # this process, where it is one


def work_for(sweep: int) -> None:
    """Makes this process a worker of the sweep in the process of that number, which must be its parent."""
    if not _workers:
        keep_imports()
        _workers.append(Worker(sweep))


def job() -> AbstractContextManager[None]:
    """A job of a worker; in any other process nothing is changed."""
    return _workers[0].job() if _workers else nullcontext()
