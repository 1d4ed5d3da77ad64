"""The columns of Omniboard's table, in a real MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from pymongo import MongoClient

from seg_al.core import Metric
from seg_al.recording.metric_declarations import NOTE
from seg_al.tracking.omniboard.columns import CUSTOM_COLUMNS, METRIC_COLUMNS, add_columns, columns_for

pytestmark = pytest.mark.mongo


@pytest.fixture
def database(mongod: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongod) as client:
        yield client[request.node.name[-50:]]


def test_columns_are_added_once_and_what_a_person_changed_or_deleted_stays(database: Any) -> None:
    database[METRIC_COLUMNS].insert_one({"name": "dice", "metric_name": "val/dice", "extrema": "min"})
    added = add_columns(database)
    assert added == [column.name for column in columns_for(database) if column.name != "dice"]
    assert {"heuristic", "model", "dataset", "run", "best dice", "dice area", "mIoU", "best mIoU"} <= set(added)
    assert {"AP", "best AP", "AP area"} <= set(added), "a database gets its columns once, maybe before its first run"
    assert database[METRIC_COLUMNS].find_one({"name": "dice"})["metric_name"] == "val/dice"
    assert database[CUSTOM_COLUMNS].find_one({"name": "run"})["config_path"] == "config.run"

    database[METRIC_COLUMNS].delete_one({"name": "mIoU"})
    database[CUSTOM_COLUMNS].update_one({"name": "model"}, {"$set": {"name": "network"}})
    before = [list(database[name].find()) for name in (METRIC_COLUMNS, CUSTOM_COLUMNS)]
    assert add_columns(database) == []
    assert [list(database[name].find()) for name in (METRIC_COLUMNS, CUSTOM_COLUMNS)] == before


def test_a_task_of_an_outsider_gets_the_columns_that_it_declares(database: Any) -> None:
    add_columns(database)
    declared = [
        Metric("count_error", better="lower", lowest=0, unit="cells", area=True, column="count error"),
        Metric("bias", unit="cells"),
    ]
    for _ in range(2):
        database["runs"].insert_one({"info": {NOTE: [asdict(metric) for metric in declared]}})
    database["runs"].insert_one({"info": {}})
    assert add_columns(database) == ["count error", "best count error", "count error area"]
    found = {one["name"]: one for one in database[METRIC_COLUMNS].find({}, {"_id": 0})}
    wanted = {"name": "best count error", "metric_name": "test/count_error", "extrema": "min"}
    assert found["best count error"] == wanted
    assert found["count error area"]["metric_name"] == "test/count_error_area"
    assert add_columns(database) == []
