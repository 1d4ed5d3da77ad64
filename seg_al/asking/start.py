"""The first labelled set: whole images drawn at random, or chosen by a selector that needs no trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from seg_al.asking.asking import INITIAL, Asking
from seg_al.asking.pool import Pool
from seg_al.asking.round_view import RoundView
from seg_al.core import Annotator, Budget, Query, Region, Selector
from seg_al.granularities.fixed import Image
from seg_al.heuristics.random import Random
from seg_al.randomness import numpy_rng


class Start(Protocol):
    """Chooses the images that are labelled first, the same for every heuristic of a run."""

    def known(self, names: Sequence[str], count: int, run: int) -> list[str] | None:
        """The chosen names, where names alone decide; None: the content of the images decides."""
        ...

    def __call__(self, count: int, round_view: RoundView, asking: Asking, annotator: Annotator[Any]) -> list[Query]: ...


@dataclass(frozen=True)
class RandomStart:
    """Images drawn at random from `run`."""

    def known(self, names: Sequence[str], count: int, run: int) -> list[str]:
        drawn: list[str] = numpy_rng(run, "initial").choice(names, count, replace=False).tolist()
        return sorted(drawn)

    def __call__(self, count: int, round_view: RoundView, asking: Asking, annotator: Annotator[Any]) -> list[Query]:
        return whole_images(round_view.pool, self.known(round_view.pool.names, count, round_view.run))


@dataclass(frozen=True)
class SelectedStart:
    """Images that a selector chooses by features of a frozen network, as cold starts are published (TypiClust)."""

    selector: Selector

    def __post_init__(self) -> None:
        descriptor = self.selector.descriptor
        if descriptor is None or descriptor.reads:
            raise ValueError(
                "start.selector chooses before anything is trained, so that it needs features of a frozen network: "
                "give it a descriptor such as seg_al.selectors.frozen_features.FrozenFeature"
            )

    def known(self, names: Sequence[str], count: int, run: int) -> None:
        return None

    def __call__(self, count: int, round_view: RoundView, asking: Asking, annotator: Annotator[Any]) -> list[Query]:
        blind = replace(
            asking, heuristic=Random(), name=INITIAL, also={}, granularity=Image("mean", 1.0), selector=self.selector,
            subset=None,
        )  # fmt: skip
        queries = blind(round_view, annotator, Budget(count, "images", "pool")).queries
        return [replace(query, why=INITIAL, score=None) for query in queries]


def whole_images(pool: Pool, names: Sequence[str]) -> list[Query]:
    """Queries about the whole of each image."""
    return [Query(name, Region.of(pool.unknown(name)), INITIAL) for name in names]
