"""Checks baal's heuristics and ours with the same conformance suite and prints which checks fail on each side.

    pip install -e '.[benchmark]'
    python scripts/check_baal.py

baal takes logits [n, C, H, W, K] of its model wrapper, or probabilities; it is tried with both. Where baal wants the
lowest scores, they are turned into 1 - score. A probability of 0 becomes a logit of about -30, one of 1e-6 of -14: a
score that averages logits tells them apart. The exit code tells whether all of ours conform.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from seg_al.conformance import references
from seg_al.conformance.heuristics import OfPasses, Score, heuristic_findings
from seg_al.conformance.laws import Finding
from seg_al.conformance.synthetic_passes import Array
from seg_al.heuristics.bald import BALD
from seg_al.heuristics.entropy import Entropy
from seg_al.heuristics.expected_entropy import ExpectedEntropy
from seg_al.heuristics.least_confidence import LeastConfidence
from seg_al.heuristics.margin import Margin
from seg_al.heuristics.mean_std import MeanSTD
from seg_al.heuristics.variation_ratio import VariationRatio
from seg_al.heuristics.vote_entropy import VoteEntropy
from seg_al.heuristics.vote_variance import VoteVariance

LEAST_LOGIT = -30.0
"""Output of a network for a class that it excludes; float16 can hold it, and its exp is 1e-13."""


@dataclass(frozen=True)
class Subject:
    """One function under test."""

    side: str
    name: str
    input: str
    score: Score
    reference: Score
    min_passes: int

    def findings(self) -> list[Finding]:
        return heuristic_findings(self.score, self.reference, min_passes=self.min_passes)


@dataclass(frozen=True)
class Baals:
    heuristic: Any
    logits: bool

    def __call__(self, p: Array) -> Array:  # [K, C, H, W] -> [H, W]
        given = logits_of(p) if self.logits else p
        scores: Array = self.heuristic.get_uncertainties(np.moveaxis(given, 0, -1)[None])[0]
        return scores if self.heuristic.reversed else 1 - scores


def logits_of(p: Array) -> Array:
    """Logits [K, C, H, W] of which p is the softmax, in p's precision and with a mean of 0 over the classes."""
    with np.errstate(divide="ignore"):
        logits = np.log(p.astype(np.float64)).clip(min=LEAST_LOGIT)
    centred: Array = (logits - logits.mean(axis=1, keepdims=True)).astype(p.dtype)
    return centred


def mean_over_classes(scores: Array) -> Array:  # [n, C, H, W] -> [n, H, W]
    """The reduction that baal's Variance needs; its own reductions also join the pixels."""
    mean: Array = scores.mean(axis=1)
    return mean


def ours() -> list[Subject]:
    pairs: list[tuple[Any, Score]] = [
        (Entropy(), references.entropy),
        (Margin(), references.margin),
        (LeastConfidence(), references.least_confidence),
        (BALD(), references.bald),
        (MeanSTD(), references.mean_std),
        (ExpectedEntropy(), references.expected_entropy),
        (VariationRatio(), references.variation_ratio),
        (VoteEntropy(), references.vote_entropy),
        (VoteVariance(distance_weight=False, background=0), references.vote_variance),
    ]
    return [
        Subject("seg_al", type(heuristic).__name__, "passes", OfPasses(heuristic), reference, heuristic.min_passes)
        for heuristic, reference in pairs
    ]


def baals() -> list[Subject]:
    """Raises ImportError without baal. Its Random and BatchBALD score no pixels and are left out."""
    from baal.active import heuristics as baal

    triples = [
        (baal.Entropy(), references.entropy, 1),
        (baal.Margin(), references.margin, 1),
        (baal.Certainty(), references.least_confidence, 1),
        (baal.BALD(), references.bald, 2),
        (baal.Variance(reduction=mean_over_classes), references.mean_variance, 2),
    ]
    return [
        Subject("baal", type(heuristic).__name__, form, Baals(heuristic, form == "logits"), reference, min_passes)
        for heuristic, reference, min_passes in triples
        for form in ("logits", "probabilities")
    ]


def report(subjects: Iterable[Subject]) -> bool:
    """Prints a row for each subject and a line for each failed check; returns whether all of ours pass."""
    conform = True
    print(f"{'side':7} {'heuristic':16} {'input':14} passed")
    for subject in subjects:
        findings = subject.findings()
        wrong = [finding for finding in findings if not finding.passed]
        conform &= not wrong or subject.side != "seg_al"
        passed = f"{len(findings) - len(wrong)} of {len(findings)}"
        print(f"{subject.side:7} {subject.name:16} {subject.input:14} {passed}")
        for finding in wrong:
            print(f"    {finding}")
    return conform


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    warnings.simplefilter("ignore")  # baal warns where it replaces NaN; the table shows what it puts there
    try:
        subjects = [*ours(), *baals()]
    except ImportError as error:
        print(f"check_baal: baal cannot be imported ({error}); pip install -e '.[benchmark]'", file=sys.stderr)
        return 2
    print(f"the suite of seg_al.conformance.heuristics on seg_al and baal {version('baal')}\n")
    return 0 if report(subjects) else 1


if __name__ == "__main__":
    sys.exit(main())
