"""scripts/mongo.py and seg_al/tracking/mongod.py, with the real mongod of the wheel."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import free_port
from pymongo import MongoClient

from seg_al.tracking import mongod

pytestmark = pytest.mark.mongo
ROOT = Path(__file__).parents[2]


def script(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "mongo.py", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.fixture
def folder(tmp_path: Path, mongod_binary: Path) -> Iterator[Path]:
    folder = tmp_path / "data of mongod"
    yield folder
    script("down", "--folder", folder)


def test_up_status_down_start_one_server_and_stop_it_and_keep_its_data(folder: Path) -> None:
    port = str(free_port())
    status = script("status", "--folder", folder)
    assert status.returncode == 1
    assert f"start it: python scripts/mongo.py up --folder '{folder}'" in status.stdout

    first = script("up", "--folder", folder, "--port", port)
    assert first.returncode == 0, first.stderr
    assert f"started: mongodb://127.0.0.1:{port} " in first.stdout
    assert f"SEG_AL_MONGO_URL=mongodb://127.0.0.1:{port} python run.py tracking=mongo" in first.stdout
    with MongoClient("127.0.0.1", int(port)) as client:
        client["here"]["things"].insert_one({"_id": 7})

    again = script("up", "--folder", folder, "--port", port)
    assert again.returncode == 0
    assert "is already running" in again.stdout
    pid = json.loads((folder / "mongod.pid").read_text())["pid"]
    assert f"(pid {pid})" in first.stdout
    assert f"(pid {pid})" in again.stdout
    status = script("status", "--folder", folder)
    assert status.returncode == 0
    assert f"mongodb://127.0.0.1:{port}" in status.stdout

    assert f"stopped (pid {pid})" in script("down", "--folder", folder).stdout
    assert script("status", "--folder", folder).returncode == 1
    assert script("down", "--folder", folder).returncode == 0
    assert not (folder / "mongod.pid").exists()

    script("up", "--folder", folder, "--port", port)
    with MongoClient("127.0.0.1", int(port)) as client:
        assert client["here"]["things"].find_one() == {"_id": 7}


def test_the_server_listens_on_the_loopback_interface_only_and_its_journal_is_small(folder: Path) -> None:
    port = free_port()
    script("up", "--folder", folder, "--port", str(port))
    with MongoClient("127.0.0.1", port) as client:
        options = client.admin.command("getCmdLineOpts")["parsed"]
    assert options["net"]["bindIp"] == "127.0.0.1"
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 40e6


def test_a_killed_server_leaves_a_stale_pid_file_that_up_and_down_get_over(folder: Path) -> None:
    port = str(free_port())
    script("up", "--folder", folder, "--port", port)
    running = mongod.find(folder)
    assert running is not None
    os.kill(running.pid, 9)
    while mongod.find(folder):
        time.sleep(0.05)
    assert script("status", "--folder", folder).returncode == 1
    assert script("up", "--folder", folder, "--port", port).returncode == 0
    assert mongod.find(folder) != running


def test_down_does_not_kill_a_stranger_that_got_the_number_of_the_pid_file(folder: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    folder.mkdir()
    (folder / "mongod.pid").write_text(json.dumps({"pid": stranger.pid, "port": free_port()}))
    assert script("down", "--folder", folder).returncode == 0
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_port_in_use_is_named_with_its_remedy(folder: Path, mongod: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = script("up", "--folder", folder, "--port", str(port))
    assert answer.returncode == 1
    assert f"port {port} is taken by another program; choose another one: --port" in answer.stderr
    answer = script("up", "--folder", folder, "--port", mongod.rpartition(":")[2])
    assert "another mongod" in answer.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, mongod_binary: Path) -> None:
    (tmp_path / "file").touch()
    answer = script("up", "--folder", tmp_path / "file" / "data", "--port", str(free_port()))
    assert answer.returncode == 1
    assert f"cannot write in {tmp_path / 'file' / 'data'}" in answer.stderr
    assert "--folder" in answer.stderr


def test_a_folder_of_another_server_gives_the_reason_from_the_log(folder: Path, mongod_binary: Path) -> None:
    script("up", "--folder", folder, "--port", str(free_port()))
    (folder / "mongod.pid").rename(folder / "hidden")
    answer = script("up", "--folder", folder, "--port", str(free_port()))
    (folder / "hidden").rename(folder / "mongod.pid")
    assert answer.returncode == 1
    assert "DBPathInUse" in answer.stderr


def test_a_mongod_that_wants_a_login_is_named_as_one(folder: Path, mongod_binary: Path, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "theirs").mkdir()
    theirs = mongod.launch(mongod_binary, tmp_path / "theirs", port)
    try:
        with MongoClient("127.0.0.1", port) as client:
            client["admin"].command("createUser", "root", pwd="s3cret", roles=["root"])
        theirs.terminate()
        theirs.wait()
        assert isinstance(theirs.args, list)
        theirs = subprocess.Popen([*theirs.args, "--auth"], stdout=subprocess.DEVNULL)
        with MongoClient("127.0.0.1", port) as client:
            client["admin"].command("hello")  # waits until it is there
        answer = script("up", "--folder", folder, "--port", str(port))
    finally:
        theirs.terminate()
        theirs.wait()
    assert answer.returncode == 1
    assert f"port {port} is taken by another mongod, which wants a login" in answer.stderr
    assert "SEG_AL_MONGO_URL" in answer.stderr


def test_a_log_that_a_full_disk_cut_off_still_gives_the_reason(tmp_path: Path) -> None:
    """A line that ends in its middle was an error message about a string without an end."""
    lines = (
        '{"s":"I", "msg":"starts"}',
        '{"s":"E",  "c":"WT", "msg":"cannot write","attr":{"error":"No space left on device"}}'.replace(": ", ":"),
        '{"s":"F",  "c":"WT", "msg":"it ends here, and so d',
    )
    failing = tmp_path / "mongod"
    log = tmp_path / "mongod.log"
    failing.write_text("#!/bin/sh\n" + "".join(f"echo '{line}' >> '{log}'\n" for line in lines) + "exit 14\n")
    failing.chmod(0o755)
    with pytest.raises(ValueError, match=r"exit 14\): cannot write .*No space left on device"):
        mongod.launch(failing, tmp_path, free_port())


def test_a_disk_without_room_is_named_before_a_server_is_started(tmp_path: Path) -> None:
    mongod.require_room(tmp_path, needed=1)
    with pytest.raises(ValueError, match=r"disk of .* is full: .* MiB are free, 1,099,511,627,776 are.*--folder"):
        mongod.require_room(tmp_path, needed=2**60)


def test_an_unusable_binary_is_refused_with_its_reason(tmp_path: Path) -> None:
    crashing = tmp_path / "mongod"
    crashing.write_text("#!/bin/sh\nkill -ILL $$\n")
    crashing.chmod(0o755)
    with pytest.raises(ValueError, match="AVX"):
        mongod.find_binary(crashing)
    crashing.write_text("#!/bin/sh\necho 'libcurl.so.4: cannot open' >&2; exit 127\n")
    with pytest.raises(ValueError, match=r"exit 127: libcurl\.so\.4"):
        mongod.find_binary(None, {"MONGOD_BIN": str(crashing)})
    with pytest.raises(ValueError, match="tracking=file"):
        mongod.find_binary(tmp_path / "absent")


def test_a_broken_mongod_on_the_path_is_passed_over_for_the_wheel(tmp_path: Path, mongod_binary: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    found = mongod.find_binary(None, {"PATH": str(tmp_path)})
    assert found != broken
    assert mongod.version(found)[0].isdigit()


def test_the_folder_and_the_log_are_closed_to_other_users(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    assert script("up", "--folder", folder, "--port", str(free_port())).returncode == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "mongod.log").stat().st_mode) == 0o600


def test_a_folder_of_something_else_is_refused_and_keeps_its_rights(tmp_path: Path, mongod_binary: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    tmp_path.chmod(0o755)
    answer = script("up", "--folder", tmp_path, "--port", str(free_port()))
    assert (answer.returncode, "holds other files (thesis.tex)" in answer.stderr) == (1, True)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
