"""What a run prints and logs: a file in its folder takes it as it comes, and is read from there."""

from __future__ import annotations

import codecs
import ctypes
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from seg_al.tracking.storable import Capture

FILE = ".output"
"""Removed when the run ends: all of it is in cout.txt then. After a kill it has the last words."""
COPY_SECONDS = 1.0
"""For a copying program to end; a process that was left behind may hold its input for longer."""


class Output:
    """All that was kept so far, tidied; each reading goes on where the one before has ended."""

    def __init__(self, folder: Path, tidy: Callable[[str], str]) -> None:
        self.path = folder / FILE
        self.path.touch()
        self._tidy = tidy
        self._source = self.path.open("rb")
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # half of a character waits for the rest
        self._lock = threading.Lock()
        self._text = ""

    def text(self) -> str:
        with self._lock:
            if new := self._decoder.decode(self._source.read()):
                self._text = self._tidy(self._text + new)
            return self._text

    def remove(self) -> None:
        with self._lock:
            self._source.close()
            self.path.unlink(missing_ok=True)


@contextmanager
def kept(path: Path, capture: Capture) -> Iterator[None]:
    """Appends to the file what goes to the terminal: prints and log lines, or all output of the process."""
    if capture == "sys":
        with path.open("ab", buffering=0) as file, _prints_kept(file):
            yield
    elif capture == "fd":
        with _process_kept(path):
            yield
    else:
        yield


class _Both(io.TextIOBase):
    """A stream of the terminal that writes into a file as well."""

    def __init__(self, terminal: TextIO, file: BinaryIO, lock: threading.RLock) -> None:
        self._terminal, self._file, self._lock = terminal, file, lock

    def write(self, text: str) -> int:
        with self._lock:
            self._terminal.write(text)
            self._file.write(text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        self._terminal.flush()

    def isatty(self) -> bool:
        return self._terminal.isatty()

    def fileno(self) -> int:
        return self._terminal.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._terminal.encoding

    @property
    def buffer(self) -> BinaryIO:
        return self._terminal.buffer


@contextmanager
def _prints_kept(file: BinaryIO) -> Iterator[None]:
    """Log lines too: a handler that was made before the run holds the terminal's own stream."""
    lock = threading.RLock()
    before = (sys.stdout, sys.stderr)
    both = tuple(_Both(stream, file, lock) for stream in before)
    sys.stdout, sys.stderr = both
    held: list[tuple[logging.StreamHandler[Any], Any]] = []
    try:
        for handler in logging.getLogger().handlers:
            for stream, now in zip(before, both, strict=True):
                if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                    held.append((handler, stream))
                    handler.setStream(now)
                    break
        yield
    finally:
        for handler, stream in held:
            handler.setStream(stream)
        sys.stdout, sys.stderr = before


@contextmanager
def _process_kept(path: Path) -> Iterator[None]:
    """By two programs that copy what they read; they hear no Ctrl-C, as they have the last words to copy."""
    saved = {number: os.dup(number) for number in (1, 2)}
    try:
        tees = {
            number: subprocess.Popen(
                ["tee", "-a", path], stdin=subprocess.PIPE, stdout=terminal, start_new_session=True
            )
            for number, terminal in saved.items()
        }
    except FileNotFoundError as error:
        raise ValueError("tracking.capture=fd needs the program tee; use tracking.capture=sys") from error
    _flush()
    for number, tee in tees.items():
        assert tee.stdin is not None
        os.dup2(tee.stdin.fileno(), number)
        tee.stdin.close()
    try:
        yield
    finally:
        _flush()
        for number, terminal in saved.items():
            os.dup2(terminal, number)
            os.close(terminal)
        for tee in tees.values():
            with suppress(subprocess.TimeoutExpired):
                tee.wait(COPY_SECONDS)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)  # what libraries in C have printed
