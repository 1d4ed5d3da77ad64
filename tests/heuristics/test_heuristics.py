"""Closed forms of every heuristic, the inequalities between them, and the predecessor's distance weight by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from object_evidence import random_objects
from omegaconf import OmegaConf
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from seg_al.core import EvidenceSet, Heuristic, Nothing
from seg_al.heuristics.bald import BALD
from seg_al.heuristics.entropy import Entropy
from seg_al.heuristics.expected_entropy import ExpectedEntropy
from seg_al.heuristics.least_confidence import LeastConfidence
from seg_al.heuristics.margin import Margin
from seg_al.heuristics.mean_std import MeanSTD
from seg_al.heuristics.random import Random
from seg_al.heuristics.variation_ratio import VariationRatio
from seg_al.heuristics.vote_entropy import VoteEntropy
from seg_al.heuristics.vote_variance import VoteVariance
from seg_al.predictors.class_maps import class_maps_of
from seg_al.tasks.objects.certainty import ObjectHeuristic

LN2 = math.log(2)
VOTES = VoteVariance(distance_weight=False, background=0)
WEIGHTED = VoteVariance(distance_weight=True, background=0)
DISAGREEMENT = (BALD(), MeanSTD(), VariationRatio(), VoteEntropy(), VOTES, WEIGHTED)
DOUBT = (Entropy(), ExpectedEntropy(), LeastConfidence(), Margin())
EVERY = (*DOUBT, *DISAGREEMENT)
OPTIONS = [
    path
    for path in sorted((Path(__file__).parents[2] / "conf" / "heuristic").glob("*.yaml"))
    if path.stem != "feature_distance"  # no pass tells it anything
]


def named(value: object) -> str | None:
    return type(value).__name__ if callable(value) else None


def one_pixel(*passes: list[float]) -> Tensor:  # [K, C, 1, 1]
    return torch.tensor(passes, dtype=torch.float64)[..., None, None]


def voting(winners: list[int], classes: int) -> Tensor:  # [K, C, 1, 1], each pass certain of its class
    return torch.nn.functional.one_hot(torch.tensor(winners), classes).double()[..., None, None]


def random_passes(seed: int, shape: tuple[int, int, int, int], spread: float = 3.0) -> Tensor:
    logits = spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return logits.softmax(1)


def score(heuristic: Heuristic, p: Tensor) -> float:
    return float(heuristic(class_maps_of(p)).item())


@pytest.mark.parametrize("classes", [2, 3, 19])
@pytest.mark.parametrize(
    ("heuristic", "form"),
    [
        (Entropy(), math.log),
        (ExpectedEntropy(), math.log),
        (LeastConfidence(), lambda classes: 1 - 1 / classes),
        (Margin(), lambda classes: 1),
        *((heuristic, lambda classes: 0) for heuristic in DISAGREEMENT),
    ],
    ids=named,
)
def test_uniform_passes(heuristic, form, classes):
    assert score(heuristic, one_pixel(*[[1 / classes] * classes] * 5)) == pytest.approx(form(classes), abs=1e-6)


@pytest.mark.parametrize("heuristic", EVERY, ids=named)
def test_certain_passes_that_agree_score_nothing(heuristic):
    for winner in range(4):
        assert score(heuristic, voting([winner] * 6, 4)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("heuristic", DISAGREEMENT, ids=named)
def test_doubtful_passes_that_agree_have_no_disagreement(heuristic):
    p = random_passes(0, (1, 5, 16, 16)).expand(7, -1, -1, -1)
    scores = heuristic(class_maps_of(p))
    assert scores.min() >= 0  # rounding alone would take BALD below
    assert scores.max() < 1e-6


@pytest.mark.parametrize("classes", [2, 3, 19])
@pytest.mark.parametrize(
    ("heuristic", "form"),
    [
        (Entropy(), lambda classes: LN2),
        (ExpectedEntropy(), lambda classes: 0),
        (BALD(), lambda classes: LN2),
        (MeanSTD(), lambda classes: 1 / classes),
        (VariationRatio(), lambda classes: 1 / 2),
        (VoteEntropy(), lambda classes: LN2),
        (LeastConfidence(), lambda classes: 1 / 2),
        (Margin(), lambda classes: 1),
        (VOTES, lambda classes: 1 / (2 * classes)),  # f (1 - f) = 1/4 for two classes
    ],
    ids=named,
)
def test_two_certain_passes_that_contradict(heuristic, form, classes):
    assert score(heuristic, voting([0, classes - 1], classes)) == pytest.approx(form(classes), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 19])
@pytest.mark.parametrize(
    ("heuristic", "form"),
    [
        (Entropy(), math.log),
        (BALD(), math.log),
        (VoteEntropy(), math.log),
        (VariationRatio(), lambda classes: 1 - 1 / classes),
        (MeanSTD(), lambda classes: math.sqrt(1 / classes * (1 - 1 / classes))),
        (VOTES, lambda classes: 1 / classes * (1 - 1 / classes)),
    ],
    ids=named,
)
def test_as_many_classes_voted_for_as_there_are(heuristic, form, classes):
    assert score(heuristic, voting(list(range(classes)), classes)) == pytest.approx(form(classes), abs=1e-6)


@pytest.mark.parametrize("foreground", range(8))
def test_the_variance_of_two_classes_votes_is_f_times_1_minus_f(foreground):
    votes = [1] * foreground + [0] * (7 - foreground)
    assert foreground / 7 * (1 - foreground / 7) == pytest.approx(np.var(votes))
    assert score(VOTES, voting(votes, 2)) == pytest.approx(np.var(votes), abs=1e-7)


def test_vote_variance_does_not_depend_on_how_classes_are_numbered():
    """The variance of the class index, which it replaces, is 1/4 for classes 0 and 1 but 1 for classes 0 and 2."""
    assert score(VOTES, voting([0, 1], 3)) == score(VOTES, voting([0, 2], 3)) == pytest.approx(1 / 6)


def test_worked_examples():
    p = one_pixel([0.2, 0.8], [0.6, 0.4])
    assert score(MeanSTD(), p) == pytest.approx(0.2)
    assert score(Entropy(), p) == pytest.approx(-(0.4 * math.log(0.4) + 0.6 * math.log(0.6)))
    parts = [-(a * math.log(a) + b * math.log(b)) for a, b in ((0.2, 0.8), (0.6, 0.4))]
    assert score(ExpectedEntropy(), p) == pytest.approx(sum(parts) / 2)
    assert score(BALD(), p) == pytest.approx(score(Entropy(), p) - score(ExpectedEntropy(), p), abs=1e-6)
    assert score(VariationRatio(), p) == pytest.approx(1 / 2)
    assert score(Margin(), one_pixel([0.5, 0.3, 0.2])) == pytest.approx(0.8)
    assert score(LeastConfidence(), one_pixel([0.5, 0.3, 0.2])) == pytest.approx(0.5)


def test_probabilities_are_averaged_and_not_logits():
    """Softmax of the mean logits of these passes would be 0.5 and 0.5."""
    p = one_pixel([0.999, 0.001], [0.01, 0.99], [0.1, 0.9])
    assert score(LeastConfidence(), p) == pytest.approx((0.999 + 0.01 + 0.1) / 3, rel=1e-6)


@pytest.mark.parametrize("spread", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_inequalities_between_the_heuristics_hold_on_random_passes(seed, spread):
    passes, classes = 5, 7
    maps = class_maps_of(random_passes(seed, (passes, classes, 40, 40), spread))
    total, bald = Entropy()(maps), BALD()(maps)
    assert (bald >= 0).all()
    assert (bald <= total + 1e-6).all()
    torch.testing.assert_close(bald + ExpectedEntropy()(maps), total, atol=1e-6, rtol=0)
    assert (total <= math.log(classes) + 1e-6).all()
    assert (VoteEntropy()(maps) <= math.log(passes) + 1e-6).all()
    assert (VariationRatio()(maps) <= 1 - 1 / passes + 1e-6).all()
    assert (Margin()(maps) >= LeastConfidence()(maps) - 1e-6).all()
    assert (MeanSTD()(maps) <= 1 / 2).all()
    assert bald.std() > 0


def test_one_class_leaves_nothing_to_ask():
    p = torch.ones(4, 1, 3, 3)
    for heuristic in EVERY:
        assert (heuristic(class_maps_of(p)) == 0).all(), named(heuristic)


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_min_passes_says_below_how_many_passes_the_score_says_nothing(path):
    heuristic = instantiate(OmegaConf.load(path), _convert_="all")
    if isinstance(heuristic, ObjectHeuristic):
        scores = heuristic.of_objects(random_objects(0, passes=1, classes=4))
        scores = scores if heuristic.wanted == "uncertain" else 1 - scores
    else:
        maps = class_maps_of(random_passes(0, (1, 4, 8, 8)))
        scores = heuristic(EvidenceSet(maps.size, (maps,)).of(heuristic.reads))
    if heuristic.min_passes == 2:
        assert scores.abs().max() < 1e-6
    elif heuristic.min_passes == 1:
        assert scores.min() > 0
    else:
        assert torch.equal(heuristic(Nothing((8, 8))), scores)


def test_random_wants_all_pixels_alike():
    assert torch.equal(Random()(Nothing((3, 5))), torch.ones(3, 5))


def binary_votes(seed: int, passes: int, size: tuple[int, int]) -> Tensor:  # [K, H, W] of 0 and 1
    """Blobs with a ragged outline, so that there are distances to measure and pixels at exactly half the votes."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    depth = 7 - np.hypot(rows - size[0] / 2, columns - size[1] / 2)
    return torch.from_numpy((depth + rng.normal(0, 2, (passes, *size)) > 0).astype(np.int64))


def certain(votes: Tensor, classes: int) -> Tensor:  # [K, H, W] -> [K, C, H, W]
    return torch.nn.functional.one_hot(votes, classes).movedim(-1, 1).double()


@pytest.mark.parametrize("passes", [5, 6, 20])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_for_two_classes_the_distance_weight_is_the_predecessors(passes, seed):
    """Its score of an image: the mean over pixels of the class index's variance times EDT(mean index > 1/2) / max."""
    votes = binary_votes(seed, passes, (24, 31))
    distance = distance_transform_edt(votes.numpy().mean(0) > 0.5)
    theirs = votes.numpy().var(0) * distance / distance.max()
    ours = WEIGHTED(class_maps_of(certain(votes, 2))).numpy()
    assert theirs.mean() > 0.001
    assert ours == pytest.approx(theirs, abs=1e-7)


def test_the_distance_weight_by_hand():
    """Three passes; the middle three pixels of a row have two votes for foreground, the outer ones have one."""
    votes = torch.tensor([[[1, 1, 1, 1, 0]], [[0, 1, 1, 1, 0]], [[0, 0, 0, 0, 1]]])
    variance = 2 / 9
    wanted = [0, variance / 2, variance, variance / 2, 0]
    assert WEIGHTED(class_maps_of(certain(votes, 2))).flatten().tolist() == pytest.approx(wanted, abs=1e-7)
    assert VOTES(class_maps_of(certain(votes, 2))).flatten().tolist() == pytest.approx([variance] * 5, abs=1e-7)


def test_an_image_without_foreground_has_the_weight_zero_everywhere():
    votes = torch.zeros(5, 6, 7, dtype=torch.long)
    votes[:2, 2:4, 2:4] = 1  # doubted, but by fewer than half
    maps = class_maps_of(certain(votes, 2))
    assert VOTES(maps).max() > 0.2
    assert (WEIGHTED(maps) == 0).all()


def test_an_image_without_background_is_not_weighted():
    votes = torch.ones(5, 6, 7, dtype=torch.long)
    votes[:2, 2:4, 2:4] = 0
    maps = class_maps_of(certain(votes, 2))
    assert torch.equal(WEIGHTED(maps), VOTES(maps))
    assert VOTES(maps).max() > 0.2


def test_foreground_is_all_that_is_not_the_named_background():
    votes = binary_votes(3, 6, (24, 31))
    swapped = VoteVariance(distance_weight=True, background=2)(class_maps_of(certain(torch.where(votes == 1, 0, 2), 3)))
    plain = WEIGHTED(class_maps_of(certain(votes, 3)))
    assert torch.equal(swapped, plain)
    assert plain.max() > 0
