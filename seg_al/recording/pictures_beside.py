"""Draws pictures in a copy of this process, so that the next stage of a run need not wait for them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import torch

from seg_al.core import Draw
from seg_al.whole_files import write_whole

Picture = tuple[Path, Draw]
_DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


@dataclass
class PicturesBeside:
    """Pictures that are drawn while the run goes on. Each is written whole; leaving the block waits for all of them.

    A copy of the process costs little on Linux, where it shares the memory; elsewhere, and where the process may use
    one core only, pictures are drawn at once.
    """

    _begun: list[tuple[Callable[[], None], Callable[[], None]]] = field(default_factory=list)

    def begin(self, pictures: Sequence[Picture], then: Callable[[], None] = lambda: None) -> None:
        """Begins to draw pictures, in their order; `then` is called when they are waited for and are there."""
        if pictures and sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1:
            self._begun.append((_copy_that_draws(pictures), then))
        else:
            _draw(pictures)
            self._begun.append((lambda: None, then))

    def wait(self) -> None:
        """Waits for all that was begun, in its order. Raises what drawing raised."""
        while self._begun:
            drawn, then = self._begun.pop(0)
            drawn()
            then()

    def __enter__(self) -> PicturesBeside:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None or isinstance(error, Exception):  # a signal does not wait: copies end with the process
            self.wait()


def _draw(pictures: Sequence[Picture]) -> None:
    for path, draw in pictures:
        write_whole(path, draw)


def _copy_that_draws(pictures: Sequence[Picture]) -> Callable[[], None]:
    """Starts the copy; the function waits for its end and raises what it raised."""
    fork = get_context("fork")
    told, tells = fork.Pipe(duplex=False)
    copy = fork.Process(target=_draw_and_tell, args=(pictures, tells), daemon=True)
    with warnings.catch_warnings():  # Python 3.12 warns of threads, whose locks the copy might need: it only draws
        warnings.simplefilter("ignore", DeprecationWarning)
        copy.start()
    tells.close()

    def wait() -> None:
        try:
            error, where = told.recv()
        except EOFError:
            copy.join()
            raise RuntimeError(f"the process that draws {pictures[0][0]} ended with {copy.exitcode}") from None
        finally:
            told.close()
        copy.join()
        if error is not None:
            raise error from RuntimeError(where)

    return wait


def _draw_and_tell(pictures: Sequence[Picture], tells: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    torch.set_num_threads(1)  # the threads of OpenMP are not copied
    try:
        _draw(pictures)
    except Exception as error:
        where = traceback.format_exc()
        try:
            tells.send((error, where))
        except Exception:  # an error that cannot be pickled
            tells.send((RuntimeError(str(error)), where))
    else:
        tells.send((None, ""))
