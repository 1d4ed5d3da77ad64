"""A study: the runs that are compared, as one tidy table with a row per run, round and metric, and their settings."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seg_al.core import COST_UNITS, Metric
from seg_al.measuring.declarations import KNOWN
from seg_al.recording.metric_declarations import NOTE
from seg_al.results.arms import CHOICES, arm_names, as_typed, asks_by
from seg_al.results.metrics import CONSTRUCTED, declarations_of, metric_of
from seg_al.results.records import TRAINED_BY, Point, Record
from seg_al.running.nearest_names import meant

log = logging.getLogger(__name__)

TABLE_COLUMNS = (*CHOICES[:-1], "run", "mc_iters", "identity", "label", "round", *COST_UNITS, "metric", "value")
VAL = "val/images"
"""How many labelled images judge the networks; they are billed besides those of the pool."""
Where = Mapping[str, Collection[str]]
"""Allowed values by setting, as on the command line: {"heuristic": ["bald", "random"], "model.width": ["16"]}."""


@dataclass(frozen=True)
class Study:
    """What figures, statistics and the report are made of."""

    place: str
    """Where the runs were found, for a reader."""
    table: pd.DataFrame
    """One row per run, round and metric; ceilings are among them and marked so."""
    records: tuple[Record, ...]
    """The runs of the table, in its order."""
    labels: tuple[str, ...]
    """The arm of each record."""

    @property
    def problems(self) -> list[str]:
        """What could not be read."""
        return list(self.table.attrs["problems"])

    def metric(self, number: str) -> Metric:
        """The metric behind a number such as "test/error"."""
        return metric_of(self.table, number)

    def require_comparable(self) -> None:
        """Raises ValueError where arms are of several datasets: no area, test or rank means anything across them."""
        names = sorted({str(record.settings.get("dataset")) for record in self.records if not record.ceiling})
        if len(names) > 1:
            raise ValueError(
                f"the arms are of {len(names)} datasets, {', '.join(names)}, whose scores say nothing of each other: "
                f"choose one, such as --where dataset={names[0]}; plot_curves.py draws all"
            )

    @property
    def val_images(self) -> set[float]:
        """The recorded numbers of images of val; empty in runs that recorded none."""
        return set(self.table.loc[(self.table["metric"] == VAL) & ~self.table["ceiling"], "value"].dropna())

    @property
    def headlines(self) -> tuple[str, ...]:
        """What is compared where nobody says what: the first metric of each run's task on test."""
        first = [one.metrics[0] for one in self.records if one.metrics] + [metrics[0] for metrics in KNOWN]
        return tuple(dict.fromkeys(f"test/{metric.name}" for metric in first))

    @property
    def arms(self) -> tuple[str, ...]:
        """Labels of the arms that ask, random first; without ceilings."""
        pairs = zip(self.records, self.labels, strict=True)
        return tuple(dict.fromkeys(label for record, label in pairs if not record.ceiling))

    def of(self, label: str) -> list[Record]:
        """The runs of an arm."""
        return [record for record, own in zip(self.records, self.labels, strict=True) if own == label]

    def ceiling(self, label: str) -> list[Record]:
        """The full-data runs of the arm's setup, those with most steps where some were trained longer; empty: none."""
        setups = {record.ceiling_of for record in self.of(label)}
        full = [record for record in self.records if record.ceiling and record.ceiling_of in setups]
        return [record for record in full if record.steps == max(one.steps for one in full)]

    def ceiling_scores(self, label: str, metric: str) -> list[float]:
        """The metric of each of the arm's full-data runs that has it."""
        found = [record.points[-1].metrics.get(metric, math.nan) for record in self.ceiling(label)]
        return [value for value in found if not math.isnan(value)]

    def ceiling_score(self, label: str, metric: str) -> float | None:
        """The mean of the metric over the arm's full-data runs; None without such a run."""
        known = self.ceiling_scores(label, metric)
        return float(np.mean(known)) if known else None


def study_of_records(records: Sequence[Record], where: Where, problems: Sequence[str], place: str) -> Study:
    """The study of what `where` keeps. Raises ValueError where no run that asks remains, saying what is there."""
    for problem in problems:
        log.warning("not read: %s", problem)
    there = {name for record in records for name in record.settings}
    for name in where:
        if records and name not in there:
            raise ValueError(f"no run has a setting {name!r}; {meant(name, there)}")
    kept = [record for record in records if _matches(record, where)]
    if all(record.ceiling for record in kept):
        raise ValueError(_nothing(records, where, problems, place))
    named = _labelled(kept)
    named.sort(key=lambda pair: (*_place(pair[0]), _natural(pair[1]), pair[0].settings["run"], pair[0].identity))
    kept, names = [record for record, _ in named], [label for _, label in named]
    table = _table(kept, names)
    table.attrs["problems"] = list(problems)
    table.attrs[CONSTRUCTED] = tuple(
        sorted({str(one.settings["dataset"]) for one in kept if one.settings.get(f"dataset.{CONSTRUCTED}")})
    )
    table.attrs[NOTE] = declarations_of(one.metrics for one in sorted(kept, key=lambda one: one.written))
    return Study(place, table, tuple(kept), tuple(names))


def _place(record: Record) -> tuple[bool, bool]:
    """Random leads, for a first look; ceilings come last."""
    return record.ceiling, record.settings["heuristic"] != "random"


def _natural(label: str) -> list[tuple[float, str]]:
    """Sorts mc_iters=5 before mc_iters=20."""
    parts = re.split(r"(\d+(?:\.\d+)?)", label)
    return [(float(part), "") if place % 2 else (-math.inf, part) for place, part in enumerate(parts)]


def _labelled(records: Sequence[Record]) -> list[tuple[Record, str]]:
    """Arms are named among arms, and ceilings, which never ask, by what they trained alone."""
    arms = [record for record in records if not record.ceiling]
    full = [record for record in records if record.ceiling]
    kept = [{k: v for k, v in one.settings.items() if k.partition(".")[0] in (*TRAINED_BY, "run")} for one in full]
    names = [*arm_names([record.settings for record in arms])]
    names += arm_names([{**settings, "heuristic": "all of the pool"} for settings in kept])
    return list(zip([*arms, *full], names, strict=True))


def _table(records: Sequence[Record], names: Sequence[str]) -> pd.DataFrame:
    """Columns are repeated as wholes: a thousand runs have a million rows."""
    owners, points, metrics, values = [], [], [], []
    evaluations: list[Point] = []
    for owner, record in enumerate(records):
        for point in sorted(record.points, key=lambda one: one.cost["images"]):
            found = sorted(point.metrics.items())
            owners += [owner] * len(found)
            points += [len(evaluations)] * len(found)
            metrics += [name for name, _ in found]
            values += [value for _, value in found]
            evaluations.append(point)
    owner_of, point_of = np.array(owners, dtype=np.intp), np.array(points, dtype=np.intp)
    run = pd.DataFrame(
        {name: [record.settings.get(name) for record in records] for name in (*CHOICES[:-1], "run", "mc_iters")}
    )
    run["heuristic"] = [asks_by(record.settings) for record in records]
    run["identity"], run["label"] = [record.identity for record in records], list(names)
    run["complete"], run["ceiling"] = ([getattr(one, key) for one in records] for key in ("complete", "ceiling"))
    cost = pd.DataFrame({"round": [float(one.round) for one in evaluations]})
    for unit in COST_UNITS:
        cost[unit] = [float(one.cost.get(unit, math.nan)) for one in evaluations]
    table = {name: run[name].take(owner_of).array for name in run} | {n: cost[n].take(point_of).array for n in cost}
    table |= {"metric": pd.Series(metrics, dtype="str").array, "value": np.array(values, dtype=np.float64)}
    return pd.DataFrame(table)[[*TABLE_COLUMNS, "complete", "ceiling"]]


def _matches(record: Record, where: Where) -> bool:
    """Full-data runs never ask: of them only the settings count that decide what they reach, and `run`."""
    counts = [name for name in where if not record.ceiling or name.partition(".")[0] in (*TRAINED_BY, "run")]
    return all(as_typed(record.settings.get(name)) in where[name] for name in counts)


def _nothing(records: Sequence[Record], where: Where, problems: Sequence[str], place: str) -> str:
    wanted = " ".join(f"{name}={','.join(allowed)}" for name, allowed in where.items())
    lines = [f"no run matches {wanted} in {place}" if wanted else f"no run with results in {place}"]
    if full := sum(record.ceiling and _matches(record, where) for record in records):
        lines.append(f"  there are {full} full-data runs (initial=all), but no run that asks, as a curve needs")
    for name in dict.fromkeys((*where, "dataset", "model", "heuristic", "run")):
        if there := sorted({as_typed(record.settings.get(name)) for record in records}):
            lines.append(f"  {name}: {', '.join(there)}")
    return "\n".join([*lines, *(f"  not read: {problem}" for problem in problems)])
