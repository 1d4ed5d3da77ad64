"""RIPU, PixelPick and class-balanced scores against their formulas, and orders of a million candidates."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from seg_al.asking.spending import spend
from seg_al.conformance import references
from seg_al.conformance.synthetic_passes import random_passes
from seg_al.core import Candidates
from seg_al.heuristics.ripu import RIPU, RIPUPixel, box_sums
from seg_al.predictors.class_maps import class_maps_of
from seg_al.selectors.class_balanced import ClassBalanced, weighted_scores
from seg_al.selectors.descriptors import PredictedClass
from seg_al.selectors.pixelpick import PixelPick


@pytest.mark.parametrize("radius", [0, 1, 3, 6, 40])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 7)])
def test_box_sums_are_those_of_each_window(radius, size):
    whole = torch.from_numpy(np.random.default_rng(0).integers(-5, 6, size))
    for values in (whole, whole.float() / 7):
        sums = box_sums(values, radius)
        for row, column in np.ndindex(*size):
            window = values[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
            assert sums[row, column].item() == pytest.approx(window.double().sum().item(), abs=1e-12)


@pytest.mark.parametrize("radius", [1, 2, 5, 50])
@pytest.mark.parametrize("shape", [(3, 4, 9, 14), (1, 19, 6, 5), (2, 2, 1, 1)])
@pytest.mark.parametrize(("heuristic", "reference"), [(RIPU, references.ripu), (RIPUPixel, references.ripu_pixel)])
def test_ripu_of_every_radius_is_the_formula_of_each_window(heuristic, reference, radius, shape):
    p = random_passes(shape, 2.0, radius)
    got = heuristic(radius)(class_maps_of(torch.from_numpy(p)))
    assert got.dtype == torch.float32
    assert got.numpy() == pytest.approx(reference(p.astype(np.float64), radius), abs=1e-5)


def test_ripu_by_hand():
    """A row of five pixels of classes 0 0 1 1 1, each with probability 3/4 of four classes, the others 1/12."""
    predicted = torch.tensor([[0, 0, 1, 1, 1]])
    p = torch.full((4, 1, 5), 1 / 12).scatter_(0, predicted[None], 3 / 4)
    unsure = (3 / 4 * math.log(4 / 3) + 1 / 4 * math.log(12)) / math.log(4)
    third = (1 / 3 * math.log(3) + 2 / 3 * math.log(3 / 2)) / math.log(4)
    wanted = [0, third * unsure, third * unsure, 0, 0]
    assert RIPU(1)(class_maps_of(p[None])).flatten().tolist() == pytest.approx(wanted, abs=1e-6)
    assert RIPUPixel(1)(class_maps_of(p[None])).flatten().tolist() == pytest.approx(wanted, abs=1e-6)


def test_the_region_score_takes_the_windows_uncertainty_and_the_pixel_score_the_pixels_own():
    predicted = torch.tensor([[0, 1, 1]])
    sure = torch.tensor([0.999, 0.6, 0.999])
    p = torch.stack([torch.where(predicted == 0, sure, 1 - sure), torch.where(predicted == 1, sure, 1 - sure)])
    pixels = torch.special.entr(p).sum(0)[0] / math.log(2)
    region, pixel = (one(1)(class_maps_of(p[None]))[0] for one in (RIPU, RIPUPixel))
    impure = -(1 / 3 * math.log(1 / 3) + 2 / 3 * math.log(2 / 3)) / math.log(2)
    assert region.tolist() == pytest.approx([pixels[:2].mean().item(), impure * pixels.mean().item(), 0], abs=1e-6)
    assert pixel.tolist() == pytest.approx([pixels[0].item(), impure * pixels[1].item(), 0], abs=1e-6)


def test_the_scale_is_that_of_the_classes_there_are_and_no_score_leaves_it():
    for classes in (2, 3, 25):
        p = torch.full((1, classes, 5, 5), 1 / classes)
        p += torch.nn.functional.one_hot(torch.arange(25).view(5, 5) % classes, classes).movedim(-1, 0) * 1e-4
        scores = RIPU(2)(class_maps_of(p / p.sum(1, keepdim=True)))
        assert scores[2, 2].item() == pytest.approx(1, abs=0.01)
        assert scores.max() <= 1 + 1e-6
    assert (RIPU(2)(class_maps_of(torch.ones(2, 1, 5, 5))) == 0).all()


def test_a_window_of_one_pixel_has_no_impurity_and_is_refused():
    for heuristic in (RIPU, RIPUPixel):
        with pytest.raises(ValueError, match=r"heuristic\.radius is at least 1 pixel, not 0"):
            heuristic(0)


def candidates(scores: np.ndarray, classes: np.ndarray | None = None) -> Candidates:
    count = len(scores)
    described = None if classes is None else classes[:, None].astype(np.float32)
    return Candidates(("a",) * count, np.arange(count), scores.astype(np.float64), np.ones(count), described)


def test_pixelpick_draws_uniformly_from_the_best_share_and_from_nothing_else():
    scores = np.random.default_rng(0).permutation(200) / 200
    rows = candidates(scores)
    drawn = [spend(PixelPick(0.05), rows, 4, np.random.default_rng(seed)) for seed in range(1500)]
    counts = np.bincount([one for positions in drawn for one in positions], minlength=200)
    best = np.argsort(-scores)[:10]
    assert {len(set(positions)) for positions in drawn} == {4}
    assert counts[best].sum() == counts.sum()
    expected = 1500 * 4 / 10
    assert np.square(counts[best] - expected).sum() / expected < 28  # chi-square, 9 degrees: 0.1 percent
    firsts = np.bincount([positions[0] for positions in drawn], minlength=200)[best]
    assert np.square(firsts - 150).sum() / 150 < 28, "nor does the order follow the score"


def test_pixelpick_draws_among_equals_at_the_edge_of_its_share():
    scores = np.repeat([3.0, 2.0, 1.0], [4, 30, 66])
    drawn = [set(spend(PixelPick(0.1), candidates(scores), 10, np.random.default_rng(seed))) for seed in range(300)]
    assert all(set(range(4)) <= one <= set(range(34)) for one in drawn)
    assert set().union(*drawn) == set(range(34))


def test_pixelpick_goes_on_with_the_next_best_where_the_share_is_worth_less_than_the_budget():
    scores = np.arange(100.0)
    asked = spend(PixelPick(0.05), candidates(scores), 12, np.random.default_rng(0))
    assert set(asked[:5]) == set(range(95, 100))
    assert asked[5:] == list(range(94, 87, -1))


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("cheapest", [1.0, 0.5])
def test_pixelpick_takes_the_share_first_whether_costs_are_equal_or_not(share, cheapest):
    """Where all cost the same it orders the best rows only; where one row is cheaper, all of them."""
    scores = np.random.default_rng(3).integers(1, 40, 400).astype(float)
    scores[7] = 0
    rows = candidates(scores)
    rows.costs[7] = cheapest
    ranks = np.sort(scores)[::-1]
    count = max(1, int(share * 400))
    for budget in (3, 25, 399):
        for seed in range(10):
            positions = spend(PixelPick(share), rows, budget, np.random.default_rng(seed))
            assert len(positions) == len(set(positions)) == budget
            if share < 1:
                assert min(scores[positions[:count]]) >= ranks[count - 1]
                assert sorted(scores[positions[count:]])[::-1] == ranks[count:budget].tolist()


def test_a_share_outside_of_zero_to_one_is_refused():
    for share in (0.0, -0.1, 1.2):
        with pytest.raises(ValueError, match=r"selector.share is a share in \(0, 1\]"):
            PixelPick(share)


def test_class_balanced_scores_are_the_scaled_score_times_exp_of_minus_the_share():
    scores, classes = np.array([2.0, 4.0, 6.0, 3.0]), np.array([0, 0, 0, 5])
    wanted = [0, 0.5 * math.exp(-3 / 4), 1.0 * math.exp(-3 / 4), 0.25 * math.exp(-1 / 4)]
    assert weighted_scores(scores, classes).tolist() == pytest.approx(wanted)
    assert weighted_scores(np.ones(4), classes).tolist() == pytest.approx([math.exp(-3 / 4)] * 3 + [math.exp(-1 / 4)])


def test_a_rare_class_overtakes_a_slightly_higher_score_and_equal_scores_ask_the_rarest_first():
    selector = ClassBalanced(PredictedClass(without_background=False))
    classes = np.array([1] * 18 + [0, 2])
    scores = np.linspace(0, 1, 20)
    scores[[17, 18]] = 1.0, 0.8
    order = spend(selector, candidates(scores, classes), 19, np.random.default_rng(0))
    assert order[:3] == [19, 18, 17]
    equal = spend(selector, candidates(np.zeros(20), classes), 2, np.random.default_rng(0))
    assert set(equal) == {18, 19}


def test_two_million_pixels_of_an_image_are_chosen_from_in_a_moment():
    """It takes a third of a second on one slow core; arrays of names took ten times as long."""
    count = 2**21
    rows = candidates(np.random.default_rng(0).random(count))
    start = time.process_time()
    assert len(spend(PixelPick(0.05), rows, 10, np.random.default_rng(0))) == 10
    assert time.process_time() - start < 3
