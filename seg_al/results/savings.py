"""What an arm saves: the share of random's labels that it needs for a score, with bootstrap intervals over runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seg_al.core import CostUnit
from seg_al.results.arms import amount
from seg_al.results.comparable import lower_is_better
from seg_al.results.curves import LEVEL, Curve, baseline_of, curves_of
from seg_al.results.records import Study

TARGETS = (0.90, 0.95, 1.00)
"""Shares of the reference score to be reached."""
RESAMPLES = 2000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reached:
    """The cost at which mean curves first reach a goal, for every resample of the runs."""

    costs: Floats  # [B], infinite where the goal was not reached
    last: Floats  # [B], the last cost of the curves
    at_start: npt.NDArray[np.bool_]  # [B], whether the first evaluation was there already


def reached(curves: Sequence[Curve], goal: float, weights: Floats) -> Reached:
    """Where the weighted mean of the runs' curves first reaches the goal; weights [B, R] sum to 1 in each row.

    Runs are averaged evaluation by evaluation, costs and values, and joined by straight lines. All curves have the
    same number of evaluations P.
    """
    costs = weights @ np.stack([curve.costs for curve in curves])  # [B, P]
    values = weights @ np.stack([curve.values for curve in curves])  # [B, P]
    there = values >= goal - 1e-12
    first = there.argmax(axis=1)
    rows, before = np.arange(len(weights)), np.maximum(first - 1, 0)
    low, high = values[rows, before], values[rows, first]
    rise = np.where(high > low, high - low, 1.0)
    share = np.where(first > 0, np.clip((goal - low) / rise, 0.0, 1.0), 0.0)
    crossing = costs[rows, before] + share * (costs[rows, first] - costs[rows, before])
    return Reached(np.where(there.any(axis=1), crossing, np.inf), costs[:, -1], there[:, 0])


def saving(arm: Mapping[int, Curve], baseline: Mapping[int, Curve], goal: float, seed: int = 0) -> dict[str, float]:
    """What the arm needs of the baseline's labels to reach a score, over the runs that both have (pairs).

    - share: the ratio of the two costs; infinite where only the baseline gets there, NaN where it does not;
    - bound: where one of the two does not get there, the ratio with its last cost for the one that it would need:
      the share is above it (only the baseline gets there) or below it (only the arm does); NaN otherwise;
    - low, high: 95 % bootstrap percentiles over pairs of runs. A resample in which the arm does not get there counts
      as infinite, one in which the baseline alone does not as its bound. NaN with fewer than two pairs, and where
      neither gets there;
    - cost, baseline_cost: where each gets there, infinite if it does not; at_start: 1 where the first labelled set
      of both is there already, so that nothing could be saved; missed: the share of resamples in which the arm does
      not get there; n: pairs.

    Own resampling, as scipy's bootstrap knows no censored values.
    """
    runs = sorted(set(arm) & set(baseline))
    n = len(runs)
    if n == 0:
        nothing = ("share", "bound", "low", "high", "cost", "baseline_cost", "at_start", "missed")
        return {**dict.fromkeys(nothing, math.nan), "n": 0}
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    weights = np.concatenate([np.full((1, n), 1 / n), drawn])  # the first row: all runs as they are
    own = reached([arm[run] for run in runs], goal, weights)
    other = reached([baseline[run] for run in runs], goal, weights)
    here, there = np.isfinite(own.costs), np.isfinite(other.costs)
    share = np.where(there, own.costs / np.where(there, other.costs, 1.0), np.nan)
    bound = np.where(here & ~there, own.costs / other.last, np.where(there & ~here, own.last / other.costs, np.nan))
    found = {
        "share": share[0],
        "bound": bound[0],
        "low": math.nan,
        "high": math.nan,
        "cost": own.costs[0],
        "baseline_cost": other.costs[0],
        "at_start": own.at_start[0] and other.at_start[0],
        "missed": 1 - here[1:].mean(),
    }
    if n > 1 and (here[0] or there[0]):
        counted = np.where(here, np.where(there, share, bound), np.inf)[1:]
        found["low"], found["high"] = np.quantile(counted, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], method="inverted_cdf")
    return {**{name: float(value) for name, value in found.items()}, "n": n}


def savings(study: Study, metric: str, cost: CostUnit = "images", targets: Sequence[float] = TARGETS) -> pd.DataFrame:
    """`saving` of every arm against its random arm, at shares of the full-data score.

    Where the arm's setup has no full-data run, the reference is the random arm's last mean over the pairs, and column
    `reference` says so ("full data" or "random's last"). Columns: label, baseline, target, reference, goal (the
    score), and those of `saving`. Empty without a random arm, and where lower is better: no share of a score is a goal
    then.
    """
    arms = curves_of(study.table, metric, cost)
    rows = []
    for label in () if lower_is_better(metric) else arms:
        baseline = baseline_of(study.table, label)
        if baseline is None or baseline not in arms:
            continue
        full = study.ceiling_score(label, metric)
        shared = arms[label].keys() & arms[baseline].keys() or arms[baseline].keys()
        last = float(np.mean([arms[baseline][run].values[-1] for run in sorted(shared)]))
        score, reference = (last, "random's last") if full is None else (full, "full data")
        for target in targets:
            goal = target * score
            found = saving(arms[label], arms[baseline], goal)
            rows.append(
                {"label": label, "baseline": baseline, "target": target, "reference": reference}
                | {"goal": goal}
                | found
            )
    return pd.DataFrame(rows, columns=[*KEYS, *FOUND])


KEYS = ("label", "baseline", "target", "reference", "goal")
FOUND = ("share", "bound", "low", "high", "cost", "baseline_cost", "at_start", "missed", "n")


def saving_as_text(row: Mapping[Any, Any], cost: str) -> str:
    """One sentence of a row of `savings`, such as "bald needs 41 % [35, 48] of random's labels"."""
    label, baseline = row["label"], row["baseline"]
    goal = f"{row['target']:.0%} of {REFERENCES[row['reference']]} ({row['goal']:.4f})".replace("%", " %")
    if row["n"] == 0:
        return f"{label}: no run in common with {baseline}, so no saving at {goal}"
    if row["at_start"]:
        return f"{label}: the first labelled set reaches {goal} already, nothing could be saved"
    here, there = math.isfinite(row["cost"]), math.isfinite(row["baseline_cost"])
    if not here and not there:
        return f"neither {label} nor {baseline} reaches {goal}"
    interval = saving_interval(row)
    if not here:
        return f"{label} does not reach {goal}: more than {_percent(row['bound'])} % of {baseline}'s {cost}{interval}"
    if not there:
        return (
            f"{label} reaches {goal} at {amount(row['cost'])} {cost} and {baseline} does not: less than "
            f"{_percent(row['bound'])} % of its {cost}{interval}"
        )
    return f"{label} needs {_percent(row['share'])} %{interval} of {baseline}'s {cost} to reach {goal}"


def saving_interval(row: Mapping[Any, Any]) -> str:
    """The interval in per cent, such as " [35, 48]", " [35, not reached]"; says where there is none."""
    if math.isnan(row["low"]):
        return " (one pair, no interval)" if row["n"] == 1 else ""
    return f" [{_percent(row['low'])}, {_percent(row['high'])}]"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if math.isfinite(share) else "not reached"


REFERENCES = {"full data": "the full-data score", "random's last": "random's last score"}
