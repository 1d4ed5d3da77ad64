"""The mathematics of uncertainty as pure functions; entropies in nats, 0 ln 0 = 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor

from seg_al.predictors.class_maps import ClassMaps
from seg_al.predictors.moments import bands

Of = TypeVar("Of")


def pixelwise(score: Callable[[Of, ClassMaps], Tensor]) -> Callable[[Of, ClassMaps], Tensor]:
    """Makes the call of a heuristic work through an image in bands, so that no temporary is as large as the image.

    For scores that look at one pixel at a time.
    """

    @wraps(score)
    def in_bands(heuristic: Of, maps: ClassMaps) -> Tensor:  # [H, W]
        scores = torch.empty(maps.size, device=maps.mean.device)
        for rows in bands(maps.mean):
            scores[rows] = score(heuristic, maps.rows(rows))
        return scores

    return in_bands


def entropy(probabilities: Tensor) -> Tensor:  # [C, ...] -> [...]
    """H[p] = -sum_c p_c ln p_c."""
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(0)


def mutual_information(mean: Tensor, expected_entropy: Tensor) -> Tensor:  # [C, ...], [...] -> [...]
    """H[mean_k p_k] - mean_k H[p_k], clipped at the zero that rounding can undercut."""
    return (entropy(mean) - expected_entropy).clamp_min(0)


def top_two_gap(probabilities: Tensor) -> Tensor:  # [C, ...] -> [...]
    """The largest probability less the second largest; a single class has a second of 0."""
    if len(probabilities) == 1:
        return probabilities[0]
    first, second = probabilities.topk(2, dim=0).values.unbind(0)
    return torch.sub(first, second)


def vote_variance(vote_shares: Tensor) -> Tensor:  # [C, ...] -> [...]
    """Mean over classes of f_c (1 - f_c), the variance of each class's vote; for two classes f (1 - f)."""
    return (vote_shares * (1 - vote_shares)).mean(0)
