"""The numbers behind a figure of learning curves: means with their spread, and paired differences to random."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from seg_al.core import COST_UNITS, CostUnit
from seg_al.measuring.curve import Curve
from seg_al.results.arms import A_THOUSANDTH
from seg_al.results.learned_rounds import NoComparison, comparable, learned_rounds
from seg_al.running.nearest_names import nearest_names

LEVEL = 0.95
"""The confidence level of every interval."""


def half_width(sd: float, n: int) -> float:
    """Half the t interval of a mean of `n` values at LEVEL; NaN for a single value."""
    if n < 2:
        return math.nan
    return float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * sd / math.sqrt(n)


def points_of(table: pd.DataFrame, metric: str, cost: CostUnit) -> pd.DataFrame:
    """Each run's curve: columns label, run, point (its round), cost, value; without full-data ceilings.

    Copies of one run are averaged. Raises ValueError if the metric or the cost was not recorded.
    """
    points = table[(table["metric"] == metric) & ~table["ceiling"]]
    if points.empty:
        raise ValueError(f"no run has the metric {metric!r}; there are {nearest_names(metric, table['metric'])}")
    if points[cost].isna().all():
        known = ", ".join(unit for unit in COST_UNITS if points[unit].notna().any())
        raise ValueError(f"the cost in {cost} was not recorded, only {known}; run folders hold every cost of a run")
    points = points.assign(cost=points[cost], point=points["round"].astype(int))
    points = points[points["value"].notna() & points["cost"].notna()]
    if points.empty:
        raise ValueError(f"{metric} is NaN in every evaluation: there is nothing to draw or to compare")
    keys = ["label", "run", "point"]
    return points.groupby(keys, sort=False, as_index=False)[["cost", "value"]].mean()


def table_of(table: pd.DataFrame, metric: str, cost: CostUnit = "images") -> pd.DataFrame:
    """Label, cost, mean, sd (n - 1), n, low and high of the 95 % t interval; one row per arm and evaluation.

    Where constants are recorded, also learned: whether the round has, NaN where it is not known. Runs are averaged
    evaluation by evaluation; where their costs differ, `cost` is the mean. Single runs have no sd and no interval
    (NaN).
    """
    points = points_of(table, metric, cost)
    means = points.groupby(["label", "point"], sort=False, as_index=False).agg(
        cost=("cost", "mean"), mean=("value", "mean"), sd=("value", "std"), n=("value", "size")
    )
    half = np.array([half_width(sd, n) for sd, n in zip(means["sd"], means["n"], strict=True)])
    means["low"], means["high"] = means["mean"] - half, means["mean"] + half
    order = {label: index for index, label in enumerate(dict.fromkeys(points["label"]))}
    means["order"] = means["label"].map(order)
    means = means.sort_values(["order", "point"], ignore_index=True)
    rounds = learned_rounds(table, metric)
    if len(rounds):
        means = means.merge(rounds[["label", "point", "learned"]], on=["label", "point"], how="left")
    return means.drop(columns=["point", "order"])


def curves_of(table: pd.DataFrame, metric: str, cost: CostUnit) -> dict[str, dict[int, Curve]]:
    """What is compared: by arm and run the curves with every evaluation that their arm has; `missing` names the others.

    Only of arms that have learned, from the cost on from which all have; everything where no constant is recorded.
    Raises NoComparison where too few arms have learned.
    """
    points, found = points_of(table, metric, cost), comparable(table, metric, cost)
    if found.starts or found.refused:
        if not found.starts:
            raise NoComparison(" ".join(found.refused))
        means = points.groupby(["label", "point"])["cost"].transform("mean")
        starts = points["label"].map(found.starts).astype(float)  # NaN: an arm that has not learned
        points = points[means >= (1 - A_THOUSANDTH) * starts]
    return {str(label): whole_curves(rows) for label, rows in points.groupby("label", sort=False)}


def differences(table: pd.DataFrame, metric: str, cost: CostUnit = "images") -> pd.DataFrame:
    """Each arm less its random arm at the end, paired by `run`: label, baseline, cost, difference, low, high, n.

    A pair counts if both its runs went as far as their arms. It is compared at the largest cost that both
    reached, which is the last round wherever the costs are equal. Empty without a random arm.
    """
    arms = curves_of(table, metric, cost)
    rows = []
    for label, baseline in with_random(table, arms):
        pairs = [(arms[label][run], arms[baseline][run]) for run in arms[label] if run in arms[baseline]]
        if not pairs:
            continue
        ends = [min(one.costs[-1], other.costs[-1]) for one, other in pairs]
        gains = [one.at(end) - other.at(end) for (one, other), end in zip(pairs, ends, strict=True)]
        half = half_width(float(np.std(gains, ddof=1)), len(gains)) if len(gains) > 1 else math.nan
        gain = float(np.mean(gains))
        rows.append((label, baseline, float(np.mean(ends)), gain, gain - half, gain + half, len(gains)))
    return pd.DataFrame(rows, columns=["label", "baseline", "cost", "difference", "low", "high", "n"])


def with_random(table: pd.DataFrame, labels: Iterable[str]) -> list[tuple[str, str]]:
    """Those of the arms whose random arm is among them, each with its random arm."""
    there = list(labels)
    pairs = [(label, baseline_of(table, label)) for label in there]
    return [(label, baseline) for label, baseline in pairs if baseline is not None and baseline in there]


def baseline_of(table: pd.DataFrame, label: str) -> str | None:
    """The random arm that differs from `label` in heuristic and selector alone, else the dataset's only random arm.

    An arm with another selector (core-set, an oracle) does not choose at random, whatever its heuristic is.
    """
    arms = arms_of(table)
    own = arms[arms["label"] == label].iloc[0]
    randoms = arms[is_random(arms) & (arms["dataset"] == own["dataset"])]
    names = {str(name) for name in randoms["label"]}
    if label in names:
        return None
    twin = "random" + re.sub(r", selector=[^,]+", ", selector=top", label.removeprefix(str(own["heuristic"])))
    if twin in names:
        return twin
    return names.pop() if len(names) == 1 else None


def arms_of(table: pd.DataFrame) -> pd.DataFrame:
    """The first row of each arm, without full-data ceilings."""
    arms = table.drop_duplicates("label")
    return arms[~arms["ceiling"]]


def is_random(arms: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are of an arm that asks by chance: heuristic random, handed to the selector that reads scores."""
    return (arms["heuristic"] == "random") & (arms["selector"].isna() | (arms["selector"] == "top"))


def whole_curves(rows: pd.DataFrame) -> dict[int, Curve]:
    """The curves of an arm by run, without those that stopped before the others or have a hole."""
    most = rows.groupby("run").size().max()
    curves = {}
    for _, own in rows.sort_values("point").groupby("run"):
        if len(own) == most:
            curves[int(own["run"].iloc[0])] = Curve(own["cost"].to_numpy(float), own["value"].to_numpy(float))
    return curves
