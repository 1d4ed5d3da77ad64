"""Selectors that each break one law, for test_selector_suite; Right breaks none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

import numpy as np
import torch

from seg_al.core import Candidates, Descriptor, Evidence, Ranking, Scene
from seg_al.selectors.descriptors import MeanFeature


@dataclass(frozen=True)
class Right:
    """The highest scores first."""

    descriptor: Descriptor | None = None
    reads_known: bool = False
    truth: str | None = None

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        return np.argsort(-candidates.scores, kind="stable").tolist()


@dataclass(frozen=True)
class Noisy:
    """A descriptor that draws."""

    reads: ClassVar[tuple[type[Evidence], ...]] = ()
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __call__(self, scene: Scene, ids: torch.Tensor, count: int) -> torch.Tensor:
        return torch.from_numpy(self.rng.random((count, 2)))


@dataclass(frozen=True)
class NotANumber:
    """A descriptor that divides by zero."""

    reads: ClassVar[tuple[type[Evidence], ...]] = ()

    def __call__(self, scene: Scene, ids: torch.Tensor, count: int) -> torch.Tensor:
        return torch.full((count, 2), torch.nan)


class CountsFromTheEnd(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        return [-1, *super().__call__(candidates, budget, rng)]


class GivesScores(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[float]:
        return np.sort(candidates.scores)[::-1].tolist()


class NeverEnds(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterator[int]:
        return (number % len(candidates) for number in count())


class DrawsFromElsewhere(Right):
    own = np.random.default_rng(0)

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        return self.own.permutation(len(candidates))


class Remembers(Right):
    asked: ClassVar[set[tuple[str, int]]] = set()

    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        places = list(zip(candidates.images, candidates.units.tolist(), strict=True))
        order = [one for one in super().__call__(candidates, budget, rng) if places[one] not in self.asked]
        self.asked.update(places[one] for one in order[:3])
        return order


class NarrowsTooFar(Right):
    def narrowed(self, candidates: Candidates, budget: float) -> tuple[np.ndarray, Ranking]:
        return np.argsort(-candidates.scores, kind="stable")[:2], self.__call__


class NarrowsByPosition(Right):
    def narrowed(self, candidates: Candidates, budget: float) -> tuple[np.ndarray, Ranking]:
        return np.arange(len(candidates) - 10), self.__call__


class ReadsNames(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        return sorted(range(len(candidates)), key=lambda row: (sum(map(ord, candidates.images[row])) % 11, row))


class KnowsOnlyShares(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        return np.argsort(-candidates.scores / (1 + candidates.costs), kind="stable").tolist()


class SortsEqualsByName(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        places = list(zip(-candidates.scores, candidates.images, candidates.units, strict=True))
        return sorted(range(len(places)), key=places.__getitem__)


class DividesByTheSum(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        chances = candidates.scores / candidates.scores.sum()
        return rng.choice(len(chances), len(chances) // 4, replace=False, p=chances)


class NeedsFive(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        return np.argpartition(-candidates.scores, 5)[:5]


class Writes(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        order = super().__call__(candidates, budget, rng)
        candidates.scores[order[0]] = -np.inf
        return order


class WritesIntoFeatures(Right):
    def __call__(self, candidates: Candidates, budget: float, rng: np.random.Generator) -> Iterable[int]:
        assert candidates.descriptors is not None
        features = candidates.descriptors
        features -= features.mean(0)
        return np.argsort(-features[:, 0], kind="stable")


BROKEN: dict[str, tuple[Callable[[], Right], str]] = {
    "reads the labelled set without a descriptor": (lambda: Right(reads_known=True), "says what it reads"),
    "a descriptor of NaN": (lambda: Right(NotANumber()), "says what it reads"),
    "a descriptor that draws": (lambda: Right(Noisy()), "says what it reads"),
    "counts from the end": (CountsFromTheEnd, "wants positions that exist"),
    "gives scores": (GivesScores, "wants positions that exist"),
    "never ends": (NeverEnds, "wants positions that exist"),
    "draws from elsewhere": (DrawsFromElsewhere, "wants the same of the same draw"),
    "remembers": (Remembers, "wants the same of the same draw"),
    "narrows too far": (NarrowsTooFar, "spends the budget and no more"),
    "narrows by position": (NarrowsByPosition, "takes rows in any order"),
    "reads names": (ReadsNames, "reads names only to tell images apart"),
    "knows only shares": (KnowsOnlyShares, "takes costs in any unit"),
    "sorts equals by name": (SortsEqualsByName, "draws among equals"),
    "divides by the sum": (DividesByTheSum, "serves any scores from zero on"),
    "needs five": (NeedsFive, "serves few candidates"),
    "writes scores": (Writes, "writes nothing"),
    "writes features": (lambda: WritesIntoFeatures(MeanFeature(normalised=False)), "writes nothing"),
}
"""Each with the law that it breaks, and perhaps others that follow from it."""
