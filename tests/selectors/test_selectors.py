"""What all selectors in conf/ refuse and do with few candidates, and what the noisy and random ones draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy import stats

from seg_al.asking.spending import spend
from seg_al.conformance.selectors import asked, candidates_for
from seg_al.core import Candidates, Selector
from seg_al.selectors.clasp import ClaspPE
from seg_al.selectors.foreground import RandomForeground
from seg_al.selectors.stochastic import Power, Softmax, SoftRank
from seg_al.selectors.stochastic_batches import StochasticBatches
from seg_al.selectors.stratified import RandomStratified

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "selector").glob("*.yaml"))


def composed(name: str) -> Selector:
    root = OmegaConf.load(CONF / "config.yaml")
    root.selector = OmegaConf.load(CONF / "selector" / f"{name}.yaml")
    if "discriminator" in root.selector:
        root.selector.discriminator.epochs = 5  # hundreds take seconds, and are tested by value in test_diversity.py
    return instantiate(root.selector, _convert_="all")


@pytest.mark.parametrize("name", NAMES)
def test_a_single_candidate_all_and_none_are_defined(name):
    selector = composed(name)
    one = candidates_for(selector, 30).take(np.array([3]))
    assert asked(selector, one, 2.0) == [("image001", 1)]
    assert asked(selector, one, 0.1) == []
    all_of_them = candidates_for(selector, 12)
    assert sorted(asked(selector, all_of_them, 100.0)) == sorted(
        zip(all_of_them.images, all_of_them.units, strict=True)
    )
    assert asked(selector, all_of_them.take(np.arange(0)), 3.0) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_is_not_finite_names_its_image(name):
    selector = composed(name)
    candidates = candidates_for(selector, 10)
    scores = candidates.scores.copy()
    scores[5] = np.nan
    with pytest.raises(ValueError, match=r"score of image 'image002', unit 1"):
        asked(selector, replace(candidates, scores=scores), 3.0)
    if candidates.descriptors is not None:
        descriptors = candidates.descriptors.copy()
        descriptors[6, 0] = np.inf
        with pytest.raises(ValueError, match=r"descriptor of image 'image003', unit 0"):
            asked(selector, replace(candidates, descriptors=descriptors), 3.0)
    if candidates.known is not None:
        with pytest.raises(ValueError, match="labelled set"):
            asked(selector, replace(candidates, known=candidates.known * np.nan), 3.0)


def plain(scores, truth=None, descriptors=None, round_=0) -> Candidates:
    count = len(scores)
    names = tuple(f"{position:03d}" for position in range(count))
    units = np.zeros(count, dtype=np.int64)
    return Candidates(names, units, np.array(scores, float), np.ones(count), descriptors, None, truth, round_)


LAWS = {
    "power": (Power(beta=1.5), lambda s: s**1.5),
    "softmax": (Softmax(beta=2.0), lambda s: np.exp(2.0 * s)),
    "softrank": (SoftRank(beta=0.7), lambda s: (1.0 + (s[None, :] > s[:, None]).sum(1)) ** -0.7),
}


@pytest.mark.parametrize("name", LAWS)
def test_noise_is_sampling_without_replacement_with_the_stated_weights(name):
    selector, weigh = LAWS[name]
    scores = np.array([0.1, 0.9, 0.4, 0.6])
    weights = weigh(scores)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    chances = [weights[i] / weights.sum() * weights[j] / (weights.sum() - weights[i]) for i, j in pairs]
    rng = np.random.default_rng(5)
    counts = Counter(tuple(spend(selector, plain(scores), 2, rng)) for _ in range(6000))
    observed = np.array([counts[pair] for pair in pairs])
    assert observed.sum() == 6000
    assert stats.chisquare(observed, 6000 * np.array(chances)).pvalue > 1e-3
    wrong = np.roll(chances, 1) * 6000
    assert stats.chisquare(observed, wrong).pvalue < 1e-6


def test_power_takes_zeros_last_and_refuses_negatives_by_name():
    for seed in range(50):
        assert set(spend(Power(beta=0.1), plain([0, 1e-9, 0, 2.0]), 2, np.random.default_rng(seed))) == {1, 3}
    with pytest.raises(ValueError, match=r"image '001'.*softmax"):
        spend(Power(beta=1.0), plain([0.5, -0.25, 0]), 1, np.random.default_rng(0))


def test_the_least_wanted_are_those_that_the_top_would_take_last():
    candidates = candidates_for(composed("least_wanted"), 30)
    order = [int(position) for position in composed("least_wanted")(candidates, 5.0, np.random.default_rng(0))]
    assert order == np.argsort(candidates.scores).tolist()


def test_an_infinite_beta_is_the_top_and_a_beta_of_zero_is_refused():
    for kind in (Power, Softmax, SoftRank):
        assert spend(kind(beta=np.inf), plain([0.3, 0.9, 0.1, 0.8]), 2, np.random.default_rng(0)) == [1, 3]
        with pytest.raises(ValueError, match="beta is above 0"):
            kind(beta=0.0)


def test_a_stochastic_batch_is_the_best_of_its_draws():
    scores = np.random.default_rng(0).random(8)
    best = spend(StochasticBatches(batches=3000), plain(scores), 2, np.random.default_rng(0))
    assert best == np.argsort(-scores)[:2].tolist()  # 28 pairs: 3000 draws see each
    single = StochasticBatches(1)
    means = [scores[spend(single, plain(scores), 2, np.random.default_rng(s))].mean() for s in range(2000)]
    assert np.mean(means) == pytest.approx(scores.mean(), abs=0.02)


def test_clasp_pe_gives_classes_equal_shares_and_anneals_to_the_top():
    rng = np.random.default_rng(0)
    descriptors = rng.random((60, 4)).astype(np.float32)
    candidates = plain(rng.random(60), descriptors=descriptors, round_=4)
    selector = ClaspPE(descriptor=None, background=0, foreground_share=0.6, last_beta=1e9, rounds=5)
    chosen = spend(selector, candidates, 15, np.random.default_rng(1))
    tops = [np.argsort(-descriptors[:, c]) for c in (1, 2, 3)]
    classed = set(chosen[:9])
    assert all(set(top[:3]) <= classed for top in tops)  # 9 of 15 picks: 3 each, shared ones passed over
    rest = [position for position in np.argsort(-candidates.scores) if position not in classed]
    assert chosen[9:] == rest[:6]


def test_clasp_pe_beta_runs_from_one_to_the_last_by_equal_factors():
    selector = ClaspPE(descriptor=None, background=0, foreground_share=0.66, last_beta=100.0, rounds=6)
    assert [selector.beta(r) for r in range(1, 6)] == pytest.approx([100 ** (i / 4) for i in range(5)])
    assert replace(selector, rounds=2).beta(1) == 1


def test_strata_keep_their_shares_in_every_beginning_and_every_unit_has_the_same_chance():
    truth = ("a",) * 12 + ("b",) * 6 + ("c",) * 2
    candidates = plain(np.zeros(20), truth=truth)
    counts = np.zeros(20)
    for seed in range(2000):
        chosen = spend(RandomStratified("grade"), candidates, 7, np.random.default_rng(seed))
        counts[chosen] += 1
        strata = Counter(truth[position] for position in chosen)
        assert all(abs(strata[key] - 7 * share) < 1.6 for key, share in {"a": 0.6, "b": 0.3, "c": 0.1}.items())
    assert stats.chisquare(counts).pvalue > 1e-3


def test_random_foreground_draws_the_stated_share_of_each_class():
    truth = ("",) * 50 + ("0",) * 40 + ("0,1",) * 8 + ("2",) * 2
    candidates = plain(np.zeros(100), truth=truth)
    firsts = [spend(RandomForeground(0.66, 0), candidates, 1, np.random.default_rng(s))[0] for s in range(4000)]
    shares = np.array([sum(f < 90 for f in firsts), sum(90 <= f < 98 for f in firsts), sum(f >= 98 for f in firsts)])
    expected = np.array([0.34 * 0.9, 0.33 + 0.34 * 0.08, 0.33 + 0.34 * 0.02])
    assert stats.chisquare(shares, 4000 * expected).pvalue > 1e-3
    none = plain(np.zeros(4), truth=("0", "", "0", ""))
    assert len(spend(RandomForeground(1.0, 0), none, 3, np.random.default_rng(0))) == 3
    wrong = plain([0, 0, 0], truth=("1", "malignant", ""))
    with pytest.raises(ValueError, match="image '001' is 'malignant'"):
        spend(RandomForeground(1.0, 0), wrong, 1, np.random.default_rng(0))
