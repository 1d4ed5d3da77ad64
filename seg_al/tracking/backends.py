"""Where a run is tracked: by Sacred in files or in MongoDB, or nowhere. The run folder stays the record.

Sacred 0.8.7 is touched here, in sacred_run.py and in observers.py alone, and imported only by a run that is tracked;
so is pymongo, in the modules that these import.
"""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seg_al.tracking.secrets import holds_secret
from seg_al.tracking.storable import URL_VARIABLE, Capture, Main

if TYPE_CHECKING:
    from seg_al.tracking.server import Server

log = logging.getLogger(__name__)


LOCAL_URL = "mongodb://127.0.0.1:27017"


@dataclass(frozen=True)
class Untracked:
    """Tracks nothing: runs main, which writes the run folder."""

    def check(self) -> None:
        """Nothing can be missing."""

    def record(self, main: Main, config: Mapping[str, Any], folder: Path, name: str) -> float | None:
        return main(_Silence())


@dataclass(frozen=True)
class FileTracking:
    """Sacred's files under <folder>/sacred/<attempt>; no server."""

    beat: float = 10.0
    """Seconds between two writes of metrics, notes and captured output."""
    capture: Capture | None = None
    """Which output is kept: "fd" all, "sys" prints and log lines, "no" nothing; None: "fd", but "sys" on Windows."""

    def __post_init__(self) -> None:
        _require_positive("beat", self.beat)

    def check(self) -> None:
        """Nothing can be missing."""

    def record(self, main: Main, config: Mapping[str, Any], folder: Path, name: str) -> float | None:
        _import_sacred()
        from seg_al.tracking.observers import FileObserver
        from seg_al.tracking.sacred_run import observed

        return observed(main, config, name, FileObserver(folder), [], self.beat, self.capture)


@dataclass(frozen=True)
class MongoTracking:
    """Sacred's documents in MongoDB, one per run folder, made from the same files that FileTracking writes.

    The server may be away at any time: the run waits for it `timeout` seconds at its start,
    never in between, and `patience` seconds at its end. A server that refuses us is an error at the start.
    """

    url: str | None = field(default=None, repr=False)
    """None: the environment's SEG_AL_MONGO_URL, which alone may hold a password, else the local server."""
    database: str = "sacred"
    timeout: float = 2.0
    """Seconds that one try waits for the server."""
    beat: float = 10.0
    """Seconds between two writes; what could not be written is tried again at the next."""
    patience: float = 3.0
    """Seconds that the end of a run waits for a server that is away."""
    capture: Capture | None = None
    """As for FileTracking."""

    def __post_init__(self) -> None:
        for name in ("beat", "timeout", "patience"):
            _require_positive(name, getattr(self, name))
        if self.url is not None and holds_secret(self.url):
            raise ValueError(
                "tracking.url holds a password or a token, which Hydra would write into files and print. Name the "
                f"server in the environment instead: export {URL_VARIABLE}='mongodb://...', and leave tracking.url out"
            )

    def server(self) -> Server:
        from seg_al.tracking.server import Server

        return Server(self.url or os.environ.get(URL_VARIABLE) or LOCAL_URL, self.database, self.timeout)

    def check(self) -> None:
        """Asks the server once; ValueError with the remedy if it does not answer, refuses us, or is another's."""
        try:
            with self.server().connected():
                pass
        except ValueError as error:
            raise ValueError(f"{error} (or use tracking=file)") from error.__cause__

    def record(self, main: Main, config: Mapping[str, Any], folder: Path, name: str) -> float | None:
        _import_sacred()
        from seg_al.tracking.observers import FileObserver, MirrorObserver
        from seg_al.tracking.sacred_run import observed
        from seg_al.tracking.server import ServerAway

        server = self.server()
        try:
            with server.connected(within=self.timeout):
                pass
        except ServerAway as error:
            log.warning("%s. %s goes on without it, and is brought there when it answers", error, folder)
        with server.lasting() as client:
            mirror = MirrorObserver(client, server, folder, self.patience)
            return observed(main, config, name, FileObserver(folder), [mirror], self.beat, self.capture)


class _Silence:
    """The tracker of an untracked run."""

    def scalars(self, values: Mapping[str, float], step: float) -> None: ...
    def artifact(self, path: Path, name: str) -> None: ...
    def note(self, key: str, value: Any) -> None: ...


def _require_positive(name: str, seconds: float) -> None:
    if not seconds > 0:
        raise ValueError(f"tracking.{name} is {seconds:g} seconds; it must be more than 0")


def _import_sacred() -> None:
    """Imports Sacred without its warning; ValueError with the remedy where its undeclared dependency is missing."""
    with warnings.catch_warnings():
        # sacred 0.8.7 imports pkg_resources, which announces its end; pyproject pins a setuptools that has it
        warnings.filterwarnings("ignore", message="(?s).*pkg_resources", category=UserWarning)
        warnings.filterwarnings("ignore", message="(?s).*pkg_resources", category=DeprecationWarning)
        try:
            importlib.import_module("sacred")
        except ModuleNotFoundError as error:
            if error.name != "pkg_resources":
                raise
            raise ValueError(
                "Sacred needs pkg_resources, which setuptools 82 removed: "
                "pip install 'setuptools<82' (or use tracking=none)"
            ) from error
