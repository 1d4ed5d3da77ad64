"""Says of a round whether its networks have learned, and whether they were trained long enough."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from seg_al.core import Metric
from seg_al.measuring.learned import CONSTANT, NOT_LEARNED, bar, has_learned, learned, still_falls
from seg_al.recording.files import BASELINES, WITHOUT, loaded

log = logging.getLogger(__name__)

RoundScores = Mapping[str, float]
"""The metrics of a round, by "<split>/<metric>"."""


def not_learned(scores: RoundScores, metric: Metric, first: Path) -> str | None:
    """Why the networks of a round have not learned, for the middle of a sentence; None: they have, or it is unknown.

    `first` is the folder of the run's round 0, which names the constant prediction.
    """
    if learned(scores, metric) is not False:
        return None
    path, number = first / "baselines.json", f"test/{metric.name}"
    name = loaded(path, BASELINES, WITHOUT)["constants"].get(number) if path.exists() else None
    constant = scores[f"test/{CONSTANT}{metric.name}"]
    return (
        f"{NOT_LEARNED} (test {metric.name} {scores[number]:.4f}; the best constant prediction"
        f"{f', {name},' if name else ''} {constant:.4f}; the bar {bar(metric, constant):.4f})"
    )


def under_trained(scores: RoundScores, metric: Metric) -> str | None:
    """Why a longer training may help, for the middle of a sentence; None: nothing shows it."""
    fit, constant = scores.get(f"labelled/{metric.name}"), scores.get(f"test/{CONSTANT}{metric.name}")
    if fit is not None and constant is not None and not has_learned(metric, fit, constant):
        found = f"labelled {metric.name} {fit:.4f}; the bar {bar(metric, constant):.4f}"
        return f"the labelled set itself is not fitted ({found})"
    if still_falls(scores):
        loss, slope = scores["training/loss"], scores["training/loss_slope"]
        return f"the training loss still falls at its end ({loss:.4g}, changing by {slope:.3g} per 100 steps)"
    return None


def say_learning(number: int, scores: RoundScores, metric: Metric, first: Path) -> None:
    """Logs what a person should know before the networks of the round are asked."""
    short, fit = under_trained(scores, metric), scores.get(f"labelled/{metric.name}")
    if why := not_learned(scores, metric, first):
        fitted = fit is not None and short is None
        log.warning(
            "round %d: %s. Queries of such networks say nothing about heuristics. %s, take another trainer or model, "
            "and look at the gallery of the next round.", number, why,
            f"They fit what is labelled (labelled {metric.name} {fit:.4f}): begin with more labels or augment them more"
            if fitted else "Train for more steps (trainer.pace)",
        )  # fmt: skip
    if short:
        log.info("round %d: under-trained: %s; train for more steps (trainer.pace)", number, short)
