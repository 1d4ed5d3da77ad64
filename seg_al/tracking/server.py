"""Connects to a MongoDB, and puts its errors into messages that hold no password."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pymongo
from bson import ObjectId
from pymongo import IndexModel, MongoClient
from pymongo.database import Database
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidOperation, OperationFailure, PyMongoError

from seg_al.tracking.storable import URL_VARIABLE

log = logging.getLogger(__name__)

STALL_SECONDS = 30.0
"""Seconds without a byte after which a connection counts as lost."""
GOODBYE_SECONDS = 0.2
FILTERED = ("heuristic", "dataset", "model", "run", "identity", "tags")
"""Config keys by which people filter and sort runs."""
INDEXES = {
    "metrics": (IndexModel([("run_id", 1), ("name", 1)]),),
    "runs": (
        IndexModel([("meta.uid", 1)], unique=True, partialFilterExpression={"meta.uid": {"$exists": True}}),
        IndexModel([("status", 1), ("heartbeat", -1)]),
        *(IndexModel([(f"config.{key}", 1)]) for key in FILTERED),
    ),
    "fs.files": (IndexModel([("filename", 1), ("uploadDate", 1)]),),
    "fs.chunks": (IndexModel([("files_id", 1), ("n", 1)], unique=True),),
}
SHAPES = {"runs": ("experiment", "config", "status"), "metrics": ("run_id", "name", "steps", "values")}
"""Keys of every document that Sacred writes."""
RESERVED = ("admin", "config", "local")
"""MongoDB's own databases."""
LONGEST_NAME = 63
"""Bytes of a database's name."""

CHOOSE = "choose another one (tracking.database=NAME, or --database NAME)"

Document = dict[str, Any]


class ServerAway(ValueError):
    """The server does not answer."""


@dataclass(frozen=True)
class Server:
    """One database of one MongoDB."""

    url: str = field(repr=False)  # may hold a password
    database: str
    timeout: float
    """Seconds that one try waits for the server."""

    def __post_init__(self) -> None:
        name = self.database
        if name in RESERVED:
            raise ValueError(f"database {name!r} is MongoDB's own; {CHOOSE}")
        if re.search(r'[\s/\\."$*<>:|?\0]', name) or not 0 < len(name.encode()) <= LONGEST_NAME:
            raise ValueError(
                f"{name!r} cannot name a database: MongoDB wants 1 to {LONGEST_NAME} bytes without a space and without "
                f'any of / \\ . " $ * < > : | ?; {CHOOSE}'
            )

    @property
    def shown(self) -> str:
        """The URL without user, password and options."""
        return re.sub(r"^(\w+(?:\+srv)?://)?.*@", r"\1***@", self.url, flags=re.DOTALL).partition("?")[0]

    def client(self) -> MongoClient[Document]:
        """A client that has not connected yet; ValueError where the URL cannot be read."""
        try:
            return MongoClient(
                self.url,
                serverSelectionTimeoutMS=round(1000 * self.timeout),
                connectTimeoutMS=round(1000 * self.timeout),
                socketTimeoutMS=round(1000 * STALL_SECONDS),
                journal=True,  # otherwise a killed server loses up to 0.1 s of confirmed writes
            )
        except (ConfigurationError, ValueError, TypeError) as error:
            reason = "" if "@" in self.url else f": {error}"  # the driver's message may quote a password
            raise ValueError(
                f"{self.shown} is not a usable MongoDB URL{reason}. Check tracking.url or {URL_VARIABLE}; a user or "
                "password with one of : / ? # [ ] @ % must be percent-encoded"
            ) from None

    @contextmanager
    def lasting(self) -> Iterator[MongoClient[Document]]:
        """A client for a whole run, which at its end does not wait for a server that is away."""
        client = self.client()
        try:
            yield client
        finally:
            with pymongo.timeout(GOODBYE_SECONDS):
                client.close()

    @contextmanager
    def connected(self, writes: bool = True, within: float = STALL_SECONDS) -> Iterator[Database[Document]]:
        """The database; ValueError with the remedy if the server does not answer, refuses us, or is another's.

        `writes`: checks that the user may write; nothing is written. `within`: seconds that a server which
        is there, but busy, may take for it.
        """
        with self.client() as client:
            try:
                with pymongo.timeout(self.timeout):
                    client.admin.command("ping")
                with pymongo.timeout(within):
                    require_ours(client[self.database])
                    require_shapes(client[self.database])
                    if writes:
                        require_writing(client[self.database])
            except PyMongoError as error:
                raise (ServerAway if is_away(error) else ValueError)(self.refusal(error)) from error
            yield client[self.database]

    def refusal(self, error: PyMongoError) -> str:
        """What happened, where, and the remedy, without the driver's own message, which may quote what was sent."""
        where = f"MongoDB at {self.shown}"
        match error:
            case _ if is_away(error):
                return (
                    f"{where} does not answer (waited {self.timeout:g} s). Start one with `python scripts/mongo.py "
                    f"up`, or name another one in {URL_VARIABLE}"
                )
            case OperationFailure(code=18):
                return (
                    f"{where} refuses the login to database {self.database!r} (code 18): wrong user or password, or "
                    f"the user is of another database. Check user, password and authSource in {URL_VARIABLE}"
                )
            case OperationFailure(code=13 | 8000):
                return (
                    f"{where} refuses database {self.database!r} to this user (code {error.code}): reading and writing "
                    f"runs, metrics and fs.* are needed. Give it the role readWrite, or check user and password in "
                    f"{URL_VARIABLE}"
                )
            case OperationFailure():
                name = (error.details or {}).get("codeName", type(error).__name__)
                return f"{where} refuses database {self.database!r} ({name}, code {error.code})"
        return f"{where} fails ({type(error).__name__}). Check {URL_VARIABLE}"


def is_away(error: BaseException) -> bool:
    """Whether the server, not the request, is the cause, so that another try may succeed."""
    gone = isinstance(error, ConnectionFailure | InvalidOperation)  # the latter: our own client was closed meanwhile
    return gone or (isinstance(error, PyMongoError) and error.timeout)


def reason_of(error: BaseException) -> str:
    """A few words for a log line; the whole message of a ValueError, which is our own."""
    if isinstance(error, ValueError):
        return str(error)
    code = f", code {error.code}" if isinstance(error, OperationFailure) else ""
    return f"{type(error).__name__}{code}"


def prepare(database: Database[Document]) -> None:
    """Makes the indexes, which can take long in a database with many runs."""
    for name, indexes in INDEXES.items():
        try:
            database[name].create_indexes(list(indexes))
        except OperationFailure as error:
            if is_away(error):
                raise
            log.warning("no indexes on %s, so that it is slower (%s)", name, reason_of(error))


def require_writing(database: Database[Document]) -> None:
    """Raises OperationFailure where the user may not write: tries an update that changes nothing in each collection."""
    for name in INDEXES:
        database[name].update_one({"_id": ObjectId()}, {"$set": {"checked": True}})


def require_ours(database: Database[Document]) -> None:
    """ValueError where the database has collections of another program and no runs at all."""
    names = database.list_collection_names(authorizedCollections=True)  # which needs no permission of its own
    strangers = sorted(name for name in names if name not in INDEXES and not name.startswith(("omniboard.", "system.")))
    if strangers and "runs" not in names:
        raise ValueError(
            f"database {database.name!r} holds no runs, but collections of another program ({', '.join(strangers[:3])})"
            f": nothing was written into it; {CHOOSE}"
        )


def require_shapes(database: Database[Document]) -> None:
    """Raises ValueError where the database holds runs of another program."""
    for name, keys in SHAPES.items():
        for order in (1, -1):  # the first and the last are enough: all may be many megabytes
            found = database[name].find_one({}, dict.fromkeys(keys, 1), sort=[("_id", order)])
            _require_shape(database.name, name, found, keys)


def _require_shape(database: str, collection: str, found: Mapping[str, Any] | None, keys: tuple[str, ...]) -> None:
    if found is not None and not found.keys() >= set(keys):
        absent = ", ".join(key for key in keys if key not in found)
        raise ValueError(
            f"database {database!r} belongs to another program: its collection {collection!r} has documents without "
            f"{absent}. Nothing was written; {CHOOSE}"
        )
