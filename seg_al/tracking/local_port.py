"""Finds out which program listens on a port of this machine."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

HOST = "127.0.0.1"


def server_status(port: int, seconds: float = 0.5) -> dict[str, Any]:
    """The status of the mongod on a local port (pid, version, ...); empty where none answers in time."""
    return _answer(port, {"serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0}, seconds)


def _answer(port: int, command: dict[str, Any], seconds: float) -> dict[str, Any]:
    limit = round(1000 * seconds)
    client: MongoClient[dict[str, Any]] = MongoClient(
        HOST, port, serverSelectionTimeoutMS=limit, connectTimeoutMS=limit, socketTimeoutMS=4 * limit
    )
    try:
        return client.admin.command(command)
    except PyMongoError:
        return {}
    finally:
        client.close()


def require_free(port: int, listener: Callable[[int], str]) -> None:
    """ValueError where the port is out of range, or is in use by what `listener` says."""
    if not 0 < port < 65536:
        raise ValueError(f"--port {port} is not in 1..65535")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left is free
        try:
            probe.bind((HOST, port))
        except PermissionError as error:
            raise ValueError(f"port {port} needs more rights; choose another, such as --port 9000") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ValueError(f"port {port} cannot be used ({error.strerror}); choose another --port") from error
            raise ValueError(taken(port, listener)) from error


def taken(port: int, listener: Callable[[int], str]) -> str:
    """A sentence for a port that is in use."""
    return f"port {port} is taken by {listener(port)}; choose another one: --port {port % 65535 + 1}"


def mongod_on(port: int) -> str:
    """The program that listens on the port, as far as it answers."""
    other = server_status(port, seconds=2.0)
    if other:
        return f"another mongod ({other['version']}, pid {other['pid']}), usable as it is"
    if _answer(port, {"hello": 1}, seconds=2.0):  # a server tells its version without a login
        return f"another mongod, which wants a login (mongodb://USER:PASSWORD@{HOST}:{port} in SEG_AL_MONGO_URL)"
    return "another program"
