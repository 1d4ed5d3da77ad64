"""Tracking: a run as people see it, by Sacred in files or in MongoDB, or not at all. The run folder stays the record.

Sacred 0.8.7 and pymongo are touched here, in sacred_run.py and in observers.py alone, and imported only by a run that
is tracked.
"""

from __future__ import annotations

import importlib
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seg_al.core import Tracker

if TYPE_CHECKING:
    from pymongo import MongoClient

Main = Callable[[Tracker], float | None]
Capture = Literal["fd", "sys", "no"]

URL_VARIABLE = "SEG_AL_MONGO_URL"
LOCAL_URL = "mongodb://127.0.0.1:27017"
STALL_SECONDS = 30.0
"""After this long without a byte a connection counts as lost."""


@dataclass(frozen=True)
class Untracked:
    """Runs main and keeps nothing but what main itself writes."""

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
    """What of the output is kept: "fd" all of the process, "sys" Python's prints, "no"; None: fd, on Windows sys."""

    def __post_init__(self) -> None:
        _require_positive("beat", self.beat)

    def check(self) -> None:
        """Nothing can be missing."""

    def record(self, main: Main, config: Mapping[str, Any], folder: Path, name: str) -> float | None:
        _import_sacred()
        from seg_al.observers import FileObserver
        from seg_al.sacred_run import observed

        return observed(main, config, name, [FileObserver(folder / "sacred")], self.beat, self.capture)


@dataclass(frozen=True)
class MongoTracking:
    """Sacred's documents in MongoDB, fed from the same files that FileTracking writes."""

    url: str | None = field(default=None, repr=False)  # may hold a password
    """None: the environment's SEG_AL_MONGO_URL, else the local server."""
    database: str = "sacred"
    timeout: float = 2.0
    """Seconds that one try waits for the server."""
    beat: float = 10.0
    """Seconds between two writes; what could not be written waits for the next."""
    patience: float = 20.0
    """Seconds that the end of a run waits for a server that is away."""
    capture: Capture | None = None
    """As for FileTracking."""

    def __post_init__(self) -> None:
        _require_positive("beat", self.beat)
        _require_positive("timeout", self.timeout)

    def check(self) -> None:
        """Asks the server once; ValueError with the remedy if it does not answer or refuses us."""
        self._connect().close()

    def record(self, main: Main, config: Mapping[str, Any], folder: Path, name: str) -> float | None:
        _import_sacred()
        from seg_al.observers import FileObserver, PatientMongoObserver
        from seg_al.sacred_run import observed

        client = self._connect()
        try:
            files = FileObserver(folder / "sacred")
            mongo = PatientMongoObserver(client, self.database, files, self.patience)
            return observed(main, config, name, [files, mongo], self.beat, self.capture)
        finally:
            client.close()

    def _connect(self) -> MongoClient[dict[str, Any]]:
        """A client that the server has answered."""
        from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

        url = self.url or os.environ.get(URL_VARIABLE) or LOCAL_URL
        client = _client(url, self.timeout)
        try:
            client.admin.command("ping")
            client[self.database]["runs"].find_one({}, {"_id": 1})  # a ping needs no login, this does
        except PyMongoError as error:
            client.close()
            match error:
                case ConnectionFailure():
                    what = f"does not answer (waited {self.timeout:g} s)"
                    remedy = f"Start one with `python scripts/mongo.py up`, name another one in {URL_VARIABLE}"
                case OperationFailure():
                    what = f"refuses database {self.database!r} (code {error.code})"
                    remedy = f"Check user, password and authSource in {URL_VARIABLE}"
                case _:
                    what, remedy = f"fails ({type(error).__name__})", f"Check {URL_VARIABLE}"
            raise ValueError(f"MongoDB at {_shown(url)} {what}. {remedy}, or use tracking=file") from error
        return client


def _client(url: str, timeout: float) -> MongoClient[dict[str, Any]]:
    """A client that has not connected yet; ValueError where the URL cannot be read."""
    from pymongo import MongoClient
    from pymongo.errors import ConfigurationError

    try:
        return MongoClient(
            url,
            serverSelectionTimeoutMS=round(1000 * timeout),
            connectTimeoutMS=round(1000 * timeout),
            socketTimeoutMS=round(1000 * STALL_SECONDS),
            journal=True,  # else a killed server forgets up to 0.1 s of acknowledged writes
        )
    except (ConfigurationError, ValueError, TypeError) as error:
        reason = "" if "@" in url else f": {error}"  # the driver's words may quote a password
        raise ValueError(
            f"{_shown(url)} is not a usable MongoDB URL{reason}. Check tracking.url or {URL_VARIABLE}; a user or "
            "password with one of : / ? # [ ] @ % must be percent-encoded"
        ) from None


class _Silence:
    """The tracker of an untracked run."""

    def scalars(self, values: Mapping[str, float], step: float) -> None: ...
    def artifact(self, path: Path, name: str) -> None: ...
    def note(self, key: str, value: Any) -> None: ...


def plain(value: Any) -> Any:
    """The value in types that JSON and MongoDB both know; the password of a MongoDB URL is blotted out."""
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, Mapping):
        return {key_of(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(entry) for entry in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(entry) for entry in value]
    return re.sub(r"(mongodb(?:\+srv)?://)\S*@", r"\1***@", str(value))


def key_of(key: object) -> str:
    """A key that MongoDB, jsonpickle and Sacred accept."""
    return re.sub(r"[.$=]|^(?:py|json:/)/", "_", str(plain(key))) or "_"


def _shown(url: str) -> str:
    """The URL without user, password and options."""
    return re.sub(r"^(\w+(?:\+srv)?://)?.*@", r"\1***@", url, flags=re.DOTALL).partition("?")[0]


def _require_positive(name: str, seconds: float) -> None:
    if not seconds > 0:
        raise ValueError(f"tracking.{name} is {seconds:g} seconds; it must be more than 0")


def _import_sacred() -> None:
    """Imports Sacred in silence; ValueError with the remedy where its one undeclared dependency is missing."""
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
