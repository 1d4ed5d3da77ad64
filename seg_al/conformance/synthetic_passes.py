"""Made-up passes [K, C, H, W], float32, whose uncertainty is known beforehand; what conformance scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def normalised(p: Array) -> Array:
    """Divided by its sum over the classes."""
    probabilities: Array = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def random_passes(shape: tuple[int, ...], spread: float, seed: int) -> Array:
    """Softmax of normal logits of the given standard deviation: 1 is unsure, 6 mostly certain."""
    logits = np.random.default_rng(seed).normal(0, spread, shape)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return normalised(exponentials)


def passes_with_zeros(shape: tuple[int, ...], seed: int) -> Array:
    """No probability in (0, 0.1): some are 0 in one pass, class 1 in all of the left half, all but one at the top."""
    p = random_passes(shape, 2.0, seed)
    p[:, 1, :, : shape[3] // 2] = 0
    p[:, :-1, 0] = 0
    p = normalised(p)
    return normalised(np.where(p < 0.1, 0, p))


def one_hot(winners: Array, classes: int) -> Array:  # [K, H, W] class ids
    """Passes without a doubt: zeros and ones."""
    return np.ascontiguousarray(np.moveaxis(np.eye(classes, dtype=np.float32)[winners], -1, 1))


def doubted(p: Array, doubt: float) -> Array:
    """The mixture of p with the uniform distribution, which has the share `doubt`."""
    return normalised(p * (1 - doubt) + doubt / p.shape[1])


def contradicting(winners: Array, passes: int, classes: int) -> list[Array]:  # [H, W] class ids
    """Nearly certain passes, of which 0, 1, 2, ... vote for another class than the winner, always fewer than half."""
    dissent = np.arange(passes)[:, None, None]
    votes = [np.where(dissent < count, (winners + 1) % classes, winners) for count in range((passes + 1) // 2)]
    return [doubted(one_hot(vote, classes), 0.01) for vote in votes]


def evening_out(winners: Array, passes: int, classes: int) -> list[Array]:  # [H, W] class ids
    """Equal passes, from nearly certain to nearly uniform, the predicted class the same throughout."""
    certain = one_hot(np.repeat(winners[None], passes, axis=0), classes)
    return [doubted(certain, doubt) for doubt in (0.01, 0.25, 0.5, 0.75, 0.95)]
