"""How often images are shown, by the formulas and by counting."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from seg_al.core import IGNORE, Region
from seg_al.tasks.pixels.class_labels import pixels_of_classes
from seg_al.training.examples import Labelled, plan
from seg_al.training.pace import CosineDecay, Pace, StepDecay, SteppedPace
from seg_al.training.sampling import LabelledArea, MinorityRepeat, RepeatFactor

CLASSES = ("ground", "cell", "spore", "rust", "moth")
SIZE = (4, 6)


class Drawn:
    """Images whose classes are given, one pixel of each beside the ground; it is the annotator too."""

    def __init__(self, classes: Sequence[Sequence[int]]) -> None:
        self.classes = classes

    def size(self, name: str) -> tuple[int, int]:
        return SIZE

    def reveal(self, name: str, regions: Sequence[Region]) -> np.ndarray:
        labels = np.full(SIZE, IGNORE, np.uint8)
        truth = np.zeros(SIZE, np.uint8)
        truth[0, : len(self.classes[int(name)])] = self.classes[int(name)]
        for region in regions:
            region.copy(truth, labels)
        return labels


def labelled(classes: Sequence[Sequence[int]], *regions: Region) -> Labelled:
    """All of every image, or the given region of each."""
    known = {str(place): (regions[place] if regions else Region.whole(SIZE),) for place in range(len(classes))}
    drawn = Drawn(classes)
    return Labelled(drawn, drawn, known, CLASSES, pixels_of_classes)  # type: ignore[arg-type]


SHOWN = [[1]] * 6 + [[1, 2]] * 3 + [[2, 3]]  # of 10 images: cell in 9, spore in 4, rust in 1, moth in none


def brute(classes: Sequence[Sequence[int]], threshold: float) -> list[float]:
    """max_c max(1, sqrt(t / f_c)), image by image."""
    share = {one: sum(one in image for image in classes) / len(classes) for one in {c for i in classes for c in i}}
    return [max(max(1.0, math.sqrt(threshold / share[one])) for one in image) for image in classes]


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.1, 0.4, 0.9, 1.0])
def test_repeat_factors_are_those_of_the_formula(threshold: float) -> None:
    some = labelled(SHOWN)
    assert RepeatFactor(threshold)(some, some.names).tolist() == pytest.approx(brute(SHOWN, threshold))


def test_a_class_that_no_known_pixel_shows_repeats_nothing() -> None:
    corner = np.zeros(SIZE, np.bool_)
    corner[0, 0] = True
    some = labelled(SHOWN, *[Region.of(corner)] * 9, Region.of(corner))  # of the last image spore alone is known
    assert RepeatFactor(0.4)(some, some.names).tolist() == pytest.approx([1] * 9 + [2])


@pytest.mark.parametrize("factor", [1.0, 1.7, 3.0])
def test_the_rarest_minority_class_is_repeated_exactly_so_many_times(factor: float) -> None:
    some = labelled(SHOWN)
    found = MinorityRepeat(("spore", "rust"), factor)(some, some.names)
    assert found[9] == pytest.approx(factor), "its class is in one image of ten: t = r² / 10"
    assert found.tolist() == pytest.approx(brute(SHOWN, factor**2 / 10))


def test_a_minority_class_without_images_is_left_out_and_switches_nothing_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    some = labelled(SHOWN)
    with_moth = MinorityRepeat(("moth", "rust"), 2.0)(some, some.names)
    assert "no labelled image shows moth yet" in caplog.text
    assert with_moth.tolist() == MinorityRepeat(("rust",), 2.0)(some, some.names).tolist()
    assert with_moth[9] == pytest.approx(2)
    assert MinorityRepeat(("moth",), 2.0)(some, some.names).tolist() == [1] * 10


def test_the_threshold_of_the_minority_rule_is_at_most_one() -> None:
    some = labelled(SHOWN)
    assert MinorityRepeat(("spore",), 9.0)(some, some.names).tolist() == pytest.approx(brute(SHOWN, 1.0))


def test_images_are_drawn_in_proportion_to_their_labelled_pixels() -> None:
    masks = [np.zeros(SIZE, np.bool_) for _ in range(3)]
    for mask, rows in zip(masks, (1, 2, 3), strict=True):
        mask[:rows] = True
    some = labelled([[1], [1], [1]], *(Region.of(mask) for mask in masks))
    weights = LabelledArea()(some, some.names)
    assert weights.tolist() == pytest.approx([0.5, 1.0, 1.5])
    shown = Counter(plan(some.names, 3000, 0, "order", repeats=weights.tolist()))
    assert [shown[name] / 1000 for name in some.names] == pytest.approx([0.5, 1.0, 1.5], abs=0.06)


def test_a_plan_rounds_repeats_up_or_down_anew_in_each_pass() -> None:
    """2.25: two or three times; 1: once; 0.5: once or not at all. A pass is told by the name that appears once."""
    order = plan(["a", "b", "c"], 3750, 7, "order", repeats=[2.25, 1.0, 0.5])
    count = Counter(order)
    assert count["b"] == pytest.approx(1000, abs=25)
    assert count["a"] / count["b"] == pytest.approx(2.25, abs=0.05)
    assert count["c"] / count["b"] == pytest.approx(0.5, abs=0.06)
    assert order == plan(["a", "b", "c"], 3750, 7, "order", repeats=[2.25, 1.0, 0.5])
    assert order != plan(["a", "b", "c"], 3750, 8, "order", repeats=[2.25, 1.0, 0.5])


def test_whole_repeats_are_exact_in_every_pass_and_shuffled() -> None:
    order = plan(["a", "b"], 40, 0, "order", repeats=[3.0, 1.0])
    passes = [order[start : start + 4] for start in range(0, 40, 4)]
    assert all(Counter(one) == {"a": 3, "b": 1} for one in passes)
    assert len({"".join(one) for one in passes}) > 2


def test_repeats_of_which_nothing_can_be_planned_are_refused() -> None:
    for wrong in ([0.0, 0.0], [1.0, -1.0], [1.0, math.nan]):
        with pytest.raises(ValueError, match=r"trainer\.sampling gives numbers of appearances"):
            plan(["a", "b"], 4, 0, repeats=wrong)


def test_samplings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="threshold=2 is a share of the images"):
        RepeatFactor(2.0)
    with pytest.raises(ValueError, match=r"classes=\[\]: name the minority classes"):
        MinorityRepeat((), 2.0)
    with pytest.raises(ValueError, match=r"factor=0\.5 is the number of repeats, at least 1"):
        MinorityRepeat(("rust",), 0.5)
    some = labelled(SHOWN)
    with pytest.raises(ValueError, match="names rot, but the dataset's classes are ground, cell, spore, rust, moth"):
        MinorityRepeat(("rot",), 2.0)(some, some.names)


def test_the_predecessors_paces_by_value() -> None:
    maskal = SteppedPace(base=2500, step=2500, every=500)
    assert [maskal(count, 1) for count in (1, 500, 501, 1000, 2500)] == [2500, 2500, 5000, 5000, 12500]
    assert maskal(600, 1) == maskal(600, 8), "whatever the batch"
    assert maskal(0, 1) == 0
    cells = Pace(steps=0, epochs=300, repeats=1)
    assert [cells(count, 4) for count in (75, 76, 3)] == [300 * 19, 300 * 19, 300]
    with pytest.raises(ValueError, match="every=0 at least 1"):
        SteppedPace(1, 1, 0)


def test_step_decay_with_warm_up_rises_as_the_cosine_does_and_then_drops() -> None:
    maskal = StepDecay(at=(0.5, 0.8), factor=0.1, warmup=0.2)
    cosine = CosineDecay(warmup=0.2, floor=0.0)
    shares = np.linspace(0, 0.199, 30)
    rise = [maskal(share) for share in shares]
    assert rise == [cosine(share) for share in shares] == sorted(rise)
    assert 0 < rise[0] < 0.006
    assert np.diff(rise, 2) == pytest.approx(0, abs=1e-9), "linear"
    assert [maskal(share) for share in (0.2, 0.49, 0.5, 0.79, 0.8)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
