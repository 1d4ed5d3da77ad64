"""Is this a heuristic of features? Laws for what reads Features; check_heuristic and HeuristicSuite use them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seg_al.asking.given import score_map
from seg_al.conformance.laws import require
from seg_al.core import Heuristic
from seg_al.predictors.features import Features

IMAGE = (9, 13)


def made_up(size: tuple[int, int] = IMAGE, cells: tuple[int, int] = (3, 4)) -> Features:
    """Of a made-up image, in cells coarser than it."""
    generator = torch.Generator().manual_seed(0)
    return Features(size, torch.randn(6, *cells, generator=generator), torch.randn(5, *cells, generator=generator))


def scores_of(heuristic: Heuristic[Any], given: Features) -> Tensor:
    """Raises ValueError for what is no map of the image."""
    return score_map(heuristic, heuristic(given), given.size, "made-up").detach()


def gives_finite_scores(heuristic: Heuristic[Any]) -> None:
    scores = scores_of(heuristic, made_up())
    require(torch.isfinite(scores).all(), "the scores hold NaN or infinity")


def scores_the_same_again(heuristic: Heuristic[Any]) -> None:
    first, again = (scores_of(heuristic, made_up()) for _ in range(2))
    require(torch.equal(first, again), "the same features have two scores")


def leaves_features_alone(heuristic: Heuristic[Any]) -> None:
    given, before = made_up(), made_up()
    scores_of(heuristic, given)
    same = torch.equal(given.deepest, before.deepest) and torch.equal(given.penultimate, before.penultimate)
    require(same, "it writes into the features; work on a copy")


def takes_rounded_features(heuristic: Heuristic[Any]) -> None:
    """A network in half precision rounds its features, and large ones stay finite."""
    whole = made_up()
    rounded = Features(IMAGE, whole.deepest.half().float() * 1000, whole.penultimate.half().float() * 1000)
    require(torch.isfinite(scores_of(heuristic, rounded)).all(), "rounded features of thousands give NaN or infinity")


def takes_maps_of_one_pixel(heuristic: Heuristic[Any]) -> None:
    for size in (IMAGE, (1, 1)):
        scores = scores_of(heuristic, made_up(size, (1, 1)))
        require(torch.isfinite(scores).all(), "features of one pixel give NaN or infinity")


LAWS = (
    gives_finite_scores,
    scores_the_same_again,
    leaves_features_alone,
    takes_rounded_features,
    takes_maps_of_one_pixel,
)
