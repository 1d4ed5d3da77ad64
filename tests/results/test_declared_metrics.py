"""Runs of a task that the package does not know: what its metric declares is what tables, figures and trackers say."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pymongo import MongoClient

from scripts.benchmark_results import store, write_folders
from seg_al.core import Metric
from seg_al.recording.metric_declarations import DECLARATIONS, NOTE, declare, declared_in
from seg_al.recording.recorder import round_scalars
from seg_al.results.figures import curves_figure
from seg_al.results.metrics import class_metrics
from seg_al.results.panel_figures import per_class_figure
from seg_al.results.pitfalls import checklist
from seg_al.results.reader import folder_study, mongo_study
from seg_al.results.report import findings_of
from seg_al.results.savings import savings
from seg_al.results.script_arguments import metric_from
from seg_al.results.study import Study
from seg_al.results.study_figures import study_figures
from seg_al.results.table_files import write_tables

ERROR = "test/count_error"
DECLARED = (
    Metric("count_error", better="lower", unit="cells", area=True, column="count error", of_class="error_of"),
    Metric("error_of_cells_that_touch", better="lower", unit="cells"),
    Metric("bias", unit="cells"),
)


def errors_of(metrics: Mapping[str, float]) -> dict[str, float]:
    """Counting errors that fall as the made-up runs learn: 10 cells where Dice would be 0.5."""
    error = 20 * (1 - metrics["test/dice"])
    return {
        ERROR: error, "val/count_error": error, "test/error_of_round": error - 1, "test/error_of_star": error + 1,
        "test/error_of_cells_that_touch": error, "test/bias": -error,
    }  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five arms of six runs of eight rounds, and three full-data runs, of which bald learns fastest."""
    folder = tmp_path_factory.mktemp("study") / "runs"
    write_folders(folder, 30, 8)
    for path in folder.glob("*/rounds/*/metrics.json"):
        entry = json.loads(path.read_text())
        path.write_text(json.dumps({**entry, "metrics": errors_of(entry["metrics"])}))
    for path in folder.iterdir():
        declare(path, DECLARED)
    return folder


def test_the_first_metric_that_the_task_declares_is_compared_where_nobody_says_what(runs: Path) -> None:
    assert metric_from(argparse.Namespace(metric=None), folder_study([runs])) == ERROR


def test_the_axis_has_the_unit_and_no_bound(runs: Path) -> None:
    figure = curves_figure(folder_study([runs]).table, ERROR, "images", [])
    assert figure.axes[0].get_ylabel() == "test/count_error (cells)"
    bias = curves_figure(folder_study([runs]).table, "test/bias", "images", [])
    assert bias.axes[0].get_ylim()[0] < -9


def test_the_arm_with_the_least_error_is_the_best_of_every_table(runs: Path, tmp_path: Path) -> None:
    write_tables(folder_study([runs]), ERROR, "images", tmp_path)
    main = pd.read_csv(tmp_path / "main.csv").set_index("label")
    assert main["area"].idxmin() == main["final"].idxmin() == "bald"
    bold = next(line for line in (tmp_path / "main.tex").read_text().splitlines() if r"\textbf" in line)
    assert bold.startswith("bald &")
    assert pd.read_csv(tmp_path / "ranks.csv").set_index("label")["rank"].idxmin() == "bald"
    beaten = pd.read_csv(tmp_path / "penalties.csv").set_index(["label", "other"])["share"]
    assert beaten["bald", "random"] > 0.5 > beaten["random", "bald"]


def asking(folder: Path) -> Study:
    """The study without its full-data runs, so that the goal is random's last score."""
    return folder_study([path for path in sorted(folder.iterdir()) if "full" not in path.name])


def test_labels_are_saved_where_an_error_falls_faster(runs: Path) -> None:
    found = savings(asking(runs), ERROR).set_index(["label", "target"]).loc["bald"]
    assert found.loc[0.9, "goal"] == pytest.approx(found.loc[1.0, "goal"] / 0.9)
    assert 0.3 < found.loc[1.0, "share"] < 0.95
    assert found.loc[0.9, "cost"] < found.loc[1.0, "cost"], "the smaller error is the harder goal"
    lines = findings_of(asking(runs), ERROR, "images")
    assert lines[0].startswith("Of test/count_error, less is better: a difference below 0 is a gain")
    assert any(line.startswith("bald needs ") for line in lines)


def test_errors_save_as_many_labels_as_the_same_scores_turned_round(runs: Path, tmp_path: Path) -> None:
    """At the last score of random, a share of 1, both directions have one goal."""
    write_folders(tmp_path, 30, 8)
    by_score = savings(asking(tmp_path), "test/dice", targets=[1.0]).set_index("label")["share"]
    by_error = savings(asking(runs), ERROR, targets=[1.0]).set_index("label")["share"]
    assert by_score.notna().all()
    pd.testing.assert_series_equal(by_error, by_score, rtol=1e-9)


def test_each_class_has_its_panel_and_a_declared_metric_is_none(runs: Path) -> None:
    table = folder_study([runs]).table
    assert class_metrics(table, ERROR) == {"round": "test/error_of_round", "star": "test/error_of_star"}
    figure = per_class_figure(table, ERROR, "images")
    assert figure is not None
    assert figure.get_supylabel() == "error_of"


def test_every_check_and_every_figure_of_the_report_can_be_made(runs: Path) -> None:
    study = folder_study([runs])
    verdicts = {check.claim: check.verdict for check in checklist(study, ERROR, "images")}
    assert verdicts["No arm ends above the network trained on the whole pool by more than chance"] == "yes"
    assert "label_saving" in [figure.name for figure in study_figures(study, ERROR, "images")]


def test_a_tracker_is_told_the_area_under_the_curve_of_what_declares_it(runs: Path) -> None:
    place = runs / "glas-unet-bald-run0" / "rounds" / "01"
    values = [json.loads((place.parent / name / "metrics.json").read_text())["metrics"][ERROR] for name in ("00", "01")]
    found = round_scalars(place, json.loads((place / "metrics.json").read_text()), "bald", "images")
    assert found["test/count_error_area"] == pytest.approx(sum(values) / 2)
    assert [name for name in found if name.endswith("_area")] == ["test/count_error_area"]


@pytest.mark.mongo
def test_a_database_tells_the_same_as_the_folders(runs: Path, mongod: str) -> None:
    study = folder_study([runs])
    store(mongod, study)
    with MongoClient[dict[str, Any]](mongod) as client:
        declared = json.loads((runs / "glas-unet-bald-run0" / DECLARATIONS).read_text())
        client["benchmark"]["runs"].update_many({}, {"$set": {f"info.{NOTE}": declared}})
        stored = mongo_study(mongod, "benchmark")
        client.drop_database("benchmark")
    assert stored.metric(ERROR) == study.metric(ERROR) == DECLARED[0]
    columns = ["label", "target", "share"]
    pd.testing.assert_frame_equal(savings(stored, ERROR)[columns], savings(study, ERROR)[columns])


def test_declarations_come_back_as_they_were_and_damaged_ones_are_named(tmp_path: Path) -> None:
    assert declared_in(tmp_path) is None
    declare(tmp_path, DECLARED)
    assert declared_in(tmp_path) == DECLARED
    written = (tmp_path / DECLARATIONS).stat().st_mtime_ns
    declare(tmp_path, DECLARED)
    assert (tmp_path / DECLARATIONS).stat().st_mtime_ns == written
    for text in ("[{", '[{"better": "lower"}]', "[3]", "7", "null"):
        (tmp_path / DECLARATIONS).write_text(text)
        with pytest.raises(ValueError, match=r"metric_declarations.json cannot be read .*; delete it"):
            declared_in(tmp_path)


def test_of_runs_that_declare_a_metric_differently_the_newest_counts_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folders(tmp_path, 2, 2)
    for number, path in enumerate(sorted(tmp_path.iterdir())):  # random is the last
        declare(path, [Metric("dice", better="lower" if "random" in path.name else "higher")])
        for one in path.glob("rounds/*/metrics.json"):
            os.utime(one, (1e9 + number, 1e9 + number))
    study = folder_study([tmp_path])
    assert study.metric("test/dice").better == "lower"
    assert caplog.messages == ["the runs declare dice differently; what the newest says counts"]
