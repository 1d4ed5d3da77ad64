"""Tracking against real files and a real mongod: what a run gives is what can be read back, also after an outage."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import gridfs
import numpy as np
import pytest
from bson import ObjectId
from conftest import free_port
from pymongo import MongoClient

from seg_al.core import AwaitingAnnotation, Tracker
from seg_al.tracking.backends import FileTracking, MongoTracking, Untracked
from seg_al.tracking.mongod import launch
from seg_al.tracking.storable import plain_values

pytestmark = [
    pytest.mark.mongo,
    # sacred 0.8.7 asks for the time in a way that Python 3.12 deprecates
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
]
ROOT = Path(__file__).parents[2]
CONFIG = {
    "run": 3,
    "heuristic": "bald",
    "tags": ["demo"],
    "notes": "a try",
    "model": {"_target_": "m.UNet", "width": 16},
}
BEAT = 0.2


@pytest.fixture
def database(mongod: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongod)
    yield client[re.sub(r"\W", "", request.node.name)[-50:]]
    client.close()


def mongo(
    url: str | None, database: str, beat: float = BEAT, patience: float = 20.0, timeout: float = 2.0
) -> MongoTracking:
    return MongoTracking(url=url, database=database, timeout=timeout, beat=beat, patience=patience, capture="sys")


def metrics_of(database: Any, run: Mapping[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    """Steps and values by metric, found the way Omniboard finds them: by the ids in info.metrics."""
    found = {}
    for entry in run["info"]["metrics"]:
        document = database["metrics"].find_one({"_id": ObjectId(entry["id"])})
        assert document["name"] == entry["name"]
        assert document["run_id"] == run["_id"]
        assert len(document["timestamps"]) == len(document["steps"])
        found[entry["name"]] = (document["steps"], document["values"])
    return found


def attempt(folder: Path, number: int, name: str) -> Any:
    return json.loads((folder / "sacred" / str(number) / name).read_text())


def three_rounds(folder: Path) -> Callable[[Tracker], float]:
    def main(tracker: Tracker) -> float:
        tracker.note("environment", {"commit": "abc", "dirty": False, "torch.version": "2"})
        for round_ in range(3):
            tracker.scalars({"dice": np.float32(0.25 * round_), "test/iou": 0.1 * round_}, np.int64(4 + 2 * round_))
            curve = folder / "curve.png"
            curve.write_bytes(b"\x89PNG" + bytes(300_000) + bytes([round_]))
            tracker.artifact(curve, "curve.png")
            (folder / "queries.csv").write_text(f"round {round_}")
            tracker.artifact(folder / "queries.csv", f"round_{round_}/queries.csv")
            sys.stdout.write(f"round {round_} done\n")
        return 0.5

    return main


def check_files(folder: Path, number: int) -> None:
    """The three rounds are in Sacred's files, all of them."""
    home = folder / "sacred" / str(number)
    run = attempt(folder, number, "run.json")
    assert (run["status"], run["result"]) == ("COMPLETED", 0.5)
    assert run["experiment"]["name"] == "glas"
    assert run["experiment"]["sources"] == []
    assert any(dependency.startswith("torch==") for dependency in run["experiment"]["dependencies"])
    assert attempt(folder, number, "config.json") == {**CONFIG, "seed": 3}
    metrics = attempt(folder, number, "metrics.json")
    assert metrics["dice"]["steps"] == [4, 6, 8]
    assert metrics["dice"]["values"] == [0.0, 0.25, 0.5]
    assert all(type(step) is int for step in metrics["dice"]["steps"])
    assert metrics["test/iou"]["values"] == [0.0, 0.1, 0.2]
    assert attempt(folder, number, "info.json")["environment"]["torch_version"] == "2"
    assert sorted(run["artifacts"]) == ["curve.png", *(f"round_{k}/queries.csv" for k in range(3))]
    assert (home / "curve.png").read_bytes()[-1] == 2
    assert (home / "round_1" / "queries.csv").read_text() == "round 1"
    assert (home / "cout.txt").read_text() == "round 0 done\nround 1 done\nround 2 done\n"
    assert not list(home.rglob("*.partial"))


def test_untracked_runs_main_and_writes_nothing(tmp_path: Path) -> None:
    assert Untracked().record(lambda tracker: 0.25, CONFIG, tmp_path, "glas") == 0.25
    assert list(tmp_path.iterdir()) == []


def test_untracked_does_not_import_sacred_or_pymongo() -> None:
    code = (
        "import sys, seg_al.tracking.backends as ways; ways.Untracked().check(); "
        "assert not {'sacred', 'pymongo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_files_hold_everything_and_each_attempt_has_its_own_number(tmp_path: Path) -> None:
    for number in (1, 2):
        value = FileTracking(BEAT, "sys").record(three_rounds(tmp_path), CONFIG, tmp_path, "glas")
        assert value == 0.5
        check_files(tmp_path, number)


def test_mongodb_holds_everything_where_omniboard_looks_for_it(tmp_path: Path, mongod: str, database: Any) -> None:
    tracking = mongo(mongod, database.name)
    tracking.check()
    assert database.list_collection_names() == [], "a check writes nothing"
    assert tracking.record(three_rounds(tmp_path), CONFIG, tmp_path, "glas") == 0.5
    check_files(tmp_path, 1)

    (run,) = database["runs"].find()
    assert (run["_id"], run["status"], run["result"]) == (1, "COMPLETED", 0.5)
    assert run["config"] == {**CONFIG, "seed": 3}
    assert run["meta"]["comment"] == "a try"
    assert run["meta"]["attempt"] == attempt(tmp_path, 1, "run.json")["meta"]["attempt"]
    assert run["meta"]["uid"] == json.loads((tmp_path / "tracking.json").read_text())["uid"]
    assert run["info"]["environment"] == {"commit": "abc", "dirty": False, "torch_version": "2"}
    assert run["captured_out"] == "round 0 done\nround 1 done\nround 2 done\n"
    assert metrics_of(database, run) == {
        "dice": ([4, 6, 8], [0.0, 0.25, 0.5]),
        "test/iou": ([4, 6, 8], [0.0, 0.1, 0.2]),
    }
    files = gridfs.GridFS(database)
    stored = {entry["name"]: files.get(entry["file_id"]) for entry in run["artifacts"]}
    assert len(stored) == len(run["artifacts"]) == 4
    assert stored["curve.png"].read() == (tmp_path / "curve.png").read_bytes()
    assert database["fs.files"].find_one({"_id": stored["curve.png"]._id})["contentType"] == "image/png"
    assert stored["round_1/queries.csv"].read() == b"round 1"
    assert "run_id_1_name_1" in database["metrics"].index_information()
    indexes = database["runs"].index_information()
    assert indexes["meta.uid_1"]["unique"]
    assert {f"config.{key}_1" for key in ("heuristic", "dataset", "model", "run", "tags")} <= indexes.keys()


def failing(error: BaseException) -> Callable[[Tracker], float]:
    def main(tracker: Tracker) -> float:
        tracker.scalars({"dice": 0.5}, 4)
        sys.stdout.write("the last words\n")
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("out of memory"), "FAILED"),
        (SystemExit(3), "FAILED"),
        (KeyboardInterrupt(), "INTERRUPTED"),
        (AwaitingAnnotation("2 answers are missing"), "AWAITING_ANNOTATION"),
    ],
    ids=["error", "exit", "interrupt", "awaiting"],
)
def test_a_run_that_ends_early_says_how_keeps_its_output_and_raises_the_same_error(
    error: BaseException,
    status: str,
    tmp_path: Path,
    mongod: str,
    database: Any,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(type(error)) as raised:
        mongo(mongod, database.name, beat=60.0).record(failing(error), CONFIG, tmp_path, "glas")
    assert raised.value is error
    (run,) = database["runs"].find()
    assert run["status"] == status == attempt(tmp_path, 1, "run.json")["status"]
    assert run["captured_out"] == "the last words\n" == (tmp_path / "sacred" / "1" / "cout.txt").read_text()
    assert metrics_of(database, run) == {"dice": ([4], [0.5])}
    assert ("fail_trace" in run) == (status == "FAILED")
    assert caplog.records == []  # how it ended is the caller's to say
    assert capsys.readouterr() == ("the last words\n", "")


def test_sigterm_ends_the_run_as_interrupted_and_the_handler_goes_with_it(tmp_path: Path) -> None:
    def main(tracker: Tracker) -> None:
        tracker.scalars({"dice": 0.5}, 4)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        FileTracking(BEAT, "sys").record(main, CONFIG, tmp_path, "glas")
    assert attempt(tmp_path, 1, "run.json")["status"] == "INTERRUPTED"
    assert attempt(tmp_path, 1, "metrics.json")["dice"]["values"] == [0.5]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_outside_the_main_thread_is_recorded_too(tmp_path: Path) -> None:
    thread = threading.Thread(
        target=lambda: FileTracking(BEAT, "sys").record(three_rounds(tmp_path), CONFIG, tmp_path, "glas")
    )
    thread.start()
    thread.join()
    check_files(tmp_path, 1)


class Server:
    """A mongod that can be killed and brought back."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary, self.folder, self.port = binary, folder, free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = launch(self.binary, self.folder, self.port)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def mortal(mongod_binary: Path, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "db").mkdir()
    server = Server(mongod_binary, tmp_path / "db")
    yield server
    server.kill()


def test_a_server_killed_for_three_seconds_loses_nothing_and_delays_nothing(
    tmp_path: Path, mortal: Server, caplog: pytest.LogCaptureFixture
) -> None:
    slowest = []

    def main(tracker: Tracker) -> float:
        def outage() -> None:
            mortal.kill()
            time.sleep(3)
            mortal.start()

        for step in range(60):
            if step == 10:
                thread = threading.Thread(target=outage)
                thread.start()
            begin = time.monotonic()
            tracker.scalars({"dice": step / 60, "loss": -step}, step)
            if step % 10 == 5:
                (tmp_path / "a.txt").write_text(f"{step}")
                tracker.artifact(tmp_path / "a.txt", f"a_{step}.txt")
            slowest.append(time.monotonic() - begin)
            time.sleep(0.1)
        thread.join()
        tracker.note("done", True)
        return 1.0

    assert mongo(mortal.url, "outage").record(main, CONFIG, tmp_path, "glas") == 1.0
    assert max(slowest) < 1.5  # one try at the server alone takes 2 s
    with MongoClient(mortal.url) as client:
        database = client["outage"]
        (run,) = database["runs"].find()
        assert (run["status"], run["info"]["done"]) == ("COMPLETED", True)
        steps = list(range(60))
        assert metrics_of(database, run) == {
            "dice": (steps, [step / 60 for step in steps]),
            "loss": (steps, [-step for step in steps]),
        }
        files = gridfs.GridFS(database)
        contents = {entry["name"]: files.get(entry["file_id"]).read() for entry in run["artifacts"]}
        assert contents == {f"a_{step}.txt": str(step).encode() for step in range(5, 60, 10)}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 2, said  # once that it is away, once that it is back
    assert "cannot be written to MongoDB now" in said[0]
    assert "up to date in MongoDB again" in said[1]
    assert not (tmp_path / "sacred" / "1" / "unsent.json").exists()


def test_a_server_that_never_comes_back_leaves_complete_files_and_a_note(tmp_path: Path, mortal: Server) -> None:
    def main(tracker: Tracker) -> float:
        value = three_rounds(tmp_path)(tracker)
        mortal.kill()
        tracker.scalars({"late": 1.0}, 8)
        return value

    tracking = mongo(mortal.url, "gone", beat=60.0, patience=1.0)
    begin = time.monotonic()
    assert tracking.record(main, CONFIG, tmp_path, "glas") == 0.5
    check_files(tmp_path, 1)
    assert time.monotonic() - begin < 10
    first, *rows = [json.loads(line) for line in (tmp_path / "sacred" / "unsent.jsonl").read_text().splitlines()]
    assert (first["server"], first["database"]) == (mortal.url, "gone")
    assert (rows[0]["kind"], rows[0]["status"]) == ("run", "COMPLETED")
    missed = {(row["kind"], row["name"]) for row in rows[1:]}
    assert ("metric", "late") in missed
    assert ("metric", "dice") in missed
    assert all((tmp_path / row["path"]).is_file() for row in rows if row["kind"] == "artifact")
    assert attempt(tmp_path, 1, "metrics.json")["late"]["values"] == [1.0]


def test_no_server_is_an_error_within_the_timeout_that_names_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEG_AL_MONGO_URL", f"mongodb://me:s3cret@127.0.0.1:{free_port()}/?authSource=admin")
    tracking = mongo(None, "none", timeout=0.5)
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"scripts/mongo\.py up.*SEG_AL_MONGO_URL.*tracking=file") as raised:
        tracking.check()
    assert time.monotonic() - begin < 5  # the driver alone would wait 30 s
    assert "0.5 s" in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_run_that_starts_without_its_server_goes_on_in_files_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a job of a sweep does, whose server was there when the sweep was checked."""
    monkeypatch.setenv("SEG_AL_MONGO_URL", f"mongodb://me:s3cret@127.0.0.1:{free_port()}/")
    tracking = mongo(None, "none", patience=0.5, timeout=0.5)
    assert tracking.record(three_rounds(tmp_path), CONFIG, tmp_path, "glas") == 0.5
    check_files(tmp_path, 1)
    assert "goes on without it" in caplog.text
    assert f"scripts/tracking.py import {tmp_path}" in caplog.text
    assert "s3cret" not in caplog.text + (tmp_path / "sacred" / "unsent.jsonl").read_text()


@pytest.mark.parametrize("url", ["mongodb://me:s3/cret@host:1/", "mongodb://me:s3cret@host:x?y", "nonsense://s3cret@h"])
def test_a_malformed_url_is_an_error_that_does_not_quote_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEG_AL_MONGO_URL", url)
    with pytest.raises(ValueError, match="percent-encoded") as raised:
        mongo(None, "none").check()
    assert "cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_url_comes_from_the_environment_where_the_config_has_none(
    mongod: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEG_AL_MONGO_URL", mongod)
    MongoTracking(timeout=2.0).check()
    monkeypatch.setenv("SEG_AL_MONGO_URL", f"mongodb://127.0.0.1:{free_port()}")
    with pytest.raises(ValueError, match="does not answer"):
        MongoTracking(timeout=0.2).check()


def test_a_password_reaches_the_server_and_nothing_else(
    tmp_path: Path, mongod: str, database: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    with MongoClient(mongod) as client:
        client["admin"].command("createUser", "me", pwd="s3cret", roles=["root"])
    url = mongod.replace("://", "://me:s3cret@") + "/?authSource=admin"
    monkeypatch.setenv("SEG_AL_MONGO_URL", url.replace("s3cret", "wr0ng"))
    with pytest.raises(ValueError, match="refuses") as raised:
        mongo(None, database.name).check()
    assert "wr0ng" not in str(raised.value)

    monkeypatch.setenv("SEG_AL_MONGO_URL", url)
    tracking = mongo(None, database.name)
    config = {**CONFIG, "tracking": {"url": url, "database": database.name}}
    tracking.record(lambda tracker: tracker.note("server", url), config, tmp_path, "glas")
    (run,) = database["runs"].find()
    assert run["status"] == "COMPLETED"
    assert run["config"]["tracking"]["url"].endswith("?authSource=admin")
    written = [file.read_text() for file in (tmp_path / "sacred").rglob("*") if file.is_file()]
    assert len(written) >= 4
    for text in (str(run), str(list(database["metrics"].find())), repr(tracking), caplog.text, *written):
        assert "s3cret" not in text


SWEEP_JOB = """
import sys, time
from pathlib import Path
from seg_al.tracking.backends import (MongoTracking)

url, database, folder, job = sys.argv[1:]

def main(tracker):
    for step in range(20):
        tracker.scalars({"dice": int(job) + step / 100}, step)
        time.sleep(0.02)

for attempt in range(3):
    tracking = MongoTracking(url, database, 2.0, 0.1, 20.0)
    tracking.record(main, {"run": int(job)}, Path(folder) / f"{job}-{attempt}", "glas")
"""


def test_two_processes_at_once_get_numbers_of_their_own_and_unmixed_metrics(
    tmp_path: Path, mongod: str, database: Any
) -> None:
    jobs = [
        subprocess.Popen([sys.executable, "-c", SWEEP_JOB, mongod, database.name, str(tmp_path), job], cwd=ROOT)
        for job in ("1", "2")
    ]
    assert [job.wait(timeout=60) for job in jobs] == [0, 0]
    runs = list(database["runs"].find().sort("_id", 1))
    assert [run["_id"] for run in runs] == [1, 2, 3, 4, 5, 6]
    assert sorted(run["config"]["run"] for run in runs) == [1, 1, 1, 2, 2, 2]
    for run in runs:
        expected = [run["config"]["run"] + step / 100 for step in range(20)]
        assert metrics_of(database, run) == {"dice": (list(range(20)), expected)}


LOUD_JOB = """
import logging, os, subprocess, sys
from pathlib import Path
from seg_al.tracking.backends import (FileTracking)

logging.basicConfig(stream=sys.stderr, level=logging.INFO)

def main(tracker):
    print("printed")
    logging.info("logged")
    subprocess.run(["echo", "by a child"])
    for done in range(1001):
        sys.stderr.write(f"\\r{done / 10:5.1f}% \u2588")
    print("\\n" + 6_000_000 * "x")
    print("last line")
    if sys.argv[2] == "fail":
        raise RuntimeError("on purpose")

FileTracking(0.05).record(main, {"run": 1}, Path(sys.argv[1]), "glas")
"""


@pytest.mark.skipif(os.name == "nt", reason="captures file descriptors, which Sacred cannot do on Windows")
@pytest.mark.parametrize("end", ["finish", "fail"])
def test_all_output_of_the_process_is_captured_to_the_last_line_tidied_and_capped(tmp_path: Path, end: str) -> None:
    job = subprocess.run(
        [sys.executable, "-c", LOUD_JOB, str(tmp_path), end], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ("on purpose" in job.stderr) == (end == "fail")
    assert "Started run" not in job.stderr + job.stdout
    assert "last line" in job.stdout
    captured = (tmp_path / "sacred" / "1" / "cout.txt").read_text()
    for line in ("printed\n", "INFO:root:logged\n", "by a child\n", "100.0% \u2588"):
        assert line in captured
    assert " 50.0%" not in captured
    assert captured.endswith("xxx\nlast line\n")
    assert 3_900_000 < len(captured.encode()) < 4_000_100
    assert attempt(tmp_path, 1, "run.json")["status"] == {"finish": "COMPLETED", "fail": "FAILED"}[end]


def test_a_missing_artifact_is_an_error_and_the_tracking_of_the_rest_goes_on(tmp_path: Path) -> None:
    def main(tracker: Tracker) -> None:
        with pytest.raises(FileNotFoundError, match=r"absent\.png"):
            tracker.artifact(tmp_path / "absent.png", "absent.png")
        tracker.scalars({"dice": 0.5}, 4)

    assert FileTracking(BEAT, "sys").record(main, CONFIG, tmp_path, "glas") is None
    assert attempt(tmp_path, 1, "metrics.json")["dice"]["values"] == [0.5]


class Colour(Enum):
    RED = "red"


def test_a_config_is_stored_in_plain_types_with_keys_that_mongodb_takes(tmp_path: Path) -> None:
    config = {
        "run": np.int64(-1),
        "palette": {0: (255, 0), 1: (0, 255)},
        "folder": Path("data") / "glas",
        "a.b=$c": {"py/object": np.float32(0.5), "": None},
        "colour": Colour.RED,
        "big": 2**70,
        "names": {"b", "a"},
        "array": np.arange(3),
        "tags": "one",
    }
    FileTracking(BEAT, "sys").record(lambda tracker: None, config, tmp_path, "glas")
    assert attempt(tmp_path, 1, "config.json") == {
        "run": -1,
        "palette": {"0": [255, 0], "1": [0, 255]},
        "folder": str(Path("data") / "glas"),
        "a_b__c": {"_object": 0.5, "_": None},
        "colour": "red",
        "big": str(2**70),
        "names": ["a", "b"],
        "array": [0, 1, 2],
        "tags": ["one"],
        "seed": 2**32 - 1,
    }
    assert plain_values("see mongodb+srv://me:p@ss@host/db now") == "see mongodb+srv://***@host/db now"


def test_a_setuptools_without_pkg_resources_is_a_sentence_with_its_remedy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pkg_resources'] = None\n"
        "from pathlib import Path; from seg_al.tracking.backends import FileTracking\n"
        "FileTracking().record(lambda t: None, {}, Path(sys.argv[1]), 'glas')"
    )
    job = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert job.returncode == 1
    assert "pip install 'setuptools<82'" in job.stderr.splitlines()[-1]


def test_the_yaml_files_name_every_argument_of_their_class() -> None:
    import hydra.utils
    import yaml

    for name, kind in (("file", FileTracking), ("mongo", MongoTracking), ("none", Untracked)):
        values = yaml.safe_load((ROOT / "conf" / "tracking" / f"{name}.yaml").read_text())
        assert isinstance(hydra.utils.instantiate(values, _convert_="all"), kind)
        assert set(values) - {"_target_"} == set(kind.__dataclass_fields__)


def test_seconds_that_are_not_positive_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tracking\.beat is 0 seconds"):
        FileTracking(beat=0.0)
    with pytest.raises(ValueError, match=r"tracking\.timeout"):
        MongoTracking(timeout=-1.0)
