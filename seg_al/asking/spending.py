"""Spends a round's budget in the order of a selector, with care for ties, rounding, NaN and the order of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from numbers import Integral

import numpy as np
import numpy.typing as npt

from seg_al.core import Candidates, Narrowing, Ranking, Selector
from seg_al.selectors.ranking import bought

ROUNDING = 1 + 1e-9
"""Shares of an image add up with rounding, so that a budget is stretched by this factor."""


@dataclass(frozen=True)
class Purchase:
    """What a budget bought."""

    positions: list[int]
    """Most wanted first."""
    named: int | None
    """How many of them the selector named, which come first; None: it was not asked."""


def spend(selector: Selector, candidates: Candidates, budget: float, rng: np.random.Generator) -> list[int]:
    """The positions of a purchase."""
    return purchase(selector, candidates, budget, rng).positions


def purchase(selector: Selector, candidates: Candidates, budget: float, rng: np.random.Generator) -> Purchase:
    """Positions of bought candidates, most wanted first: those of the selector, then those of the highest scores.

    A selector sees shuffled rows and the stretched budget. It is not asked where the budget buys every candidate, or
    where there is none. Raises ValueError where a score or descriptor is not finite, or what it wants is no position.
    """
    check_finite(candidates)
    if not len(candidates):
        return Purchase([], None)
    money = budget * ROUNDING
    given = np.arange(len(candidates))
    rank: Ranking = selector
    if isinstance(selector, Narrowing):
        given, rank = selector.narrowed(candidates, money)
        candidates = candidates.take(given)
    order = _by_name(candidates)[rng.permutation(len(candidates))]
    rows = candidates.take(order)
    asked, named = bool(rows.costs.sum() > money), set[int]()
    wanted = _checked(rank(rows, money, rng) if asked else (), len(rows), selector, named)
    chosen = bought(_once(chain(wanted, _by_score(rows)), len(rows)), rows.costs, money)
    positions = [int(given[order[position]]) for position in chosen]
    return Purchase(positions, sum(position in named for position in chosen) if asked else None)


def _checked(wanted: Iterable[int], count: int, selector: Selector, named: set[int]) -> Iterator[int]:
    """Notes what is named. A negative position would count from the end, and a share would be rounded: mistakes."""
    if not isinstance(wanted, Iterable):
        kind = "None" if wanted is None else f"a {type(wanted).__name__}"
        raise ValueError(f"selector={type(selector).__name__} gave {kind}; it has to give positions")
    for position in wanted:
        if not (isinstance(position, Integral) and 0 <= position < count):
            raise ValueError(
                f"selector={type(selector).__name__} wants {position} of {count} candidates; it has to give positions "
                f"from 0 to {count - 1}"
            )
        named.add(int(position))
        yield int(position)


def _by_name(candidates: Candidates) -> npt.NDArray[np.intp]:  # [M]
    """Positions by (image, unit), without an array of names: there may be millions of pixels of a single image."""
    rank = {name: place for place, name in enumerate(sorted(set(candidates.images)))}
    names = np.zeros(len(candidates), dtype=np.int64)
    if len(rank) > 1:
        names[:] = np.fromiter(map(rank.__getitem__, candidates.images), dtype=np.int64, count=len(names))
    same, units = np.diff(names), np.diff(candidates.units)
    if ((same > 0) | ((same == 0) & (units >= 0))).all():
        return np.arange(len(names))
    return np.lexsort((candidates.units, names))


def check_finite(candidates: Candidates) -> None:
    """Raises ValueError naming the image of a score or descriptor that is NaN or infinite."""
    columns = {"score": candidates.scores[:, None], "descriptor": candidates.descriptors}
    for name, values in columns.items():
        if values is None:
            continue
        bad = np.flatnonzero(~np.isfinite(values).all(1))
        if len(bad):
            where = f"image {candidates.images[bad[0]]!r}, unit {candidates.units[bad[0]]}"
            raise ValueError(
                f"the {name} of {where} holds NaN or infinity ({len(bad)} of {len(values)} units); look for a diverged "
                "training or a broken image"
            )
    if candidates.known is not None and not np.isfinite(candidates.known).all():
        raise ValueError("a descriptor of the labelled set holds NaN or infinity; look for a diverged training")


def _by_score(rows: Candidates) -> Iterator[int]:
    """Sorts at the first use, because a selector that spends the whole budget needs no other order."""
    yield from np.argsort(-rows.scores, kind="stable").tolist()


def _once(positions: Iterable[int], count: int) -> Iterator[int]:
    """Each position once, until all have come."""
    seen: set[int] = set()
    for position in positions:
        if position not in seen:
            seen.add(position)
            yield position
        if len(seen) == count:
            return
