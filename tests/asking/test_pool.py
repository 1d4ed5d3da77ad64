"""What the pool knows and bills, against plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from seg_al.asking.pool import Pool
from seg_al.core import Answer, Region


class Sizes:
    """Three images of different sizes."""

    sizes = {"a": (4, 5), "b": (6, 2), "c": (1, 3)}  # noqa: RUF012

    def size(self, name: str) -> tuple[int, int]:
        return self.sizes[name]

    def askable(self, name: str) -> np.ndarray | None:
        return None

    def image(self, name: str) -> np.ndarray:
        raise AssertionError("the pool needs no pixel")


class Bordered(Sizes):
    """The first row of each image is of no class."""

    def askable(self, name: str) -> np.ndarray:
        mask = np.ones(self.sizes[name], dtype=np.bool_)
        mask[0] = False
        return mask


def answer(name: str, mask: np.ndarray | None = None, clicks: int = 1, vertices: int = 0) -> Answer:
    size = Sizes.sizes[name]
    return Answer(name, Region.whole(size) if mask is None else Region.of(mask), clicks, vertices)


def corner() -> np.ndarray:
    mask = np.zeros((4, 5), dtype=np.bool_)
    mask[:2, :3] = True
    return mask


def test_costs_are_sums_of_shares_pixels_regions_clicks_and_vertices() -> None:
    pool = Pool(["c", "a", "b"], Sizes())
    assert pool.names == ("a", "b", "c")
    pool.reveal([answer("b", clicks=3, vertices=12), answer("a", corner())])
    assert pool.cost("clicks") == 3 + 1
    assert pool.cost("vertices") == 12
    assert pool.cost("images") == pytest.approx(1 + 6 / 20)
    assert pool.cost("pixels") == 12 + 6
    assert pool.cost("regions") == 2
    assert pool.left("images") == pytest.approx(14 / 20 + 1)
    assert pool.left("pixels") == 14 + 3


def test_shares_of_an_image_add_up_to_one_image() -> None:
    pool = Pool(["a"], Sizes())
    for place in range(20):
        pool.reveal([answer("a", np.arange(20).reshape(4, 5) == place)])
    assert pool.cost("images") == 1
    assert pool.open == ()
    assert pool.left("images") == pool.left("pixels") == 0


def test_an_image_is_open_until_its_last_pixel_is_known() -> None:
    pool = Pool("abc", Sizes())
    pool.reveal([answer("a", corner())])
    assert pool.open == ("a", "b", "c")
    assert pool.labelled == ("a",)
    assert (pool.known("a") == corner()).all()
    assert not pool.known("b").any()
    pool.reveal([answer("a", ~corner()), answer("c")])
    assert pool.open == ("b",)
    assert pool.labelled == ("a", "c")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (answer("a", corner()), "the query about a asks for pixels that are known already"),
        (answer("a"), "known already"),
        (Answer("z", Region.whole((4, 5)), 1, 0), "the query about z is not about an image of the pool"),
        (
            Answer("b", Region.whole((2, 6)), 1, 0),
            r"made for \(2, 6\) pixels \(height, width\), but the image has \(6, 2\)",
        ),
    ],
)
def test_a_question_that_cannot_be_right_is_refused_and_not_billed(asked: Answer, told: str) -> None:
    pool = Pool("abc", Sizes())
    pool.reveal([answer("a", corner())])
    before = [pool.cost(unit) for unit in ("images", "pixels", "regions")]
    with pytest.raises(ValueError, match=told):
        pool.reveal([asked])
    assert [pool.cost(unit) for unit in ("images", "pixels", "regions")] == before


def test_what_is_of_no_class_is_neither_open_nor_billed_nor_taken_as_an_answer() -> None:
    pool = Pool("abc", Bordered())
    assert pool.open == ("a", "b"), "c is one row, which is of no class"
    assert pool.left("pixels") == 15 + 10
    rest = Bordered().askable("a")
    pool.reveal([answer("a", rest)])
    assert pool.cost("images") == 1
    assert pool.cost("pixels") == 15
    assert pool.open == ("b",)
    assert (pool.unknown("b") == Bordered().askable("b")).all()
    with pytest.raises(ValueError, match="the query about b asks for pixels that are of no class"):
        pool.reveal([answer("b")])


def test_the_regions_of_an_image_are_kept_answer_by_answer_and_an_empty_one_labels_nothing() -> None:
    pool = Pool("abc", Sizes())
    nothing = Answer("c", Region((1, 3), ()), 0, 0)
    pool.reveal([answer("a", corner()), answer("a", ~corner()), nothing])
    assert pool.answered("a") == (Region.of(corner()), Region.of(~corner()))
    assert pool.labelled == ("a",)
    assert pool.cost("regions") == 3


def test_a_copy_does_not_learn_what_is_answered_later() -> None:
    pool = Pool("abc", Sizes())
    pool.reveal([answer("a", corner())])
    copy = pool.copy()
    pool.reveal([answer("a", ~corner()), answer("b")])
    assert copy.labelled == ("a",)
    assert (copy.known("a") == corner()).all()
    assert copy.cost("pixels") == 6
    copy.reveal([answer("c")])
    assert "c" not in pool.labelled


def test_a_region_is_its_mask_whatever_the_shape() -> None:
    rng = np.random.default_rng(0)
    for mask in [rng.random((7, 9)) < share for share in (0.0, 0.2, 0.5, 1.0)]:
        region = Region.of(mask)
        assert (region.pixels() == mask).all()
        assert region.area == mask.sum()
        values = rng.integers(0, 9, mask.shape)
        assert (region.pixels_of(values) == values[mask]).all()
        copied = np.zeros_like(values)
        region.copy(values, copied)
        assert (copied == np.where(mask, values, 0)).all()
    assert Region.of(np.ones((7, 9), dtype=np.bool_)) == Region.whole((7, 9))
