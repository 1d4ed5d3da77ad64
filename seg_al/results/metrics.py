"""What the numbers of a study mean: what the tasks of its runs declare, and what every run records besides."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from seg_al.core import Metric
from seg_al.measuring.declarations import EVERY, meaning_of
from seg_al.recording.metric_declarations import NOTE, RECORDED

log = logging.getLogger(__name__)


CONSTRUCTED = "constructed"
"""The note of a table with the names of its datasets whose images a program has made."""


@dataclass(frozen=True)
class Declarations:
    """The metrics that the runs of a study declare."""

    metrics: tuple[Metric, ...]

    def __deepcopy__(self, memo: Any) -> Declarations:
        return self  # pandas copies it with every part of a table


def declarations_of(declared: Iterable[tuple[Metric, ...] | None]) -> Declarations:
    """Those of all runs; None: an older run, without any. Of two that differ the last counts, and the log says so."""
    by_name: dict[str, Metric] = {}
    different: dict[str, None] = {}
    for metrics in declared:
        for metric in EVERY if metrics is None else metrics:
            if by_name.setdefault(metric.name, metric) != metric:
                different[metric.name], by_name[metric.name] = None, metric
    for name in different:
        log.warning("the runs declare %s differently; what the newest says counts", name)
    return Declarations(tuple(by_name.values()))


def metric_of(table: pd.DataFrame, number: str) -> Metric:
    """The metric behind a number such as "test/error"; of one that nobody declares, nothing but its name is known."""
    found = meaning_of(number, declared_metrics(table)) or meaning_of(number, (*EVERY, *RECORDED))
    return found or Metric(number.rpartition("/")[2])


def declared_metrics(table: pd.DataFrame) -> tuple[Metric, ...]:
    """What the tasks of the table's runs declare, the first one first."""
    declared: Declarations | None = table.attrs.get(NOTE)
    return EVERY if declared is None else declared.metrics


def constructed(table: pd.DataFrame) -> str:
    """The sentence that stands in every figure and table of images that a program has made; empty elsewhere."""
    names = table.attrs.get(CONSTRUCTED, ())
    return f"Constructed data: a program has painted the images of {' and '.join(names)}." if names else ""


def marked(numbers: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Numbers for a file, with a column that says so where they are of constructed data."""
    return numbers.assign(data=CONSTRUCTED) if constructed(table) else numbers


def class_metrics(table: pd.DataFrame, number: str) -> dict[str, str]:
    """The same metric of each class by the class's name, sorted: "test/error" may have "test/error_car"."""
    metric = metric_of(table, number)
    if not metric.of_class:
        return {}
    split = number.partition("/")[0]
    start = f"{split}/{metric.of_class}_"
    names = sorted({str(name) for name in table["metric"].unique() if str(name).startswith(start)})
    others = {f"{split}/{one.name}" for one in declared_metrics(table)}  # such as the same of a part of the images
    return {name.removeprefix(start): name for name in names if name not in others}


def unit_of(metric: Metric) -> str:
    """What stands behind the label of an axis: the unit, else the range."""
    if metric.unit:
        return f" ({metric.unit})"
    if metric.lowest is not None and metric.highest is not None:
        return f" ({metric.lowest:g} to {metric.highest:g})"
    return ""
