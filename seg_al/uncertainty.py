"""The mathematics of uncertainty as pure functions; entropies in nats, 0 ln 0 = 0."""

from __future__ import annotations

import torch
from torch import Tensor


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
