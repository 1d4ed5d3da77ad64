"""A whole sweep with its results in a real MongoDB, read back by pymongo and by the results reader."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pymongo import MongoClient

from experiments import TINY, command
from seg_al.results.reader import folder_study, mongo_study
from seg_al.tracking.storable import URL_VARIABLE

pytestmark = pytest.mark.mongo
DATABASE = "sweep"


@pytest.fixture(scope="module")
def swept(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two heuristics by two runs, tracked in MongoDB."""
    place = tmp_path_factory.mktemp("sweep")
    words = [word for word in TINY if not word.startswith(("tracking", "gallery"))]
    tracking = ["tracking=mongo", f"tracking.database={DATABASE}", "gallery=1", "runs=swept"]
    ended = command(
        place, "-m", *words, *tracking, "heuristic=random,bald", "run=0,1", environment={URL_VARIABLE: mongod}
    )
    assert ended.code == 0, ended.text
    return place / "swept"


def test_every_run_is_complete_in_the_database_with_flat_columns_metrics_and_files(swept: Path, mongod: str) -> None:
    with MongoClient(mongod) as client:
        database = client[DATABASE]
        runs = list(database["runs"].find())
        assert sorted((run["config"]["heuristic"], run["config"]["run"]) for run in runs) == [
            ("bald", 0), ("bald", 1), ("random", 0), ("random", 1),
        ]  # fmt: skip
        for run in runs:
            assert run["status"] == "COMPLETED"
            assert run["config"]["dataset"] == "glands"
            assert run["info"]["environment"]["packages"]["torch"]
            names = {artifact["name"] for artifact in run["artifacts"]}
            assert {"round_00_queries.jsonl", "round_02_gallery.png", "round_02_learning_curve.png"} <= names
            assert "round_02_scores.parquet" in names
            ordered = run["config"]["heuristic"] == "bald"  # random has no order to compare with
            assert ("round_02_agreement.png" in names) == ordered
            dice = database["metrics"].find_one({"run_id": run["_id"], "name": "test/dice"})
            assert dice is not None
            assert dice["steps"] == [2, 3, 4]
            seconds = database["metrics"].find_one({"run_id": run["_id"], "name": "effort/train_seconds"})
            assert seconds is not None
            assert min(seconds["values"]) > 0
            assert {metric["name"] for metric in run["info"]["metrics"]} >= {"test/dice", "val/dice", "test/ece"}


def test_the_database_and_the_folders_give_the_same_table(swept: Path, mongod: str) -> None:
    columns = ["heuristic", "run", "images", "metric", "value", "complete", "identity"]
    tables = []
    for table in (folder_study([swept]).table, mongo_study(mongod, DATABASE).table):
        quality = table[table["metric"].str.startswith(("test", "val"))]
        tables.append(quality[columns].sort_values(columns).reset_index(drop=True))
    assert len(tables[0]) > 4 * 3 * 10
    pd.testing.assert_frame_equal(tables[0], tables[1], check_dtype=False)


def test_runs_of_one_number_start_in_one_point(swept: Path) -> None:
    table = folder_study([swept]).table
    first = table[(table["metric"] == "test/dice") & (table["images"] == 2)].pivot(
        index="run", columns="heuristic", values="value"
    )
    assert (first["bald"] == first["random"]).all()
    assert first["bald"].nunique() == 2
