#!/usr/bin/env python
"""Brings run folders into MongoDB, compares both, and ends runs whose process died.

    python scripts/tracking.py import runs                 all runs below runs/: what MongoDB lacks of them is added
    python scripts/tracking.py import runs/glas-unet-bald-run0-1a2b3c4d
    python scripts/tracking.py check runs                  lists what differs; exit code 1 if anything does
    python scripts/tracking.py repair                      runs that say RUNNING and whose process is gone
    SEG_AL_MONGO_URL=mongodb://me:secret@host/?authSource=admin python scripts/tracking.py check runs --database glas

`import` can be repeated at any time: a run is recognised and completed, never stored twice. It also takes
runs made with tracking=file or tracking=none. Give a password by SEG_AL_MONGO_URL: others can read a command line.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from pymongo.errors import PyMongoError
from tqdm import tqdm

from seg_al.results.reconcile import (
    bring,
    differences_of_folder,
    end_silent_run,
    folders_at,
    missing_folders,
    shortened,
    silent_runs,
)
from seg_al.tracking.backends import LOCAL_URL
from seg_al.tracking.server import Document, Server, is_away, prepare
from seg_al.tracking.storable import URL_VARIABLE

CONFIG = Path(__file__).resolve().parents[1] / "conf" / "tracking" / "mongo.yaml"


def arguments() -> argparse.Namespace:
    given = yaml.safe_load(CONFIG.read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="import, check or repair")
    for name, words in (("import", "add what MongoDB lacks of run folders"), ("check", "list what differs")):
        one = commands.add_parser(name, help=words, description=words)
        one.add_argument("runs", nargs="+", type=Path, help="run folders, or folders that hold some")
    one = commands.add_parser("repair", help="end runs that say RUNNING and whose process is gone")
    one.add_argument("--silent", type=float, default=300.0, help="seconds without a sign of life (%(default)g)")
    one.add_argument("--elsewhere", action="store_true", help="also runs whose folder is not on this machine")
    for one in commands.choices.values():
        one.add_argument(
            "--url", default=given["url"], help=f"of the MongoDB (the environment's {URL_VARIABLE}, else {LOCAL_URL})"
        )
        one.add_argument("--database", default=given["database"], help="its database (%(default)s)")
        one.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for an answer (%(default)g)")
    return parser.parse_args()


def bars(items: Sequence[Path], words: str) -> tqdm[Path]:
    return tqdm(items, desc=words, unit="run", disable=None if len(items) > 3 else True, leave=False)


def import_runs(folders: Sequence[Path], server: Server) -> int:
    counts = {"added": 0, "completed": 0, "up to date": 0}
    problems = []
    with server.connected() as database:
        prepare(database)
        for folder in bars(folders, "import"):
            try:
                brought = bring(folder, database)
            except ValueError as error:
                problems.append(f"{folder}: {error}")
                continue
            except PyMongoError as error:
                if is_away(error):
                    raise
                problems.append(f"{folder}: {server.refusal(error)}")
                continue
            problems += [f"{folder}: {what} was refused ({why})" for what, why in brought.refused.items()]
            news = brought.metrics or brought.artifacts
            counts["added" if brought.new else "completed" if news else "up to date"] += 1
    done = ", ".join(f"{count} {words}" for words, count in counts.items())
    print(f"{len(folders)} run folders to database {server.database!r}: {done}, {len(problems)} problems")
    print(*(f"  {problem}" for problem in problems), sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


def check_runs(folders: Sequence[Path], server: Server) -> int:
    different = 0
    with server.connected(writes=False) as database:
        for folder in bars(folders, "check"):
            try:
                found = differences_of_folder(folder, database)
            except (ValueError, OSError) as error:
                found = [str(error)]
            if found:
                different += 1
                tqdm.write("\n".join([f"{folder}:", *(f"  {one}" for one in shortened(found))]))
        gone = list(missing_folders(database, folders))
    print(*gone, sep="\n", end="\n" if gone else "")
    if not different and not gone:
        print(f"{len(folders)} run folders and database {server.database!r} agree")
        return 0
    print(f"{different} of {len(folders)} run folders differ from database {server.database!r}", end="")
    print("; repair it: python scripts/tracking.py import FOLDERS" if different else "")
    return 1


def repair_runs(server: Server, seconds: float, elsewhere: bool) -> int:
    with server.connected() as database:
        runs: list[Document] = silent_runs(database, seconds)
        repairs = [
            end_silent_run(run, database, elsewhere) for run in tqdm(runs, desc="repair", unit="run", disable=None)
        ]
    for repair in repairs:
        print(f"run {repair.number} ({repair.folder}) {repair.words}")
    ended = sum(repair.died for repair in repairs)
    print(f"{len(repairs)} runs said RUNNING and were silent for {seconds:g} s: {ended} ended")
    return 0


def carried_out(given: argparse.Namespace, server: Server) -> int:
    """Runs the command; returns the exit code."""
    try:
        match given.command:
            case "import":
                return import_runs(folders_at(given.runs), server)
            case "check":
                return check_runs(folders_at(given.runs), server)
            case _:
                return repair_runs(server, given.silent, given.elsewhere)
    except PyMongoError as error:
        raise ValueError(server.refusal(error)) from error


def main() -> int:
    given = arguments()
    logging.basicConfig(format="%(message)s")
    try:
        url = given.url or os.environ.get(URL_VARIABLE) or LOCAL_URL
        return carried_out(given, Server(url, given.database, given.timeout))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
