"""Starts Omniboard over a database of runs, watches it, and starts it again when it ends or hangs.

Omniboard 2.16.1 ends when it is asked for a file that is gone, and never answers again once MongoDB was away for longer
than half a minute; both are cured by a new start. What it lacks otherwise is in app/preload.js.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from seg_al.tracking.local_port import HOST, require_free, taken
from seg_al.tracking.omniboard.node import Node

log = logging.getLogger(__name__)

APP = Path(__file__).parent / "omniboard_app"
UNNEEDED = ("node_modules/omniboard/web/node_modules",)
"""Sources of its pages, which nothing reads: 315 of 530 MB."""
ENTRY = Path("node_modules", "omniboard", "dist", "start.js")
PORT_IN_USE = 98
"""Exit code of preload.js for a port that is in use."""


@dataclass(frozen=True)
class Omniboard:
    """One Omniboard on a port of this machine."""

    node: Node
    place: Path
    """The folder of its packages."""
    url: str = field(repr=False)  # may hold a password
    database: str
    port: int
    output: Path
    """The file with its output, new at each call of `serve`."""

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/sacred"

    def launch(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts the process, which ends with this one. The URL goes by the environment: a command line is public."""
        environment = {
            **os.environ,
            "PORT": str(self.port),
            "OMNIBOARD_HOST": HOST,
            "OMNIBOARD_PARENT_PIPE": "1",
            "MONGO_URI": database_url(self.url, self.database),
            "npm_package_version": "2.16.1",
        }
        environment.pop("OMNIBOARD_CONFIG", None)  # it would override MONGO_URI
        environment.pop("NODE_OPTIONS", None)
        return subprocess.Popen(
            [self.node.node, "--no-deprecation", "--require", APP / "preload.js", self.place / ENTRY],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,  # Ctrl-C ends this process, which then ends Omniboard
        )

    def answers(self, seconds: float = 5.0) -> bool:
        """Whether Omniboard can read the runs now."""
        request = f"{self.address}/api/v1/Runs?limit=1&select=_id"  # a count is kept in memory
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                return isinstance(json.load(response), list)
        except (OSError, ValueError):
            return False


@dataclass(frozen=True)
class Patience:
    """When a silent Omniboard is started again, and how often; in seconds where not stated otherwise."""

    start: float = 60.0
    """Wait for the first answer of a new process."""
    beat: float = 2.0
    """Between two checks."""
    unwell: int = 3
    """Number of checks in a row without an answer that count as a fall."""
    falls: int = 5
    """Number of falls within `span` after which it is still started again."""
    span: float = 300.0
    wait: float = 1.0
    """Pause before the first new start; doubled for each fall within `span`."""


def serve(
    board: Omniboard,
    reachable: Callable[[], bool],
    stop: threading.Event,
    ready: Callable[[], None],
    patience: Patience,
) -> None:
    """Runs Omniboard until `stop` is set.

    `reachable` tells whether MongoDB answers; until it does, no new start is tried. `ready` is called at each first
    answer. Raises ValueError, with the last error of Omniboard, where it falls too often, or its port is in use.
    """
    require_free(board.port, omniboard_on)
    falls: list[float] = []
    with board.output.open("wb") as output:
        while not stop.is_set():
            reason = _one_life(board, output, reachable, stop, ready, patience)
            if reason is None:
                return
            now = time.monotonic()
            falls = [*(fall for fall in falls if now - fall < patience.span), now]
            if len(falls) > patience.falls:
                raise ValueError(
                    f"Omniboard fell {len(falls)} times within {patience.span:g} s and is not started again: {reason}. "
                    f"See {board.output}"
                )
            pause = patience.wait * 2 ** (len(falls) - 1)
            log.warning("Omniboard fell: %s. It starts again in %g s", reason, pause)
            stop.wait(pause)
            _await_database(reachable, stop, patience)


def _one_life(
    board: Omniboard,
    output: IO[bytes],
    reachable: Callable[[], bool],
    stop: threading.Event,
    ready: Callable[[], None],
    patience: Patience,
) -> str | None:
    """One process from its start to its end; the reason of its fall, or None where it was stopped."""
    process = board.launch(output)
    began = time.monotonic()
    answered, misses = False, 0
    try:
        while not stop.wait(patience.beat if answered else 0.1):
            code = process.poll()
            if code == PORT_IN_USE:
                raise ValueError(taken(board.port, omniboard_on))
            if code is not None:
                return f"it ended with exit code {code}: {last_words(board.output)}"
            if board.answers():
                misses = 0
                if not answered:
                    answered = True
                    ready()
            elif answered:
                misses = misses + 1 if reachable() else 0  # without MongoDB it cannot answer, which is no fall
                if misses >= patience.unwell:
                    return "it has lost MongoDB, which answers"
            elif time.monotonic() - began > patience.start:
                return f"it did not answer within {patience.start:g} s: {last_words(board.output)}"
        return None
    finally:
        end(process)


def _await_database(reachable: Callable[[], bool], stop: threading.Event, patience: Patience) -> None:
    if stop.is_set() or reachable():
        return
    log.warning("MongoDB does not answer; Omniboard starts again when it does")
    while not stop.wait(patience.beat) and not reachable():
        pass


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and waits for it."""
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def omniboard_on(port: int) -> str:
    """The program that uses the port, as far as it answers."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/api/v1/databases", timeout=2.0) as response:
            name = json.load(response)[0]["name"]
        return f"an Omniboard that shows database {name!r} (http://{HOST}:{port}/sacred)"
    except (OSError, ValueError, LookupError, TypeError):
        return "another program"


def database_url(url: str, database: str) -> str:
    """The URL with the database in its path, as Omniboard needs it; a login still goes to the database it named."""
    match = re.fullmatch(r"(mongodb(?:\+srv)?://)([^/?]*)(?:/([^?]*))?(?:\?(.*))?", url, flags=re.DOTALL)
    if match is None:
        raise ValueError("the MongoDB URL does not begin with mongodb:// or mongodb+srv://")
    scheme, hosts, path, options = match[1], match[2], match[3] or "", match[4] or ""
    if "@" in hosts and "authsource=" not in options.lower():
        options = "&".join(filter(None, [options, f"authSource={path or 'admin'}"]))
    return f"{scheme}{hosts}/{urllib.parse.quote(database)}" + (f"?{options}" if options else "")


def last_words(output: Path) -> str:
    """The last error in the output, else its last line."""
    lines = [line.strip() for line in output.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(\w*Error\b|Failed|Error:)", line)]
    return (errors or lines or ["it printed nothing"])[-1][:300]
