"""The controls of experiments/controls run as an outsider would run them; chance alone would fail them."""

from __future__ import annotations

import math
import runpy
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import ROOT, command

CONTROLS = ROOT / "experiments" / "controls"
CHECK: dict[str, Any] = runpy.run_path(str(CONTROLS / "check.py"))


def runs_of(place: Path, control: str, *words: str) -> list[Any]:
    """The runs of a control's study, swept in one process forked from this one."""
    folder = place / "runs" / control
    ended = command(
        place, "-m", "-cd", str(CONTROLS), f"experiment={control}", "hydra/launcher=basic", "tracking=none",
        "device=cpu", "gallery=0", f"runs={folder}", *words,
    )  # fmt: skip
    assert ended.code == 0, ended.text
    kinds = {one.name: one.kind_of for one in CHECK["CONTROLS"]}
    found: list[Any] = CHECK["read"](folder, kinds[control])
    return found


def test_coverage_asks_for_new_scenes_where_chance_asks_for_copies(tmp_path: Path) -> None:
    words = ("control/arm=core_set,typiclust", "run=0,1,2,3", "trainer.pace.steps=30")  # features need few
    runs = runs_of(tmp_path, "redundancy", *words)
    for arm in ("core_set", "typiclust"):
        own = CHECK["of_arm"](runs, arm)
        assert [len(one.asked) for one in own] == [12] * 4
        found, chance = CHECK["redundancy"](own)
        assert chance < CHECK["GATE"], f"{arm} shows {found} new scenes in 48 questions"


def test_uncertainty_finds_rare_types(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "rare_types", "control/arm=entropy", "run=0,1", "rounds=2", "budget=8")
    found, chance = CHECK["rare_types"](runs)
    assert chance < CHECK["GATE"], f"entropy found {found} rare images in 16 questions"


@pytest.mark.slow
def test_all_controls_pass_their_gates_as_their_studies_state_them(tmp_path: Path) -> None:
    words = (sys.executable, str(ROOT / "scripts" / "controls.py"), "--runs", str(tmp_path))
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    runs = CHECK["read"](tmp_path / "rare_types", CHECK["kind_of_shape"])
    counts = {arm: CHECK["rare_types"](CHECK["of_arm"](runs, arm))[0] for arm in ("entropy", "least_wanted")}
    assert counts["least_wanted"] < counts["entropy"]


def test_rare_images_by_chance_are_counted_as_by_going_through_all_draws() -> None:
    pool, draws = [True] * 3 + [False] * 5, 4
    every = Counter(sum(drawn) for drawn in combinations(pool, draws))
    expected = [every[count] / math.comb(8, draws) for count in range(draws + 1)]
    np.testing.assert_allclose(CHECK["found_by_chance"](3, 8, draws), expected, atol=1e-12)


def test_new_scenes_by_chance_are_counted_as_by_going_through_all_draws() -> None:
    left = ["a", "b", "b", "c", "c", "d", "d"]  # of four scenes with two copies, where one a is known
    every = Counter(len(set(drawn) - {"a"}) for drawn in combinations(left, 3))
    expected = [every[count] / math.comb(7, 3) for count in range(4)]
    np.testing.assert_allclose(CHECK["scenes_by_chance"](4, 2, ["a"], 3), expected, atol=1e-12)


def test_sixteen_random_picks_show_12_9_of_32_scenes_with_12_copies() -> None:
    chances = CHECK["scenes_by_chance"](32, 12, [], 16)
    assert np.dot(np.arange(17), chances) == pytest.approx(12.9, abs=0.05)


def test_runs_together_find_by_chance_what_the_sum_of_their_counts_says() -> None:
    each = [np.array([0.5, 0.5]), np.array([0.25, 0.5, 0.25])]
    assert CHECK["at_least"](0, each) == pytest.approx(1)
    assert CHECK["at_least"](3, each) == pytest.approx(0.125)
    assert CHECK["at_least"](2, each) == pytest.approx(0.125 + 0.375)
