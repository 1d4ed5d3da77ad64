"""The columns of Omniboard's table, in a real MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from seg_al.tracking.omniboard.columns import COLUMNS, CUSTOM, METRICS, add_columns

pytestmark = pytest.mark.mongo


@pytest.fixture
def database(mongod: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongod) as client:
        yield client[request.node.name[-50:]]


def test_columns_are_added_once_and_what_a_person_changed_or_deleted_stays(database: Any) -> None:
    database[METRICS].insert_one({"name": "dice", "metric_name": "val/dice", "extrema": "min"})
    added = add_columns(database)
    assert added == [column.name for column in COLUMNS if column.name != "dice"]
    assert {"heuristic", "model", "dataset", "run", "best dice", "dice area", "mIoU", "best mIoU"} <= set(added)
    assert {"AP", "best AP", "AP area"} <= set(added), "a database gets its columns once, maybe before its first run"
    assert database[METRICS].find_one({"name": "dice"})["metric_name"] == "val/dice"
    assert database[CUSTOM].find_one({"name": "run"})["config_path"] == "config.run"

    database[METRICS].delete_one({"name": "mIoU"})
    database[CUSTOM].update_one({"name": "model"}, {"$set": {"name": "network"}})
    before = [list(database[name].find()) for name in (METRICS, CUSTOM)]
    assert add_columns(database) == []
    assert [list(database[name].find()) for name in (METRICS, CUSTOM)] == before
