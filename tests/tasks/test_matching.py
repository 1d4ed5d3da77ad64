"""Both rules of matching against rewrites on whole masks, and cases planted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from seg_al.core import PixelSet
from seg_al.tasks.objects.matching import BestMatch, FirstMatch, Matching
from seg_al.tasks.objects.passes import Crop, Objects, PlacedPass
from seg_al.tasks.objects.placement import selected

SIZE = (60, 80)
CLASSES = 4

Member = tuple[int, float]
"""The pass and the score, which tells detections of a pass apart."""


def disc(x: float, y: float, width: float, height: float) -> Crop:
    """An ellipse in a window with a margin, cut off at the border of the image."""
    x0, x1 = (int(np.clip(edge, 0, SIZE[1])) for edge in (x - width / 2 - 1, x + width / 2 + 2))
    y0, y1 = (int(np.clip(edge, 0, SIZE[0])) for edge in (y - height / 2 - 1, y + height / 2 + 2))
    down, across = np.mgrid[y0:y1, x0:x1] + 0.5
    return Crop((x0, y0, x1, y1), ((across - x) / width) ** 2 + ((down - y) / height) ** 2 < 0.25)


def block(x0: int, y0: int, x1: int, y1: int) -> Crop:
    return Crop((x0, y0, x1, y1), np.ones((y1 - y0, x1 - x0), dtype=np.bool_))


def found_of(crops: list[Crop], classes: list[int] | None = None, scores: list[float] | None = None) -> PlacedPass:
    """Detections in the order of their scores; 0.9, 0.89, ... where none are given."""
    ids = np.array([1] * len(crops) if classes is None else classes, dtype=np.int64)
    values = np.array([0.9 - 0.01 * place for place in range(len(crops))] if scores is None else scores)
    probabilities = np.random.default_rng(len(crops)).dirichlet(np.ones(CLASSES), len(crops))
    boxes = np.array([crop.window for crop in crops], dtype=np.float64).reshape(-1, 4) + 0.25
    return PlacedPass(SIZE, boxes, probabilities, ids, values, np.arange(len(crops)), tuple(crops))


def scene(seed: int, passes: int = 8) -> list[PlacedPass]:
    """A crowd of jittering discs that come and go, change class, merge with a neighbour or are found twice."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 14))
    middles, widths = rng.uniform((0, 0), SIZE[::-1], (count, 2)), rng.uniform(6, 26, (count, 2))
    found = []
    for _ in range(passes):
        crops, classes = [], []
        for middle, width in zip(middles, widths, strict=True):
            for _ in range(int(rng.choice([0, 1, 2], p=[0.25, 0.6, 0.15]))):
                size = width * rng.uniform(0.7, 1.3, 2) * rng.choice([1, 2], p=[0.9, 0.1])
                crops.append(disc(*(middle + rng.normal(0, 2, 2)), *size))
                classes.append(int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])))
        scores = np.sort(rng.uniform(0.05, 1, len(crops)))[::-1]
        one = found_of(crops, classes, scores.tolist())
        found.append(selected(one, [place for place, crop in enumerate(one.masks) if crop.area]))
    return found


def matched(rule: Matching, passes: list[PlacedPass]) -> Objects:
    matcher = rule.begin(SIZE)
    for found in passes:
        matcher.add(found)
    return matcher.objects()


def members(objects: Objects) -> list[list[Member]]:
    """Of each group, in their order."""
    return [list(zip(group.passes.tolist(), group.scores.tolist(), strict=True)) for group in objects.groups]


def whole(crop: Crop) -> PixelSet:  # [H, W]
    mask = np.zeros(SIZE, dtype=np.bool_)
    x0, y0, x1, y1 = crop.window
    mask[y0:y1, x0:x1] = crop.mask
    return mask


def iou(one: PixelSet, other: PixelSet) -> float:
    return float(np.logical_and(one, other).sum() / np.logical_or(one, other).sum())


def first_by_whole_masks(passes: list[PlacedPass], least_iou: float, least: int) -> list[list[Member]]:
    """The predecessors' rule, written out: one detection after the other, one group after the other."""
    groups: list[list[Member]] = []
    firsts: list[PixelSet] = []
    for number, found in enumerate(passes):
        for place in range(len(found)):
            mask = whole(found.masks[place])
            if mask.sum() < least:
                continue
            for group, first in zip(groups, firsts, strict=True):
                if iou(first, mask) > least_iou:
                    group.append((number, float(found.scores[place])))
                    break
            else:
                groups.append([(number, float(found.scores[place]))])
                firsts.append(mask)
    return groups


def most_frequent(classes: list[int]) -> int:
    return min(set(classes), key=lambda one: (-classes.count(one), one))


def best_by_whole_masks(passes: list[PlacedPass], rule: BestMatch) -> list[list[Member]]:
    """The highest IoU of all that is free, again and again; a running object is the mean of whole masks."""
    groups: list[list[Member]] = []
    sums: list[npt.NDArray[np.float64]] = []
    classes: list[list[int]] = []
    for number, found in enumerate(passes):
        masks = [whole(crop) for crop in found.masks]
        free = [place for place in np.argsort(-found.scores) if masks[place].sum() >= rule.least]
        table = {}
        for group in range(len(groups)):
            share = sums[group] / len(groups[group])
            consensus = (share >= min(0.5, share.max())) & (share > 0)
            for place in free:
                same = int(found.classes[place]) == most_frequent(classes[group])
                value = iou(consensus, masks[place])
                if value >= rule.iou and (same or not rule.class_aware):
                    table[group, place] = value
        homes = {}
        while table:
            group, place = max(table, key=lambda pair: table[pair])
            homes[place] = group
            table = {pair: value for pair, value in table.items() if pair[0] != group and pair[1] != place}
        for place in free:
            if place not in homes:
                homes[place] = len(groups)
                groups.append([])
                sums.append(np.zeros(SIZE))
                classes.append([])
            groups[homes[place]].append((number, float(found.scores[place])))
            sums[homes[place]] += masks[place]
            classes[homes[place]].append(int(found.classes[place]))
    return groups


@pytest.mark.parametrize("rule", [BestMatch(), BestMatch(0.3, class_aware=True), BestMatch(0.2, least=50)])
def test_best_match_equals_the_rule_on_whole_masks(rule: BestMatch) -> None:
    joined = 0
    for seed in range(30):
        passes = scene(seed)
        groups = members(matched(rule, passes))
        assert groups == best_by_whole_masks(passes, rule)
        joined += sum(len(group) > 2 for group in groups)
        assert all(len({number for number, _ in group}) == len(group) <= len(passes) for group in groups)
        total = sum(int(crop.area >= rule.least) for found in passes for crop in found.masks)
        assert sum(map(len, groups)) == total
    assert joined > 40


@pytest.mark.parametrize(("least_iou", "least"), [(0.5, 0), (0.2, 50), (0.1, 50), (0.0, 0)])
def test_first_match_equals_the_predecessors_rule_on_whole_masks(least_iou: float, least: int) -> None:
    several = 0
    for seed in range(25):
        passes = scene(seed)
        groups = members(matched(FirstMatch(least_iou, least), passes))
        assert groups == first_by_whole_masks(passes, least_iou, least)
        several += sum(len({number for number, _ in group}) < len(group) for group in groups)
    assert several > 10  # groups with several detections of a pass


@pytest.mark.parametrize("rule", [BestMatch(), FirstMatch(0.2)])
def test_a_group_holds_its_members_columns_and_counts_them_at_every_pixel(rule: Matching) -> None:
    passes = scene(3)
    objects = matched(rule, passes)
    assert objects.size == SIZE
    assert objects.passes == 8
    for group in objects.groups:
        counts = np.zeros(SIZE, dtype=np.int64)
        for row, (number, score) in enumerate(zip(group.passes.tolist(), group.scores.tolist(), strict=True)):
            found = passes[number]
            place = found.scores.tolist().index(score)
            assert group.boxes[row].tolist() == found.boxes[place].tolist()
            assert group.probabilities[row].tolist() == found.probabilities[place].tolist()
            assert group.classes[row] == found.classes[place]
            assert group.masks[row] is found.masks[place]
            counts += whole(found.masks[place])
        x0, y0, x1, y1 = group.window
        assert np.array_equal(group.counts, counts[y0:y1, x0:x1])
        assert counts.sum() == group.counts.sum()
        assert np.all(np.diff(group.passes) >= 0)
        assert group.passes.dtype == group.classes.dtype == np.int64


@pytest.mark.parametrize("rule", [BestMatch(), FirstMatch(0.2)])
def test_what_was_asked_after_some_passes_is_what_these_give_alone_and_stays(rule: Matching) -> None:
    passes = scene(5)
    matcher = rule.begin(SIZE)
    early: list[tuple[Objects, list[list[Member]], list[npt.NDArray[np.uint16]]]] = []
    for number, found in enumerate(passes, start=1):
        matcher.add(found)
        if number in (2, 4, 8):
            objects = matcher.objects()
            assert members(objects) == members(matched(rule, passes[:number]))
            early.append((objects, members(objects), [group.counts.copy() for group in objects.groups]))
    for objects, then, counts in early:
        assert members(objects) == then
        assert all(np.array_equal(group.counts, one) for group, one in zip(objects.groups, counts, strict=True))


def shuffled(found: PlacedPass, rng: np.random.Generator) -> PlacedPass:
    return selected(found, rng.permutation(len(found)).tolist())


@pytest.mark.parametrize("class_aware", [False, True])
def test_the_order_within_a_pass_changes_no_best_match(class_aware: bool) -> None:
    rng = np.random.default_rng(0)
    for seed in range(10):
        passes = scene(seed)
        rule = BestMatch(0.4, class_aware)
        assert members(matched(rule, [shuffled(one, rng) for one in passes])) == members(matched(rule, passes))


def test_the_order_within_a_pass_changes_no_best_match_of_equal_masks_and_scores() -> None:
    crop = block(10, 10, 20, 20)
    one = found_of([crop, crop, crop], [1, 2, 3], [0.3, 0.3, 0.3])
    passes = [replace(one, proposals=np.zeros(3, dtype=np.int64))] * 3  # classes of one proposal
    rng = np.random.default_rng(0)
    groups = matched(BestMatch(), [shuffled(one, rng) for one in passes]).groups
    assert [group.classes.tolist() for group in groups] == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]  # each with its own class


def test_the_order_of_passes_changes_nothing_while_objects_keep_apart() -> None:
    rng = np.random.default_rng(1)
    places = [(12, 15), (40, 14), (66, 16), (14, 45), (42, 44), (66, 46)]
    passes = []
    for _ in range(8):
        there = [middle for middle in places if rng.random() < 0.7]
        crops = [disc(*(np.array(middle) + rng.normal(0, 0.7, 2)), *rng.uniform(14, 17, 2)) for middle in there]
        passes.append(found_of(crops, scores=np.sort(rng.uniform(0.1, 1, len(crops)))[::-1].tolist()))

    def partition(order: list[int]) -> set[frozenset[Member]]:
        groups = members(matched(BestMatch(), [passes[number] for number in order]))
        return {frozenset((order[number], score) for number, score in group) for group in groups}

    expected = partition(list(range(8)))
    assert len(expected) == 6
    for _ in range(20):
        assert partition(rng.permutation(8).tolist()) == expected


NUCLEI = [block(10, 10, 30, 30), block(30, 10, 50, 30)]  # they touch


def test_two_touching_nuclei_stay_two_whichever_is_more_certain() -> None:
    passes = [found_of(NUCLEI[:: 1 if number % 2 else -1]) for number in range(6)]
    groups = matched(BestMatch(), passes).groups
    assert [len(group) for group in groups] == [6, 6]
    assert {group.window for group in groups} == {crop.window for crop in NUCLEI}


def test_nuclei_that_are_one_object_in_some_passes_stay_two_beside_it() -> None:
    merged = [block(10, 10, 51, 30)]  # IoU below one half with each
    passes = [found_of(NUCLEI if number % 3 else merged) for number in range(6)]
    groups = matched(BestMatch(), passes).groups
    assert sorted(len(group) for group in groups) == [2, 4, 4]
    split_later = matched(BestMatch(), [found_of(merged), found_of(NUCLEI), found_of(merged), found_of(NUCLEI)])
    assert [group.passes.tolist() for group in split_later.groups] == [[0, 2], [1, 3], [1, 3]]


def test_duplicates_of_one_pass_are_two_objects_for_best_match_and_one_for_the_predecessors() -> None:
    twice = found_of([block(10, 10, 30, 30), block(11, 10, 31, 30)])
    groups = matched(BestMatch(), [twice, twice]).groups
    assert [group.passes.tolist() for group in groups] == [[0, 1], [0, 1]]
    assert [len(set(group.scores.tolist())) for group in groups] == [1, 1]
    assert members(matched(FirstMatch(), [twice, twice])) == [[(0, 0.9), (0, 0.89), (1, 0.9), (1, 0.89)]]


def test_the_best_pair_is_joined_where_the_first_group_would_do() -> None:
    first = found_of([block(10, 10, 30, 30), block(16, 10, 36, 30)])
    second = found_of([block(16, 10, 36, 30)])  # 14 / 26 of the first one, all of the second
    assert members(matched(BestMatch(), [first, second])) == [[(0, 0.9)], [(0, 0.89), (1, 0.9)]]
    assert members(matched(FirstMatch(), [first, second])) == [[(0, 0.9), (0, 0.89), (1, 0.9)]]


def test_a_drifting_object_is_followed_by_best_match_only() -> None:
    passes = [found_of([block(10 + 2 * step, 10, 40 + 2 * step, 30)]) for step in range(6)]
    assert [len(group) for group in matched(BestMatch(0.6), passes).groups] == [6]
    assert len(matched(FirstMatch(0.6), passes)) == 2


def test_best_match_takes_a_pair_at_its_least_iou_and_first_match_one_above() -> None:
    passes = [found_of([block(10, 10, 30, 30)]), found_of([block(10, 10, 30, 20)])]  # IoU of exactly one half
    assert len(matched(BestMatch(0.5), passes)) == 1
    assert len(matched(FirstMatch(0.5), passes)) == 2


def test_class_aware_matching_keeps_to_the_most_frequent_class() -> None:
    crop = block(10, 10, 30, 30)
    passes = [found_of([crop], [kind]) for kind in (1, 2, 1, 2, 2)]
    assert len(matched(BestMatch(), passes)) == 1
    groups = matched(BestMatch(class_aware=True), passes).groups
    assert [group.passes.tolist() for group in groups] == [[0, 2], [1, 3, 4]]


@pytest.mark.parametrize("rule", [BestMatch(), FirstMatch()])
def test_passes_without_detections_are_counted(rule: Matching) -> None:
    none, one = found_of([]), found_of([block(10, 10, 30, 30)])
    empty = matched(rule, [none, none, none])
    assert empty.passes == 3
    assert len(empty) == 0
    mixed = matched(rule, [none, one, none, one])
    assert mixed.passes == 4
    assert [group.passes.tolist() for group in mixed.groups] == [[1, 3]]
    assert matched(rule, []).passes == 0


def test_small_masks_are_left_out_from_the_stated_size_on() -> None:
    passes = [found_of([block(10, 10, 20, 15), block(40, 10, 47, 17)])]  # 50 and 49 pixels
    for rule in (BestMatch(least=50), FirstMatch(least=50)):
        assert [group.window for group in matched(rule, passes).groups] == [(10, 10, 20, 15)]


def test_a_rule_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"BestMatch: iou=0 of masks; choose more than 0"):
        BestMatch(0)
    with pytest.raises(ValueError, match=r"FirstMatch: iou=1 of masks, to be exceeded"):
        FirstMatch(1)
    with pytest.raises(ValueError, match=r"BestMatch: least=-1 pixels"):
        BestMatch(least=-1)
    with pytest.raises(ValueError, match=r"FirstMatch: least=-1 pixels"):
        replace(FirstMatch(), least=-1)
