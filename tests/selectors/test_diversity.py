"""The kernels of the diverse selectors and their deterministic rules against brute force in float64."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import pairwise_distances

from seg_al.asking.spending import spend
from seg_al.core import Candidates
from seg_al.selectors.badge import Badge
from seg_al.selectors.cdal import CDAL, SymmetricKL
from seg_al.selectors.clue import Clue, nearest_apart
from seg_al.selectors.core_set import CoreSet
from seg_al.selectors.discriminative import Discriminative, Discriminator
from seg_al.selectors.diversity import SquaredDistances, assigned, d_squared_seeding, k_means, nearest_members
from seg_al.selectors.kmeans import KMeansHybrid, KMeansOfTop
from seg_al.selectors.probcover import ProbCover, pure_radius
from seg_al.selectors.typiclust import TypiClust, typicality


def described(descriptors, known=None, scores=None, costs=None) -> Candidates:
    count = len(descriptors)
    names = tuple(f"{position:05d}" for position in range(count))
    return Candidates(
        names,
        np.zeros(count, dtype=np.int64),
        np.arange(count, dtype=float) if scores is None else scores,
        np.ones(count) if costs is None else costs,
        np.asarray(descriptors, dtype=np.float32),
        None if known is None else np.asarray(known, dtype=np.float32),
    )


def gaussian(seed: int, *shape: int):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_distances_agree_with_brute_force_and_copies_are_at_exactly_zero():
    points = gaussian(0, 200, 16) + 50  # far from the origin, where norms cancel
    points[7] = points[3]
    distances = SquaredDistances.of(points)
    brute = pairwise_distances(points.astype(np.float64)) ** 2
    got = np.stack([distances.to_member(position) for position in range(200)])
    assert np.abs(got - brute).max() < 1e-4
    assert got[3, 7] == got[7, 3] == got[5, 5] == 0
    known = np.concatenate((gaussian(1, 600, 16) + 50, points[11:12]))  # more than a block
    nearest = (pairwise_distances(points.astype(np.float64), known.astype(np.float64)) ** 2).min(1)
    assert np.abs(distances.to_nearest(known) - nearest).max() < 1e-4
    assert distances.to_nearest(known)[11] == 0
    assert (distances.bound_nearest(known) >= nearest).all()
    assert distances.bound_nearest(known) == pytest.approx(nearest, rel=1e-3, abs=1e-2)
    assert np.isinf(distances.to_nearest(points[:0])).all()


def greedy_reference(matrix, nearest, first, costs, budget):
    """k-center by a full distance matrix in float64."""
    chosen, left = [], budget
    nearest = nearest.copy()
    while True:
        affordable = [p for p in range(len(costs)) if p not in chosen and costs[p] <= left + 1e-9]
        if not affordable:
            return chosen
        best = first if first is not None and not chosen else max(affordable, key=lambda p: nearest[p])
        chosen.append(best)
        left -= costs[best]
        nearest = np.minimum(nearest, matrix[best])


@pytest.mark.parametrize("labelled", [0, 1, 40])
def test_core_set_picks_what_brute_force_picks(labelled):
    points, known = gaussian(2, 300, 8), gaussian(3, labelled, 8)
    costs = np.random.default_rng(4).choice([0.5, 1.0, 2.0], 300)
    matrix = pairwise_distances(points.astype(np.float64))
    first, nearest = None, np.full(300, np.inf)
    if labelled:
        nearest = pairwise_distances(points.astype(np.float64), known).min(1)
    else:
        first = int(np.linalg.norm(points - points.mean(0), axis=1).argmin())
    got = spend(CoreSet(None), described(points, known, costs=costs), 20.0, np.random.default_rng(0))
    assert list(got) == greedy_reference(matrix, nearest, first, costs, 20.0)


def naive_confusion_distance(a, b):
    """CDAL's: the mean over common classes of the symmetric Kullback-Leibler divergence."""
    terms = []
    for p, q in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
        if p.sum() > 0 and q.sum() > 0:
            terms.append(0.5 * np.sum(p * np.log(p / q)) + 0.5 * np.sum(q * np.log(q / p)))
    return np.mean(terms) if terms else np.inf


def mixtures(seed: int, count: int, classes: int):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.5), size=(count, classes)).clip(1e-6)
    p /= p.sum(2, keepdims=True)
    p[rng.random((count, classes)) < 0.4] = 0
    p[(p.sum((1, 2)) == 0), 0] = 1 / classes
    return p.astype(np.float32)


def test_contextual_distance_agrees_with_the_loop_over_classes():
    p = mixtures(0, 40, 5)
    p[0, 1:], p[1, :1] = 0, 0  # may have nothing in common
    p[0, 0] = p[1, 1] = 0.2
    distances = SymmetricKL.of(p.reshape(40, -1))
    for i in range(40):
        expected = [naive_confusion_distance(p[i], q) for q in p]
        assert distances(np.arange(40), np.array([i]))[:, 0] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert np.isinf(distances(np.array([0]), np.array([1])))


@pytest.mark.parametrize("labelled", [0, 7])
def test_cdal_picks_what_the_naive_loop_picks(labelled):
    p, known = mixtures(1, 60, 6), mixtures(2, labelled, 6)
    matrix = np.array([[naive_confusion_distance(a, b) for b in p] for a in p])
    finite = np.where(np.isinf(matrix), 1e9, matrix)
    first, nearest = None, np.full(60, np.inf)
    if labelled:
        nearest = np.array([min(naive_confusion_distance(a, k) for k in known) for a in p])
    else:
        mean = np.stack([p[p[:, c].sum(1) > 0, c].mean(0) for c in range(6)])
        first = int(np.argmin([naive_confusion_distance(a, mean) for a in p]))
    got = spend(CDAL(None), described(p.reshape(60, -1), known.reshape(labelled, 36)), 10.0, np.random.default_rng(0))
    assert list(got) == greedy_reference(finite, nearest, first, np.ones(60), 10.0)


def test_seeding_draws_in_proportion_to_squared_distance_and_ends_at_copies():
    points = np.array([[0.0], [1.0], [2.0], [3.0]])
    distances = SquaredDistances.of(points)
    rng = np.random.default_rng(0)
    counts = np.bincount([d_squared_seeding(distances, 0, 2, rng)[1] for _ in range(5000)], minlength=4)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], 5000 * np.array([1, 4, 9]) / 14).pvalue > 1e-3
    copies = SquaredDistances.of(np.array([[0.1], [0.1], [0.7], [0.1], [0.7]]))
    assert set(d_squared_seeding(copies, 1, 5, rng)) in ({1, 2}, {1, 4})


def test_badge_starts_from_the_largest_gradient_and_takes_one_of_each_heap_of_copies():
    gradients = np.repeat(np.array([[1.0, 0], [0, 2.0], [-3.0, 0], [0, 0]]), 10, axis=0)
    for seed in range(20):
        chosen = spend(Badge(None), described(gradients), 4, np.random.default_rng(seed))
        assert chosen[0] // 10 == 2
        assert {position // 10 for position in chosen} == {0, 1, 2, 3}


def heaps(seed: int, sizes=(30, 20, 10), dimensions: int = 4):
    rng = np.random.default_rng(seed)
    middles = 20 * np.eye(len(sizes), dimensions)
    return np.concatenate([middle + rng.normal(size=(n, dimensions)) for middle, n in zip(middles, sizes, strict=True)])


def test_k_means_finds_weighted_means_and_merges_copies_without_a_warning():
    points = heaps(0)
    weights = np.random.default_rng(1).random(60) + 0.1
    centres = k_means(points, weights, 3, 5, np.random.default_rng(0))
    parts = (slice(0, 30), slice(30, 50), slice(50, 60))
    expected = np.stack([np.average(points[part], axis=0, weights=weights[part]) for part in parts])
    assert centres[np.argsort(-centres, axis=0)[0][:3]] == pytest.approx(expected, abs=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(20):
            rng = np.random.default_rng(seed)
            few = rng.integers(0, 2, size=(40, 3)) * (1.0 + 1e-9 * rng.random((40, 3)))
            assert len(k_means(few, np.ones(40), 30, 1, rng)) <= 8
            assert len(k_means(few, np.ones(40), 3, 1, rng)) == 3
            assert len(k_means(rng.normal(size=(40, 3)), np.ones(40), 35, 1, rng)) == 35
    assert len(k_means(points, np.eye(60)[4], 3, 1, np.random.default_rng(0))) == 1
    assert len(k_means(points, np.zeros(60), 3, 1, np.random.default_rng(0))) == 3


def test_the_k_means_hybrid_takes_the_member_nearest_to_each_weighted_mean():
    points = heaps(2)
    scores = np.random.default_rng(3).random(60)
    expected = set()
    for part in (range(30), range(30, 50), range(50, 60)):
        middle = np.average(points[part], axis=0, weights=scores[part])
        expected.add(min(part, key=lambda p, middle=middle: np.linalg.norm(points[p] - middle)))
    candidates = described(points, scores=scores)
    assert set(spend(KMeansHybrid(None, restarts=5), candidates, 3, np.random.default_rng(0))) == expected
    assert set(spend(Clue(None, restarts=5), candidates, 3, np.random.default_rng(0))) == expected
    negative = scores - 2 * (np.arange(60) == 7)
    for selector in (KMeansHybrid(None, restarts=1), Clue(None, restarts=1)):
        with pytest.raises(ValueError, match=r"image '00007'.*softmax"):
            spend(selector, described(points, scores=negative), 3, np.random.default_rng(0))


def test_clue_gives_a_unit_to_the_heavier_of_two_centres_and_the_next_nearest_to_the_other():
    points = np.array([[0.0], [4.0], [8.9]])
    centres = np.array([[4.0], [4.5]])  # both nearest to the middle one; the first stands for 0, the second for 8.9
    assert nearest_apart(points, centres, np.array([1.0, 1.0, 5.0])) == [1, 0]
    assert nearest_apart(points, centres, np.array([9.0, 1.0, 5.0])) == [1, 2]


def test_nearest_members_are_those_of_brute_force():
    points, centres = gaussian(5, 80, 3).astype(np.float64), gaussian(6, 9, 3).astype(np.float64)
    matrix = np.linalg.norm(points[:, None] - centres[None], axis=2)
    cluster = matrix.argmin(1)
    expected = [min(np.flatnonzero(cluster == c), key=lambda p, c=c: matrix[p, c]) for c in np.unique(cluster)]
    assert nearest_members(points, centres).tolist() == expected
    assert assigned(points, centres)[1] == pytest.approx(matrix.min(1))


def test_kmeans_bald_stays_within_the_highest_scores_and_spreads():
    points = np.repeat(np.eye(4), 10, axis=0)
    scores = np.where(np.arange(40) % 10 < 2, 10.0, 1.0)  # two good ones in each heap
    for seed in range(20):
        chosen = spend(
            KMeansOfTop(None, oversample=2.0), described(points, scores=scores), 4, np.random.default_rng(seed)
        )
        assert (scores[chosen] == 10).all()
        assert {position // 10 for position in chosen} == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="oversample"):
        KMeansOfTop(None, oversample=0.5)


def test_typicality_is_the_inverse_mean_distance_to_the_neighbours():
    points = gaussian(7, 30, 5).astype(np.float64)
    matrix = np.sort(pairwise_distances(points), axis=1)
    assert typicality(points, 6) == pytest.approx(1 / (matrix[:, 1:7].mean(1) + 1e-5), rel=1e-6)
    assert typicality(points[:3], 6) == pytest.approx(1 / (np.sort(pairwise_distances(points[:3]), 1)[:, 1] + 1e-5))
    assert typicality(points[:1], 6).tolist() == [0.0]


def test_typiclust_takes_the_most_typical_of_the_largest_clusters_without_a_label():
    points = heaps(8, (30, 20, 10, 3))
    known = points[:1] + 0.1  # the largest heap is labelled; 1 + 3 clusters
    selector = TypiClust(None, neighbours=5, max_clusters=500, min_cluster=5, restarts=10)
    chosen = spend(selector, described(points, known), 3, np.random.default_rng(0))
    heap = np.concatenate((points[:30].astype(np.float32), known.astype(np.float32)))
    best = [30 + typicality(points[30:50], 5).argmax(), 50 + typicality(points[50:60], 5).argmax()]
    assert list(chosen) == [*best, typicality(heap, 5)[:30].argmax()]  # the small heap goes last


@pytest.mark.parametrize("labelled", [0, 10])
def test_probcover_covers_as_much_at_every_pick_as_the_full_graph(labelled):
    points, known = gaussian(9, 700, 2), gaussian(10, labelled, 2)
    selector = ProbCover(None, delta=0.4, purity=0.95, pseudo_labels=5, restarts=1)
    chosen = spend(selector, described(points, known), 8, np.random.default_rng(0))
    matrix = pairwise_distances(points.astype(np.float64)) <= 0.4
    covered = np.zeros(700, dtype=bool)
    if labelled:
        covered = (pairwise_distances(points.astype(np.float64), known) <= 0.4).any(1)
    for position in chosen:
        gains = (matrix & ~covered).sum(1)
        assert gains[position] == gains.max()
        covered |= matrix[position]
    assert covered.sum() > 300


def test_probcover_spends_the_rest_on_the_highest_scores_once_all_is_covered():
    points = heaps(11)
    selector = ProbCover(None, delta=10.0, purity=0.95, pseudo_labels=5, restarts=1)
    chosen = spend(selector, described(points), 5, np.random.default_rng(0))
    assert [position // 10 for position in chosen[:3]] != [5, 5, 5]
    assert chosen[3:] == [p for p in (59, 58, 57) if p not in chosen[:3]][:2]


def test_the_pure_radius_is_the_largest_that_keeps_the_share_of_pure_balls():
    points = gaussian(12, 200, 2).astype(np.float64)
    delta = pure_radius(points, 4, 0.9, 1, np.random.default_rng(0))
    label = assigned(points, k_means(points, np.ones(200), 4, 1, np.random.default_rng(0)))[0]
    matrix = pairwise_distances(points)

    def purity(radius):
        return np.mean([(label[matrix[p] <= radius] == label[p]).all() for p in range(200)])

    assert purity(delta) >= 0.9
    assert purity(delta * (1 + 1e-5)) < 0.9


DISCRIMINATOR = Discriminator(hidden=32, learning_rate=3e-3, epochs=200, batch_size=16, accuracy=0.99)


def test_a_discriminator_tells_two_sides_apart_that_no_plane_parts_and_its_seed_decides_it():
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 120)
    ring = np.stack((np.cos(angles), np.sin(angles)), 1) * 50 + 300  # around the labelled, far from 0 and of any scale
    inside = gaussian(1, 40, 2) * 5 + 300
    for seed in (5, 4, 3):
        logits = DISCRIMINATOR(inside[:30], ring[:90], np.concatenate((inside[30:], ring[90:])), seed)
        assert (logits[:10] < 0).all()
        assert (logits[10:] > 0).all()
    again = DISCRIMINATOR(inside[:30], ring[:90], np.concatenate((inside[30:], ring[90:])), seed=3)
    assert np.array_equal(logits, again)
    assert not np.array_equal(logits, DISCRIMINATOR(inside[:30], ring[:90], ring[90:], seed=4)[-30:])


def test_a_discriminator_gives_few_labelled_the_weight_of_many_unlabelled():
    same = np.zeros((1, 3), dtype=np.float32)  # nothing to tell apart but how many there are
    eager = Discriminator(hidden=8, learning_rate=1e-2, epochs=300, batch_size=1000, accuracy=1.0)
    assert eager(same.repeat(5, 0), same.repeat(95, 0), same, seed=0) == pytest.approx([0.0], abs=0.01)


def test_discriminative_asks_about_what_the_labelled_set_lacks_and_each_part_about_another_heap():
    points = heaps(8, (40, 12, 12))
    known = points[:40:2] + 0.01
    short = replace(DISCRIMINATOR, epochs=40)
    selector = Discriminative(None, short, parts=6, draw=10)
    chosen = spend(selector, described(points, known), 6, np.random.default_rng(0))
    heap = np.searchsorted([40, 52], chosen, side="right")
    assert set(heap.tolist()) == {1, 2}
    once = Discriminative(None, DISCRIMINATOR, parts=1, draw=10)
    # all of both heaps, and none of the known one
    assert min(spend(once, described(points, known), 24, np.random.default_rng(0))) >= 40


def test_discriminative_by_the_distance_to_what_is_labelled_is_core_set_for_what_a_part_asks_is_labelled_for_the_next():
    def distance(labelled, unlabelled, others, seed):
        return pairwise_distances(others.astype(np.float64), labelled).min(1)

    candidates = described(gaussian(11, 60, 4), gaussian(12, 5, 4))
    chosen = spend(Discriminative(None, distance, parts=8, draw=10), candidates, 8, np.random.default_rng(0))
    assert chosen == spend(CoreSet(None), candidates, 8, np.random.default_rng(0))


def test_a_wrong_discriminator_is_named():
    for wrong, key in (({"hidden": 0}, "discriminator.hidden"), ({"accuracy": 0.5}, "discriminator.accuracy")):
        with pytest.raises(ValueError, match=f"selector.{key}"):
            replace(DISCRIMINATOR, **wrong)
    for wrong in ({"parts": 0}, {"draw": -1.0}):
        with pytest.raises(ValueError, match="selector"):
            Discriminative(None, DISCRIMINATOR, **({"parts": 10, "draw": 10.0} | wrong))
