"""What an arm saves: the share of random's labels that it needs for a score, with bootstrap intervals over runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, stdtrit

from seg_al.core import CostUnit
from seg_al.measuring.curve import Curve
from seg_al.results.arms import readable_cost
from seg_al.results.curves import LEVEL, curves_of, with_random
from seg_al.results.study import Study

TARGETS = (0.90, 0.95, 1.00)
"""Shares of the reference score to be reached."""
RESAMPLES = 10_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reached:
    """The cost at which mean curves first reach a goal, for every resample of the runs."""

    costs: Floats  # [B], infinite where the goal was not reached
    last: Floats  # [B], the last cost of the curves
    at_start: npt.NDArray[np.bool_]  # [B], whether the first evaluation was there already


class Goal(Protocol):
    """The score to be reached, in each resample."""

    def __call__(self, baseline: Sequence[Curve], weights: Floats, rng: np.random.Generator) -> Floats:
        """[B], of the baseline's R curves with weights [B, R]; the first row is all runs as they are."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A score that is known without noise."""

    score: float

    def __call__(self, baseline: Sequence[Curve], weights: Floats, rng: np.random.Generator) -> Floats:
        return np.full(len(weights), self.score)


@dataclass(frozen=True)
class ShareOfFull:
    """A share of the mean score of full-data runs, which are resampled too; a single one counts as known."""

    share: float
    scores: Sequence[float]

    def __call__(self, baseline: Sequence[Curve], weights: Floats, rng: np.random.Generator) -> Floats:
        scores, m = np.array(self.scores), len(self.scores)
        drawn = rng.multinomial(m, np.full(m, 1 / m), size=len(weights) - 1) / m
        noise = np.concatenate([[0.0], drawn @ scores - scores.mean()])
        if m > 1:
            noise *= math.sqrt(m / (m - 1))  # resampled means of m vary too little by that
        goals: Floats = self.share * (scores.mean() + noise)
        return goals


@dataclass(frozen=True)
class ShareOfLast:
    """A share of the baseline's last mean score, over the runs of each resample."""

    share: float

    def __call__(self, baseline: Sequence[Curve], weights: Floats, rng: np.random.Generator) -> Floats:
        goals: Floats = self.share * (weights @ np.array([curve.values[-1] for curve in baseline]))
        return goals


def tail_of(n: int) -> float:
    """The share of resamples of n runs beyond either end of a 95 % interval.

    Percentiles of n resampled runs are narrow, as their variance lacks the factor n / (n - 1) and they look up the
    normal distribution where Student's t belongs; this widens them for both (Hesterberg 2015, arXiv 1411.5279, the
    expanded percentile interval).
    """
    return float(ndtr(-math.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.5 + LEVEL / 2)))


def reached(curves: Sequence[Curve], goal: Floats, weights: Floats) -> Reached:
    """Where the weighted mean of the runs' curves first reaches the goal [B]; weights [B, R] sum to 1 in each row.

    Runs are averaged evaluation by evaluation, costs and values, and joined by straight lines. All curves have the
    same number of evaluations P.
    """
    costs = weights @ np.stack([curve.costs for curve in curves])  # [B, P]
    values = weights @ np.stack([curve.values for curve in curves])  # [B, P]
    there = values >= goal[:, None] - 1e-12
    first = there.argmax(axis=1)
    rows, before = np.arange(len(weights)), np.maximum(first - 1, 0)
    low, high = values[rows, before], values[rows, first]
    rise = np.where(high > low, high - low, 1.0)
    share = np.where(first > 0, np.clip((goal - low) / rise, 0.0, 1.0), 0.0)
    crossing = costs[rows, before] + share * (costs[rows, first] - costs[rows, before])
    return Reached(np.where(there.any(axis=1), crossing, np.inf), costs[:, -1], there[:, 0])


def saving(arm: Mapping[int, Curve], baseline: Mapping[int, Curve], goal: Goal, seed: int = 0) -> dict[str, float]:
    """What the arm needs of the baseline's labels to reach a score, over the runs that both have (pairs).

    - share: the ratio of the two costs; infinite where only the baseline reaches the score, NaN where it does not;
    - bound: where one of the two does not reach it, the ratio with its last cost for the one that it would need:
      the share is above it (only the baseline reaches it) or below it (only the arm does); NaN otherwise;
    - low, high: 95 % bootstrap interval over pairs of runs, expanded by `tail_of`; the goal is resampled with them. In
      simulated studies (400 each, three kinds of goal) it held the truth in 0.92 to 0.96 of those with 5 pairs, 0.95
      to 0.96 with 8, and 0.95 to 0.98 with 10 and 20, where plain percentiles at an unmoved goal had 0.82 to 0.85,
      0.91, 0.93 and 0.94. With 3 pairs it is 0.78 to 0.89: three runs hold no more than that. A resample in which the
      arm does not reach it counts as infinite, one in which the baseline alone does not as its bound. NaN with fewer
      than two pairs, and where neither reaches it;
    - cost, baseline_cost: where each reaches it, infinite if it does not; at_start: 1 where the first labelled set
      of both is there already, so that nothing could be saved; missed: the share of resamples in which the arm does
      not reach it; n: pairs.

    Own resampling, as scipy's bootstrap knows no censored values.
    """
    runs = sorted(set(arm) & set(baseline))
    n = len(runs)
    if n == 0:
        nothing = ("share", "bound", "low", "high", "cost", "baseline_cost", "at_start", "missed")
        return {**dict.fromkeys(nothing, math.nan), "n": 0}
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    weights = np.concatenate([np.full((1, n), 1 / n), drawn])  # the first row: all runs as they are
    others = [baseline[run] for run in runs]
    goals = goal(others, weights, rng)
    own = reached([arm[run] for run in runs], goals, weights)
    other = reached(others, goals, weights)
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
        found["low"], found["high"] = np.quantile(counted, [tail_of(n), 1 - tail_of(n)], method="inverted_cdf")
    return {**{name: float(value) for name, value in found.items()}, "n": n}


def savings(
    study: Study, metric: str, cost: CostUnit = "images", targets: Sequence[float] = TARGETS, by_last: bool = False
) -> pd.DataFrame:
    """`saving` of every arm against its random arm, at shares of the full-data score.

    Where the arm's setup has no full-data run, and with `by_last`, the reference is the random arm's last mean over
    the pairs, and column `reference` says so ("full data" or "random's last"). Where lower is better, a share of 0.9
    of a score s is reached at s / 0.9. Columns: label, baseline, target, reference, goal (the score), and those of
    `saving`. Empty without a random arm.
    """
    sign = study.metric(metric).sign
    arms = {label: _signed(runs, sign) for label, runs in curves_of(study.table, metric, cost).items()}
    rows = []
    for label, baseline in with_random(study.table, arms):
        full = [] if by_last else [sign * score for score in study.ceiling_scores(label, metric)]
        shared = arms[label].keys() & arms[baseline].keys() or arms[baseline].keys()
        last = float(np.mean([arms[baseline][run].values[-1] for run in sorted(shared)]))
        score, reference = (float(np.mean(full)), "full data") if full else (last, "random's last")
        for target in targets:
            share = target if sign > 0 else 1 / target
            goal = ShareOfFull(share, full) if full else ShareOfLast(share)
            found = saving(arms[label], arms[baseline], goal)
            rows.append(
                {"label": label, "baseline": baseline, "target": target, "reference": reference}
                | {"goal": sign * share * score}
                | found
            )
    return pd.DataFrame(rows, columns=[*WHERE_FROM, *SAVING])


def _signed(runs: Mapping[int, Curve], sign: int) -> dict[int, Curve]:
    """The curves with higher = better."""
    return {run: Curve(curve.costs, sign * curve.values) for run, curve in runs.items()}


WHERE_FROM = ("label", "baseline", "target", "reference", "goal")
SAVING = ("share", "bound", "low", "high", "cost", "baseline_cost", "at_start", "missed", "n")


def saving_as_text(row: Mapping[Any, Any], cost: str) -> str:
    """One sentence of a row of `savings`, such as "bald needs 41 % [35, 48] of random's labels"."""
    label, baseline = row["label"], row["baseline"]
    goal = f"{row['target']:.0%} of {REFERENCES[row['reference']]} ({row['goal']:.4f})".replace("%", " %")
    if row["n"] == 0:
        return f"{label}: no run in common with {baseline}, so no saving at {goal}"
    if row["at_start"]:
        return f"{label}: the first compared labels reach {goal} already, nothing could be saved"
    here, there = math.isfinite(row["cost"]), math.isfinite(row["baseline_cost"])
    if not here and not there:
        return f"neither {label} nor {baseline} reaches {goal}"
    interval = saving_interval(row)
    if not here:
        share = _percent(row["bound"])
        bound = f"all of {baseline}'s {cost}" if share == "100" else f"{share} % of {baseline}'s {cost}"
        return f"{label} does not reach {goal}: it needs more than {bound}{interval}"
    if not there:
        return (
            f"{label} reaches {goal} at {readable_cost(row['cost'])} {cost} and {baseline} does not: less than "
            f"{_percent(row['bound'])} % of its {cost}{interval}"
        )
    return f"{label} needs {_percent(row['share'])} %{interval} of {baseline}'s {cost} to reach {goal}"


def saving_interval(row: Mapping[Any, Any]) -> str:
    """The interval in per cent, such as " [35, 48]", " [35, not reached]"; says where there is none."""
    if math.isnan(row["low"]):
        return " (one pair, no interval)" if row["n"] == 1 else ""
    if math.isinf(row["low"]):
        return " (reached in hardly any resample)"
    return f" [{_percent(row['low'])}, {_percent(row['high'])}]"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if math.isfinite(share) else "not reached"


REFERENCES = {"full data": "the full-data score", "random's last": "random's last score"}
