"""What every selector in conf/ keeps, and what the noisy and random ones draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy import stats

from seg_al.asking.spending import spend
from seg_al.core import Candidates, Selector
from seg_al.predictors.class_maps import Beliefs, beliefs_of
from seg_al.selectors.clasp import ClaspPE
from seg_al.selectors.foreground import RandomForeground
from seg_al.selectors.stochastic import Power, Softmax, SoftRank
from seg_al.selectors.stochastic_batches import StochasticBatches
from seg_al.selectors.stratified import RandomStratified

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "selector").glob("*.yaml"))
SIDE, CLASSES = 6, 3


def composed(name: str) -> Selector:
    root = OmegaConf.load(CONF / "config.yaml")
    root.selector = OmegaConf.load(CONF / "selector" / f"{name}.yaml")
    if "discriminator" in root.selector:
        root.selector.discriminator.epochs = 5  # hundreds take seconds, and are tested by value in test_diversity.py
    return instantiate(root.selector, _convert_="all")


def believed(generator: torch.Generator) -> Beliefs:
    logits = 2 * torch.randn(3, CLASSES, SIDE, SIDE, generator=generator)
    features = torch.randn(5, SIDE // 2, SIDE // 2, generator=generator)
    penultimate = torch.randn(4, SIDE, SIDE, generator=generator)
    return replace(beliefs_of(logits.softmax(1)), features=features, penultimate=penultimate)


def candidates_for(selector: Selector, count: int, seed: int = 0) -> Candidates:
    """Two tiles of each of count / 2 images, described as the selector asks for, of different costs."""
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count // 2 + 4):
        if selector.descriptor is not None:
            ids = torch.arange(SIDE * SIDE).view(SIDE, SIDE) // (SIDE * SIDE // 2)
            rows.append(selector.descriptor(believed(generator), ids, 2).numpy())
    columns = np.concatenate(rows) if rows else None
    labels = ["", "0", "1", "0,2", "0,1,2"] if selector.truth == "classes" else ["healthy", "benign", "malignant"]
    return Candidates(
        images=tuple(f"image{position // 2:02d}" for position in range(count)),
        units=np.arange(count) % 2,
        scores=rng.random(count),
        costs=rng.choice([0.5, 1.0, 1.25], count),
        descriptors=None if columns is None else columns[:count],
        known=columns[-6:] if columns is not None and selector.reads_known else None,
        truth=tuple(rng.choice(labels, count)) if selector.truth else None,
        round=2,
    )


def taken(candidates: Candidates, rows: np.ndarray) -> Candidates:
    def pick(column):
        return None if column is None else tuple(column[row] for row in rows)

    return replace(
        candidates,
        images=pick(candidates.images),
        units=candidates.units[rows],
        scores=candidates.scores[rows],
        costs=candidates.costs[rows],
        descriptors=None if candidates.descriptors is None else candidates.descriptors[rows],
        truth=pick(candidates.truth),
    )


def asked(selector: Selector, candidates: Candidates, budget: float, seed: int = 1) -> list[tuple[str, int]]:
    positions = spend(selector, candidates, budget, np.random.default_rng(seed))
    return [(candidates.images[position], int(candidates.units[position])) for position in positions]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_spends_within_the_budget_without_repeats_until_nothing_is_affordable(name, seed):
    selector = composed(name)
    candidates = candidates_for(selector, 30, seed)
    positions = spend(selector, candidates, 5.0, np.random.default_rng(seed))
    assert len(set(positions)) == len(positions)
    left = 5.0 - candidates.costs[positions].sum()
    others = np.delete(candidates.costs, positions)
    assert left >= -1e-6
    assert left < others.min() + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_rows_does_not_matter_and_the_same_rng_asks_the_same(name):
    selector = composed(name)
    candidates = candidates_for(selector, 30)
    first = asked(selector, candidates, 5.0)
    assert first == asked(selector, candidates, 5.0)
    for seed in range(3):
        permuted = taken(candidates, np.random.default_rng(seed).permutation(30))
        assert asked(selector, permuted, 5.0) == first


@pytest.mark.parametrize("name", NAMES)
def test_a_single_candidate_all_and_none_are_defined(name):
    selector = composed(name)
    one = taken(candidates_for(selector, 30), np.array([3]))
    assert asked(selector, one, 2.0) == [("image01", 1)]
    assert asked(selector, one, 0.1) == []
    all_of_them = candidates_for(selector, 12)
    assert sorted(asked(selector, all_of_them, 100.0)) == sorted(
        zip(all_of_them.images, all_of_them.units, strict=True)
    )
    assert asked(selector, taken(all_of_them, np.arange(0)), 3.0) == []


@pytest.mark.parametrize("name", NAMES)
def test_equal_scores_and_copied_descriptors_are_asked_from_run_and_not_by_position(name):
    selector = composed(name)
    candidates = candidates_for(selector, 20)
    copies = None if candidates.descriptors is None else np.tile(candidates.descriptors[:1], (20, 1))
    same = replace(candidates, scores=np.full(20, 0.5), costs=np.ones(20), descriptors=copies)
    batches = [asked(selector, same, 4.0, seed) for seed in range(30)]
    assert {len(set(batch)) for batch in batches} == {4}
    assert len({one for batch in batches for one in batch}) >= 15
    zero = replace(same, scores=np.zeros(20))
    assert len(asked(selector, zero, 4.0)) == 4


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_written(name):
    selector = composed(name)
    candidates = candidates_for(selector, 16)
    for column in (candidates.units, candidates.scores, candidates.costs, candidates.descriptors, candidates.known):
        if column is not None:
            column.setflags(write=False)
    assert asked(selector, candidates, 3.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_is_not_finite_names_its_image(name):
    selector = composed(name)
    candidates = candidates_for(selector, 10)
    scores = candidates.scores.copy()
    scores[5] = np.nan
    with pytest.raises(ValueError, match=r"score of image 'image02', unit 1"):
        asked(selector, replace(candidates, scores=scores), 3.0)
    if candidates.descriptors is not None:
        descriptors = candidates.descriptors.copy()
        descriptors[6, 0] = np.inf
        with pytest.raises(ValueError, match=r"descriptor of image 'image03', unit 0"):
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
