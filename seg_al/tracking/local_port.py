"""Finds out which program listens on a port of this machine."""

from __future__ import annotations

import errno
import socket
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


def require_free(port: int) -> None:
    """ValueError where the port is out of range, or is in use, with the program that uses it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left is free
        try:
            probe.bind((HOST, port))
            return
        except OverflowError as error:
            raise ValueError(f"--port {port} is not in 0..65535") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ValueError(f"port {port} cannot be used ({error.strerror}); choose another --port") from error
    raise ValueError(f"port {port} is taken by {_listener(port)}; choose another --port")


def _listener(port: int) -> str:
    """The program that listens on the port, as far as it answers."""
    other = server_status(port, seconds=2.0)
    if other:
        return f"another mongod ({other['version']}, pid {other['pid']}), usable as it is"
    if _answer(port, {"hello": 1}, seconds=2.0):  # a server tells its version without a login
        return f"another mongod, which wants a login (mongodb://USER:PASSWORD@{HOST}:{port} in SEG_AL_MONGO_URL)"
    return "another program"
