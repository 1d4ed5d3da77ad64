"""Who is ahead of whom: pairwise penalties over the rounds, and mean ranks."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import bootstrap, friedmanchisquare, rankdata, studentized_range, ttest_rel
from statsmodels.stats.multitest import multipletests

from seg_al.core import CostUnit
from seg_al.results.arm_statistics import ALPHA, span
from seg_al.results.curves import LEVEL, curves_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AlignedArms:
    """All arms at the same costs."""

    labels: tuple[str, ...]  # [A]
    runs: tuple[int, ...]  # [R], those that every arm has
    costs: Floats  # [P]
    values: Floats  # [A, R, P]


def aligned_arms(table: pd.DataFrame, metric: str, cost: CostUnit = "images") -> AlignedArms:
    """The whole curves of the runs that every arm has, at the first arm's mean costs within what all cover.

    Arms that ask in other steps are joined by straight lines. Raises ValueError where no run, or no cost, is common.
    """
    arms = curves_of(table, metric, cost)
    common = sorted(set.intersection(*(set(runs) for runs in arms.values())))
    if not common:
        raise ValueError(
            f"no run number is common to all of {', '.join(arms)}: ranks and penalties compare the same runs; repeat "
            "the sweep with the same run=0,1,... for every arm"
        )
    low, high = span(arms)
    costs = np.mean([curve.costs for curve in next(iter(arms.values())).values()], axis=0)
    costs = np.unique(np.clip(costs, low, max(low, high)))
    if high < low:
        raise ValueError(f"the arms have no {cost} in common: they were evaluated at costs that do not overlap")
    values = [[np.interp(costs, runs[run].costs, runs[run].values) for run in common] for runs in arms.values()]
    return AlignedArms(tuple(arms), tuple(common), costs, np.array(values))


def penalties(grid: AlignedArms, lower: bool = False, alpha: float = ALPHA) -> pd.DataFrame:
    """How often each arm beats each other: label, other, share, share_holm, rounds.

    The pairwise penalty of BADGE (arXiv 1906.03671) as the share of rounds in which a paired t-test finds `label`
    above `other` at alpha (two-sided): among equals alpha / 2 is expected by chance alone. The first round is left
    out, as arms begin with the same labels. `share_holm` asks the same after Holm's correction over all pairs and
    rounds. NaN with fewer than two runs or rounds. `lower`: the less, the better.
    """
    count, rounds = len(grid.labels), len(grid.costs) - 1
    wins, wins_holm = np.full((2, count, count), np.nan)
    if len(grid.runs) > 1 and rounds > 0 and count > 1:
        values = grid.values[:, :, 1:]  # [A, R, P - 1]
        first, second = np.triu_indices(count, k=1)
        gains = (values[second] - values[first]) if lower else (values[first] - values[second])  # [pairs, R, P - 1]
        p = _p_of(gains)
        corrected = multipletests(p.ravel(), alpha, method="holm")[1].reshape(p.shape)
        ahead = gains.mean(axis=1) > 0
        for target, found in ((wins, p <= alpha), (wins_holm, corrected <= alpha)):
            target[first, second] = (found & ahead).mean(axis=1)
            target[second, first] = (found & ~ahead).mean(axis=1)
    rows = [
        (one, other, wins[i, j], wins_holm[i, j], rounds)
        for i, one in enumerate(grid.labels)
        for j, other in enumerate(grid.labels)
        if i != j
    ]
    return pd.DataFrame(rows, columns=["label", "other", "share", "share_holm", "rounds"])


def _p_of(gains: Floats) -> Floats:  # [pairs, R, P] -> [pairs, P]
    """Two-sided p of the paired t-test; 1 where all differences are zero."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # equal values have no variance: scipy warns of the lost precision, and gives NaN or 0
        warnings.filterwarnings("ignore", message="Precision loss occurred", category=RuntimeWarning)
        p = ttest_rel(gains, np.zeros_like(gains), axis=1).pvalue
    return np.where(np.isnan(p), 1.0, p)


def rank_rounds(grid: AlignedArms, lower: bool = False) -> pd.DataFrame:
    """The mean rank over the runs of each arm at each cost, 1 = best, ties shared: label, cost, rank.

    `lower`: the less, the better.
    """
    ranks = rankdata(grid.values if lower else -grid.values, axis=0).mean(axis=1)  # [A, P]
    return pd.DataFrame(
        {
            "label": np.repeat(grid.labels, len(grid.costs)),
            "cost": np.tile(grid.costs, len(grid.labels)),
            "rank": ranks.ravel(),
        }
    )


@dataclass(frozen=True)
class Ranks:
    table: pd.DataFrame
    """label, rank (mean over runs, 1 = best), low and high (95 % bootstrap percentiles over runs, NaN for one run)."""
    n: int
    """Runs."""
    friedman: float
    """p that all arms rank alike; NaN with fewer than three arms or two runs."""
    critical: float
    """Nemenyi's critical difference: mean ranks that differ by less do not differ significantly; NaN as above."""


def mean_ranks(scores: pd.DataFrame, lower: bool = False, alpha: float = ALPHA) -> Ranks:
    """Ranks arms by their scores (label, run, score) within each run that all arms have; `lower`: the less, the better.

    Friedman's test and Nemenyi's critical difference (Demsar, JMLR 2006) are asymptotic: with few runs a hint.
    """
    wide = scores.pivot(index="run", columns="label", values="score")[list(dict.fromkeys(scores["label"]))].dropna()
    n, count = wide.shape
    values = wide.to_numpy(np.float64)
    ranks: Floats = rankdata(values if lower else -values, axis=1)
    rows = [(label, *_interval(ranks[:, column])) for column, label in enumerate(wide.columns)]
    table = pd.DataFrame(rows, columns=["label", "rank", "low", "high"])
    if count < 3 or n < 2:
        return Ranks(table, n, math.nan, math.nan)
    with np.errstate(invalid="ignore"):  # all scores equal: no p
        friedman = float(friedmanchisquare(*wide.to_numpy().T).pvalue)
    q = float(studentized_range.ppf(1 - alpha, count, np.inf)) / math.sqrt(2)
    return Ranks(table, n, friedman, q * math.sqrt(count * (count + 1) / (6 * n)))


def _interval(ranks: Floats) -> tuple[float, float, float]:
    if len(ranks) < 2:
        return (float(ranks.mean()) if len(ranks) else math.nan), math.nan, math.nan
    found = bootstrap(
        (ranks,), np.mean, confidence_level=LEVEL, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(ranks.mean()), float(found.low), float(found.high)
