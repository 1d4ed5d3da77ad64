"""A file in the run folder that lists what a MongoDB lacks of the run: JSON lines that name files of the folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seg_al.tracking.server import Server
from seg_al.whole_files import write_whole

BACKLOG_FILE = "unsent.jsonl"
"""Lies beside Sacred's attempts. Its first line names the database; each other one a metric, an artifact or the run."""


def write_backlog(folder: Path, server: Server, rows: Sequence[Mapping[str, Any]], reason: str) -> None:
    """Writes the list; it holds no password."""
    first = {"server": server.shown, "database": server.database, "reason": reason}
    text = "".join(json.dumps(row) + "\n" for row in (first, *rows))

    def save(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    write_whole(_path(folder), save)


def remove_backlog(folder: Path) -> None:
    """Removes the list: the database has all of the run."""
    _path(folder).unlink(missing_ok=True)


def has_backlog(folder: Path) -> bool:
    """Whether a database lacks something of the run."""
    return _path(folder).exists()


def folders_waiting(runs: Path, server: Server) -> Iterator[Path]:
    """Run folders, in a folder of runs, whose list names this database."""
    for path in sorted(runs.glob(f"*/sacred/{BACKLOG_FILE}")):
        try:
            first = json.loads(path.read_text(encoding="utf-8").split("\n", 1)[0])
            if not isinstance(first, dict):
                continue
        except (OSError, ValueError, RecursionError):
            continue  # another process has removed or somebody has changed it meanwhile
        if (first.get("server"), first.get("database")) == (server.shown, server.database):
            yield path.parents[1]


def _path(folder: Path) -> Path:
    return folder / "sacred" / BACKLOG_FILE
