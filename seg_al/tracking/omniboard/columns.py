"""Adds the first columns of Omniboard's table of runs, each once; columns that people add or delete stay so."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bson import ObjectId
from pymongo.database import Database

from seg_al.core import Metric
from seg_al.measuring.curve import AREA
from seg_al.measuring.declarations import EVERY
from seg_al.measuring.learned import LEARNED
from seg_al.recording.metric_declarations import NOTE, metrics_of

log = logging.getLogger(__name__)

METRIC_COLUMNS = "omniboard.metric.columns"
CUSTOM_COLUMNS = "omniboard.custom.columns"
GIVEN = "omniboard.given"
"""The setting with the columns that were added once, so that columns that a person deleted are not added again."""

Document = dict[str, Any]


@dataclass(frozen=True)
class MetricColumn:
    """One number of a metric's series."""

    name: str
    metric: str
    of: Literal["last", "max", "min"]

    collection = METRIC_COLUMNS

    @property
    def document(self) -> Document:
        return {"name": self.name, "metric_name": self.metric, "extrema": self.of}


@dataclass(frozen=True)
class ConfigColumn:
    """One value of a run's config."""

    name: str
    path: str
    """The path of the value in a run's document."""

    collection = CUSTOM_COLUMNS

    @property
    def document(self) -> Document:
        return {"name": self.name, "config_path": self.path}


Column = MetricColumn | ConfigColumn

RUN_COLUMNS: tuple[Column, ...] = (
    ConfigColumn("heuristic", "config.heuristic"),
    ConfigColumn("model", "config.model"),
    ConfigColumn("dataset", "config.dataset"),
    ConfigColumn("run", "config.run"),
    MetricColumn("images", "cost/images", "last"),
    MetricColumn(LEARNED, LEARNED, "last"),
)
"""What every run has, in the order in which it stands in the table."""


def metric_columns(metrics: Iterable[Metric]) -> Iterator[MetricColumn]:
    """The last and the best value on test of each metric that declares a column, and the area under its curve.

    The table shows those of a metric from the first run on that has it.
    """
    for metric in metrics:
        if metric.column:
            number = f"test/{metric.name}"
            yield MetricColumn(metric.column, number, "last")
            yield MetricColumn(f"best {metric.column}", number, "max" if metric.better == "higher" else "min")
            if metric.area:
                yield MetricColumn(f"{metric.column} area", f"{number}{AREA}", "last")


def columns_for(database: Database[Document]) -> list[Column]:
    """Those of our own tasks, even before the first run, and of what the tasks of the runs in the database declare."""
    declared = metrics_of(database["runs"].distinct(f"info.{NOTE}"))
    return [*RUN_COLUMNS, *metric_columns(dict.fromkeys((*EVERY, *declared)))]


def add_columns(database: Database[Document]) -> list[str]:
    """Adds the columns that were never added before; returns their names. The user must be allowed to write."""
    given = {entry["_id"] for entry in database[GIVEN].find({}, {"_id": 1})}
    added = []
    for column in columns_for(database):
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
