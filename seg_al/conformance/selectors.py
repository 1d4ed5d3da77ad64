"""Is this a selector? Laws that any selector from outside can be put through.

    check_selector(Mine())                      # AssertionError that lists what is broken

    class TestMine(SelectorSuite):              # or: one pytest test for each law
        def make(self) -> Selector:
            return Mine()

What is spent, once for all selectors, is spent by asking/spending.py; the laws look at both sides of that border.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from seg_al.asking.spending import spend
from seg_al.conformance.laws import Suite, require, require_laws
from seg_al.conformance.synthetic_passes import random_passes
from seg_al.core import CLASSES, Candidates, EvidenceSet, Narrowing, Scene, Selector
from seg_al.predictors.class_maps import class_maps_of
from seg_al.predictors.features import Features

SIDE, NUMBER_OF_CLASSES = 6, 3
LABELLED = 6
"""Units of the labelled set."""
COSTS = (0.5, 1.0, 1.25)
BUDGET = 5.0

FloatVectors = npt.NDArray[np.float32]
Asked = list[tuple[str, int]]


def check_selector(selector: Selector) -> None:
    """Raises AssertionError with every law that the selector breaks."""
    require_laws(selector, LAWS)


def candidates_for(selector: Selector, count: int, seed: int = 0) -> Candidates:
    """Two units of each of count / 2 images, described as the selector asks for, of different costs."""
    rng = np.random.default_rng(seed)
    columns = described(selector, count + LABELLED, seed)
    words = ["", "0", "1", "0,2", "0,1,2"] if selector.truth == CLASSES else ["low", "middle", "high"]
    return Candidates(
        images=tuple(f"image{position // 2:03d}" for position in range(count)),
        units=np.arange(count) % 2,
        scores=rng.random(count),
        costs=rng.choice(COSTS, count),
        descriptors=None if columns is None else columns[:count],
        known=columns[count:] if columns is not None and selector.reads_known else None,
        truth=tuple(rng.choice(words, count).tolist()) if selector.truth else None,
        round=2,
    )


def described(selector: Selector, count: int, seed: int) -> FloatVectors | None:  # [count, D]
    """What the selector's descriptor says of the upper and the lower halves of made-up images."""
    if selector.descriptor is None:
        return None
    ids = torch.arange(SIDE * SIDE).view(SIDE, SIDE) // (SIDE * SIDE // 2)
    rows = [selector.descriptor(scene(seed, image), ids, 2) for image in range((count + 1) // 2)]
    return np.concatenate([row.float().numpy() for row in rows])[:count]


def scene(seed: int, image: int) -> Scene:
    """Of a made-up image, with all that a descriptor may read."""
    generator = torch.Generator().manual_seed(1000 * seed + image)
    probabilities = torch.from_numpy(random_passes((3, NUMBER_OF_CLASSES, SIDE, SIDE), 2.0, 1000 * seed + image))
    features = torch.randn(5, SIDE // 2, SIDE // 2, generator=generator)
    penultimate = torch.randn(4, SIDE, SIDE, generator=generator)
    size = (SIDE, SIDE)
    evidence = EvidenceSet(size, (class_maps_of(probabilities), Features(size, features, penultimate)))
    black, everywhere = np.zeros((*size, 3), np.uint8), torch.ones(size, dtype=torch.bool)
    return Scene(f"image{image}", lambda: black, everywhere, evidence, None, np.random.default_rng(seed))


def asked(selector: Selector, candidates: Candidates, budget: float, seed: int = 1) -> Asked:
    """Image and unit of what is bought, most wanted first."""
    positions = spend(selector, candidates, budget, np.random.default_rng(seed))
    return [(candidates.images[position], int(candidates.units[position])) for position in positions]


def alike(selector: Selector, count: int) -> Candidates:
    """Candidates that nothing tells apart but their names."""
    given = candidates_for(selector, count)
    copies = None if given.descriptors is None else np.tile(given.descriptors[:1], (count, 1))
    return replace(given, scores=np.full(count, 0.5), costs=np.ones(count), descriptors=copies)


def says_what_it_reads(selector: Selector) -> None:
    """It describes units by finite numbers, as many for each; whoever reads the labelled set has a descriptor."""
    columns = described(selector, 4, 0)
    if columns is None:
        require(not selector.reads_known, "reads_known is True, but without a descriptor nothing is described")
        return
    require(columns.shape[0] == 4, f"the descriptor gives {columns.shape[0]} rows for 4 units")
    require(columns.ndim == 2, f"the descriptor gives {columns.shape} in place of [units, numbers]")
    require(bool(np.isfinite(columns).all()), "the descriptor holds NaN or infinity")
    again = described(selector, 4, 0)
    require(again is not None and np.array_equal(columns, again), "the descriptor says two things of the same unit")


def wants_positions_that_exist(selector: Selector) -> None:
    """Whole numbers from 0 on below the number of candidates, and an end to them."""
    given = candidates_for(selector, 30)
    most = 20 * len(given)
    wanted = list(islice(selector(given, BUDGET, np.random.default_rng(0)), most + 1))
    require(len(wanted) <= most, f"it goes on after {most} positions of {len(given)} candidates")
    for position in wanted:
        whole = isinstance(position, int | np.integer)
        require(whole and 0 <= position < len(given), f"{position!r} is no position among {len(given)} candidates")


def wants_the_same_of_the_same_draw(selector: Selector) -> None:
    """The same rng asks the same, whatever was asked in between: nothing is remembered or drawn from elsewhere."""
    given = candidates_for(selector, 30)
    first = asked(selector, given, BUDGET)
    asked(selector, candidates_for(selector, 12, seed=1), 2.0, seed=2)
    again = asked(selector, given, BUDGET)
    require(first == again, f"the same rng asks {first[:4]}... and then {again[:4]}...; draw from `rng` alone")


def spends_the_budget_and_no_more(selector: Selector) -> None:
    """No unit twice, no more than there is, until nothing that is left is affordable."""
    for seed in range(3):
        given = candidates_for(selector, 30, seed)
        positions = spend(selector, given, BUDGET, np.random.default_rng(seed))
        require(len(set(positions)) == len(positions), "a unit is asked twice")
        left = BUDGET - float(given.costs[positions].sum())
        require(left >= -1e-6, f"it spends {BUDGET - left:g} of {BUDGET:g}")
        cheapest = float(np.delete(given.costs, positions).min())
        require(left < cheapest + 1e-6, f"it leaves {left:g} of {BUDGET:g}, which buys a unit of {cheapest:g}")


def takes_rows_in_any_order(selector: Selector) -> None:
    given = candidates_for(selector, 30)
    first = asked(selector, given, BUDGET)
    for seed in range(3):
        moved = asked(selector, given.take(np.random.default_rng(seed).permutation(30)), BUDGET)
        require(first == moved, f"other rows first, and it asks {moved[:4]}... in place of {first[:4]}...")


def reads_names_only_to_tell_images_apart(selector: Selector) -> None:
    given = candidates_for(selector, 30)
    renamed = replace(given, images=tuple(f"slide-{name}" for name in given.images))
    first, other = asked(selector, given, BUDGET), asked(selector, renamed, BUDGET)
    same = [(name.removeprefix("slide-"), unit) for name, unit in other] == first
    require(same, f"images of other names, and it asks {other[:4]}... in place of {first[:4]}...")


def takes_costs_in_any_unit(selector: Selector) -> None:
    """A budget of images and the same in pixels buy the same."""
    given, pixels = candidates_for(selector, 30), 4096
    first = asked(selector, given, BUDGET)
    other = asked(selector, replace(given, costs=given.costs * pixels), BUDGET * pixels)
    require(first == other, f"costs in another unit, and it asks {other[:4]}... in place of {first[:4]}...")


def draws_among_equals(selector: Selector) -> None:
    """Where nothing tells units apart, each has its chance: neither the name nor the position decides."""
    given = alike(selector, 20)
    batches = [asked(selector, given, 4.0, seed) for seed in range(30)]
    require({len(set(batch)) for batch in batches} == {4}, "equal units of cost 1: a budget of 4 does not buy 4")
    seen = len({one for batch in batches for one in batch})
    require(seen >= 15, f"30 draws of 4 among 20 equal units ask only {seen} different ones")


def serves_any_scores_from_zero_on(selector: Selector) -> None:
    """All 0, and a single one above, as when no image shows an object."""
    given = alike(selector, 20)
    for scores in (np.zeros(20), np.eye(20)[3]):
        count = len(asked(selector, replace(given, scores=scores), 4.0))
        require(count == 4, f"of 20 units of cost 1 a budget of 4 buys {count}")


def serves_few_candidates(selector: Selector) -> None:
    for count in (2, 3):
        given = replace(candidates_for(selector, count), costs=np.ones(count))
        bought = len(asked(selector, given, 1.0))
        require(bought == 1, f"of {count} units of cost 1 a budget of 1 buys {bought}")


def writes_nothing(selector: Selector) -> None:
    given = candidates_for(selector, 16)
    every = {
        "units": given.units,
        "scores": given.scores,
        "costs": given.costs,
        "descriptors": given.descriptors,
        "known": given.known,
    }
    columns = {name: column for name, column in every.items() if column is not None}
    before = {name: column.copy() for name, column in columns.items()}
    list(islice(selector(given, 3.0, np.random.default_rng(0)), len(given)))
    if isinstance(selector, Narrowing):
        selector.narrowed(given, 3.0)
    changed = [name for name, column in columns.items() if not np.array_equal(column, before[name])]
    require(not changed, f"it writes into the candidates' {', '.join(changed)}; work on a copy")


LAWS = (
    says_what_it_reads,
    wants_positions_that_exist,
    wants_the_same_of_the_same_draw,
    spends_the_budget_and_no_more,
    takes_rows_in_any_order,
    reads_names_only_to_tell_images_apart,
    takes_costs_in_any_unit,
    draws_among_equals,
    serves_any_scores_from_zero_on,
    serves_few_candidates,
    writes_nothing,
)


class SelectorSuite(Suite[Selector]):
    """One test for each law; `make` returns the selector."""

    laws = LAWS
