#!/usr/bin/env python
"""Starts Omniboard over the runs in MongoDB: a table of all runs, their curves, files and output, in a browser.

    python scripts/omniboard.py                  installs Omniboard once (npm, 190 MB), then serves http://127.0.0.1:9000
    python scripts/omniboard.py --port 9001 --database glas
    python scripts/omniboard.py --install-only   only installs it, which is the only part that needs a network
    SEG_AL_MONGO_URL='mongodb://me:secret@host/?authSource=admin' python scripts/omniboard.py

It listens on 127.0.0.1 only, since whoever reaches it may delete runs. From elsewhere: ssh -L 9000:127.0.0.1:9000 HOST.
It is started again when it ends or hangs, until Ctrl-C. Columns are added at its start, once; then they are yours.
Give a password by SEG_AL_MONGO_URL: others can read a command line.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import yaml
from pymongo.errors import PyMongoError

from seg_al.tracking.backends import LOCAL_URL
from seg_al.tracking.local_port import require_free
from seg_al.tracking.omniboard.columns import add_columns
from seg_al.tracking.omniboard.node import cache_folder, find_node, install
from seg_al.tracking.omniboard.service import APP, UNNEEDED, Omniboard, Patience, omniboard_on, serve
from seg_al.tracking.server import Server, ServerAway
from seg_al.tracking.storable import URL_VARIABLE

CONFIG = Path(__file__).resolve().parents[1] / "conf" / "tracking" / "mongo.yaml"


def arguments() -> argparse.Namespace:
    given = yaml.safe_load(CONFIG.read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--url", default=given["url"], help=f"of the MongoDB (the environment's {URL_VARIABLE}, else {LOCAL_URL})"
    )
    parser.add_argument("--database", default=given["database"], help="its database (%(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="where a browser finds it (%(default)s)")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="folder for its packages (%(default)s)")
    parser.add_argument("--install-only", action="store_true", help="install the packages and end")
    parser.add_argument(
        "--columns-only", action="store_true", help="add the columns for an Omniboard elsewhere and end"
    )
    return parser.parse_args()


def prepare(server: Server) -> None:
    """Adds columns where the user may write, and prints what the database holds."""
    with server.connected(writes=False) as database:
        count = database["runs"].count_documents({})  # the estimate is wrong after a killed mongod
        try:
            added = add_columns(database)
        except PyMongoError as error:
            print(f"no columns were added ({type(error).__name__}): this user may not write into {database.name!r}")
        else:
            if added:
                print(f"columns added: {', '.join(added)}")
    print(f"database {server.database!r} at {server.shown} holds {count:,} runs")
    if count == 0:
        print(f"  next  python run.py tracking=mongo tracking.database={server.database}, then reload the page")


def reachable(server: Server) -> bool:
    """Whether MongoDB answers; Omniboard itself reports what MongoDB refuses."""
    try:
        with server.connected(writes=False):
            return True
    except ServerAway:
        return False
    except ValueError:
        return True


def run(given: argparse.Namespace) -> None:
    server = Server(given.url or os.environ.get(URL_VARIABLE) or LOCAL_URL, given.database, timeout=3.0)
    if given.columns_only:
        return prepare(server)
    node = find_node()
    packages = install(node, APP, given.cache, UNNEEDED)
    if given.install_only:
        print(f"Omniboard is installed in {packages} (Node.js {node.version})")
        return
    require_free(given.port, omniboard_on)
    prepare(server)
    output = given.cache / f"omniboard-{given.port}.log"
    board = Omniboard(node, packages, server.url, given.database, given.port, output)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def ready() -> None:
        print(f"Omniboard: {board.address} (its output: {output}; Ctrl-C ends it)", flush=True)

    serve(board, lambda: reachable(server), stop, ready, Patience())
    print("Omniboard stopped")


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that an interrupted installation is cleaned up
    try:
        run(arguments())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before it is served
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
