"""Every heuristic in conf/ passes the conformance suite, and the suite catches what published code gets wrong."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from broken_heuristics import (
    guard_that_half_precision_rounds_to_zero,
    last_two_of_a_sort,
    masked_nan,
    mean_of_logits,
    noise_breaks_ties,
    one_number,
    only_the_first_class,
    predictive_entropy,
    reversed_margin,
    sample_variance,
    scaled_by_the_image,
    softmax_over_columns,
    sum_over_passes,
    takes_rounded_probabilities_for_logits,
    transposed,
    undivided_by_one_pass,
    unguarded_log,
    variance_of_the_class_index,
    weighs_late_passes_more,
    wide_window,
    writes_to_its_input,
)
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seg_al.conformance import references
from seg_al.conformance.heuristics import HeuristicCase, HeuristicSuite, check_heuristic, heuristic_findings
from seg_al.conformance.laws import Finding
from seg_al.conformance.synthetic_passes import Array, passes_with_zeros, random_passes
from seg_al.core import Heuristic, Nothing
from seg_al.heuristics.ripu import RIPU
from seg_al.predictors.class_maps import ClassMaps, ClassMapSums, class_maps_of
from seg_al.predictors.features import Features

OPTIONS = {
    path.stem: instantiate(OmegaConf.load(path), _convert_="all")
    for path in sorted((Path(__file__).parents[2] / "conf" / "heuristic").glob("*.yaml"))
}
MAPS = sorted(name for name, heuristic in OPTIONS.items() if heuristic.reads in (ClassMaps, Nothing))
"""Options that score pixels; test_object_scores.py has those of objects, test_features.py those of features."""
LOOKS_AROUND = {"axon_myelin": 0, "ripu": None, "ripu_pixel": None}
"""Options whose pixels look at their neighbours, and the class that they treat unlike the others, if there is one."""


def stacked(p: Array) -> ClassMaps:
    return class_maps_of(torch.from_numpy(p))


def summed(p: Array) -> ClassMaps:
    """As a predictor makes them: running sums over logits; a logit of -1e4 is a probability of 0."""
    logits = torch.from_numpy(p).float().log().clamp_min(-1e4).to(torch.from_numpy(p).dtype)
    sums = ClassMapSums(p.shape[1], 1, p.shape[2:], torch.device("cpu"))
    for one in logits:
        sums.add(one[None])
    return sums.class_maps()[0]


def scored(heuristic: Heuristic, maps_of: Callable[[Array], ClassMaps]) -> Callable[[Array], Array]:
    return lambda p: heuristic(maps_of(p)).numpy()


def failed(findings: list[Finding]) -> set[str]:
    return {finding.check for finding in findings if not finding.passed}


@pytest.mark.parametrize("maps_of", [stacked, summed])
@pytest.mark.parametrize("name", MAPS)
def test_every_heuristic_in_conf_that_scores_pixels_conforms(name, maps_of):
    heuristic = OPTIONS[name]
    findings = heuristic_findings(
        scored(heuristic, maps_of),
        getattr(references, name, None),
        min_passes=heuristic.min_passes,
        local=name not in LOOKS_AROUND,
        special_class=LOOKS_AROUND.get(name),
    )
    assert not failed(findings), "\n".join(map(str, findings))


REFERENCE = "float64 reference"
BROKEN = [
    (softmax_over_columns, 1, "entropy", {"splitting the image", "one pixel", REFERENCE}),
    (mean_of_logits, 1, "entropy", {"zero probabilities", REFERENCE}),
    (reversed_margin, 1, "margin", {"direction", REFERENCE}),
    (unguarded_log, 1, "entropy", {"zero probabilities", "half precision", REFERENCE}),
    (masked_nan, 1, "entropy", {"zero probabilities", REFERENCE}),
    (variance_of_the_class_index, 2, "vote_variance", {"permuting classes", REFERENCE}),
    (writes_to_its_input, 1, "entropy", {"purity"}),
    (weighs_late_passes_more, 1, "entropy", {"permuting passes", "repeating passes", REFERENCE}),
    (sum_over_passes, 1, "expected_entropy", {"repeating passes", "one pass", REFERENCE}),
    (sample_variance, 2, "mean_variance", {"repeating passes", REFERENCE}),
    (undivided_by_one_pass, 2, "mean_variance", {"repeating passes", "one pass", REFERENCE}),
    (scaled_by_the_image, 1, "entropy", {"splitting the image", "one pixel", "direction", REFERENCE}),
    (only_the_first_class, 1, "entropy", {"permuting classes", "direction", REFERENCE}),
    (noise_breaks_ties, 1, "entropy", {"determinism"}),
    (guard_that_half_precision_rounds_to_zero, 1, "entropy", {"half precision"}),
    (takes_rounded_probabilities_for_logits, 1, "entropy", {"half precision"}),
    (last_two_of_a_sort, 1, "margin", {"one class"}),
    (wide_window, 1, None, {"splitting the image", "one pixel", "flipping the image"}),
]


@pytest.mark.parametrize(
    ("score", "min_passes", "method", "wrong"), BROKEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_the_suite_names_what_is_broken_and_nothing_else(score, min_passes, method, wrong):
    reference = None if method is None else getattr(references, method)
    findings = heuristic_findings(score, reference, min_passes=min_passes)
    assert failed(findings) == wrong, "\n".join(map(str, findings))


@pytest.mark.parametrize("score", [transposed, one_number])
def test_a_map_of_another_shape_is_named_with_both_shapes(score):
    findings = {finding.check: finding for finding in heuristic_findings(score)}
    assert not findings["shape"].passed
    assert "(8, 10)" in findings["finite"].detail
    assert findings["purity"].passed


def test_a_function_that_raises_fails_its_checks_with_its_message():
    def fragile(p: Array) -> Array:
        if p.shape[1] == 1:
            raise IndexError("no second class")
        return predictive_entropy(p)

    findings = heuristic_findings(fragile)
    assert failed(findings) == {"one class"}
    assert next(f.detail for f in findings if not f.passed) == "it raised IndexError: no second class"


def test_nan_where_no_probability_is_zero_is_not_finite():
    def overflow(p: Array) -> Array:
        return np.where(p.mean(0).max(0) < 0.5, np.inf, predictive_entropy(p))

    assert "finite" in failed(heuristic_findings(overflow))


def test_a_score_of_nothing_is_checked_for_its_form_only():
    findings = heuristic_findings(lambda p: np.ones(p.shape[2:]), min_passes=0)
    assert [finding.check for finding in findings] == ["shape", "finite", "purity", "determinism"]
    assert not failed(findings)


def test_entropy_passes_as_entropy_but_not_as_disagreement_between_certain_passes():
    """Expected entropy does not see that certain passes contradict; predictive entropy does (law 4)."""

    def expected(p: Array) -> Array:
        return references.expected_entropy(p.astype(np.float64))

    assert not failed(heuristic_findings(predictive_entropy, references.entropy))
    assert failed(heuristic_findings(expected, min_passes=2)) == {"direction"}
    assert failed(heuristic_findings(references.entropy, references.bald, min_passes=1)) == {REFERENCE}


def test_a_failed_reference_says_by_how_much_and_how_well_the_ranks_agree():
    found = next(f for f in heuristic_findings(mean_of_logits, references.entropy) if f.check == REFERENCE)
    p = random_passes((7, 4, 8, 10), 6.0, 0).astype(np.float64)
    worst = np.abs(mean_of_logits(p) - references.entropy(p)).max()
    assert f"mostly certain passes: scores differ by at most {worst:.2g}" in found.detail
    assert "rank correlation 0." in found.detail
    assert str(found).startswith("FAILED  float64 reference: ")


def test_all_that_a_heuristic_breaks_is_said_at_once():
    check_heuristic(OPTIONS["entropy"], references.entropy)
    with pytest.raises(AssertionError, match=r"2 of 15 laws are broken:\n  - one pixel.*\n  - splitting the image"):
        check_heuristic(OPTIONS["ripu"])
    with pytest.raises(ValueError, match=r"reads objects; this suite makes class maps and features only"):
        check_heuristic(OPTIONS["maskal"])


def test_a_heuristic_that_says_that_it_looks_at_single_pixels_is_held_to_it():
    class Wrong(RIPU):
        single_pixels = True

    found = {finding.check for finding in HeuristicCase(Wrong(1), local=False).findings() if not finding.passed}
    assert found == {"one pixel", "splitting the image"}


class TestFromOutside(HeuristicSuite):
    """As the tests of another repository would have it."""

    def make(self) -> HeuristicCase:
        return HeuristicCase(OPTIONS["bald"], references.bald)


def test_the_script_that_checks_baal_says_how_to_install_it_or_finds_ours_whole():
    script = Path(__file__).parents[2] / "scripts" / "check_baal.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    if importlib.util.find_spec("baal") is None:
        assert done.returncode == 2
        assert "pip install -e '.[benchmark]'" in done.stderr
    else:
        assert done.returncode == 0, done.stdout
        assert "baal    BALD             logits         16 of 16" in done.stdout


def test_passes_with_zeros_hold_what_they_promise():
    p = passes_with_zeros((7, 4, 8, 10), 0)
    assert p.sum(1) == pytest.approx(1, abs=1e-6)
    assert not ((p > 0) & (p < 0.1)).any()
    assert (p[:, 1, :, :5] == 0).all()
    assert (p[:, 3, 0] == 1).all()


@dataclass(frozen=True)
class OfFeatures:
    """A heuristic of features that paints what it is told."""

    paint: Callable[[Features], Any]
    reads: ClassVar[type[Features]] = Features
    min_passes: ClassVar[int] = 0

    def __call__(self, features: Features) -> Any:
        return self.paint(features)


def test_a_heuristic_of_features_is_put_through_the_laws_of_features():
    check_heuristic(OfFeatures(lambda one: one.deepest.mean() + torch.zeros(one.size)))


@pytest.mark.parametrize(
    ("paint", "broken"),
    [
        (lambda one: torch.zeros(one.size) / 0, "gives finite scores"),
        (lambda one: torch.rand(one.size), "scores the same again"),
        (lambda one: one.deepest.zero_().mean() + torch.zeros(one.size), "leaves features alone"),
        (lambda one: one.deepest.exp().mean() + torch.zeros(one.size), "takes rounded features"),
        (lambda one: one.deepest[0].var() + torch.zeros(one.size), "takes maps of one pixel"),
        (lambda one: one.deepest[0], "of the shape [3, 4] for an image of 9 x 13 pixels"),
        (lambda one: float(one.deepest.mean()), "gives a float for image made-up"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_law_of_features_catches_what_breaks_it(paint, broken):
    with pytest.raises(AssertionError) as told:
        check_heuristic(OfFeatures(paint))
    assert broken in str(told.value)
