"""Every granularity in conf/ keeps the laws of granularities, and each law catches one that breaks it."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
from broken_granularities import BROKEN, Right
from hydra.utils import instantiate
from object_evidence import random_objects, seen
from torch import Tensor

from experiments import composed
from seg_al.conformance.granularities import LAWS, GranularityCase, GranularitySuite, check_granularity
from seg_al.conformance.laws import Law, findings
from seg_al.core import EvidenceSet
from seg_al.tasks.objects.certainty import PaintedObjects
from seg_al.tasks.objects.passes import Objects

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "granularity").glob("*.yaml"))
OF_OBJECTS = {"image_objects", "instance"}
REDUCTIONS = ("mean", "max", "sum", "top")


def objects(seed: int) -> EvidenceSet:
    return seen(random_objects(seed, passes=5, classes=4))


def with_scores(score_map: Tensor, evidence: EvidenceSet) -> PaintedObjects:
    """Objects that are wanted as their places say, and more where the map is higher."""
    found = evidence.of(Objects)
    scores = torch.arange(len(found), dtype=torch.float64) + score_map[:20].min().floor().double()
    return PaintedObjects(score_map, scores, found)


def case_of(option: str, folder: Path, *overrides: str) -> GranularityCase:
    if option == "superpixel_seeds" and not hasattr(cv2, "ximgproc"):
        pytest.skip("this OpenCV has no SEEDS; install opencv-contrib-python-headless")
    kept = (f"granularity.folder={folder}", "granularity.algorithm.cells=20") if option.startswith("superpixel") else ()
    cfg, _ = composed(f"granularity={option}", *kept, *overrides)
    granularity = instantiate(cfg.granularity, _convert_="all")
    return GranularityCase(granularity, objects, with_scores) if option in OF_OBJECTS else GranularityCase(granularity)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_keeps_the_law(option: str, law: Law[GranularityCase], tmp_path: Path) -> None:
    law(case_of(option, tmp_path))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_reduction_keeps_the_laws(reduction: str, tmp_path: Path) -> None:
    for option in ("grid", "window", "component", "instance", "image_objects"):
        case = case_of(option, tmp_path, f"granularity.reduction={reduction}")
        check_granularity(case.granularity, case.evidence, case.painted)


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_granularity_is_caught_by_the_law_that_it_breaks(what: str) -> None:
    make, law = BROKEN[what]
    assert law in {one.check for one in findings(GranularityCase(make()), LAWS) if not one.passed}


def test_every_law_has_a_granularity_that_breaks_it() -> None:
    assert {law for _, law in BROKEN.values()} == {law.__name__.replace("_", " ") for law in LAWS}


def test_all_that_is_broken_is_said_at_once() -> None:
    check_granularity(Right())
    make, _ = BROKEN["sorts"]
    with pytest.raises(AssertionError, match=r"2 of 11 laws are broken:\n  - joins each unit by itself: unit \d"):
        check_granularity(make())


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ("reads misspelt", "reads='imagge'; it has to be 'image', 'scores' or a kind of evidence"),
        ("-1 everywhere", "granularity Everywhere gives -1 everywhere"),
        (
            "an array of numpy",
            "granularity Numpy gives a numpy.ndarray for image made-up; it has to give a torch tensor",
        ),
        ("short numbers", "gives ids of torch.int32 for image made-up; they have to be torch.long"),
    ],
)
def test_the_sentence_says_what_it_has_to_be(what: str, wanted: str) -> None:
    with pytest.raises(AssertionError) as told:
        check_granularity(BROKEN[what][0]())
    assert wanted in str(told.value)


class TestFromOutside(GranularitySuite):
    """As the tests of another repository would have it."""

    def make(self) -> GranularityCase:
        return GranularityCase(Right())
