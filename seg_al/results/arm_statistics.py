"""Which differences between arms the runs can carry: one number per run, paired tests, and how many runs it takes.

Arms are paired by `run`, which gives them the same split, initial set, weights and data order. All functions take
scores: a table with columns label, run and score, one row per arm and run.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import combinations, count

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import PermutationMethod, nct, norm, ttest_rel, wilcoxon
from scipy.stats import t as student_t
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from seg_al.core import CostUnit
from seg_al.measuring.curve import Curve, Scale
from seg_al.results.arms import readable_cost
from seg_al.results.curves import LEVEL, curves_of, half_width

ALPHA = 1 - LEVEL
POWER = 0.8
"""The chance of finding a true difference at which an experiment counts as large enough."""
MOST_RUNS = 10_000
"""Runs beyond which nobody would go; a difference that needs more is as good as none."""

Floats = npt.NDArray[np.float64]
Arms = dict[str, dict[int, Curve]]


def areas(table: pd.DataFrame, metric: str, cost: CostUnit = "images", scale: Scale = "linear") -> pd.DataFrame:
    """Scores: the area under each run's curve by the width, over the costs that the whole runs of all arms cover.

    Raises ValueError where the arms' costs do not overlap.
    """
    arms = curves_of(table, metric, cost)
    low, high = span(arms)
    if high < low:
        raise ValueError(
            f"the arms were evaluated at {cost} that do not overlap (one begins at {readable_cost(low)}, another ends "
            f"at {readable_cost(high)}), so that no area is common: compare fewer arms with --where, or another --cost"
        )
    return _scores(arms, lambda curve: curve.area(low, high, scale))


def finals(table: pd.DataFrame, metric: str, cost: CostUnit = "images") -> pd.DataFrame:
    """Scores: each run's metric at the largest cost that the whole runs of all arms reach."""
    arms = curves_of(table, metric, cost)
    _, high = span(arms)
    return _scores(arms, lambda curve: curve.at(high))


def span(arms: Arms) -> tuple[float, float]:
    """The least and the largest cost that all curves cover."""
    curves = [curve for runs in arms.values() for curve in runs.values()]
    return max(float(curve.costs[0]) for curve in curves), min(float(curve.costs[-1]) for curve in curves)


def _scores(arms: Arms, score: Callable[[Curve], float]) -> pd.DataFrame:
    rows = [(label, run, score(curve)) for label, runs in arms.items() for run, curve in runs.items()]
    return pd.DataFrame(rows, columns=["label", "run", "score"])


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Label, mean, sd (n - 1), n, low and high of the 95 % t interval; one row per arm."""
    found = scores.groupby("label", sort=False, as_index=False).agg(
        mean=("score", "mean"), sd=("score", "std"), n=("score", "size")
    )
    half = np.array([half_width(sd, n) for sd, n in zip(found["sd"], found["n"], strict=True)])
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)


def all_pairs(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Every two arms once, the later one first, so that what stands behind random is compared with it."""
    return [(second, first) for first, second in combinations(dict.fromkeys(labels), 2)]


def comparisons(scores: pd.DataFrame, pairs: Sequence[tuple[str, str]], alpha: float = ALPHA) -> pd.DataFrame:
    """Paired tests of each (arm, baseline) of `pairs`, which together are one family for Holm's correction.

    Columns: label, baseline, n (pairs), difference with its t interval low and high; effect (Hedges' g of the
    paired differences) with effect_low and effect_high; wilcoxon and t (two-sided p), wilcoxon_holm and t_holm;
    attainable (the smallest wilcoxon_holm that n pairs can have while the other tests stay); more_runs (that a
    star would take at least; 0: n can carry one); star (wilcoxon_holm <= alpha); runs_needed (pairs for 80 % power,
    were the observed effect true; NaN where it is none). Fewer than 2 common runs are no test and no part of the
    family; their more_runs counts for the family that they would be part of.
    """
    by_arm = {str(label): rows.set_index("run")["score"] for label, rows in scores.groupby("label", sort=False)}
    rows = [_compared(by_arm[label], by_arm[baseline]) for label, baseline in pairs]
    table = pd.DataFrame(rows, columns=ROW)
    table.insert(0, "baseline", [baseline for _, baseline in pairs])
    table.insert(0, "label", [label for label, _ in pairs])
    tested = table["wilcoxon"].notna()
    for test in ("wilcoxon", "t"):
        table[f"{test}_holm"] = np.nan
        if tested.any():
            table.loc[tested, f"{test}_holm"] = multipletests(table.loc[tested, test], alpha, method="holm")[1]
    p_values: Floats = table["wilcoxon"].to_numpy(np.float64)
    others = [np.delete(p_values, row) for row in range(len(table))]
    other_p = [p[~np.isnan(p)] if there else np.nan_to_num(p, nan=1.0) for p, there in zip(others, tested, strict=True)]
    counts = [int(n) for n in table["n"]]
    table["attainable"] = [smallest_p(n, p) if n else math.nan for n, p in zip(counts, other_p, strict=True)]
    table["more_runs"] = [more_for_a_star(n, p, alpha) for n, p in zip(counts, other_p, strict=True)]
    table["star"] = table["wilcoxon_holm"] <= alpha
    needed = [runs_needed(d, alpha) for d in table.pop("standardised")]
    return table.assign(runs_needed=needed)


ROW = ["n", "difference", "low", "high", "effect", "effect_low", "effect_high", "standardised", "wilcoxon", "t"]


def _compared(scores: pd.Series[float], others: pd.Series[float]) -> list[float]:
    gains: Floats = np.asarray((scores - others.reindex(scores.index)).dropna(), dtype=np.float64)
    n = len(gains)
    if n < 2:
        return [n, float(gains.mean()) if n else math.nan, *[math.nan] * (len(ROW) - 2)]
    mean, sd = float(gains.mean()), float(gains.std(ddof=1))
    half = half_width(sd, n)
    if sd < 1e-12 * max(1.0, abs(mean)):  # equal differences: no spread to measure against
        effect = [math.nan] * 4
        p_t = 1.0 if mean == 0 else 0.0
    else:
        effect = [*hedges_g(mean / sd, n), mean / sd]
        p_t = float(ttest_rel(gains, np.zeros(n)).pvalue)
    return [n, mean, mean - half, mean + half, *effect, wilcoxon_p(gains), p_t]


def wilcoxon_p(gains: Floats) -> float:  # [n] -> two-sided p
    """The exact signed-rank test; differences of zero are left out, and equal ones are permuted exactly.

    Beyond 13 pairs with equal differences the permutations are 9,999 random ones, the same at every call.
    """
    found = gains[gains != 0]
    if len(found) == 0:
        return 1.0
    if len(np.unique(np.abs(found))) == len(found):
        return float(wilcoxon(found, method="exact").pvalue)
    permuted = PermutationMethod(n_resamples=9999, rng=np.random.default_rng(0))
    return float(wilcoxon(found, method=permuted).pvalue)


def hedges_g(standardised: float, n: int) -> tuple[float, float, float]:
    """The paired effect size, mean over sd of n differences, less its bias in small samples; with its 95 % interval.

    The interval inverts the noncentral t distribution, which is exact for normal differences.
    """
    bias = math.exp(math.lgamma((n - 1) / 2) - math.lgamma((n - 2) / 2)) / math.sqrt((n - 1) / 2) if n > 2 else 1.0
    t = standardised * math.sqrt(n)

    def excess(noncentrality: float, tail: float) -> float:
        p = float(nct.cdf(t, n - 1, noncentrality))
        return (float(noncentrality < t) if math.isnan(p) else p) - tail  # NaN: too far out for scipy

    def limit(tail: float) -> float:
        reach = 10 + 5 * abs(t)
        return float(brentq(excess, t - reach, t + reach, args=(tail,))) / math.sqrt(n)

    low, high = (limit(tail) for tail in (0.5 + LEVEL / 2, 0.5 - LEVEL / 2))
    return bias * standardised, bias * low, bias * high


def smallest_p(n: int, others: Floats) -> float:  # others: [other tests]
    """The smallest two-sided Wilcoxon p that n pairs can give, after Holm's correction with those of the other tests.

    Only this one's of the corrected p; statsmodels gives all of them, but collects garbage at every call, 0.1 s each.
    """
    own = 2.0 ** (1 - n)
    smaller = np.sort(others[others < own])
    steps = np.append(smaller, own) * (len(others) + 1 - np.arange(len(smaller) + 1))
    return min(1.0, float(steps.max()))


def more_for_a_star(n: int, others: Floats, alpha: float = ALPHA) -> int:
    """The pairs that n lacks to come to alpha after Holm's correction, were all its differences of one sign."""
    return next(more for more in count() if smallest_p(n + more, others) <= alpha)


def pairs_for_a_star(family: int = 1, alpha: float = ALPHA) -> int:
    """The fewest pairs with which Wilcoxon's test can come to alpha after Holm's correction: 6 for one test."""
    return math.ceil(1 + math.log2(family / alpha) - 1e-9)


def runs_needed(standardised: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """Pairs with which a paired t-test finds an effect (mean over sd of the differences) with the power; NaN for none.

    Says nothing about whether the effect is true: an observed effect is itself uncertain, see its interval.
    """
    if math.isnan(standardised) or standardised == 0:
        return math.nan
    about = math.ceil(((norm.isf(alpha / 2) + norm.ppf(power)) / standardised) ** 2)  # normal: a little too few
    if about > MOST_RUNS:
        return math.nan
    highest = about + 10
    return float(bisect_left(range(highest), True, lo=2, key=lambda n: _power(n, standardised, alpha) >= power))


def _power(n: int, standardised: float, alpha: float) -> float:
    """Of the two-sided paired t-test; statsmodels' is NaN where the tail of the wrong sign is too thin for scipy."""
    limit, far = float(student_t.isf(alpha / 2, n - 1)), abs(standardised) * math.sqrt(n)
    return float(nct.sf(limit, n - 1, far)) + float(np.nan_to_num(nct.cdf(-limit, n - 1, far)))


def detectable(n: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """The least effect (mean over sd of the differences) that n pairs find with the power; NaN below two."""
    if n < 2:
        return math.nan
    return float(TTestPower().solve_power(None, n, alpha, power, alternative="two-sided"))
