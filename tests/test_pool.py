"""What the pool knows and bills, against plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from seg_al.core import Query, Region
from seg_al.pool import Pool


class Sizes:
    """Three images of different sizes."""

    sizes = {"a": (4, 5), "b": (6, 2), "c": (1, 3)}  # noqa: RUF012

    def size(self, name: str) -> tuple[int, int]:
        return self.sizes[name]

    def image(self, name: str) -> np.ndarray:
        raise AssertionError("the pool needs no pixel")


def query(name: str, mask: np.ndarray | None = None) -> Query:
    size = Sizes.sizes[name]
    return Query(name, Region.whole(size) if mask is None else Region.of(mask), "")


def corner() -> np.ndarray:
    mask = np.zeros((4, 5), dtype=np.bool_)
    mask[:2, :3] = True
    return mask


def test_costs_are_sums_of_shares_pixels_and_regions() -> None:
    pool = Pool(["c", "a", "b"], Sizes())
    assert pool.names == ("a", "b", "c")
    pool.reveal([query("b"), query("a", corner())])
    assert pool.cost("images") == pytest.approx(1 + 6 / 20)
    assert pool.cost("pixels") == 12 + 6
    assert pool.cost("regions") == 2
    assert pool.left("images") == pytest.approx(14 / 20 + 1)
    assert pool.left("pixels") == 14 + 3


def test_shares_of_an_image_add_up_to_one_image() -> None:
    pool = Pool(["a"], Sizes())
    for place in range(20):
        pool.reveal([query("a", np.arange(20).reshape(4, 5) == place)])
    assert pool.cost("images") == 1
    assert pool.open == ()
    assert pool.left("images") == pool.left("pixels") == 0


def test_an_image_is_open_until_its_last_pixel_is_known() -> None:
    pool = Pool("abc", Sizes())
    pool.reveal([query("a", corner())])
    assert pool.open == ("a", "b", "c")
    assert pool.labelled == ("a",)
    assert (pool.known("a") == corner()).all()
    assert not pool.known("b").any()
    pool.reveal([query("a", ~corner()), query("c")])
    assert pool.open == ("b",)
    assert pool.labelled == ("a", "c")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (query("a", corner()), "the query about a asks for pixels that are known already"),
        (query("a"), "known already"),
        (Query("z", Region.whole((4, 5)), ""), "the query about z is not about an image of the pool"),
        (
            Query("b", Region.whole((2, 6)), ""),
            r"made for \(2, 6\) pixels \(height, width\), but the image has \(6, 2\)",
        ),
    ],
)
def test_a_question_that_cannot_be_right_is_refused_and_not_billed(asked: Query, told: str) -> None:
    pool = Pool("abc", Sizes())
    pool.reveal([query("a", corner())])
    before = [pool.cost(unit) for unit in ("images", "pixels", "regions")]
    with pytest.raises(ValueError, match=told):
        pool.reveal([asked])
    assert [pool.cost(unit) for unit in ("images", "pixels", "regions")] == before


def test_a_copy_does_not_learn_what_is_answered_later() -> None:
    pool = Pool("abc", Sizes())
    pool.reveal([query("a", corner())])
    copy = pool.copy()
    pool.reveal([query("a", ~corner()), query("b")])
    assert copy.labelled == ("a",)
    assert (copy.known("a") == corner()).all()
    assert copy.cost("pixels") == 6
    copy.reveal([query("c")])
    assert "c" not in pool.labelled


def test_a_region_is_its_mask_whatever_the_shape() -> None:
    rng = np.random.default_rng(0)
    for mask in [rng.random((7, 9)) < share for share in (0.0, 0.2, 0.5, 1.0)]:
        region = Region.of(mask)
        assert (region.mask() == mask).all()
        assert region.area == mask.sum()
        assert region.cost("images") == pytest.approx(mask.mean())
    assert Region.of(np.ones((7, 9), dtype=np.bool_)) == Region.whole((7, 9))
