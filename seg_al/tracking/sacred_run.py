"""One run inside Sacred: its settings, captured output, signals and end. Imported only by a run that is tracked."""

from __future__ import annotations

import logging
import os
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sacred import SETTINGS, Experiment
from sacred.utils import SacredInterrupt, apply_backspaces_and_linefeeds

from seg_al.core import AwaitingAnnotation
from seg_al.tracking.run_document import capped, stored_config
from seg_al.tracking.signals import Ending
from seg_al.tracking.storable import Capture, Main, key_of, plain_values

SETTINGS.DISCOVER_SOURCES = "none"  # the caller notes the commit instead
SETTINGS.DISCOVER_DEPENDENCIES = "pkg"
SETTINGS.HOST_INFO.INCLUDE_GPU_INFO = False  # its parser fails on some cards; the caller notes the device

SACREDS_OWN = ("run.json", "config.json", "info.json", "metrics.json", "cout.txt")
"""Names in a Sacred folder that an artifact must not take."""


AWAITING = "AWAITING_ANNOTATION"
"""The status of a run whose annotator waits for a person."""


class StatusInterrupt(SacredInterrupt):  # type: ignore[misc]  # Sacred has no types
    """Ends a Sacred run with a status of ours."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.STATUS = status


def tidy_output(text: str) -> str:
    """Output as a terminal would show it, capped."""
    marks = [at for at in (text.find("\r"), text.find("\b")) if at >= 0]
    if marks:  # Sacred's filter walks every character: spare it what it has seen at an earlier beat
        start = text.rfind("\n", 0, min(marks)) + 1
        text = text[:start] + apply_backspaces_and_linefeeds(text[start:])
    return capped(text)


class WholeOutput:
    """Takes the place of a run's captured output, so that all of it is read, and by one thread at a time.

    Sacred itself never reads what arrives while capturing ends, and loses text where a beat and the end of the run read
    at once, or where a print falls between a beat's going back to what it has not read and the reading.
    """

    def __init__(self, run: Any) -> None:
        self._captured = run._output_file
        self._finalize = self._captured.finalize
        self._read = run._get_captured_output
        self._lock = threading.RLock()
        self._place = threading.RLock()  # where the buffer is read or written; no print waits for the tidying
        self._captured.finalize = self.finalize
        run._output_file = self
        run._get_captured_output = self.read
        if hasattr(self._captured.buffer, "reconfigure"):  # a beat may read half of a character
            self._captured.buffer.reconfigure(errors="replace")
        for stream in (sys.stdout, sys.stderr):
            if getattr(stream, "_self_out", None) is self._captured.buffer:
                stream._self_out = self  # type: ignore[union-attr]  # Sacred's, which writes to the terminal and to this

    @property
    def closed(self) -> bool:
        return bool(self._captured.closed and self._captured.final is None)

    def write(self, text: str) -> None:
        with self._place:
            self._captured.buffer.write(text)

    def flush(self) -> None:
        """The buffer holds at once what is written."""

    def get(self) -> str:
        with self._place:
            return str(self._captured.get())

    def read(self) -> None:
        with self._lock:
            self._read()

    def finalize(self) -> None:
        with self._lock, self._place:
            self._finalize()


@contextmanager
def log_shown_on(terminal: Sequence[Any]) -> Iterator[None]:
    """Log lines go where prints go: a handler that was made before Sacred captures holds the terminal's own stream."""
    held: list[tuple[logging.StreamHandler[Any], Any]] = []
    try:
        for handler in logging.getLogger().handlers:
            for stream, now in zip(terminal, (sys.stdout, sys.stderr), strict=True):
                if isinstance(handler, logging.StreamHandler) and handler.stream is stream is not now:
                    held.append((handler, stream))
                    handler.setStream(now)
                    break
        yield
    finally:
        for handler, stream in held:
            handler.setStream(stream)


@dataclass(frozen=True)
class RunTracker:
    """Hands on to a Sacred run what its observers can take without failing."""

    run: Any

    def scalars(self, values: Mapping[str, float], step: float) -> None:
        whole = int(step) if float(step).is_integer() else float(step)
        for name, value in values.items():
            self.run.log_scalar(name, float(value), whole)

    def artifact(self, path: Path, name: str) -> None:
        assert name not in SACREDS_OWN, f"{name} is a file of Sacred's own"
        if not path.is_file():  # Sacred would drop the observer for good, and say so in one line
            raise FileNotFoundError(f"artifact {name!r}: {path} does not exist")
        self.run.add_artifact(str(path), name)

    def note(self, key: str, value: Any) -> None:
        assert key != "metrics", "info.metrics is where Sacred lists the metrics"
        self.run.info = {**self.run.info, key_of(key): plain_values(value)}  # replaced, as a beat may be reading it


def observed(
    main: Main,
    config: Mapping[str, Any],
    name: str,
    observers: Sequence[Any],
    beat: float,
    capture: Capture | None,
) -> float | None:
    """Runs main inside a Sacred run of its own and returns its value; what main raises comes out as it is."""
    experiment = Experiment(name, interactive=True, save_git_info=False)
    experiment.sources.clear()  # else this file is stored again with every run
    experiment.logger = _quiet_logger(name)
    experiment.captured_out_filter = tidy_output
    experiment.observers.extend(observers)
    experiment.add_config(stored_config(config))
    ending = Ending()
    left: list[BaseException] = []
    terminal = (sys.stdout, sys.stderr)

    def run_main(_run: Any) -> float | None:
        WholeOutput(_run)
        _run._stop_heartbeat = lambda: _last_beat(_run)
        try:
            with log_shown_on(terminal):
                value = main(RunTracker(_run))
        except BaseException as raised:
            error = ending.instead_of(raised)
            status = AWAITING if isinstance(error, AwaitingAnnotation) else ending.status_of(error)
            if status is None:
                raise
            left.append(error)
            raise StatusInterrupt(status) from error
        return None if value is None else float(value)

    experiment.main(run_main)
    options = {"--beat-interval": beat, "--capture": capture or ("sys" if os.name == "nt" else "fd")}
    comment = {"comment": str(config["notes"])} if config.get("notes") else {}
    try:
        with ending.handled():
            run = experiment.run(options=options, meta_info={"attempt": uuid.uuid4().hex, **comment})
    except StatusInterrupt:
        pass
    else:
        result: float | None = run.result
        return result
    raise left[0]


def _last_beat(run: Any) -> None:
    """Waits for all of the last beat; Sacred waits two seconds and then goes on beside it."""
    if run._heartbeat is not None:
        run._stop_heartbeat_event.set()
        run._heartbeat.join()


def _quiet_logger(name: str) -> logging.Logger:
    """Sacred's messages from warnings on; how a run ended is its caller's to report."""
    logger = logging.getLogger("seg_al.tracking.backends.sacred")
    logger.setLevel(logging.WARNING)
    logger.getChild(name).addFilter(_is_news)
    return logger


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("Aborted after", "Failed after"))
