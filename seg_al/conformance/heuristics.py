"""Is this function an uncertainty heuristic? Checks that any function from outside can be put through.

    for finding in heuristic_findings(my_score, references.bald, min_passes=2):
        print(finding)

    check_heuristic(Mine())                     # of a heuristic of class maps: AssertionError that lists what is broken

    class TestMine(HeuristicSuite):             # the same as a pytest test
        def make(self) -> HeuristicCase:
            return HeuristicCase(Mine(), local=False)

The function gets the probabilities of K passes over one image, [K, C, H, W], and gives a score map [H, W], higher =
more wanted. Each check is there because a published acquisition function fails it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from seg_al.asking.given import of_reads, score_map
from seg_al.conformance import feature_heuristics
from seg_al.conformance.laws import Finding, Makes, findings, require_all
from seg_al.conformance.synthetic_passes import (
    Array,
    contradicting,
    evening_out,
    normalised,
    passes_with_zeros,
    random_passes,
)
from seg_al.core import Heuristic, Nothing, TellsItsReach
from seg_al.predictors.class_maps import ClassMaps, class_maps_of
from seg_al.predictors.features import Features

Score = Callable[[Array], Array]

SHAPE = (7, 4, 8, 10)  # K, C, H, W; all different, so that no axis can be mistaken for another


def heuristic_findings(
    score: Score,
    reference: Score | None = None,
    *,
    min_passes: int = 1,
    local: bool = True,
    special_class: int | None = None,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> list[Finding]:
    """Runs every check that applies; a function that raises fails the check, it does not end the suite.

    `min_passes` is what core.Heuristic means by it: 0 uses no image, so only the form of its map is checked; from 2
    on the score is about disagreement. `local` says that a pixel's score depends on that pixel alone; without it, the
    checks that take an image apart are left out. `special_class` is a class unlike the others, such as a background;
    the others must be interchangeable. `tolerance` is a share of the largest score. `reference` is a float64 version.
    """
    suite = _Suite(score, reference, min_passes, local, special_class, tolerance, seed)
    checks: dict[str, Callable[[], tuple[bool, str]]] = {
        "shape": suite.shape,
        "finite": suite.finite,
        "purity": suite.purity,
        "determinism": suite.determinism,
    }
    if min_passes > 0:
        checks |= {
            "permuting classes": suite.permuting_classes,
            "permuting passes": suite.permuting_passes,
            "repeating passes": suite.repeating_passes,
            "flipping the image": suite.flipping,
            "zero probabilities": suite.zero_probabilities,
            "half precision": suite.half_precision,
            "one class": suite.one_class,
            "one pass": suite.one_pass,
            "one pixel": suite.one_pixel,
            "direction": suite.direction,
        }
    if min_passes > 0 and local:
        checks["splitting the image"] = suite.splitting
    if reference is not None:
        checks["float64 reference"] = suite.against_reference
    return [_finding(name, run) for name, run in checks.items()]


@dataclass(frozen=True)
class OfPasses:
    """A heuristic as a function of passes, which add up to its evidence."""

    heuristic: Heuristic[Any]

    def __call__(self, p: Array) -> Array:  # [K, C, H, W] -> [H, W]
        size = (p.shape[2], p.shape[3])
        painted = self.heuristic(class_maps_of(torch.from_numpy(p)))
        scores: Array = score_map(self.heuristic, painted, size, "made-up").detach().numpy()
        return scores


@dataclass(frozen=True)
class HeuristicCase:
    """A heuristic, and what the checks must know of it."""

    heuristic: Heuristic[Any]
    """It reads class maps, features, or nothing."""
    reference: Score | None = None
    """The same score in float64, of passes [K, C, H, W]; None: there is none to compare with."""
    local: bool = True
    """Whether a pixel's score depends on that pixel alone."""
    special_class: int | None = None
    """A class unlike the others, such as a background; None: all are interchangeable."""

    def findings(self) -> list[Finding]:
        """Raises ValueError for a heuristic that reads another kind of evidence."""
        reads = self.heuristic.reads
        if wrong := of_reads(reads):
            return [Finding("says what it reads", False, wrong)]
        if reads is Features:
            return findings(self.heuristic, feature_heuristics.LAWS)
        if reads not in (ClassMaps, Nothing):
            raise ValueError(
                f"{type(self.heuristic).__name__} reads {reads.called}; this suite makes class maps and features only"
            )
        return heuristic_findings(
            OfPasses(self.heuristic),
            self.reference,
            min_passes=self.heuristic.min_passes,
            local=self.local or (isinstance(self.heuristic, TellsItsReach) and self.heuristic.single_pixels),
            special_class=self.special_class,
        )


def check_heuristic(heuristic: Heuristic[Any], reference: Score | None = None, local: bool = True) -> None:
    """Raises AssertionError with every check that the heuristic fails."""
    require_all(HeuristicCase(heuristic, reference, local).findings())


class HeuristicSuite(Makes[HeuristicCase]):
    """Subclass it as `class TestMine`; `make` returns the case."""

    def test_keeps_every_law(self) -> None:
        require_all(self.make().findings())


def _finding(name: str, run: Callable[[], tuple[bool, str]]) -> Finding:
    try:
        passed, detail = run()
    except Exception as error:  # a function from outside may raise anything, and that is the finding
        passed, detail = False, f"it raised {type(error).__name__}: {str(error).strip()[:200]}"
    return Finding(name, bool(passed), detail)


@dataclass(frozen=True)
class _Suite:
    score: Score
    reference: Score | None
    min_passes: int
    local: bool
    special_class: int | None
    tolerance: float
    seed: int

    def paint(self, p: Array) -> Array:  # [K, C, H, W] -> [H, W]
        """The map of a private copy; raises ValueError where it is no map."""
        scores = np.asarray(self.score(p.copy()))
        if scores.shape != p.shape[2:]:
            raise ValueError(f"the map of an image of {p.shape[2:]} pixels has the shape {scores.shape}")
        return scores

    def passes(self, spread: float = 2.0) -> Array:
        return random_passes(SHAPE, spread, self.seed)

    def same(self, got: Array, wanted: Array, slack: float = 1) -> tuple[bool, str]:
        """Whether two maps agree within `slack` tolerances of the largest score."""
        if bad := int((~np.isfinite(got)).sum() + (~np.isfinite(wanted)).sum()):
            return False, f"{bad} scores of {got.size + wanted.size} are NaN or infinite"
        allowed = slack * (self.tolerance * float(np.abs(wanted).max()) + 1e-6)
        worst = float(np.abs(got.astype(np.float64) - wanted).max())
        return worst <= allowed, f"scores differ by at most {worst:.2g} (allowed: {allowed:.2g})"

    def shape(self) -> tuple[bool, str]:
        p = self.passes()
        scores = np.asarray(self.score(p.copy()))
        fits = scores.shape == p.shape[2:] and np.issubdtype(scores.dtype, np.floating)
        return fits, f"passes of {p.shape} give a map of {scores.shape}, {scores.dtype}"

    def finite(self) -> tuple[bool, str]:
        scores = np.concatenate([self.paint(self.passes(spread)) for spread in (1.0, 6.0)])
        bad = int((~np.isfinite(scores)).sum())
        return bad == 0, f"{bad} scores of {scores.size} are NaN or infinite where no probability is 0"

    def purity(self) -> tuple[bool, str]:
        written = 0
        for p in (self.passes(), passes_with_zeros(SHAPE, self.seed)):
            given = p.copy()
            self.score(given)
            written += int((given != p).sum())
        return written == 0, f"{written} of the probabilities that it was given were written to"

    def determinism(self) -> tuple[bool, str]:
        maps = [self.paint(self.passes()) for _ in range(3)]
        changed = int(sum((~np.isclose(again, maps[0], 0, 0, equal_nan=True)).sum() for again in maps[1:]))
        return changed == 0, f"{changed} scores of {2 * maps[0].size} changed when the same passes were scored again"

    def permuting_classes(self) -> tuple[bool, str]:
        order = [label for label in range(SHAPE[1]) if label != self.special_class]
        moved = np.arange(SHAPE[1])
        moved[order] = np.roll(order, 1)
        p = self.passes()
        return self.same(self.paint(p[:, moved]), self.paint(p))

    def permuting_passes(self) -> tuple[bool, str]:
        p = self.passes()
        return self.same(self.paint(p[::-1]), self.paint(p))

    def repeating_passes(self) -> tuple[bool, str]:
        p = self.passes()
        return self.same(self.paint(np.concatenate([p, p])), self.paint(p))

    def flipping(self) -> tuple[bool, str]:
        p = self.passes()
        return self.same(self.paint(p[:, :, ::-1, ::-1]), self.paint(p)[::-1, ::-1])

    def splitting(self) -> tuple[bool, str]:
        p = self.passes()
        quarters = [
            [self.paint(part) for part in np.array_split(half, 2, axis=3)] for half in np.array_split(p, 2, axis=2)
        ]
        agree, detail = self.same(np.block(quarters), self.paint(p))
        return agree, detail + ("" if agree else "; a score that looks at its neighbours on purpose is local=False")

    def zero_probabilities(self) -> tuple[bool, str]:
        """0 ln 0 = 0: a probability of 0 scores as the limit of small ones does."""
        p = passes_with_zeros(SHAPE, self.seed)
        small = p.clip(min=1e-6)
        return self.same(self.paint(p), self.paint(normalised(small)), slack=10)

    def half_precision(self) -> tuple[bool, str]:
        """Probabilities in float16 add up to 1 only roughly, and small ones have become 0."""
        half = np.concatenate([self.passes(4.0), passes_with_zeros(SHAPE, self.seed)], axis=3).astype(np.float16)
        return self.same(self.paint(half), self.paint(normalised(half.astype(np.float32))), slack=100)

    def one_class(self) -> tuple[bool, str]:
        scores = self.paint(np.ones((SHAPE[0], 1, *SHAPE[2:]), dtype=np.float32))
        return self.same(scores, np.full_like(scores, scores[0, 0]))

    def one_pass(self) -> tuple[bool, str]:
        p = self.passes()[:1]
        return self.same(self.paint(p), self.paint(np.concatenate([p, p])))

    def one_pixel(self) -> tuple[bool, str]:
        p = self.passes()
        alone = self.paint(p[:, :, 2:3, 3:4])
        return self.same(alone, self.paint(p)[2:3, 3:4] if self.local else alone)

    def direction(self) -> tuple[bool, str]:
        """Doubt is raised step by step: by passes that contradict, or by probabilities that even out."""
        usual = [label for label in range(SHAPE[1]) if label != self.special_class]
        alike = not self.local and self.special_class is not None  # a neighbour of the special class would change more
        winners = np.random.default_rng(self.seed).choice(usual[:1] if alike else usual, size=SHAPE[2:])
        raised = contradicting if self.min_passes > 1 else evening_out
        maps = np.stack([self.paint(p) for p in raised(winners, SHAPE[0], SHAPE[1])])
        steps = np.diff(maps.astype(np.float64), axis=0)
        rises = bool((steps > 0).all() if self.local else (steps >= 0).all() and (steps.mean(axis=(1, 2)) > 0).all())
        means = ", ".join(f"{mean:.3g}" for mean in maps.mean(axis=(1, 2)))
        fallen = int((steps <= 0).sum())
        return rises, f"the mean score goes {means} with doubt; {fallen} of {steps.size} steps do not rise"

    def against_reference(self) -> tuple[bool, str]:
        assert self.reference is not None
        cases = {
            "unsure passes": self.passes(1.0),
            "mostly certain passes": self.passes(6.0),
            "zeros among them": passes_with_zeros(SHAPE, self.seed),
            "two classes": random_passes((5, 2, 9, 7), 2.0, self.seed),
            "19 classes": random_passes((20, 19, 5, 6), 3.0, self.seed),
        }
        wrong = []
        for name, p in cases.items():
            wanted = self.reference(p.astype(np.float64))
            got = self.paint(p)
            agree, detail = self.same(got, wanted)
            if not agree:
                wrong.append(f"{name}: {detail}{_rank_agreement(got, wanted)}")
        return not wrong, "; ".join(wrong) or f"agrees on {', '.join(cases)}"


def _rank_agreement(got: Array, wanted: Array) -> str:
    if not np.isfinite(got).all() or np.ptp(got) == 0 or np.ptp(wanted) == 0:
        return ""
    return f", rank correlation {spearmanr(got, wanted, axis=None).statistic:.2f}"
