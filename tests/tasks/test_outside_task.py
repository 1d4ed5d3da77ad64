"""A task that seg_al has never heard of runs from one Python file and one yaml in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments import ROOT
from seg_al.results.reader import folder_study

FILES = Path(__file__).parent / "counting"


def count(name: str) -> int:
    return sum(map(ord, name)) % 9


@pytest.mark.parametrize("heuristic", ["counting.CountVariance", "seg_al.heuristics.random.Random"])
def test_counting_runs_three_rounds_and_asks_where_its_ensemble_disagrees(tmp_path: Path, heuristic: str) -> None:
    folder, run = tmp_path / "mine", tmp_path / "run"
    shutil.copytree(FILES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    words = [f"heuristic._target_={heuristic}", f"folder={run}", "threads=1", "tracking=none", "keep_weights=all"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "-cd", str(folder), "-cn", "counting", *words],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rounds = [json.loads((run / "rounds" / f"0{n}" / "metrics.json").read_text()) for n in range(3)]
    assert [one["cost"]["images"] for one in rounds] == [3, 5, 7]
    queries = [
        json.loads(line)
        for path in sorted(run.glob("rounds/*/queries.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert rounds[-1]["cost"]["clicks"] == sum(count(query["image"]) for query in queries)
    asked = json.loads((run / "rounds" / "02" / "asked.json").read_text())
    assert asked["answered"] == [sum(count(query["image"]) for query in queries[5:])]
    found = [one["metrics"] for one in rounds]
    assert found[-1]["val/constant_error"] == pytest.approx(2 / 3)  # always 5, of 4, 5 and 6 dots
    assert {one["test/constant_error"] for one in found} == {1.0}  # always 3 or 4, of 2, 3, 4 and 5 dots
    assert len({one["test/untrained_error"] for one in found}) == 1
    assert {one["training/steps"] for one in found} == {60.0}
    assert all({"labelled/error", "training/loss", "training/loss_slope"} <= one.keys() for one in found)
    for number in (1, 2):
        scores = pd.read_parquet(run / "rounds" / f"0{number}" / "scores.parquet")
        column = [name for name in scores if name not in ("image", "unit", "area", "asked", "drawn")]
        chosen = scores[column[0]].to_numpy()
        if heuristic.startswith("counting"):
            weights = torch.load(run / "rounds" / f"0{number - 1}" / "weights.pt", weights_only=True)
            lines = [(float(one["line.weight"]), float(one["line.bias"])) for one in weights]
            told = [[weight * count(name) + bias for weight, bias in lines] for name in scores["image"]]
            np.testing.assert_allclose(chosen, np.var(told, axis=1), rtol=1e-3, atol=1e-6)
            assert sorted(chosen[scores["asked"]]) == sorted(chosen)[-2:]
        else:
            assert (chosen == 1).all()
    assert (run / "rounds" / "01" / "gallery.png").exists()
    study = folder_study([run])
    assert study.headlines[0] == "test/error"
    assert (study.metric("test/error").better, study.metric("test/error").unit) == ("lower", "dots")
