"""Signals to runs, sweeps and their workers: what stops, what it says, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from filelock import FileLock

from experiments import ROOT, TINY, command
from seg_al.running.one_run import words_of
from seg_al.tracking.attempts import is_running
from seg_al.tracking.signals import Signalled, number_of
from seg_al.tracking.stopped import STOP_FILE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SLOW = (*(word for word in TINY if not word.startswith("tracking")), "tracking=file", "trainer.pace.steps=150")

WORKER = """
import os, sys, time
from pathlib import Path
from seg_al.tracking.signals import job, work_for
work_for(os.getppid())
said = Path(sys.argv[1])
with job():
    said.with_suffix(".begun").touch()
    try:
        while "idle" not in sys.argv:
            time.sleep(0.01)
    except BaseException as error:
        said.write_text(repr(error))
        raise
said.with_suffix(".idle").touch()
while True:
    time.sleep(0.01)
"""
SWEEP = """
import os, signal, subprocess, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda number, frame: Path(sys.argv[2] + ".heard").touch())
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
print(child.pid, flush=True)
while True:
    time.sleep(0.01)
"""


def awaited(find: Callable[[], bool], seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not find():
        assert time.monotonic() < end
        time.sleep(0.01)


def lives(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_stopped_a_run_is_said_with_its_signal_and_its_round(tmp_path: Path) -> None:
    (tmp_path / "rounds/00").mkdir(parents=True)
    (tmp_path / "rounds/00/metrics.json").touch()
    (tmp_path / "rounds/01").mkdir()
    stop = Signalled("SIGTERM", "INTERRUPTED")
    assert words_of(stop, tmp_path) == "stopped by SIGTERM in round 1; the same command goes on"
    assert (number_of(stop), number_of(KeyboardInterrupt())) == (15, 2)


@pytest.mark.parametrize("how", ["busy", "idle"])
def test_a_worker_ends_when_its_sweep_is_killed_and_its_run_is_unwound(how: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    sweep = subprocess.Popen([sys.executable, "-c", SWEEP, WORKER, said, how], stdout=subprocess.PIPE, text=True)
    assert sweep.stdout is not None
    worker = int(sweep.stdout.readline())
    awaited(said.with_suffix(".begun" if how == "busy" else ".idle").exists)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    awaited(lambda: not lives(worker), 10)
    assert said.exists() == (how == "busy")
    if how == "busy":
        assert said.read_text() == "Signalled('SIGTERM')"


def test_a_signal_to_a_worker_ends_its_run_and_is_handed_to_the_sweep_which_it_waits_for(tmp_path: Path) -> None:
    """Between jobs it is only kept for the next."""
    said = tmp_path / "said"
    sweep = subprocess.Popen([sys.executable, "-c", SWEEP, WORKER, said], stdout=subprocess.PIPE, text=True)
    assert sweep.stdout is not None
    worker = int(sweep.stdout.readline())
    awaited(said.with_suffix(".begun").exists)
    os.kill(worker, signal.SIGTERM)
    awaited(said.with_suffix(".heard").exists, 10)
    assert said.read_text() == "Signalled('SIGTERM')"
    assert lives(worker)
    sweep.kill()
    sweep.communicate()
    awaited(lambda: not lives(worker), 10)


@contextmanager
def begun(place: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`python run.py WORDS`, which prints into a file; nothing of it is left behind."""
    program = [sys.executable, str(ROOT / "run.py"), *words]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    with (place / "printed.txt").open("w") as out:
        process = subprocess.Popen(
            program, cwd=place, stdout=out, stderr=out, text=True, start_new_session=True, env=environ
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def of_session(number: int) -> list[int]:
    """The living processes that a process with this number has begun, itself included."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        found += [int(path.parent.name)] if int(session) == number and state != "Z" else []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("tracking", ["file", "none"])
def test_a_run_that_is_stopped_says_in_one_line_that_the_same_command_goes_on(
    tracking: str, data: Path, tmp_path: Path
) -> None:
    words = (f"dataset.root={data}", *SLOW, f"tracking={tracking}", "folder=one")
    with begun(tmp_path, *words) as process:
        awaited((tmp_path / "one/rounds/01/queries.jsonl").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    text = (tmp_path / "printed.txt").read_text()
    assert "\nstopped by SIGTERM in round 1; the same command goes on\n" in text
    assert "Traceback" not in text
    assert json.loads((tmp_path / "one" / STOP_FILE).read_text())["how"] == "interrupted"


@pytest.mark.slow
def test_a_sweep_that_is_stopped_outside_a_tracked_run_says_what_became_of_its_jobs(data: Path, tmp_path: Path) -> None:
    with begun(tmp_path, "-m", f"dataset.root={data}", *SLOW, "tracking=none", "run=0,1,2") as process:
        awaited(lambda: any(tmp_path.glob("runs/*/config.json")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    text = (tmp_path / "printed.txt").read_text()
    assert "\nerror: 1 of 3 jobs interrupted, 2 not begun." in text
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "how", ["SIGTERM to the sweep", "SIGTERM to a worker", "SIGINT to all", "SIGKILL to the sweep"]
)
def test_however_a_sweep_of_joblib_is_stopped_its_runs_note_it_and_its_processes_end(
    how: str, data: Path, tmp_path: Path
) -> None:
    words = (f"dataset.root={data}", *SLOW, "heuristic=random", "run=0,1,2,3", "gpus=one_each")
    beside = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    number = getattr(signal, how.partition(" ")[0])
    with begun(tmp_path, "-m", *words, *beside, CUDA_VISIBLE_DEVICES="5,6", TMPDIR=str(tmp_path)) as process:
        awaited(lambda: len([*tmp_path.glob("runs/*/rounds/00/weights.pt")]) == 2)
        if how.endswith("all"):
            os.killpg(process.pid, number)
        elif how.endswith("worker"):
            commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in of_session(process.pid)}
            os.kill(next(pid for pid, line in commands.items() if b"LokyProcess" in line), number)
        else:
            process.send_signal(number)
        code = process.wait(60)
        awaited(lambda: not of_session(process.pid), 30)
    text = (tmp_path / "printed.txt").read_text()
    folders = [path.parent for path in tmp_path.glob("runs/*/config.json")]
    assert len(folders) == 2
    for folder in folders:
        assert json.loads((folder / STOP_FILE).read_text())["how"] == "interrupted"
        assert json.loads((folder / "sacred/1/run.json").read_text())["status"] == "INTERRUPTED"
        assert not is_running(folder)
    for gpu in ("5", "6"):
        (lock,) = tmp_path.glob(f"seg_al_gpus_*/{gpu}.lock")
        FileLock(lock, blocking=False).acquire().lock.release()
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 128 + number
        assert "\nerror: 2 of 4 jobs interrupted, 2 not begun." in text
        assert "Traceback" not in text
    if how == "SIGKILL to the sweep":
        ended = command(tmp_path, "-m", *words, environment={"CUDA_VISIBLE_DEVICES": "5,6"})
        assert ended.code == 0, ended.text
        assert "4 jobs, all finished" in ended.text
