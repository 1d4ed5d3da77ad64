"""Adds the first columns of Omniboard's table of runs, each once; columns that people add or delete stay so."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any, Literal

from bson import ObjectId
from pymongo.database import Database

log = logging.getLogger(__name__)

METRICS = "omniboard.metric.columns"
CUSTOM = "omniboard.custom.columns"
GIVEN = "omniboard.given"
"""The setting with the columns that were added once, so that columns that a person deleted are not added again."""

Document = dict[str, Any]


@dataclass(frozen=True)
class MetricColumn:
    """One number of a metric's series."""

    name: str
    metric: str
    of: Literal["last", "max", "min"]

    collection = METRICS

    @property
    def document(self) -> Document:
        return {"name": self.name, "metric_name": self.metric, "extrema": self.of}


@dataclass(frozen=True)
class ConfigColumn:
    """One value of a run's config."""

    name: str
    path: str
    """The path of the value in a run's document."""

    collection = CUSTOM

    @property
    def document(self) -> Document:
        return {"name": self.name, "config_path": self.path}


Column = MetricColumn | ConfigColumn

COLUMNS: tuple[Column, ...] = (
    ConfigColumn("heuristic", "config.heuristic"),
    ConfigColumn("model", "config.model"),
    ConfigColumn("dataset", "config.dataset"),
    ConfigColumn("run", "config.run"),
    MetricColumn("images", "cost/images", "last"),
    MetricColumn("dice", "test/dice", "last"),
    MetricColumn("best dice", "test/dice", "max"),
    MetricColumn("dice area", "test/dice_area", "last"),
    MetricColumn("mIoU", "test/miou", "last"),
    MetricColumn("best mIoU", "test/miou", "max"),
    MetricColumn("AP", "test/ap", "last"),
    MetricColumn("best AP", "test/ap", "max"),
    MetricColumn("AP area", "test/ap_area", "last"),
)
"""In the order in which they stand in the table, which shows those of a metric from the first run on that has it."""


def add_columns(database: Database[Document]) -> list[str]:
    """Adds the columns that were never added before; returns their names. The user must be allowed to write."""
    given = {entry["_id"] for entry in database[GIVEN].find({}, {"_id": 1})}
    added = []
    for column in COLUMNS:
        key = repr(sorted(column.document.items()))
        if key in given:
            continue
        collection = database[column.collection]
        same = [{"name": column.name}, {key: value for key, value in column.document.items() if key != "name"}]
        if collection.find_one({"$or": same}, {"_id": 1}) is None:
            place = ObjectId(hashlib.sha256(key.encode()).digest()[:12])  # two that start at once add one column
            collection.update_one({"_id": place}, {"$setOnInsert": column.document}, upsert=True)
            added.append(column.name)
        database[GIVEN].update_one({"_id": key}, {"$setOnInsert": {"name": column.name}}, upsert=True)
    return added
