"""Runs that begin alike train once, and have the numbers of runs that train alone."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from experiments import ROOT, TINY, metrics, perform, record
from seg_al.recording.files import JSON, WEIGHTS
from seg_al.recording.first_round import FirstRound, saved_seconds
from seg_al.trainers.trainer import Trainer


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The addresses of all trainings."""
    seen: list[tuple[object, ...]] = []
    fit = Trainer.fit

    def noted(self, model, labelled, judge, compute, address, snapshots=1):
        seen.append(address)
        return fit(self, model, labelled, judge, compute, address, snapshots)

    monkeypatch.setattr(Trainer, "fit", noted)
    return seen


def test_a_sweep_trains_the_first_round_of_each_run_once(
    data: Path, tmp_path: Path, trainings: list[tuple[object, ...]]
) -> None:
    heuristics, runs, rounds = ("random", "entropy", "bald"), (0, 1), 3
    for heuristic in heuristics:
        for number in runs:
            folder = tmp_path / f"{heuristic}{number}"
            perform(data, folder, f"heuristic={heuristic}", f"run={number}", "share=true", f"runs={tmp_path / 'runs'}")
    assert len(trainings) == len(heuristics) * len(runs) * rounds - (len(heuristics) - 1) * len(runs)
    assert len(set(trainings)) == len(runs) * rounds


def test_a_shared_first_round_is_the_one_that_a_run_trains_alone_bit_for_bit(data: Path, tmp_path: Path) -> None:
    shared = ("share=true", f"runs={tmp_path / 'runs'}", "keep_weights=all")
    perform(data, tmp_path / "first", "heuristic=random", *shared)
    perform(data, tmp_path / "second", "heuristic=entropy", *shared)
    perform(data, tmp_path / "alone", "heuristic=entropy", "keep_weights=all")
    assert record(tmp_path / "second") == record(tmp_path / "alone")
    assert (tmp_path / "second/rounds/00/weights.pt").read_bytes() == (
        tmp_path / "alone/rounds/00/weights.pt"
    ).read_bytes()
    assert saved_seconds(tmp_path / "second/rounds/00") > 0
    assert saved_seconds(tmp_path / "first/rounds/00") is None
    assert (tmp_path / "first/rounds/00/weights.effort.json").exists()


@pytest.mark.parametrize(
    "other",
    ["run=1", "trainer.pace.steps=3", "precision=bfloat16", "predictor=deep_ensemble"],
)
def test_runs_that_begin_otherwise_share_nothing(
    other: str, data: Path, tmp_path: Path, trainings: list[tuple[object, ...]]
) -> None:
    shared = ("share=true", f"runs={tmp_path / 'runs'}", "rounds=1", "heuristic=random")
    perform(data, tmp_path / "first", *shared)
    before = len(trainings)
    perform(data, tmp_path / "second", *shared, other)
    assert len(trainings) > before


@pytest.mark.parametrize("same", ["heuristic=bald", "mc_iters=5", "granularity=grid"])
def test_what_only_later_rounds_read_does_not_part_first_rounds(
    same: str, data: Path, tmp_path: Path, trainings: list[tuple[object, ...]]
) -> None:
    shared = ("share=true", f"runs={tmp_path / 'runs'}", "rounds=1", "heuristic=random")
    perform(data, tmp_path / "first", *shared)
    perform(data, tmp_path / "second", *shared, same)
    assert len(trainings) == 1
    assert metrics(tmp_path / "first", 0) == metrics(tmp_path / "second", 0)


def test_with_bayesian_tests_the_passes_belong_to_the_first_round(
    data: Path, tmp_path: Path, trainings: list[tuple[object, ...]]
) -> None:
    shared = ("share=true", f"runs={tmp_path / 'runs'}", "rounds=1", "bayesian=true")
    perform(data, tmp_path / "first", *shared)
    perform(data, tmp_path / "second", *shared, "mc_iters=3")
    assert len(trainings) == 2


def test_a_first_round_that_was_removed_is_trained_again(
    data: Path, tmp_path: Path, trainings: list[tuple[object, ...]]
) -> None:
    shared = ("share=true", f"runs={tmp_path / 'runs'}", "rounds=1")
    perform(data, tmp_path / "first", *shared)
    (kept,) = (tmp_path / "runs/.first_rounds").iterdir()
    (kept / "weights.pt").unlink()
    perform(data, tmp_path / "second", *shared)
    assert len(trainings) == 2
    assert record(tmp_path / "first") == record(tmp_path / "second")


def test_processes_side_by_side_train_once_and_the_others_wait(data: Path, tmp_path: Path) -> None:
    words = [f"dataset.root={data}", *TINY, "share=true", f"runs={tmp_path}", "rounds=1", "trainer.pace.steps=60"]
    processes = [
        subprocess.Popen(
            [sys.executable, "run.py", *words, f"heuristic={heuristic}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for heuristic in ("random", "entropy", "bald")
    ]
    told = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    assert sum("taken from a run with the same start" in one for one in told) == 2
    assert len(list((tmp_path / ".first_rounds").iterdir())) == 1
    found = [json.loads(path.read_text())["metrics"] for path in tmp_path.glob("glands-*/rounds/00/metrics.json")]
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


def test_one_that_fails_lets_the_next_one_train(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = FirstRound(tmp_path / "shared")

    def write(folder: Path) -> list[Callable[[], object]]:
        return [
            partial(WEIGHTS.save, [], folder / "weights.pt"),
            partial(JSON.save, {}, folder / "training.json"),
            partial(JSON.save, {"scores": {}, "constants": {}}, folder / "baselines.json"),
            partial(JSON.save, {"cost": {}, "metrics": {}}, folder / "metrics.json"),
        ]

    def fail(folder: Path) -> list[Callable[[], object]]:
        return [write(folder)[0], partial(JSON.save, {}, folder / "not/there")]

    with pytest.raises(FileNotFoundError):
        first.fill(tmp_path / "a", fail)
    with caplog.at_level(logging.INFO):
        first.fill(tmp_path / "b", write)
        first.fill(tmp_path / "c", write)
    assert saved_seconds(tmp_path / "b") is None
    assert saved_seconds(tmp_path / "c") == 0
    assert WEIGHTS.load(tmp_path / "c/weights.pt") == []


@pytest.mark.parametrize("name", ["weights.pt", "baselines.json", "metrics.json"])
def test_a_damaged_first_round_is_told_and_trained_again(
    name: str, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, trainings: list[tuple[object, ...]]
) -> None:
    shared = ("share=true", f"runs={tmp_path / 'runs'}", "rounds=1")
    perform(data, tmp_path / "first", "heuristic=random", *shared)
    path = next((tmp_path / "runs" / ".first_rounds").glob(f"*/{name}"))
    whole = path.read_bytes()
    path.unlink()  # of the two names that the file has, so that the first run keeps its own
    path.write_bytes(whole[: len(whole) // 3])
    with caplog.at_level(logging.WARNING):
        perform(data, tmp_path / "second", "heuristic=entropy", *shared)
    assert f"round 0 is trained again: {path} cannot be read" in caplog.text
    assert len(trainings) == 2
    assert (tmp_path / "second/rounds/00" / name).read_bytes() == whole == path.read_bytes()
