"""One run inside Sacred: its settings, output, signals and end. Imported only by a run that is tracked."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sacred import SETTINGS, Experiment
from sacred.utils import SacredInterrupt

from seg_al.core import AwaitingAnnotation
from seg_al.tracking.observers import FileObserver
from seg_al.tracking.output import kept
from seg_al.tracking.run_document import stored_config
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


@dataclass(frozen=True)
class RunTracker:
    """Hands on what the observers of a Sacred run can take without failing."""

    run: Any
    files: FileObserver

    def scalars(self, values: Mapping[str, float], step: float) -> None:
        self.files.scalars({name: float(value) for name, value in values.items()}, step)

    def artifact(self, path: Path, name: str) -> None:
        assert name not in SACREDS_OWN, f"{name} is a file of Sacred's own"
        if not path.is_file():  # Sacred would drop the observer for good, and say so in one line
            raise FileNotFoundError(f"artifact {name!r}: {path} does not exist")
        self.run.add_artifact(str(path), name)

    def note(self, key: str, value: Any) -> None:
        assert key != "metrics", "info.metrics is where Sacred lists the metrics"
        self.files.note(key_of(key), plain_values(value))


def observed(
    main: Main,
    config: Mapping[str, Any],
    name: str,
    files: FileObserver,
    others: Sequence[Any],
    beat: float,
    capture: Capture | None,
) -> float | None:
    """Runs main inside a Sacred run of its own and returns its value; what main raises comes out as it is."""
    experiment = Experiment(name, interactive=True, save_git_info=False)
    experiment.sources.clear()  # else this file is stored again with every run
    experiment.logger = _quiet_logger(name)
    experiment.observers.extend([files, *others])
    experiment.add_config(stored_config(config))
    ending = Ending()
    left: list[BaseException] = []

    def run_main(_run: Any) -> float | None:
        try:
            with kept(files.output.path, capture or ("sys" if os.name == "nt" else "fd")):
                value = main(RunTracker(_run, files))
        except BaseException as raised:
            error = ending.instead_of(raised)
            status = AWAITING if isinstance(error, AwaitingAnnotation) else ending.status_of(error)
            if status is None:
                raise
            left.append(error)
            raise StatusInterrupt(status) from error
        return None if value is None else float(value)

    experiment.main(run_main)
    options = {"--beat-interval": beat, "--capture": "no"}
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


def _quiet_logger(name: str) -> logging.Logger:
    """Sacred's messages from warnings on; how a run ended is its caller's to report."""
    logger = logging.getLogger("seg_al.tracking.backends.sacred")
    logger.setLevel(logging.WARNING)
    logger.getChild(name).addFilter(_is_news)
    return logger


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("Aborted after", "Failed after"))
