"""Omniboard's installation, process and refusals; real mongod, real Node.js and, where marked, the real package.

`python scripts/omniboard.py --install-only` fetches the package; without it the tests that need it are skipped.
"""

from __future__ import annotations

import http.client
import json
import logging
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from conftest import free_port
from pymongo import MongoClient

from seg_al.tracking.local_port import require_free
from seg_al.tracking.mongod import launch
from seg_al.tracking.omniboard.node import Node, cache_folder, find_node, install, packages_folder
from seg_al.tracking.omniboard.service import (
    APP,
    PORT_IN_USE,
    Omniboard,
    Patience,
    database_url,
    end,
    omniboard_on,
    serve,
)
from seg_al.tracking.server import Server

ROOT = Path(__file__).parents[2]
QUICK = Patience(start=20.0, beat=0.2, unwell=2, falls=2, span=60.0, wait=0.05)


@pytest.fixture(scope="session")
def node() -> Node:
    try:
        return find_node()
    except ValueError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def package(node: Node) -> Path:
    place = packages_folder(APP, cache_folder())
    if not place.exists():
        pytest.skip(f"{place} is not there: python scripts/omniboard.py --install-only")
    return place


def stand_in(place: Path, program: str) -> Path:
    """A folder with a program of a few lines where Omniboard's would be."""
    entry = place / "node_modules" / "omniboard" / "dist" / "start.js"
    entry.parent.mkdir(parents=True)
    entry.write_text(program)
    return place


def board_of(node: Node, place: Path, folder: Path, url: str = "mongodb://127.0.0.1:1", name: str = "it") -> Omniboard:
    return Omniboard(node, place, url, name, free_port(), folder / "said.log")


@contextmanager
def served(board: Omniboard) -> Iterator[Callable[[int], None]]:
    """Serves the board in a thread; yields what waits for its n-th first answer."""
    stop, answers = threading.Event(), threading.Semaphore(0)
    failures: list[Exception] = []

    def work() -> None:
        try:
            serve(board, lambda: True, stop, answers.release, QUICK)
        except ValueError as error:
            failures.append(error)
            answers.release()

    thread = threading.Thread(target=work)
    thread.start()

    def await_answer(times: int = 1) -> None:
        for _ in range(times):
            assert answers.acquire(timeout=60)
            assert not failures

    try:
        yield await_answer
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def get(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mongodb://h:1", "mongodb://h:1/d"),
        ("mongodb://h:1/?journal=true", "mongodb://h:1/d?journal=true"),
        ("mongodb://h:1/other", "mongodb://h:1/d"),
        ("mongodb://me:p%40w@h:1,i:2/", "mongodb://me:p%40w@h:1,i:2/d?authSource=admin"),
        ("mongodb://me:pw@h/users", "mongodb://me:pw@h/d?authSource=users"),
        ("mongodb+srv://me:pw@h/x?authSource=y&w=1", "mongodb+srv://me:pw@h/d?authSource=y&w=1"),
    ],
)
def test_the_url_names_the_database_and_a_login_stays_with_its_own(url: str, expected: str) -> None:
    assert database_url(url, "d") == expected


def test_the_lockfile_pins_one_omniboard_and_names_the_public_registry_alone() -> None:
    lock = json.loads((APP / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/omniboard"]["version"] == "2.16.1"
    fetched = [entry for entry in lock["packages"].values() if "resolved" in entry]
    assert len(fetched) > 800
    assert all(entry["resolved"].startswith("https://registry.npmjs.org/") for entry in fetched)
    assert all(entry["integrity"].startswith("sha512-") for entry in fetched)


def test_a_missing_an_old_and_a_broken_node_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no `node` is on PATH\. Get Node\.js 18 or newer: `pip install"):
        find_node({"PATH": str(tmp_path)})
    program = tmp_path / "node"
    for said, message in (("v16.20.2", "16.20.2 .* too old"), ("oh", "not a working"), ("v20.1.0", "`npm` is not on")):
        program.write_text(f"#!/bin/sh\necho {said}\n")
        program.chmod(0o755)
        with pytest.raises(ValueError, match=message):
            find_node({"PATH": str(tmp_path)})


def test_an_installation_without_a_network_says_so_and_leaves_nothing(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"registry": "http://me:secret@127.0.0.1:9/", "fetch_retries": "0", "cache": str(tmp_path)}
    for name, value in settings.items():
        monkeypatch.setenv(f"npm_config_{name}", value)
    app = tmp_path / "app"
    app.mkdir()
    package = {"name": "it", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}}
    where = {"version": "2.1.3", "resolved": "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz", "integrity": "sha512-AA=="}
    lock = {**package, "lockfileVersion": 3, "packages": {"": package, "node_modules/ms": where}}
    (app / "package.json").write_text(json.dumps(package))
    (app / "package-lock.json").write_text(json.dumps(lock))
    with pytest.raises(
        ValueError, match=r"npm could not install .*ECONNREFUSED.* registry cannot be reached"
    ) as caught:
        install(node, app, tmp_path / "cache")
    assert "secret" not in str(caught.value)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["app.lock"]


@pytest.mark.mongo
def test_the_command_says_what_is_wrong_and_never_a_password(
    mongod: str, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(ROOT / "scripts" / "omniboard.py"))["main"]
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # they are this process's
    wrong = mongod.replace("//", "//me:sesame@")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for url, port, message in (
            (mongod, taken.getsockname()[1], "is taken by another program; choose another one: --port"),
            (mongod, 70000, "--port 70000 is not in 1..65535"),
            (wrong, free_port(), "refuses the login"),
            ("mongodb://me:sesame@127.0.0.1:1", free_port(), "does not answer"),
        ):
            monkeypatch.setenv("SEG_AL_MONGO_URL", url)
            monkeypatch.setattr(sys, "argv", ["omniboard.py", "--port", str(port)])
            assert main() == 1
            printed = "".join(capsys.readouterr())
            assert message in printed
            assert "tracking=file" not in printed, "it starts no run"
            assert "sesame" not in printed


def test_it_listens_on_loopback_and_answers_no_page_of_another_site(node: Node, tmp_path: Path) -> None:
    program = "require('http').createServer((q, r) => r.end('[]')).listen(process.env.PORT)"
    board = board_of(node, stand_in(tmp_path, program), tmp_path)
    with served(board) as await_answer:
        await_answer()
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", board.port), timeout=2):
            pass  # another address of this machine: only a server on all interfaces answers it
        assert get(board.port, "/")[0] == 200
        assert get(board.port, "/", Origin=f"http://localhost:{board.port}")[0] == 200
        assert get(board.port, "/", Origin="https://elsewhere.org")[0] == 403
        assert get(board.port, "/", Origin="null")[0] == 403
        assert get(board.port, "/", Host="elsewhere.org")[0] == 403
        with pytest.raises(ValueError, match="is taken by another program"):
            require_free(board.port, omniboard_on)
        with (tmp_path / "second.log").open("wb") as output:
            second = board.launch(output)
            assert second.wait(20) == PORT_IN_USE  # and not another port, in silence
            end(second)


def test_it_ends_when_the_process_that_started_it_ends(node: Node, tmp_path: Path) -> None:
    place = stand_in(tmp_path, "require('http').createServer(() => {}).listen(process.env.PORT)")
    with (tmp_path / "said.log").open("wb") as output:
        process = board_of(node, place, tmp_path).launch(output)
    time.sleep(0.3)
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()  # as the system does for a killed process
    assert process.wait(20) == 0


def test_one_that_falls_too_often_is_given_up_with_its_last_words(node: Node, tmp_path: Path) -> None:
    board = board_of(node, stand_in(tmp_path, "console.error('Error: no luck'); process.exit(3)"), tmp_path)
    with pytest.raises(ValueError, match=r"fell 3 times within 60 s .* exit code 3: Error: no luck"):
        serve(board, lambda: True, threading.Event(), lambda: None, QUICK)


def test_one_that_does_not_find_back_to_mongodb_starts_again(
    node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = (
        "let ill = false; require('http').createServer((q, r) => {"
        "if (q.url === '/ill') ill = true; r.statusCode = ill ? 500 : 200; r.end('[]') }).listen(process.env.PORT)"
    )
    board = board_of(node, stand_in(tmp_path, program), tmp_path)
    with caplog.at_level(logging.WARNING), served(board) as await_answer:
        await_answer()
        get(board.port, "/ill")
        await_answer()
    assert "it has lost MongoDB" in caplog.text


@pytest.mark.mongo
@pytest.mark.omniboard
def test_the_table_gets_short_numbers_and_all_runs_also_after_mongodb_was_killed(
    mongod_binary: Path, node: Node, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    url = f"mongodb://127.0.0.1:{port}"
    (tmp_path / "db").mkdir()
    process = launch(mongod_binary, tmp_path / "db", port)
    try:
        with MongoClient[dict[str, Any]](url, journal=True) as client:
            runs = client["killed"]["runs"]
            fixed: dict[str, Any] = {"experiment": {}, "config": {"lr": 0.123456789}, "status": "COMPLETED"}
            runs.insert_one({"_id": 1, **fixed, "result": 0.123456789})
            client["admin"].command("fsync")  # what the estimate remembers
            runs.insert_many([{"_id": 2, **fixed, "result": 0.000123456}, {"_id": 3, **fixed, "result": 1234.5}])
            process.kill()
            process.wait()
            process = launch(mongod_binary, tmp_path / "db", port)
            assert runs.estimated_document_count() == 1
        command = runpy.run_path(str(ROOT / "scripts" / "omniboard.py"))
        command["prepare"](Server(url, "killed", 5.0))
        assert "holds 3 runs" in capsys.readouterr().out
        board = board_of(node, package, tmp_path, url, "killed")
        with served(board) as await_answer:
            await_answer()
            assert json.loads(get(board.port, "/sacred/api/v1/Runs/count")[1]) == {"count": 3}
            rows = json.loads(get(board.port, "/sacred/api/v1/Runs?sort_by=_id&order_by=1")[1])
            assert [row["result"] for row in rows] == [0.1235, 0.0001235, 1234.5]
            assert rows[0]["config"] == {"lr": 0.123456789}, "a setting is what it is"
            one = json.loads(get(board.port, "/sacred/api/v1/Runs/1")[1])
            assert one["result"] == 0.123456789, "the run itself has all digits"
    finally:
        process.kill()
        process.wait()


@pytest.mark.mongo
@pytest.mark.omniboard
def test_a_request_for_a_file_that_is_gone_fells_omniboard_and_it_starts_again(
    mongod: str, node: Node, package: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board = board_of(node, package, tmp_path, mongod, "fall")
    with caplog.at_level(logging.WARNING), served(board) as await_answer:
        await_answer()
        with pytest.raises(http.client.RemoteDisconnected):
            get(board.port, f"/sacred/api/v1/files/preview/{ObjectId()}")
        await_answer()
        assert get(board.port, "/sacred/api/v1/Runs")[0] == 200
    assert "Omniboard fell: it ended with exit code" in caplog.text
