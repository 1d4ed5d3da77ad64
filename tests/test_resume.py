"""A run that is killed anywhere and started again ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from experiments import ROOT, TINY, metrics, perform, queries, record, tiny
from seg_al.recording.checksums import SUMS
from seg_al.recording.files import WEIGHTS
from seg_al.trainers.trainer import Trainer

TWO_ROUNDS = ("rounds=2", "gallery=1")


def count_trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | str, ...]]:
    """The addresses (run, round, member) of all trainings from now on; they still happen."""
    trained: list[tuple[int | str, ...]] = []
    fit = Trainer.fit

    def counted(self, model, labelled, judge, compute, address, snapshots=1):
        trained.append(address)
        return fit(self, model, labelled, judge, compute, address, snapshots)

    monkeypatch.setattr(Trainer, "fit", counted)
    return trained


def watched(folder: Path, see: Callable[[Path], None]) -> pytest.MonkeyPatch:
    """Calls `see` before each rename into and each removal from the folder, also those of the process that draws.

    They happen one after the other.
    """
    patch = pytest.MonkeyPatch()
    replace, unlink = Path.replace, Path.unlink

    def seen_replace(self: Path, target: Path) -> Path:
        if folder not in self.parents:
            return replace(self, target)
        with FileLock(f"{folder}.watched"):
            see(self)
            return replace(self, target)

    def seen_unlink(self: Path, missing_ok: bool = False) -> None:
        if folder not in self.parents or self.name == ".lock":
            return unlink(self, missing_ok)
        with FileLock(f"{folder}.watched"):
            see(self)
            unlink(self, missing_ok)

    patch.setattr(Path, "replace", seen_replace)
    patch.setattr(Path, "unlink", seen_unlink)
    return patch


def test_a_run_killed_before_any_of_its_files_is_complete_ends_like_an_uninterrupted_one(
    data: Path, tmp_path: Path
) -> None:
    """What lies on the disk at each rename is what kill -9 leaves there: no handler and no flush comes after it.

    The file that was being written is cut to its half in every second of these folders, as a kill may also do.
    """
    whole = tmp_path / "whole"

    def copies() -> list[Path]:
        return sorted(tmp_path.glob("killed*"))

    def keep(partial: Path) -> None:
        if partial.name.startswith(f".{Path(SUMS).stem}") and partial.parent.name == "00":
            return  # written as in round 1, and each of these copies is resumed
        number = len(copies())
        copy = tmp_path / f"killed{number}"
        shutil.copytree(whole, copy)
        if number % 2 and partial.name.startswith("."):
            os.truncate(copy / partial.relative_to(whole), partial.stat().st_size // 2)

    patch = watched(whole, keep)
    try:
        dice = perform(data, whole, *TWO_ROUNDS)
    finally:
        patch.undo()
    names = {path.name for path in whole.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert len(copies()) >= len(names) > 10
    for copy in copies():
        assert perform(data, copy, *TWO_ROUNDS) == dice
        assert record(copy) == record(whole), copy
        assert not list(copy.rglob("*partial*")), copy
        assert {path.relative_to(copy) for path in copy.rglob("*")} == {
            path.relative_to(whole) for path in whole.rglob("*")
        }


@pytest.mark.parametrize("seconds", [0.0, 0.4])
def test_a_process_killed_by_the_system_is_resumed_to_the_same_numbers(
    seconds: float, data: Path, tmp_path: Path
) -> None:
    """kill -9 while round 1 begins, and a little later; with Sacred's files, as by default."""
    settings = ("rounds=3", "tracking=file", "trainer.pace.steps=20")
    perform(data, tmp_path / "whole", *settings)
    folder = tmp_path / "killed"
    words = [f"dataset.root={data}", *TINY, *settings, f"folder={folder}"]
    command = [sys.executable, str(ROOT / "run.py"), *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        patience = time.monotonic() + 60
        while not (folder / "rounds/00/metrics.json").exists() and process.poll() is None:
            assert time.monotonic() < patience
            time.sleep(0.005)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "finished.json").exists()
    perform(data, folder, *settings)
    assert record(folder) == record(tmp_path / "whole")


def test_a_finished_run_is_neither_run_nor_written_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}

    perform(data, tmp_path, "rounds=2")
    before, trained = written(), count_trainings(monkeypatch)
    assert perform(data, tmp_path, "rounds=2") is None
    assert not trained
    assert {path: time for path, time in written().items() if path.is_file()} == {
        path: time for path, time in before.items() if path.is_file()
    }


def test_more_rounds_go_on_where_a_finished_run_ended(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform(data, tmp_path / "whole", "rounds=3")
    perform(data, tmp_path / "raised", "rounds=2")
    trained = count_trainings(monkeypatch)
    perform(data, tmp_path / "raised", "rounds=3")
    assert trained == [(0, 2, 0)]
    assert record(tmp_path / "raised") == record(tmp_path / "whole")


@pytest.mark.parametrize("start", ["fresh", "warm"])
def test_lost_weights_are_trained_again_on_what_was_known_then(
    start: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warm start needs the weights of all rounds before: each must see the labelled set of its own round."""
    settings = (f"trainer.start={start}", "keep_weights=last")
    perform(data, tmp_path / "whole", "rounds=3", *settings)
    perform(data, tmp_path / "lost", "rounds=2", *settings)
    (tmp_path / "lost/rounds/01/weights.pt").unlink()
    trained = count_trainings(monkeypatch)
    perform(data, tmp_path / "lost", "rounds=3", *settings)
    assert sorted(trained) == [(0, number, 0) for number in ((0, 1, 2) if start == "warm" else (1, 2))]
    assert record(tmp_path / "lost") == record(tmp_path / "whole")
    found, expected = (WEIGHTS.load(tmp_path / name / "rounds/02/weights.pt") for name in ("lost", "whole"))
    assert all(bool((found[0][key] == expected[0][key]).all()) for key in expected[0])


def test_weights_lost_after_the_next_question_was_asked_do_not_learn_from_its_answer(
    data: Path, tmp_path: Path
) -> None:
    """Killed in round 2 after its queries, round 1's weights gone, warm start: they are made of round 1's labels."""
    settings = ("rounds=3", "trainer.start=warm")
    perform(data, tmp_path / "whole", *settings)
    lost = tmp_path / "lost"
    shutil.copytree(tmp_path / "whole", lost)
    for name in ("finished.json", "rounds/02/weights.pt", "rounds/02/metrics.json"):
        (lost / name).unlink()
    perform(data, lost, *settings)
    assert record(lost) == record(tmp_path / "whole")


def test_a_config_that_does_not_match_its_folder_is_refused_by_key(data: Path, tmp_path: Path) -> None:
    perform(data, tmp_path, "rounds=1")
    before = record(tmp_path)
    with pytest.raises(ValueError, match="other settings") as error:
        perform(data, tmp_path, "rounds=1", "budget=2", "model.width=3", "workers=0", "keep_weights=all")
    told = str(error.value)
    assert "budget: 1 there, 2 here" in told
    assert "model.width: 2 there, 3 here" in told
    assert "workers" not in told, "it does not decide the numbers"
    assert "keep_weights" not in told
    assert str(tmp_path) in told
    assert record(tmp_path) == before


def test_a_folder_that_another_process_runs_is_refused(data: Path, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(ValueError, match="another process is running"):
        perform(data, tmp_path, "rounds=1")
    assert not (tmp_path / "config.json").exists()
    perform(data, tmp_path, "rounds=1")
    assert (tmp_path / "finished.json").exists()


def test_a_record_damaged_by_hand_is_refused_rather_than_learned_from(data: Path, tmp_path: Path) -> None:
    """Two rounds that ask for the same pixels cannot come from us; the run does not go on from them."""
    perform(data, tmp_path, "rounds=2")
    shutil.copy(tmp_path / "rounds/00/queries.jsonl", tmp_path / "rounds/01/queries.jsonl")
    with pytest.raises(ValueError, match="its checksum is not the one"):
        perform(data, tmp_path, "rounds=3")
    (tmp_path / "rounds/01" / SUMS).unlink()
    with pytest.raises(ValueError, match="known already"):
        perform(data, tmp_path, "rounds=3")


@pytest.mark.parametrize("lines", [0, 1])
def test_a_record_that_lost_lines_is_refused_and_made_anew_after_its_removal(
    lines: int, data: Path, tmp_path: Path
) -> None:
    perform(data, tmp_path / "whole", "rounds=3")
    perform(data, tmp_path / "short", "rounds=2")
    path = tmp_path / "short/rounds/00/queries.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    with pytest.raises(ValueError, match=r"rounds/00/queries\.jsonl cannot be read, .*remove it and run"):
        perform(data, tmp_path / "short", "rounds=3")
    path.unlink()
    perform(data, tmp_path / "short", "rounds=3")
    assert record(tmp_path / "short") == record(tmp_path / "whole")


def test_a_folder_from_before_there_were_checksums_goes_on(data: Path, tmp_path: Path) -> None:
    perform(data, tmp_path / "whole", "rounds=2")
    perform(data, tmp_path / "old", "rounds=1")
    (tmp_path / "old/rounds/00" / SUMS).unlink()
    perform(data, tmp_path / "old", "rounds=2")
    assert record(tmp_path / "old") == record(tmp_path / "whole")


def test_a_resumed_run_bills_what_it_asked_before_it_was_stopped(data: Path, tmp_path: Path) -> None:
    perform(data, tmp_path, "rounds=1")
    perform(data, tmp_path, "rounds=3")
    assert [metrics(tmp_path, number)["cost"]["images"] for number in range(3)] == [2, 3, 4]
    asked = [query["image"] for number in range(3) for query in queries(tmp_path, number)]
    assert len(set(asked)) == len(asked) == 4
    assert set(asked) <= set(tiny(data).dataset.pool)
