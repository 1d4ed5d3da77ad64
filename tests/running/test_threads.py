"""How many CPU threads a run has where threads=auto, what keeps the number, and how its threads wait."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from experiments import perform
from seg_al.running.cores import POLICY, SHORT_WAIT, SPINS, CoreTimes, wait_shortly
from seg_al.running.threads import THREADS_FILE, free_threads, with_threads


def test_a_thread_for_each_core_that_others_leave_free() -> None:
    idle = {0: 100.0, 1: 50.0, 2: 7.0, 5: 0.0}
    begun = CoreTimes(10.0, 3.0, idle)

    def free(own: float, *seconds: float) -> int:
        now = {core: idle[core] + more for core, more in zip(idle, seconds, strict=True)}
        return begun.free_until(CoreTimes(12.0, 3.0 + own, now))

    assert free(0.0, 2.0, 2.0, 2.0, 2.0) == 4
    assert free(2.0, 2.0, 0.0, 2.0, 2.0) == 4, "what this process used itself is free for it"
    assert free(2.0, 2.0, 0.0, 2.0, 1.6) == 4, "others used a fifth of a core"
    assert free(2.0, 2.0, 0.0, 2.0, 1.0) == 3
    assert free(2.0, 0.0, 0.0, 0.0, 0.0) == 1
    assert free(0.5, 0.0, 0.0, 0.0, 0.0) == 1


def test_omp_num_threads_wins_over_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    free_threads.cache_clear()
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")  # the second number is for threads of threads
    assert free_threads() == 3
    free_threads.cache_clear()


def test_a_run_keeps_its_number_of_threads_and_a_stated_one_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert with_threads({"threads": 7, "run": 0}, tmp_path) == {"threads": 7, "run": 0}
    (tmp_path / THREADS_FILE).write_text('{"threads": 2}')
    assert with_threads({"threads": "auto", "run": 0}, tmp_path) == {"threads": 2, "run": 0}
    (tmp_path / THREADS_FILE).write_text('{"threads": 16}')
    assert with_threads({"threads": "auto"}, tmp_path) == {"threads": 3}
    assert "this run had 16 CPU threads; here it gets 3" in caplog.text
    (tmp_path / THREADS_FILE).write_text('{"threads": "many"}')
    with pytest.raises(ValueError, match="holds no number of threads; remove it"):
        with_threads({"threads": "auto"}, tmp_path)


def test_the_folder_of_a_run_has_the_threads_of_its_start_also_when_it_goes_on_with_others(
    tmp_path: Path, data: Path
) -> None:
    perform(data, tmp_path / "run", "rounds=1", "threads=1")
    perform(data, tmp_path / "run", "rounds=2", "threads=auto")
    assert json.loads((tmp_path / "run" / THREADS_FILE).read_text()) == {"threads": 1}


def test_threads_sleep_soon_unless_a_person_says_how_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (POLICY, SPINS):
        monkeypatch.delenv(name, raising=False)
    wait_shortly()
    assert os.environ[SPINS] == str(SHORT_WAIT)
    monkeypatch.setenv(SPINS, "5")
    wait_shortly()
    assert os.environ[SPINS] == "5"
    monkeypatch.delenv(SPINS)
    monkeypatch.setenv(POLICY, "active")
    wait_shortly()
    assert SPINS not in os.environ
