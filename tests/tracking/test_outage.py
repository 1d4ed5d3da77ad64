"""A real mongod that is killed, stalled, or refuses, while runs of several processes go on: nothing is lost."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import re
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gridfs
import pytest
from conftest import free_port
from pymongo import MongoClient

from seg_al.core import Tracker
from seg_al.running.folder import claimed
from seg_al.tracking.attempts import mark_dead
from seg_al.tracking.backends import FileTracking, MongoTracking
from seg_al.tracking.mongod import launch

pytestmark = [
    pytest.mark.mongo,
    # sacred 0.8.7 asks for the time in a way that Python 3.12 deprecates
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
]
ROOT = Path(__file__).parents[2]
DATABASE = "sacred"
END_SECONDS = 10.0
"""Longest end of a run on a busy machine; on an idle one it is below 5, and the driver alone would wait 30."""

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["seg_al.tracking.observers", "seg_al.tracking.sacred_run"])


def job(url: str, home: Path, number: int, seconds: float, runs: int) -> None:
    """Some runs one after the other, each as run.py makes one: in a folder that it claims."""
    for run in range(runs):
        folder = home / f"job{number}-run{run}"
        with claimed(folder, {"choices": {"heuristic": "bald"}, "run": run, "rounds": 0}, {"job": number, "run": run}):
            tracking = MongoTracking(url, DATABASE, timeout=2.0, beat=0.2, capture="sys")
            config = {"heuristic": "bald", "job": number, "run": run}
            with suppress(RuntimeError):
                tracking.record(partial(steady, folder, number, run, seconds), config, folder, "outage")
            told = json.loads((folder / "told.json").read_text())
            (folder / "told.json").write_text(json.dumps({**told, "late": time.monotonic() - told["ended"]}))


def steady(folder: Path, number: int, run: int, seconds: float, tracker: Tracker) -> float:
    """Tells something every twentieth of a second, and in the end how often and how long it took; run 1 fails."""
    begin, slowest, step = time.monotonic(), 0.0, 0
    while time.monotonic() - begin < seconds:
        before = time.monotonic()
        tracker.scalars({"dice": number + step / 1000, "loss": -step}, step)
        if step % 10 == 0:
            (folder / "picture.bin").write_bytes(picture(number, run, step))
            tracker.artifact(folder / "picture.bin", f"picture_{step}.bin")
        sys.stdout.write(f"job {number} run {run} step {step}\n")
        slowest = max(slowest, time.monotonic() - before)
        step += 1
        time.sleep(0.05)
    (folder / "told.json").write_text(json.dumps({"steps": step, "slowest": slowest, "ended": time.monotonic()}))
    if run == 1:
        raise RuntimeError("on purpose")
    return 1.0


def picture(number: int, run: int, step: int) -> bytes:
    return bytes([number, run, step % 256]) * 1_000


class Mortal:
    """A mongod that can be killed, stalled and brought back."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary, self.folder, self.port = binary, folder, free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}"
        folder.mkdir()
        self.start()

    def start(self) -> None:
        self.process = launch(self.binary, self.folder, self.port)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def mortal(mongod_binary: Path, tmp_path: Path) -> Iterator[Mortal]:
    server = Mortal(mongod_binary, tmp_path / "db")
    yield server
    server.kill()


def jobs(mortal: Mortal, home: Path, seconds: float, runs: int) -> list[Any]:
    """Four processes; returns once each of them has begun."""
    begun = [FORKS.Process(target=job, args=(mortal.url, home, number, seconds, runs)) for number in range(4)]
    for process in begun:
        process.start()
    await_(lambda: len(list(home.glob("*/sacred/1/metrics.json"))) == 4)
    return begun


def codes(begun: Sequence[Any]) -> list[int]:
    for process in begun:
        process.join(120)
    return [process.exitcode for process in begun]


def await_(ready: Callable[[], bool]) -> None:
    patience = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < patience
        time.sleep(0.02)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str


def script(url: str, *words: str | Path) -> Ended:
    """`python scripts/tracking.py WORDS`, in this process: its imports take seconds."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
        patch.setattr(sys, "argv", ["tracking.py", *map(str, words)])
        patch.setenv("SEG_AL_MONGO_URL", url)
        code = runpy.run_path(str(ROOT / "scripts" / "tracking.py"))["main"]()
    return Ended(code, out.getvalue())


def lost(url: str, home: Path) -> list[str]:
    """Every metric value, artifact byte, printed line and status that the database lacks, by what the jobs did."""
    missing = []
    with MongoClient[dict[str, Any]](url) as client:
        database = client[DATABASE]
        files = gridfs.GridFS(database)
        runs = {run["meta"]["folder"]: run for run in database["runs"].find()}
        assert len(runs) == database["runs"].count_documents({}), "a run is there twice"
        for folder in sorted(home.iterdir()):
            run = runs[str(folder.resolve())]
            job, number = map(int, re.findall(r"\d+", folder.name))
            steps = json.loads((folder / "told.json").read_text())["steps"]
            expected = {"dice": [job + step / 1000 for step in range(steps)], "loss": [-step for step in range(steps)]}
            for name, values in expected.items():
                stored = list(database["metrics"].find({"run_id": run["_id"], "name": name}))
                points = list(zip(stored[0]["steps"], stored[0]["values"], strict=True)) if len(stored) == 1 else []
                missing += [f"{folder.name} {name} {one}" for one in enumerate(values) if one not in points]
            listed = {entry["name"]: entry["file_id"] for entry in run["artifacts"]}
            for step in range(0, steps, 10):
                name, content = f"picture_{step}.bin", picture(job, number, step)
                if name not in listed or files.get(listed[name]).read() != content:
                    missing.append(f"{folder.name} {name}")
            lines = run["captured_out"].splitlines()
            said = [f"job {job} run {number} step {step}" for step in range(steps)]
            missing += [f"{folder.name}: {line}" for line in said if line not in lines]
            status = "FAILED" if number == 1 else "COMPLETED"
            missing += [] if run["status"] == status else [f"{folder.name} is {run['status']}"]
    return missing


def delays(home: Path) -> tuple[float, float]:
    """The longest call in a run's own thread, and the longest end of a run, seconds."""
    told = [json.loads(path.read_text()) for path in home.glob("*/told.json")]
    return max(one["slowest"] for one in told), max(one["late"] for one in told)


@pytest.mark.parametrize(
    ("seconds", "runs", "outage"),
    [
        pytest.param(3.5, 3, 5.0, id="5 s"),
        pytest.param(12.0, 4, 45.0, id="45 s", marks=pytest.mark.slow),
    ],
)
def test_an_outage_loses_nothing_of_four_processes_whose_runs_begin_and_end_in_it(
    seconds: float, runs: int, outage: float, tmp_path: Path, mortal: Mortal
) -> None:
    home = tmp_path / "runs"
    home.mkdir()
    begun = jobs(mortal, home, seconds, runs)
    mortal.kill()
    time.sleep(outage)
    mortal.start()
    assert codes(begun) == [0, 0, 0, 0]
    assert len(list(home.iterdir())) == 4 * runs
    slowest, late = delays(home)
    assert slowest < 1.0  # one try at the server takes 2 s
    assert late < END_SECONDS
    if list(home.glob("*/sacred/unsent.jsonl")):  # a busy machine has not caught up within the patience of a run
        assert script(mortal.url, "import", home).code == 0
    assert lost(mortal.url, home) == []


def test_a_server_that_is_gone_for_ever_costs_seconds_and_an_import_brings_everything_once(
    tmp_path: Path, mortal: Mortal
) -> None:
    home = tmp_path / "runs"
    home.mkdir()
    begun = jobs(mortal, home, 4.0, 1)  # long enough that the last has begun before the first ends
    mortal.kill()
    assert codes(begun) == [0, 0, 0, 0]
    slowest, late = delays(home)
    assert slowest < 1.0
    assert late < END_SECONDS
    assert len(list(home.glob("*/sacred/unsent.jsonl"))) == 4
    mortal.start()
    before = script(mortal.url, "check", home)
    assert before.code == 1
    assert "4 of 4 run folders differ" in before.out
    first = script(mortal.url, "import", home)
    assert first.code == 0, first.out
    assert lost(mortal.url, home) == []
    stored = everything(mortal.url)
    again = script(mortal.url, "import", home)
    assert "0 added, 0 completed, 4 up to date, 0 problems" in again.out
    assert everything(mortal.url) == stored
    assert script(mortal.url, "check", home).code == 0
    assert not list(home.glob("*/sacred/unsent.jsonl"))


def test_a_run_that_reaches_the_server_brings_what_an_earlier_one_beside_it_could_not(
    mongod_binary: Path, tmp_path: Path
) -> None:
    """Though the earlier one's process is long gone; without an import."""
    port = free_port()
    tracking = MongoTracking(f"mongodb://127.0.0.1:{port}", DATABASE, timeout=0.5, patience=0.5, capture="no")
    recorded(tmp_path / "runs" / "early", lambda tracker: tracker.scalars({"dice": 0.25}, 4), tracking)
    assert (tmp_path / "runs/early/sacred/unsent.jsonl").exists()
    (tmp_path / "db").mkdir()
    process = launch(mongod_binary, tmp_path / "db", port)
    try:
        patient = replace(tracking, timeout=5.0, patience=20.0)
        recorded(tmp_path / "runs" / "late", lambda tracker: time.sleep(0.1), patient)
        with MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{port}") as client:
            database = client[DATABASE]
            run = database["runs"].find_one({"meta.folder": str(tmp_path / "runs" / "early")})
            assert run is not None
            assert run["status"] == "COMPLETED"
            (dice,) = database["metrics"].find({"run_id": run["_id"]})
            assert dice["values"] == [0.25]
        assert not (tmp_path / "runs/early/sacred/unsent.jsonl").exists()
    finally:
        process.kill()
        process.wait()


def everything(url: str) -> Mapping[str, list[Any]]:
    """All documents of all collections."""
    with MongoClient[dict[str, Any]](url) as client:
        database = client[DATABASE]
        return {name: list(database[name].find(sort=[("_id", 1)])) for name in sorted(database.list_collection_names())}


def test_a_server_that_stalls_without_a_word_delays_no_call_and_the_end_by_seconds(
    tmp_path: Path, mortal: Mortal
) -> None:
    """A stopped process takes connections and never answers: the driver would wait half a minute."""
    slowest: list[float] = []
    ended: list[float] = []

    def main(tracker: Any) -> float:
        for step in range(30):
            if step == 10:
                time.sleep(0.5)
                os.kill(mortal.process.pid, signal.SIGSTOP)
            begin = time.monotonic()
            tracker.scalars({"dice": step / 30}, step)
            (tmp_path / "a.txt").write_text(str(step))
            tracker.artifact(tmp_path / "a.txt", f"a_{step}.txt")
            slowest.append(time.monotonic() - begin)
            time.sleep(0.05)
        ended.append(time.monotonic())
        return 1.0

    folder = tmp_path / "run"
    tracking = MongoTracking(mortal.url, DATABASE, timeout=1.0, beat=0.1, patience=1.0, capture="no")
    try:
        assert tracking.record(main, {"run": 1}, folder, "stall") == 1.0
        late = time.monotonic() - ended[0]
    finally:
        os.kill(mortal.process.pid, signal.SIGCONT)
    assert late < END_SECONDS
    assert max(slowest) < 1.0
    assert (folder / "sacred" / "unsent.jsonl").exists()
    run = json.loads((folder / "sacred" / "1" / "run.json").read_text())
    assert run["status"] == "COMPLETED"
    assert len(run["artifacts"]) == 30


def recorded(folder: Path, main: Any, tracking: Any, **config: Any) -> Any:
    """One attempt as run.py makes it: in its claimed folder."""
    settings = {"choices": {"heuristic": "bald"}, "heuristic": {}, "run": 1, "rounds": 9, **config}
    with claimed(folder, settings, {"run": 1}):
        return tracking.record(main, {"run": 1, "heuristic": "bald", "identity": "x", **config}, folder, "one")


def signalled(url: str, folder: Path, environment: Mapping[str, str]) -> None:
    """A run that waits for a signal, and takes some time to unwind."""
    os.environ.update(environment)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)  # what started the tests may ignore some
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def main(tracker: Tracker) -> None:
        tracker.scalars({"dice": 0.4}, 3)
        tracker.scalars({"dice": 0.5}, 4)
        sys.stdout.write("before the signal\n")
        (folder / "begun").touch()
        try:
            time.sleep(60)
        finally:
            time.sleep(0.4)
            (folder / "unwound").touch()

    with suppress(KeyboardInterrupt):
        MongoTracking(url, "signals", beat=60.0, patience=20.0, capture="sys").record(main, {"run": 1}, folder, "one")


def again(tracker: Tracker) -> None:
    """A resumed run: it tells a step once more, and goes on; what it does not tell again stays."""
    tracker.scalars({"dice": 0.7}, 4)
    tracker.scalars({"dice": 0.6}, 5)


@pytest.mark.parametrize(
    ("name", "limit", "status"),
    [
        ("SIGTERM", None, "INTERRUPTED"),
        ("SIGINT", None, "INTERRUPTED"),
        ("SIGUSR2", None, "TIMEOUT"),
        ("SIGTERM", 20, "TIMEOUT"),
    ],
)
def test_a_signal_ends_a_run_by_name_in_files_and_database_and_a_resume_completes_the_same_run(
    name: str, limit: int | None, status: str, mongod: str, tmp_path: Path
) -> None:
    """It comes twice, as from an impatient person; `limit` is seconds until Slurm's time limit."""
    environment = {} if limit is None else {"SLURM_JOB_END_TIME": str(int(time.time()) + limit)}
    process = FORKS.Process(target=signalled, args=(mongod, tmp_path, environment))
    process.start()
    assert process.pid is not None
    await_((tmp_path / "begun").exists)
    os.kill(process.pid, getattr(signal, name))
    time.sleep(0.1)
    os.kill(process.pid, getattr(signal, name))
    assert codes([process]) == [0]
    assert (tmp_path / "unwound").exists(), "the second signal cut the unwinding"
    with MongoClient[dict[str, Any]](mongod) as client:
        database = client["signals"]
        (run,) = database["runs"].find({"meta.folder": str(tmp_path)})
        assert run["status"] == status
        assert json.loads((tmp_path / "sacred" / "1" / "run.json").read_text())["status"] == status
        assert run["captured_out"] == "before the signal\n"
        tracking = MongoTracking(mongod, "signals", beat=60.0, patience=20.0, capture="no")
        tracking.record(again, {"run": 1}, tmp_path, "one")
        (after,) = database["runs"].find({"meta.folder": str(tmp_path)})
        assert (after["_id"], after["status"]) == (run["_id"], "COMPLETED")
        (dice,) = database["metrics"].find({"run_id": run["_id"], "name": "dice"})
        assert (dice["steps"], dice["values"]) == ([3, 4, 5], [0.4, 0.7, 0.6])
        assert [one["status"] for one in after["info"]["attempts"]] == [status, "COMPLETED"]


def test_the_handler_of_a_scheduler_library_is_called_and_its_exit_is_a_timeout(tmp_path: Path) -> None:
    """As submitit's, which hands the job back to the queue and exits."""
    called = []

    def requeue(number: int, frame: Any) -> None:
        called.append(number)
        sys.exit(-1)

    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(SystemExit):
            FileTracking(60.0, "no").record(
                lambda tracker: os.kill(os.getpid(), signal.SIGUSR2), {"run": 1}, tmp_path, "one"
            )
        assert signal.getsignal(signal.SIGUSR2) is requeue
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert called == [signal.SIGUSR2]
    assert json.loads((tmp_path / "sacred" / "1" / "run.json").read_text())["status"] == "TIMEOUT"


def killed(url: str, folder: Path) -> None:
    def main(tracker: Tracker) -> None:
        tracker.scalars({"dice": 0.5}, 4)
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGKILL)

    recorded(folder, main, MongoTracking(url, "dead", beat=0.2, patience=20.0, capture="no"))


def test_repair_ends_a_killed_run_leaves_a_living_one_and_only_lists_one_of_another_machine(
    mongod: str, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    process = FORKS.Process(target=killed, args=(mongod, folder))
    process.start()
    assert codes([process]) == [-signal.SIGKILL]
    living, go_on = tmp_path / "living", threading.Event()
    tracking = MongoTracking(mongod, "dead", beat=60.0, patience=20.0, capture="no")
    thread = threading.Thread(target=lambda: recorded(living, lambda tracker: go_on.wait(60), tracking))
    thread.start()
    with MongoClient[dict[str, Any]](mongod) as client:
        runs = client["dead"]["runs"]
        try:
            await_(lambda: runs.count_documents({}) == 2)
            (dead,) = runs.find({"meta.folder": str(folder)})
            runs.insert_one({**dead, "_id": 99, "meta": {"uid": "other", "folder": "/not/here"}})
            runs.insert_one({**dead, "_id": 100, "meta": {}})  # of another program that uses Sacred
            time.sleep(0.5)
            words = ("repair", "--database", "dead", "--silent", "0.3")
            said = script(mongod, *words).out
            status = {run["_id"]: run["status"] for run in runs.find()}
            alive = runs.find_one({"meta.folder": str(living)})
            assert alive is not None
            assert status == {dead["_id"]: "DIED", alive["_id"]: "RUNNING", 99: "RUNNING", 100: "RUNNING"}
            assert f"run {dead['_id']} ({folder}) is DIED now" in said
            assert f"run {alive['_id']} ({living}) is alive" in said
            assert "run 99 (/not/here) ran on" in said
            assert json.loads((folder / "sacred" / "1" / "run.json").read_text())["status"] == "DIED"
            script(mongod, *words, "--elsewhere")
            assert {run["_id"] for run in runs.find({"status": "DIED"})} == {dead["_id"], 99}
        finally:
            go_on.set()
            thread.join()
        assert runs.find_one({"meta.folder": str(living)}, {"status": 1}) == {
            "_id": alive["_id"],
            "status": "COMPLETED",
        }
    assert mark_dead(folder) == 0
