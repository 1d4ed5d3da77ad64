"""Areas, savings, tests and ranks against scipy, statsmodels, closed forms and cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from seg_al.measuring.curve import Curve
from seg_al.results.arm_statistics import (
    all_pairs,
    comparisons,
    detectable,
    hedges_g,
    pairs_for_a_star,
    runs_needed,
    smallest_p,
    summary,
    wilcoxon_p,
)
from seg_al.results.ranks import AlignedArms, mean_ranks, penalties, rank_rounds
from seg_al.results.savings import Fixed, ShareOfFull, ShareOfLast, saving, saving_as_text, tail_of

RNG = np.random.default_rng(3)


def curve(costs: list[float], values: list[float]) -> Curve:
    return Curve(np.array(costs, dtype=float), np.array(values, dtype=float))


def scores_of(**arms: list[float]) -> pd.DataFrame:
    rows = [(label, run, value) for label, values in arms.items() for run, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["label", "run", "score"])


def test_the_area_is_the_trapezoids_by_the_width() -> None:
    one = curve([4, 8, 16], [0.5, 0.7, 0.8])
    assert one.area(4, 16) == pytest.approx((4 * 0.6 + 8 * 0.75) / 12)
    assert one.area(6, 12) == pytest.approx((2 * 0.65 + 4 * 0.725) / 6)  # cut inside two steps
    assert one.area(4, 16, "log") == pytest.approx((0.6 + 0.75) / 2)  # both steps are a doubling
    with pytest.raises(ValueError, match="logarithmic cost axis begins above 0"):
        curve([0, 2], [0.1, 0.2]).area(0, 2, "log")


def test_summary_equals_scipy_s_t_interval() -> None:
    values = list(RNG.normal(0.7, 0.05, 7))
    row = summary(scores_of(bald=values)).iloc[0]
    low, high = scipy.stats.t.interval(0.95, 6, np.mean(values), scipy.stats.sem(values))
    assert row[["mean", "sd", "low", "high"]].tolist() == pytest.approx(
        [np.mean(values), np.std(values, ddof=1), low, high]
    )


def test_paired_tests_equal_scipy_and_holm_equals_statsmodels() -> None:
    arms = {
        name: list(RNG.normal(0.7 + shift, 0.02, 9))
        for name, shift in (("random", 0), ("bald", 0.03), ("margin", 0.01))
    }
    table = comparisons(scores_of(**arms), all_pairs(list(arms)))
    assert list(zip(table["label"], table["baseline"], strict=True)) == [
        ("bald", "random"),
        ("margin", "random"),
        ("margin", "bald"),
    ]
    for row in table.to_dict("records"):
        one, other = arms[row["label"]], arms[row["baseline"]]
        assert row["wilcoxon"] == pytest.approx(scipy.stats.wilcoxon(one, other, method="exact").pvalue)
        found = scipy.stats.ttest_rel(one, other)
        interval = found.confidence_interval(0.95)
        assert [row["t"], row["low"], row["high"]] == pytest.approx([found.pvalue, interval.low, interval.high])
    for test in ("wilcoxon", "t"):
        assert list(table[f"{test}_holm"]) == pytest.approx(multipletests(table[test], method="holm")[1])
    assert list(table["star"]) == list(table["wilcoxon_holm"] <= 0.05)


def test_pairs_are_matched_by_run_and_not_by_place() -> None:
    scores = pd.DataFrame({"label": ["a"] * 3 + ["b"] * 3, "run": [0, 1, 2, 2, 1, 5], "score": [1.0, 2, 3, 30, 20, 9]})
    row = comparisons(scores, [("b", "a")]).iloc[0]
    assert (row["n"], row["difference"]) == (2, pytest.approx(22.5))
    nothing = comparisons(scores[(scores["label"] == "a") | (scores["run"] == 5)], [("b", "a")]).iloc[0]
    assert nothing["n"] == 0
    assert math.isnan(nothing["wilcoxon_holm"])
    assert not nothing["star"]


@pytest.mark.parametrize(("n", "family", "more"), [(5, 1, 1), (6, 1, 0), (6, 3, 1), (4, 3, 3), (7, 3, 0), (8, 28, 3)])
def test_no_star_is_given_that_n_cannot_carry(n: int, family: int, more: int) -> None:
    arms = {"random": [0.5] * n} | {f"arm{i}": [0.6 + i / 10 + run / 1000 for run in range(n)] for i in range(family)}
    table = comparisons(scores_of(**arms), [(f"arm{i}", "random") for i in range(family)])
    assert list(table["more_runs"]) == [more] * family  # every pair gained: the smallest p that there is
    assert list(table["star"]) == [more == 0] * family
    assert table["wilcoxon_holm"].min() == pytest.approx(min(1.0, family * 2.0 ** (1 - n)))
    assert table["attainable"].tolist() == pytest.approx(table["wilcoxon_holm"].tolist())
    assert pairs_for_a_star(family) == n + more or more == 0


def test_an_arm_with_fewer_runs_can_carry_a_star_beside_stronger_tests() -> None:
    gains = {"bald": 10, "margin": 10, "entropy": 6}
    arms = {"random": [0.5] * 10} | {
        name: [0.6 + i / 10 + run / 1000 for run in range(n)] for i, (name, n) in enumerate(gains.items())
    }
    table = comparisons(scores_of(**arms), [(name, "random") for name in gains]).set_index("label")
    assert table["wilcoxon_holm"].tolist() == pytest.approx([3 / 512, 3 / 512, 1 / 32])  # Holm asks least of the last
    assert table["star"].all()
    assert (table["attainable"] <= 0.05).all()
    assert table["more_runs"].tolist() == [0, 0, 0]
    arms["margin"] = [0.5 + (-1) ** run * (run + 1) / 1000 for run in range(10)]  # no longer ahead of entropy's p
    weaker = comparisons(scores_of(**arms), [(name, "random") for name in gains]).set_index("label")
    assert weaker.loc["entropy", "attainable"] == pytest.approx(2 / 32)
    assert weaker.loc["entropy", "more_runs"] == 1


def test_the_smallest_p_is_holm_s_of_statsmodels() -> None:
    others = np.array([0.001, 0.03125, 0.2, 0.04])
    for n in range(2, 14):
        expected = multipletests([2.0 ** (1 - n), *others], method="holm")[1][0]
        assert smallest_p(n, others) == pytest.approx(expected)
    assert smallest_p(1, others[:0]) == 1.0


def test_arms_without_a_test_are_told_what_their_family_would_take() -> None:
    arms = {name: [0.5 + i / 10] for i, name in enumerate(("random", "bald", "margin", "entropy"))}
    table = comparisons(scores_of(**arms), [(name, "random") for name in ("bald", "margin", "entropy")])
    assert table["wilcoxon_holm"].isna().all()
    assert table["more_runs"].tolist() == [6, 6, 6]  # 7 pairs carry a star in a family of 3


def test_wilcoxon_with_equal_differences_counts_all_signs() -> None:
    gains = np.array([1.0, 1.0, 2.0, 2.0, 3.0, -1.0, 0.0])
    kept = gains[gains != 0]
    ranks = scipy.stats.rankdata(np.abs(kept))
    signs = np.array(np.meshgrid(*[[0, 1]] * len(kept))).reshape(len(kept), -1).T
    sums = signs @ ranks
    centre = ranks.sum() / 2
    extreme = np.abs(sums - centre) >= abs(ranks[kept > 0].sum() - centre) - 1e-9
    assert wilcoxon_p(gains) == pytest.approx(extreme.mean())
    assert wilcoxon_p(np.zeros(5)) == 1.0


def test_the_effect_s_interval_inverts_the_noncentral_t() -> None:
    n, d = 9, 0.8
    g, low, high = hedges_g(d, n)
    bias = g / d
    assert bias == pytest.approx(1 - 3 / (4 * (n - 1) - 1), abs=2e-3)  # Hedges' own approximation
    t = d * math.sqrt(n)
    assert scipy.stats.nct.cdf(t, n - 1, low / bias * math.sqrt(n)) == pytest.approx(0.975, abs=1e-6)
    assert scipy.stats.nct.cdf(t, n - 1, high / bias * math.sqrt(n)) == pytest.approx(0.025, abs=1e-6)
    assert all(map(math.isfinite, hedges_g(15.0, 6)))


def test_runs_needed_and_detectable_equal_statsmodels() -> None:
    for effect in (0.3, 0.8, 2.0):
        needed = runs_needed(effect)
        assert needed == math.ceil(TTestPower().solve_power(effect, None, 0.05, 0.8))
        assert runs_needed(-effect) == needed
    assert math.isnan(runs_needed(0.001))
    assert math.isnan(runs_needed(0.0))
    assert detectable(3) == pytest.approx(TTestPower().solve_power(None, 3, 0.05, 0.8))
    assert detectable(10) == pytest.approx(TTestPower().solve_power(None, 10, 0.05, 0.8))


def test_large_effects_need_few_runs() -> None:
    """statsmodels has NaN for some of them, which reads as too few."""
    for effect, needed in ((3.0, 4), (4.0, 3), (5.0, 3), (8.0, 3), (12.0, 2), (20.0, 2)):
        gains = np.random.default_rng(0).normal(effect, 1, (100_000, needed))
        assert runs_needed(effect) == needed
        assert (scipy.stats.ttest_1samp(gains, 0, axis=1).pvalue <= 0.05).mean() > 0.8
        assert needed == 2 or (scipy.stats.ttest_1samp(gains[:, 1:], 0, axis=1).pvalue <= 0.05).mean() < 0.8


def test_a_saving_is_the_ratio_of_the_costs_where_mean_curves_reach_the_goal() -> None:
    random = {run: curve([4, 8, 12], [0.5, 0.6, 0.8]) for run in range(3)}
    bald = {run: curve([4, 8, 12], [0.5, 0.8, 0.9]) for run in range(3)}
    found = saving(bald, random, Fixed(0.7))
    assert found["cost"] == pytest.approx(4 + 4 * 2 / 3)
    assert found["baseline_cost"] == pytest.approx(10)
    assert found["share"] == pytest.approx(20 / 30)
    assert [found["low"], found["high"]] == pytest.approx([20 / 30] * 2)  # equal runs: nothing to resample
    assert (found["n"], found["missed"]) == (3, 0)


def test_the_saving_s_interval_equals_scipy_s_paired_bootstrap() -> None:
    starts = RNG.normal(0, 0.03, 8)
    random = {run: curve([4, 8, 12, 16], [0.5 + s, 0.6 + s, 0.7 + s, 0.8 + s]) for run, s in enumerate(starts)}
    bald = {run: curve([4, 8, 12, 16], [0.5 + s, 0.65 + 2 * s, 0.8 + s, 0.9]) for run, s in enumerate(starts)}

    def ratio(index: np.ndarray) -> float:
        def cost(arm: dict[int, Curve]) -> float:
            mean = np.mean([arm[int(run)].values for run in index], axis=0)
            return float(np.interp(0.68, mean, [4, 8, 12, 16]))

        return cost(bald) / cost(random)

    expected = scipy.stats.bootstrap(
        (np.arange(8),),
        ratio,
        confidence_level=1 - 2 * tail_of(8),
        vectorized=False,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    found = saving(bald, random, Fixed(0.68))
    assert found["share"] == pytest.approx(ratio(np.arange(8)))
    assert [found["low"], found["high"]] == pytest.approx([expected.low, expected.high], abs=0.01)


def test_the_goal_moves_with_the_runs_that_are_drawn() -> None:
    curves = [curve([4, 8], [0.5, 0.8]), curve([4, 8], [0.5, 0.9])]
    weights = np.array([[0.5, 0.5], [1, 0], [0, 1]])
    assert ShareOfLast(0.9)(curves, weights, RNG) == pytest.approx([0.765, 0.72, 0.81])
    assert Fixed(0.7)(curves, weights, RNG).tolist() == [0.7] * 3
    many = np.full((20_001, 2), 0.5)
    full = ShareOfFull(0.5, (0.8, 0.9, 0.85, 0.95))(curves, many, np.random.default_rng(0))
    assert full[0] == pytest.approx(0.4375)
    assert full[1:].mean() == pytest.approx(0.4375, abs=0.001)
    expected = 0.5 * np.std([0.8, 0.9, 0.85, 0.95], ddof=1) / 2  # the standard error of a mean of four
    assert full[1:].std() == pytest.approx(expected, rel=0.03)
    assert set(ShareOfFull(0.5, (0.8,))(curves, many, np.random.default_rng(0))) == {0.4}


def test_tails_are_those_of_student_s_t_and_of_an_unbiased_variance() -> None:
    for n in (4, 9, 100):
        z = scipy.stats.norm.ppf(tail_of(n)) * math.sqrt((n - 1) / n)
        assert z == pytest.approx(scipy.stats.t.ppf(0.025, n - 1))
    assert tail_of(10**6) == pytest.approx(0.025, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "least"), [(5, 0.88), (10, 0.92)])
def test_intervals_of_a_saving_cover_the_truth_in_simulated_studies(runs: int, least: float) -> None:
    costs, rng = np.arange(4, 44, 4.0), np.random.default_rng(7)
    means = [0.85 - 0.45 * np.exp(-rate * costs / 40) for rate in (3.2, 2.0)]
    goal = 0.97 * means[1][-1]
    truth = np.interp(goal, means[0], costs) / np.interp(goal, means[1], costs)
    hits = 0
    for _ in range(300):
        shared = rng.normal(0, 0.02, runs)
        arm, baseline = (
            {
                run: Curve(costs, mean + shared[run] + rng.normal(0, 0.02) + rng.normal(0, 0.01, len(costs)))
                for run in range(runs)
            }
            for mean in means
        )
        found = saving(arm, baseline, ShareOfLast(0.97))
        hits += found["low"] <= truth <= found["high"]
    assert least < hits / 300 < 0.995


def test_what_is_not_reached_is_a_bound_and_never_a_number() -> None:
    low, high = (
        {run: curve([4, 8, 16], [0.5, 0.5 + gain / 2, 0.5 + gain + run / 100]) for run in range(4)}
        for gain in (0.1, 0.3)
    )
    arm_misses = saving(low, high, Fixed(0.7))
    assert math.isinf(arm_misses["share"])
    assert arm_misses["bound"] == pytest.approx(16 / arm_misses["baseline_cost"])
    assert math.isinf(arm_misses["high"])
    assert arm_misses["missed"] == 1
    random_misses = saving(high, low, Fixed(0.7))
    assert math.isnan(random_misses["share"])
    assert random_misses["bound"] == pytest.approx(random_misses["cost"] / 16)
    both = saving(low, low, Fixed(0.9))
    assert math.isnan(both["share"])
    assert math.isnan(both["bound"])
    assert math.isnan(both["high"])
    some = {run: curve([4, 8, 16], [0.5, 0.6, 0.68 if run else 0.9]) for run in range(4)}
    assert 0.1 < saving(some, high, Fixed(0.7))["missed"] < 0.6  # resamples without run 0 do not get there
    assert math.isinf(saving(some, high, Fixed(0.7))["high"])


def test_a_saving_reads_as_a_sentence() -> None:
    about = {"label": "bald", "baseline": "random", "target": 0.95, "reference": "full data", "goal": 0.7}
    low, high = ({run: curve([4, 8, 16], [0.5, 0.6 + g, 0.6 + 2 * g]) for run in (0, 1)} for g in (0.04, 0.1))
    text = saving_as_text(about | saving(high, {0: high[0], 1: high[1]}, Fixed(0.7)), "images")
    assert text == "bald needs 100 % [100, 100] of random's images to reach 95 % of the full-data score (0.7000)"
    assert "does not reach 95 %" in saving_as_text(about | saving(low, high, Fixed(0.7)), "images")
    text = saving_as_text(about | saving(low, high, Fixed(0.7)), "images")
    assert text.endswith("it needs more than 200 % of random's images (reached in hardly any resample)")
    text = saving_as_text({**about, **saving(low, high, Fixed(0.7)), "target": 1.0, "bound": 1.0}, "images")
    assert "of the full-data score (0.7000): it needs more than all of random's images" in text
    assert "and random does not: less than 50 %" in saving_as_text(about | saving(high, low, Fixed(0.7)), "images")
    assert saving_as_text(about | saving(low, low, Fixed(0.9)), "images").startswith("neither bald nor random reaches")
    assert "nothing could be saved" in saving_as_text(about | saving(low, high, Fixed(0.4)), "images")
    assert "no run in common" in saving_as_text(about | saving({5: low[0]}, high, Fixed(0.7)), "images")
    assert "(one pair, no interval)" in saving_as_text(about | saving({0: high[0]}, high, Fixed(0.7)), "images")


def test_penalties_count_the_rounds_that_a_paired_t_test_finds() -> None:
    values = RNG.normal(0.5, 0.01, (3, 6, 5))
    values[1, :, 2:] += 0.05  # ahead in three of four rounds after the first
    grid = AlignedArms(("random", "bald", "margin"), tuple(range(6)), np.arange(5.0), values)
    table = penalties(grid).set_index(["label", "other"])
    for one, first in enumerate(grid.labels):
        for two, second in enumerate(grid.labels):
            if one != two:
                found = [scipy.stats.ttest_rel(values[one, :, p], values[two, :, p]) for p in range(1, 5)]
                wins = np.mean([result.pvalue <= 0.05 and result.statistic > 0 for result in found])
                assert table.loc[(first, second), "share"] == pytest.approx(wins)
    assert table.loc[("bald", "random"), "share_holm"] == pytest.approx(0.75)
    assert penalties(AlignedArms(("a", "b"), (0,), np.arange(5.0), values[:2, :1]))["share"].isna().all()
    equal = AlignedArms(("a", "b"), (0, 1), np.arange(3.0), np.full((2, 2, 3), 0.5))
    assert (penalties(equal)["share"] == 0).all()


def test_equal_arms_beat_each_other_in_a_fortieth_of_the_rounds() -> None:
    grid = AlignedArms(
        ("a", "b"), tuple(range(6)), np.arange(4001.0), np.random.default_rng(0).normal(size=(2, 6, 4001))
    )
    assert penalties(grid)["share"].mean() == pytest.approx(0.025, abs=0.006)
    assert penalties(grid)["share_holm"].max() <= 0.001


def test_ranks_follow_friedman_and_demsar() -> None:
    values = RNG.normal(0.5, 0.05, (4, 12)) + np.array([[0.0], [0.1], [0.02], [0.02]])
    scores = scores_of(**{f"arm{i}": list(own) for i, own in enumerate(values)})
    ranks = mean_ranks(scores)
    expected = scipy.stats.rankdata(-values, axis=0).mean(axis=1)
    assert list(ranks.table["rank"]) == pytest.approx(expected)
    assert ranks.friedman == pytest.approx(scipy.stats.friedmanchisquare(*values).pvalue)
    assert ranks.critical == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 12)), abs=1e-3)  # Demsar, table 5: q 2.569
    assert (ranks.table["low"] <= ranks.table["rank"]).all()
    assert (ranks.table["rank"] <= ranks.table["high"]).all()
    tied = AlignedArms(
        ("a", "b", "c"), (0, 1), np.array([1.0]), np.array([[[0.9], [0.9]], [[0.5], [0.5]], [[0.5], [0.5]]])
    )
    assert list(rank_rounds(tied)["rank"]) == [1.0, 2.5, 2.5]
