"""Import and comparison of run folders, and servers that refuse: with real runs, a real mongod and real users."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import resource
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from conftest import free_port
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from experiments import ROOT, perform
from seg_al.core import Tracker
from seg_al.running.folder import claimed
from seg_al.tracking.backends import MongoTracking
from seg_al.tracking.mongod import launch
from seg_al.tracking.run_document import read_tracked_run
from seg_al.tracking.secrets import without_secrets
from seg_al.tracking.stopped import stop_of
from seg_al.tracking.storable import URL_VARIABLE

pytestmark = [
    pytest.mark.mongo,
    # sacred 0.8.7 asks for the time in a way that Python 3.12 deprecates
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
]
ROLES = [
    {"resource": {"db": "sacred", "collection": name}, "actions": ["find", "insert", "update", "remove", "createIndex"]}
    for name in ("runs", "metrics")
]


def script(url: str, *words: str | Path) -> tuple[int, str]:
    """`python scripts/tracking.py WORDS`, in this process: its imports take seconds."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
        patch.setattr(sys, "argv", ["tracking.py", *map(str, words)])
        patch.setenv(URL_VARIABLE, url)
        code = runpy.run_path(str(ROOT / "scripts" / "tracking.py"))["main"]()
    return code, out.getvalue()


def curves(database: Any, run: Any) -> dict[str, tuple[list[float], list[float]]]:
    """Steps and values by metric, without what a clock decides."""
    found = database["metrics"].find({"run_id": run["_id"]})
    return {one["name"]: (one["steps"], one["values"]) for one in found if not one["name"].startswith("effort/")}


def test_runs_made_without_a_server_become_the_same_documents_as_a_run_that_had_one(
    mongod: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(URL_VARIABLE, mongod)
    caplog.set_level(logging.INFO)
    shared = ("rounds=2", "gallery=1", "tags=[pilot]", "notes=a try")
    for name in ("mongo", "file", "none"):
        own = ("tracking.database=brought", "tracking.patience=20") if name == "mongo" else ()
        perform(tmp_path / "data", tmp_path / "runs" / name, f"tracking={name}", *shared, *own)
    code, said = script(mongod, "import", tmp_path / "runs", "--database", "brought")
    assert (code, "2 added, 0 completed, 1 up to date, 0 problems" in said) == (0, True), said
    with MongoClient[dict[str, Any]](mongod) as client:
        database = client["brought"]
        runs = {Path(run["meta"]["folder"]).name: run for run in database["runs"].find()}
        assert sorted(runs) == ["file", "mongo", "none"]
        reference = runs["mongo"]
        assert (reference["config"]["tags"], reference["meta"]["comment"]) == (["pilot"], "a try")
        assert {"heuristic", "dataset", "model", "run", "mc_iters"} <= reference["config"].keys()
        assert len(curves(database, reference)) > 10
        for name in ("file", "none"):
            run = runs[name]
            assert run["status"] == "COMPLETED"
            assert curves(database, run) == curves(database, reference)
            assert {one["name"] for one in run["artifacts"]} >= {"round_01_queries.jsonl", "round_01_gallery.png"}
            assert run["meta"]["comment"] == "a try"
            then, now = ({**one["config"], "tracking": "", "folder": ""} for one in (reference, run))
            assert then == now
        assert "round 1: 3 images" in runs["none"]["captured_out"]
        # what is lost or changed by hand is named and mended
        database["metrics"].delete_one({"run_id": reference["_id"], "name": "test/dice"})
        database["fs.chunks"].delete_one({"files_id": reference["artifacts"][0]["file_id"]})
        database["runs"].update_one({"_id": reference["_id"]}, {"$set": {"status": "RUNNING"}})
        code, said = script(mongod, "check", tmp_path / "runs", "--database", "brought")
        assert code == 1
        assert "metric test/dice is missing (2 points)" in said
        assert f"artifact {reference['artifacts'][0]['name']} is missing" in said
        assert "status RUNNING, the folder says COMPLETED" in said
        assert "1 of 3 run folders differ" in said
        code, said = script(mongod, "import", tmp_path / "runs", "--database", "brought")
        assert (code, "0 added, 1 completed, 2 up to date" in said) == (0, True), said
        assert script(mongod, "check", tmp_path / "runs", "--database", "brought")[0] == 0


def test_an_interrupted_folder_is_brought_as_far_as_it_tells_and_a_stranger_s_mark_is_refused(
    mongod: str, tmp_path: Path
) -> None:
    for name, budget in (("one", 1), ("two", 2)):
        perform(tmp_path / "data", tmp_path / "runs" / name, "rounds=1", f"budget={budget}")
    (tmp_path / "runs/one/finished.json").unlink()
    assert script(mongod, "import", tmp_path / "runs/one", "--database", "partly")[0] == 0
    with MongoClient[dict[str, Any]](mongod) as client:
        (run,) = client["partly"]["runs"].find()
        assert run["status"] == "DIED", "it is not finished, nobody holds it, and it has not said why"
        (tmp_path / "runs/two/tracking.json").write_text((tmp_path / "runs/one/tracking.json").read_text())
        code, said = script(mongod, "import", tmp_path / "runs", "--database", "partly")
        assert code == 1
        assert "bears the mark of run 1" in said
        (tmp_path / "runs/one/config.json").write_text("{")
        code, said = script(mongod, "import", tmp_path / "runs/one", "--database", "partly")
        assert code == 1
        assert "config.json is not whole JSON" in said
        assert list(client["partly"]["runs"].find()) == [run]


def test_many_metrics_that_lack_points_are_one_line(mongod: str, tmp_path: Path) -> None:
    perform(tmp_path / "data", tmp_path / "run", "rounds=1")
    assert script(mongod, "import", tmp_path / "run", "--database", "summed")[0] == 0
    with MongoClient[dict[str, Any]](mongod) as client:
        lost = client["summed"]["metrics"].delete_many({}).deleted_count
        client["summed"]["runs"].update_one({}, {"$set": {"status": "RUNNING"}})
    code, said = script(mongod, "check", tmp_path / "run", "--database", "summed")
    assert code == 1
    status, metrics = said.splitlines()[1:3]
    assert status == "  status RUNNING, the folder says COMPLETED"
    assert re.fullmatch(rf"  {lost} metrics differ: \S+ is missing \(1 points\), and {lost - 1} more", metrics)
    assert len(said.splitlines()) == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("admin", "is MongoDB's own"),
        ("local", "is MongoDB's own"),
        ("config", "is MongoDB's own"),
        ("my runs", "without a space"),
        ("a.b", "without a space"),
        ("", "1 to 63 bytes"),
        ("x" * 64, "1 to 63 bytes"),
    ],
)
def test_a_name_that_no_database_of_runs_can_have_is_refused(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        MongoTracking(database=name).check()
    assert "tracking.database=NAME" in str(raised.value)
    code, said = script("mongodb://127.0.0.1:1", "repair", "--database", name)
    assert code == 1
    assert words in said


def test_a_database_of_another_program_that_has_no_runs_gets_none(mongod: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"choices": {"heuristic": "bald"}, "run": 1}')
    with MongoClient[dict[str, Any]](mongod) as client:
        client["other2"]["things"].insert_one({"_id": 7})
        tracking = MongoTracking(mongod, "other2")
        for ask in (tracking.check, lambda: tracking.record(lambda tracker: None, {"run": 1}, tmp_path / "new", "x")):
            with pytest.raises(ValueError, match=r"holds no runs, but .*another program \(things\).*=NAME"):
                ask()
        code, said = script(mongod, "import", tmp_path, "--database", "other2")
        assert (code, "collections of another program (things)" in said) == (1, True)
        assert client["other2"].list_collection_names() == ["things"]
        tracking = MongoTracking(mongod, "empty2")
        tracking.check()
        assert client["empty2"].list_collection_names() == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://me:s3cret@host:1/",
        "mongodb+srv://me:s3/cret@host",
        "mongodb://h/?tls=true&tlsCertificateKeyFilePassword=s3cret",
        "mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:s3cret",
        "mongodb://h/?token=s3cret",
        "mongodb://h/?access_token=s3cret&tls=true",
    ],
)
def test_a_password_in_the_config_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"tracking\.url holds a password or a token.*export SEG_AL_MONGO_URL="
    ) as raised:
        MongoTracking(url)
    assert "cret" not in str(raised.value)
    MongoTracking("mongodb://host:1,other:2/?replicaSet=x")
    said = without_secrets(f"a job with tracking.url={url} fails")
    assert "cret" not in said
    assert said.endswith(" fails")


def test_a_database_of_another_program_is_refused_and_left_alone(mongod: str, tmp_path: Path) -> None:
    with MongoClient[dict[str, Any]](mongod) as client:
        client["theirs"]["runs"].insert_one({"_id": "a", "lr": 0.1})
        tracking = MongoTracking(mongod, "theirs")
        for ask in (tracking.check, lambda: tracking.record(lambda tracker: None, {"run": 1}, tmp_path / "run", "x")):
            with pytest.raises(ValueError, match=r"another program.*without experiment.*tracking\.database=NAME"):
                ask()
        assert client["theirs"].list_collection_names() == ["runs"]
        assert list(client["theirs"]["runs"].find()) == [{"_id": "a", "lr": 0.1}]
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def guarded(mongod_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a mongod with users: root, reader, and one who may write runs and metrics but no files."""
    port, folder = free_port(), tmp_path_factory.mktemp("guarded")
    process = launch(mongod_binary, folder, port)
    with MongoClient[dict[str, Any]]("127.0.0.1", port) as client:
        client["admin"].command("createUser", "root", pwd="s3cret", roles=["root"])
        client["sacred"].command("createRole", "nofiles", privileges=ROLES, roles=["read"])
        client["sacred"].command("createUser", "reader", pwd="s3cret", roles=["read"])
        client["sacred"].command("createUser", "nofiles", pwd="s3cret", roles=["nofiles"])
        client["sacred"].command("createUser", "writer", pwd="s3cret", roles=["readWrite"])
    process.terminate()
    process.wait()
    assert isinstance(process.args, list)
    process = subprocess.Popen([*process.args, "--auth"], stdout=subprocess.DEVNULL)
    with MongoClient[dict[str, Any]](f"mongodb://root:s3cret@127.0.0.1:{port}", serverSelectionTimeoutMS=200) as client:
        patience = time.monotonic() + 30
        while True:
            try:
                client["admin"].command("ping")
                break
            except PyMongoError:
                assert time.monotonic() < patience
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ("writer:wr0ng", "wrong user or password.*authSource"),
        ("reader:s3cret", "code 13.*readWrite"),
        ("nofiles:s3cret", r"code 13.*fs\.\*.*readWrite"),
    ],
)
def test_a_login_that_fails_or_may_not_write_is_refused_before_a_run_with_the_remedy(
    login: str, words: str, guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, f"mongodb://{login}@{guarded}/?authSource=sacred")
    tracking = MongoTracking(None, "sacred", timeout=10.0)
    for ask in (tracking.check, lambda: tracking.record(lambda tracker: None, {"run": 1}, tmp_path / "run", "x")):
        with pytest.raises(ValueError, match=words) as raised:
            ask()
        assert "s3cret" not in str(raised.value)
        assert "wr0ng" not in str(raised.value)
    assert not (tmp_path / "run").exists()
    code, said = script(f"mongodb://{login}@{guarded}/?authSource=sacred", "repair")
    assert code == 1
    assert "s3cret" not in said
    assert said.startswith("error: MongoDB at mongodb://***@127.0.0.1:")


def test_files_that_the_server_stops_taking_do_not_hold_up_the_rest_and_are_brought_later(
    guarded: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = f"mongodb://root:s3cret@{guarded}"
    url = f"mongodb://writer:s3cret@{guarded}/?authSource=sacred"
    with MongoClient[dict[str, Any]](admin) as client:

        def main(tracker: Tracker) -> float:
            client["sacred"].command("updateUser", "writer", roles=["nofiles"])
            tracker.scalars({"dice": 0.5}, 4)
            (tmp_path / "a.txt").write_text("content")
            tracker.artifact(tmp_path / "a.txt", "a.txt")
            return 1.0

        folder = tmp_path / "run"
        begin = time.monotonic()
        monkeypatch.setenv(URL_VARIABLE, url)
        tracking = MongoTracking(None, "sacred", timeout=10.0, beat=60.0, patience=20.0, capture="no")
        with claimed(folder, {"choices": {"heuristic": "bald"}, "run": 1}, {"run": 1}):
            assert tracking.record(main, {"run": 1}, folder, "x") == 1.0
        (run,) = client["sacred"]["runs"].find({"meta.folder": str(folder)})
        assert (run["status"], run["artifacts"]) == ("COMPLETED", [])
        assert client["sacred"]["metrics"].find_one({"run_id": run["_id"]})["values"] == [0.5]  # type: ignore[index]
        rows = [json.loads(line) for line in (folder / "sacred/unsent.jsonl").read_text().splitlines()]
        assert [(row["kind"], row["path"]) for row in rows[2:]] == [("artifact", "sacred/1/a.txt")]
        assert "artifact a.txt (OperationFailure, code 13)" in caplog.text
        assert f"scripts/tracking.py import {folder}" in caplog.text
        code, said = script(url, "import", folder)
        assert code == 1
        assert "code 13" in said
        client["sacred"].command("updateUser", "writer", roles=["readWrite"])
        code, said = script(url, "import", folder)
        assert (code, "1 completed" in said) == (0, True), said
        assert not (folder / "sacred/unsent.jsonl").exists()
        client["sacred"].command("updateUser", "reader", roles=["read"])
        reader = url.replace("writer", "reader")
        assert script(reader, "check", folder)[0] == 0, "comparing needs no right to write"
        texts = [path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()]
        assert all("s3cret" not in text for text in (str(run), caplog.text, said, *texts))
    assert time.monotonic() - begin < 60


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits a server's files, which Linux alone can")
def test_a_server_whose_disk_is_full_leaves_the_folder_complete_and_the_end_on_time(
    mongod_binary: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No file of it may grow beyond 1 MiB, as on a full disk; what mongod then does is its own affair."""
    caplog.set_level(logging.WARNING)
    (tmp_path / "db").mkdir()
    port, ended = free_port(), []
    process = launch(mongod_binary, tmp_path / "db", port)

    def main(tracker: Tracker) -> float:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2**20, 2**20))
        (tmp_path / "big.bin").write_bytes(os.urandom(20 * 2**20))
        tracker.artifact(tmp_path / "big.bin", "big.bin")
        tracker.scalars({"dice": 0.5}, 4)
        time.sleep(0.5)
        ended.append(time.monotonic())
        return 1.0

    folder = tmp_path / "run"
    try:
        tracking = MongoTracking(f"mongodb://127.0.0.1:{port}", "sacred", timeout=2.0, beat=0.2, capture="no")
        with claimed(folder, {"choices": {"heuristic": "bald"}, "run": 1}, {"run": 1}):
            assert tracking.record(main, {"run": 1}, folder, "x") == 1.0
        assert time.monotonic() - ended[0] < 10.0  # 4 s on an idle machine; the driver alone would wait 30 s
    finally:
        process.kill()
        process.wait()
    assert json.loads((folder / "sacred/1/run.json").read_text())["status"] == "COMPLETED"
    assert (folder / "sacred/1/big.bin").read_bytes() == (tmp_path / "big.bin").read_bytes()
    assert "big.bin" in (folder / "sacred/unsent.jsonl").read_text()
    process = launch(mongod_binary, tmp_path / "db", port)  # room again
    try:
        url = f"mongodb://127.0.0.1:{port}"
        assert script(url, "import", folder)[0] == 0
        assert script(url, "check", folder)[0] == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("content", ["{}", "null", "[" * 100_000, '{"status": "RUNNING", "meta": 3}', '{"sta'])
def test_a_folder_whose_attempt_was_changed_is_named_and_stops_no_other(content: str, tmp_path: Path) -> None:
    place = tmp_path / "run" / "sacred" / "1"
    place.mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text('{"choices": {}}')
    (place / "run.json").write_text(content)
    with pytest.raises(ValueError, match=rf"{tmp_path / 'run'}.*move (it|the folder) away"):
        read_tracked_run(tmp_path / "run")


@pytest.mark.parametrize("content", ["{}", "null", "[" * 100_000, '{"how": "fail'])
def test_a_stop_that_was_changed_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "stopped.json").write_text(content)
    with pytest.raises(ValueError, match=r"stopped\.json .*; ?remove it|stopped\.json was changed .*; remove it"):
        stop_of(tmp_path)
