"""Handles signals to a run, or to a sweep with its workers: each run stops in order, and no process is left."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from multiprocessing import active_children
from pathlib import Path
from typing import Any, NoReturn

from seg_al.asking.memory import keep_imports
from seg_al.tracking.attempts import is_running
from seg_al.tracking.signals import CALM_SECONDS, STATUSES, signalled

log = logging.getLogger(__name__)

WORKER = "LokyProcess"
"""The beginning of the names of joblib's processes."""
LOOK_SECONDS = 1.0
"""Seconds between two checks of a worker whether its sweep still lives."""


def listen(act: Callable[[int], None]) -> None:
    """From now on `act` gets the number of a signal that ends a run, one in CALM_SECONDS; not in forks of this process.

    Outside the main thread, where Python allows no handlers, and of signals that others handle, nothing is changed.
    """
    owner, last, before = os.getpid(), -math.inf, dict[int, Any]()

    def handle(number: int, frame: object) -> None:
        nonlocal last
        if os.getpid() != owner:  # a forked worker has inherited this handler: restore the earlier one
            signal.signal(number, before[number])
            os.kill(os.getpid(), number)
        elif time.monotonic() - last > CALM_SECONDS:
            last = time.monotonic()
            act(number)

    if threading.current_thread() is threading.main_thread():
        for name in STATUSES:
            number = getattr(signal, name, None)  # some do not exist on Windows
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, handle)


def raised(number: int) -> NoReturn:
    raise signalled(number)


def number_of(stop: KeyboardInterrupt) -> int:
    """The signal that has become this exception."""
    return int(signal.Signals.__members__.get(str(stop), signal.SIGINT))


def words_of(stop: KeyboardInterrupt, folder: Path) -> str:
    """The message for a run that was stopped."""
    done = sum(1 for _ in folder.glob("rounds/*/metrics.json"))
    return f"stopped by {signal.Signals(number_of(stop)).name} in round {done}; the same command goes on"


def end_workers(number: int, folders: Sequence[Path]) -> None:
    """Sends a signal to joblib's workers, and waits until they have left the folders, for CALM_SECONDS at most.

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
    while any(map(is_running, folders)) and time.monotonic() < end:
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
