"""Every heuristic by brute force in float64 numpy, each function named as its option in conf/heuristic.

They are written from the formulas, pixel by pixel where that is plainest, and share nothing with uncertainty.py, so
that an error would have to be made twice. All take the passes' probabilities [K, C, H, W] and give [H, W], in nats
where an entropy is meant, higher = more wanted. The sources are in the heuristics' own docstrings.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def _entropies(p: Doubles) -> Doubles:  # [..., C, H, W] -> [..., H, W]
    terms = np.zeros_like(p)
    positive = p > 0
    terms[positive] = p[positive] * np.log(1 / p[positive])
    total: Doubles = terms.sum(axis=-3)
    return total


def _vote_shares(p: Doubles) -> Doubles:  # [K, C, H, W] -> [C, H, W]
    winners = p.argmax(axis=1)
    return np.stack([(winners == label).mean(axis=0) for label in range(p.shape[1])])


def entropy(p: Doubles) -> Doubles:
    return _entropies(p.mean(axis=0))


def expected_entropy(p: Doubles) -> Doubles:
    mean: Doubles = _entropies(p).mean(axis=0)
    return mean


def bald(p: Doubles) -> Doubles:
    """The mean over the passes of the Kullback-Leibler divergence to their mean, which is the same number."""
    divergence = np.zeros((p.shape[0], *p.shape[2:]))
    mean = p.mean(axis=0)
    for label in range(p.shape[1]):
        here = p[:, label]
        ratio = np.where(here > 0, here, 1) / np.where(here > 0, mean[label], 1)
        divergence += here * np.log(ratio)
    information: Doubles = divergence.mean(axis=0)
    return information


def mean_variance(p: Doubles) -> Doubles:
    """The mean over classes of the probability's population variance over the passes: the square within mean_std."""
    variance: Doubles = (np.square(p).mean(axis=0) - np.square(p.mean(axis=0))).clip(min=0).mean(axis=0)
    return variance


def mean_std(p: Doubles) -> Doubles:
    deviation: Doubles = (np.square(p).mean(axis=0) - np.square(p.mean(axis=0))).clip(min=0) ** 0.5
    mean: Doubles = deviation.mean(axis=0)
    return mean


def variation_ratio(p: Doubles) -> Doubles:
    ratio: Doubles = 1 - _vote_shares(p).max(axis=0)
    return ratio


def vote_entropy(p: Doubles) -> Doubles:
    return _entropies(_vote_shares(p))


def least_confidence(p: Doubles) -> Doubles:
    rest: Doubles = 1 - p.mean(axis=0).max(axis=0)
    return rest


def margin(p: Doubles) -> Doubles:
    ranked = np.sort(p.mean(axis=0), axis=0)
    second = ranked[-2] if len(ranked) > 1 else 0
    closeness: Doubles = 1 - (ranked[-1] - second)
    return closeness


def vote_variance(p: Doubles) -> Doubles:
    """From the votes themselves: the variance over the passes of each class's indicator, then the mean over classes."""
    winners = p.argmax(axis=1)
    variances = [np.var(winners == label, axis=0) for label in range(p.shape[1])]
    mean: Doubles = np.mean(variances, axis=0)
    return mean


def axon_myelin(p: Doubles) -> Doubles:
    """The vote variance times the distance to the nearest background pixel (class 0), each pair of pixels measured."""
    foreground = _vote_shares(p)[0] < 0.5
    if foreground.all():
        return vote_variance(p)
    outside = np.argwhere(~foreground)
    distance = np.zeros(foreground.shape)
    for row, column in np.argwhere(foreground):
        distance[row, column] = min(math.hypot(row - y, column - x) for y, x in outside)
    weighted: Doubles = vote_variance(p) * distance / max(1.0, distance.max())
    return weighted


def _window(shape: tuple[int, ...], row: int, column: int, radius: int) -> tuple[slice, slice]:
    rows = slice(max(0, row - radius), min(shape[0], row + radius + 1))
    return rows, slice(max(0, column - radius), min(shape[1], column + radius + 1))


def _ripu(p: Doubles, radius: int, uncertainties: Doubles) -> Doubles:  # [K, C, H, W], [H, W], in nats
    predicted = p.mean(axis=0).argmax(axis=0)
    scores = np.zeros(predicted.shape)
    for row, column in np.ndindex(*predicted.shape):
        labels = predicted[_window(predicted.shape, row, column, radius)]
        shares = np.unique(labels, return_counts=True)[1] / labels.size
        impurity = sum(share * math.log(1 / share) for share in shares)
        scores[row, column] = impurity * uncertainties[row, column] / max(1e-9, math.log(p.shape[1])) ** 2
    return scores


def ripu(p: Doubles, radius: int = 1) -> Doubles:
    """Both factors counted window by window, over what of the window lies in the image."""
    pixels = entropy(p)
    mean = np.zeros_like(pixels)
    for row, column in np.ndindex(*pixels.shape):
        mean[row, column] = pixels[_window(pixels.shape, row, column, radius)].mean()
    return _ripu(p, radius, mean)


def ripu_pixel(p: Doubles, radius: int = 32) -> Doubles:
    return _ripu(p, radius, entropy(p))
