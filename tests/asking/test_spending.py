"""What is bought of the order that a selector gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from seg_al.asking.spending import purchase, spend
from seg_al.core import Candidates
from seg_al.selectors.ranking import bought


@dataclass(frozen=True)
class Wanting:
    """A selector that does what it is told."""

    order: Callable[[Candidates, float], Iterable[int]]
    descriptor: ClassVar[None] = None
    reads_known: ClassVar[bool] = False
    truth: ClassVar[None] = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        return self.order(candidates, budget)


def candidates(scores: np.ndarray) -> Candidates:
    count = len(scores)
    return Candidates(("a",) * count, np.arange(count), scores.astype(np.float64), np.ones(count))


def plainly_shuffled(rows: Candidates, rng: np.random.Generator) -> np.ndarray:
    order = np.lexsort((rows.units, np.array(rows.images, dtype=np.str_)))
    return order[rng.permutation(len(order))]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_selector_sees_rows_that_are_shuffled_as_if_their_names_were_sorted_as_text(ordered: bool) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        names = rng.choice(["img9", "img10", "Img", "é", "a/b"][: 1 + seed % 5], 40)
        rows = replace(candidates(rng.random(40)), images=tuple(map(str, names)), units=rng.permutation(40))
        if ordered:
            order = np.lexsort((rows.units, names))
            rows = replace(rows, images=tuple(map(str, names[order])), units=rows.units[order])
        seen: list[Candidates] = []
        chosen = spend(Wanting(lambda given, _, seen=seen: seen.append(given) or range(40)), rows, 39,
                       np.random.default_rng(seed))  # fmt: skip
        order = plainly_shuffled(rows, np.random.default_rng(seed))
        assert chosen == order[:39].tolist()
        assert seen[0].images == tuple(rows.images[place] for place in order)
        assert (seen[0].units == rows.units[order]).all()


def test_a_selector_that_repeats_itself_or_stops_early_is_completed_by_the_highest_scores() -> None:
    def wanted(rows: Candidates, budget: float) -> list[int]:
        one, four = (int(np.flatnonzero(rows.units == unit)[0]) for unit in (1, 4))
        return [one, one, four]

    assert spend(Wanting(wanted), candidates(np.arange(6.0)), 4, np.random.default_rng(0)) == [1, 4, 5, 3]


@pytest.mark.parametrize(("wanted", "named"), [([0, 0, 0], 1), ([3], 1), ([0, 1, 2, 3, 4], 4), ([], 0)])
def test_a_purchase_tells_how_many_the_selector_named(wanted: list[int], named: int) -> None:
    bill = purchase(Wanting(lambda *_: wanted), candidates(np.arange(6.0)), 4, np.random.default_rng(0))
    assert len(bill.positions) == 4
    assert bill.named == named


def test_a_selector_that_is_not_asked_names_nothing() -> None:
    assert purchase(Wanting(lambda *_: ()), candidates(np.arange(3.0)), 3, np.random.default_rng(0)).named is None


def test_a_selector_that_gives_none_is_told_to_give_positions() -> None:
    with pytest.raises(ValueError, match="selector=Wanting gave None; it has to give positions"):
        spend(Wanting(lambda *_: None), candidates(np.arange(6.0)), 4, np.random.default_rng(0))  # type: ignore[arg-type,return-value]


def test_what_is_no_position_is_refused() -> None:
    for wrong in (-1, 6, 1.5):
        with pytest.raises(ValueError, match=rf"selector=Wanting wants {wrong} of 6 candidates.* 0 to 5"):
            spend(Wanting(lambda *_, wrong=wrong: [0, wrong]), candidates(np.arange(6.0)), 4, np.random.default_rng(0))


def test_a_selector_is_not_asked_where_all_can_be_bought_or_nothing_is_there() -> None:
    def refuses(rows: Candidates, budget: float) -> list[int]:
        raise AssertionError

    rows = replace(candidates(np.array([1.0, 3.0, 2.0])), costs=np.array([0.1, 0.2, 0.3]))  # sums to more than 0.6
    assert spend(Wanting(refuses), rows, 0.6, np.random.default_rng(0)) == [1, 2, 0]
    assert spend(Wanting(refuses), rows.take(np.arange(0)), 1, np.random.default_rng(0)) == []


def test_the_budget_has_room_for_the_rounding_of_shares() -> None:
    rows = replace(candidates(np.array([3.0, 2.0, 1.0, 0.0])), costs=np.array([0.1, 0.2, 0.3, 0.4]))
    seen: list[float] = []
    assert spend(Wanting(lambda _, budget: seen.append(budget) or ()), rows, 0.6, np.random.default_rng(0)) == [0, 1, 2]
    assert 0.1 + 0.2 + 0.3 > 0.6
    assert seen[0] >= 0.1 + 0.2 + 0.3


def test_buying_passes_over_what_is_too_dear_and_stops_when_nothing_is_affordable() -> None:
    costs = np.array([1.0, 3.0, 0.5, 1.0])
    assert bought([1, 0, 3, 2], costs, 1.5) == [0, 2]
    endless = iter(lambda: 0, 1)
    assert bought(endless, np.array([1.0]), 2.5) == [0, 0]
