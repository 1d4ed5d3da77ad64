"""Scores that go wrong as published ones do, each in one way, for test_conformance; predictive_entropy is right."""

from __future__ import annotations

import numpy as np

from seg_al.conformance import references
from seg_al.conformance.synthetic_passes import Array


def entropy_of(p: Array, axis: int) -> Array:
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis)


def predictive_entropy(p: Array) -> Array:
    return entropy_of(p.astype(np.float64).mean(0), 0)


def softmax_over_columns(p: Array) -> Array:
    logits = np.log(p.astype(np.float64) + 1e-12)
    wrong = np.exp(logits) / np.exp(logits).sum(3, keepdims=True)
    return entropy_of(wrong.mean(0), 0)


def mean_of_logits(p: Array) -> Array:
    logits = np.log(p.astype(np.float64) + 1e-12).mean(0)
    return entropy_of(np.exp(logits) / np.exp(logits).sum(0), 0)


def reversed_margin(p: Array) -> Array:
    return 1 - references.margin(p.astype(np.float64))


def unguarded_log(p: Array) -> Array:
    mean = p.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return -(mean * np.log(mean)).sum(0)


def masked_nan(p: Array) -> Array:
    scores = unguarded_log(p)
    return np.where(np.isfinite(scores), scores, 1e4)


def variance_of_the_class_index(p: Array) -> Array:
    return p.argmax(1).var(0)


def writes_to_its_input(p: Array) -> Array:
    scores = predictive_entropy(p)
    np.clip(p, 1e-3, 1, out=p)
    return scores


def weighs_late_passes_more(p: Array) -> Array:
    weights = np.arange(1, len(p) + 1) / np.arange(1, len(p) + 1).sum()
    return entropy_of(np.tensordot(weights, p.astype(np.float64), 1), 0)


def sum_over_passes(p: Array) -> Array:
    return entropy_of(p.astype(np.float64), 1).sum(0)


def sample_variance(p: Array) -> Array:
    return p.astype(np.float64).var(0, ddof=1).mean(0) if len(p) > 1 else np.zeros(p.shape[2:])


def undivided_by_one_pass(p: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.square(p.astype(np.float64) - p.mean(0)).sum(0).mean(0) / np.float64(len(p) - 1)


def scaled_by_the_image(p: Array) -> Array:
    scores = predictive_entropy(p)
    return scores / max(scores.max(), 1e-9)


def only_the_first_class(p: Array) -> Array:
    mean = p.astype(np.float64).mean(0)[0]
    return entropy_of(np.stack([mean, 1 - mean]), 0)


def noise_breaks_ties(p: Array) -> Array:
    return predictive_entropy(p) + np.random.default_rng().normal(0, 1e-9, p.shape[2:])


def transposed(p: Array) -> Array:
    return predictive_entropy(p).T


def one_number(p: Array) -> Array:
    return predictive_entropy(p).mean()


def guard_that_half_precision_rounds_to_zero(p: Array) -> Array:
    mean = p.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return -(mean * np.log(mean + p.dtype.type(1e-8))).sum(0)


def takes_rounded_probabilities_for_logits(p: Array) -> Array:
    p = p.astype(np.float64)
    if not np.allclose(p.sum(1), 1):
        p = np.exp(p) / np.exp(p).sum(1, keepdims=True)
    return predictive_entropy(p)


def last_two_of_a_sort(p: Array) -> Array:
    ranked = np.sort(p.astype(np.float64).mean(0), axis=0)
    return 1 - (ranked[-1] - ranked[-2])


def wide_window(p: Array) -> Array:
    """Looks at the pixel above, wherever the image begins."""
    scores = predictive_entropy(p)
    return scores + np.roll(scores, 1, axis=0)
