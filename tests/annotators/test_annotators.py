"""What the oracle answers in each of its ways, and what it bills, against answers drawn by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bare_dataset import BareDataset

from seg_al.annotators.oracle import Oracle
from seg_al.core import IGNORE, PixelSet, Query, Region
from seg_al.tasks.pixels.class_labels import dominant
from seg_al.tasks.pixels.outlines import pieces
from seg_al.tasks.semantic import SemanticSegmentation

SEMANTIC = SemanticSegmentation(objects=False, bayesian=False)
V = IGNORE
TARGET = np.array(
    [
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [0, 2, 0, 1, 1, V],
        [0, 0, 0, 0, V, V],
    ],
    dtype=np.uint8,
)
OBJECTS = np.array(
    [
        [9, 9, 9, 4, 4, 5],
        [9, 9, 9, 4, 4, 5],
        [9, 7, 9, 4, 4, 5],
        [9, 9, 9, 9, 0, 0],
    ],
    dtype=np.int32,
)


class Scene(BareDataset):
    """One small image with classes, objects and void."""

    pool = ("a",)

    def __init__(self, objects: np.ndarray | None = OBJECTS) -> None:
        self._objects = objects

    def target(self, name: str) -> np.ndarray:
        return TARGET

    def objects(self, name: str) -> np.ndarray | None:
        return self._objects


def region(rows: slice, columns: slice) -> Region:
    mask = np.zeros(TARGET.shape, dtype=np.bool_)
    mask[rows, columns] = True
    return Region.of(mask & (TARGET != IGNORE))


def nothing(name: str) -> PixelSet:
    return np.zeros(TARGET.shape, dtype=np.bool_)


LEFT = region(slice(0, 3), slice(0, 4))  # ten of class 0, one of class 2, three of class 1
RIGHT = region(slice(0, 3), slice(4, 6))


def asked(oracle: Oracle, *regions: Region, known=nothing):
    return oracle.answer([Query("a", one, "") for one in regions], known, Path("unused"))


def test_true_labels_are_those_of_the_asked_pixels_and_every_piece_of_a_class_is_a_click() -> None:
    oracle = Oracle(Scene(), SEMANTIC, "true")
    left, right = asked(oracle, LEFT, RIGHT)
    assert (left.region, right.region) == (LEFT, RIGHT)
    assert left.clicks == 3, "the piece of class 0 with its hole, the hole, and a piece of class 1"
    assert (right.clicks, right.vertices) == (1, 0), "one class: named, not drawn"
    labels = oracle.reveal("a", [LEFT])
    assert (labels == np.where(LEFT.pixels(), TARGET, IGNORE)).all()


def test_a_dominant_label_is_one_click_and_covers_the_region() -> None:
    oracle = Oracle(Scene(), SEMANTIC, "dominant")
    left, right = asked(oracle, LEFT, RIGHT)
    assert (left.clicks, left.vertices, right.clicks, right.vertices) == (1, 0, 1, 0)
    labels = oracle.reveal("a", [LEFT, RIGHT])
    assert (labels[LEFT.pixels()] == 0).all()
    assert (labels[RIGHT.pixels()] == 1).all()
    assert (labels[~(LEFT.pixels() | RIGHT.pixels())] == IGNORE).all()


def test_the_first_of_equally_frequent_classes_dominates_and_void_never_does() -> None:
    assert dominant(np.array([3, 1, 3, 1, V, V, V], dtype=np.uint8)) == 1
    assert dominant(np.array([V, V], dtype=np.uint8)) == IGNORE


def test_instances_are_revealed_in_full_once_and_never_void_or_what_was_known() -> None:
    oracle = Oracle(Scene(), SEMANTIC, "instances")
    touch = region(slice(0, 1), slice(4, 6))  # objects 4 and 5
    known = nothing("a")
    known[0, 3] = True
    first, second = asked(oracle, touch, region(slice(1, 2), slice(3, 6)), known=lambda name: known)
    expected = np.isin(OBJECTS, [4, 5]) & (TARGET != IGNORE) & ~known
    assert (first.region.pixels() == expected).all()
    assert (second.region.area, second.clicks, second.vertices) == (0, 0, 0), "revealed by the first already"


def test_instances_need_a_dataset_that_has_them() -> None:
    with pytest.raises(ValueError, match=r"annotator=oracle_instances needs a dataset with object ids; take annotator"):
        Oracle(Scene(objects=None), SEMANTIC, "instances")


def test_the_pieces_of_an_answer_are_counted_and_all_but_the_most_cornered_are_drawn() -> None:
    target = np.zeros((20, 20), dtype=np.uint8)
    target[5:12, 4:15] = 1  # a rectangle, four corners, a hole of class 0
    whole = np.ones(target.shape, dtype=np.bool_)
    assert pieces(target, whole) == (2, 4), "the rectangle is drawn, the rest is what it leaves"
    target[15:18, 2:6] = 1
    target[15:18, 10:14] = 2
    assert pieces(target, whole) == (4, 12)
    assert pieces(target, ~whole) == (0, 0)
    assert pieces(np.full((4, 4), IGNORE, dtype=np.uint8), np.ones((4, 4), dtype=np.bool_)) == (0, 0)
    many = (np.indices((16, 16)).sum(0) % 2).astype(np.uint8)
    assert pieces(many, np.ones((16, 16), dtype=np.bool_))[0] == 256, "pixels that touch at corners are apart"


def test_pieces_and_corners_do_not_depend_on_where_the_region_lies() -> None:
    rng = np.random.default_rng(0)
    small = np.kron(rng.integers(0, 4, (6, 6)), np.ones((5, 5))).astype(np.uint8)
    big = np.full((80, 90), 3, dtype=np.uint8)
    big[30:60, 40:70] = small
    mask = np.zeros(big.shape, dtype=np.bool_)
    mask[30:60, 40:70] = True
    assert pieces(big, mask) == pieces(small, np.ones(small.shape, dtype=np.bool_))
