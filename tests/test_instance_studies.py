"""Studies of instance models, which have AP and no Dice, are read, drawn and reported as others are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from scripts import plot_curves, plot_study, report
from seg_al.results.panel_figures import per_class_figure
from seg_al.results.reader import folder_study

CHOICES = {
    "dataset": "cells", "model": "mask_rcnn", "predictor": "mc_dropout", "granularity": "image_objects",
    "selector": "top", "annotator": "oracle", "trainer": "mask_rcnn", "task": "instances",
}  # fmt: skip


def write_run(root: Path, heuristic: str, run: int, gain: float, headline: str = "ap") -> None:
    """Three rounds, of which the last has `gain` more than 0.30."""
    folder = root / f"{heuristic}-{run}"
    for number, value in enumerate([0.3, 0.3 + gain / 2, 0.3 + gain]):
        found = {headline: value, f"{headline}50": value + 0.2, f"bbox_{headline}": value + 0.1}
        found |= {f"{headline}_{name}": value for name in ("small", "medium", "large", "round", "star")}
        place = folder / "rounds" / f"{number:02d}"
        place.mkdir(parents=True)
        entry = {"cost": {"images": 4.0 + number}, "metrics": {f"test/{key}": one for key, one in found.items()}}
        (place / "metrics.json").write_text(json.dumps(entry))
    config = {"choices": {**CHOICES, "heuristic": heuristic}, "run": run, "mc_iters": 10, "rounds": 3}
    (folder / "config.json").write_text(json.dumps({**config, "initial": 4, "identity": f"{heuristic}{run}"}))
    (folder / "finished.json").write_text(json.dumps({"rounds": 3}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for run in range(2):
        write_run(tmp_path / "runs", "random", run, 0.1 + run / 100)
        write_run(tmp_path / "runs", "maskal", run, 0.2 + run / 100)
    return tmp_path / "runs"


def test_scripts_compare_ap_where_no_run_has_dice_and_say_so(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["plot_curves", str(runs), "--out", str(runs.parent / "curves")])
    assert plot_curves.main() == 0
    said = capsys.readouterr().out
    assert said.startswith("cells · mask_rcnn · test/ap: mean ± sd")
    assert "+0.1000" in next(line for line in said.splitlines() if line.startswith("maskal"))
    monkeypatch.setattr(sys, "argv", ["report", str(runs), "--out", str(runs.parent / "page.html")])
    assert report.main() == 0
    assert capsys.readouterr().out.startswith("test/ap over images\n")
    page = (runs.parent / "page.html").read_text()
    assert "maskal against random: +0.0500 mean test/ap over the curve" in page
    assert {"trainer=mask_rcnn", "task=instances"} <= set(page.split())


def test_dice_comes_first_where_both_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs", "maskal", 0, 0.2)
    write_run(tmp_path / "runs", "bald", 0, 0.2, "dice")
    monkeypatch.setattr(sys, "argv", ["plot_curves", str(tmp_path / "runs"), "--out", str(tmp_path / "curves")])
    assert plot_curves.main() == 0
    said = capsys.readouterr().out
    assert "test/dice: mean" in said
    assert "maskal: run 0 without test/dice" in said


def test_a_metric_that_is_not_there_is_refused_with_what_is(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = (
        "test/ap, test/ap50, test/ap_large, test/ap_medium, test/ap_round, test/ap_small, test/ap_star, test/bbox_ap"
    )
    for script in (plot_curves, plot_study, report):
        name = script.__name__.rpartition(".")[2]
        monkeypatch.setattr(sys, "argv", [name, str(runs), "--metric", "test/dice", "--out", str(tmp_path / "no")])
        assert script.main() == 1
        assert capsys.readouterr().err == f"{name}: no run has the metric 'test/dice'; there are {there}\n"
    assert not (tmp_path / "no").exists()
    write_run(tmp_path / "others", "bald", 0, 0.1, "f1")
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path / "others"), "--out", str(tmp_path / "no")])
    assert report.main() == 1
    assert "'test/dice' or 'test/ap'; choose one by --metric; there are test/bbox_f1" in capsys.readouterr().err


def test_the_panels_of_classes_leave_out_sizes(runs: Path) -> None:
    figure = per_class_figure(folder_study([runs]).table, "test/ap", "images")
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["round", "star"]
    assert per_class_figure(folder_study([runs]).table, "test/ap50", "images") is None
