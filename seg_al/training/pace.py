"""How long a round trains, and how its learning rate falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from seg_al.ranges import Count, CountOrNone, Share, ShareBelowOne, Weight


class Steps(Protocol):
    """How many steps a round trains, at least 0; `labelled` counts images, `batch_size` images per step."""

    def __call__(self, labelled: int, batch_size: int) -> int: ...


@dataclass(frozen=True)
class Pace:
    """How many steps a round trains, recomputed each round: a fixed number, plus epochs over the labelled images."""

    steps: CountOrNone
    """The fixed part, which keeps rounds comparable as the labelled set grows."""
    epochs: CountOrNone
    """The growing part: in each epoch every labelled image appears `repeats` times."""
    repeats: Count

    def __call__(self, labelled: int, batch_size: int) -> int:
        return self.steps + self.epochs * math.ceil(labelled * self.repeats / batch_size)


@dataclass(frozen=True)
class SteppedPace:
    """`base` steps up to `every` labelled images, and `step` more for each further `every` of them, begun or full.

    The rule of maskAL's training, whatever the batch size. No step for no image.
    """

    base: int
    step: int
    every: int

    def __post_init__(self) -> None:
        if self.every < 1 or min(self.base, self.step) < 0:
            raise ValueError(
                f"trainer.pace: base={self.base} and step={self.step} are at least 0, every={self.every} at least 1"
            )

    def __call__(self, labelled: int, batch_size: int) -> int:
        return self.base + (math.ceil(labelled / self.every) - 1) * self.step if labelled else 0


class Schedule(Protocol):
    """The factor of the learning rate once a share in [0, 1) of the steps is done."""

    def __call__(self, share: float) -> float: ...


@dataclass(frozen=True)
class StepDecay:
    """Multiplies the learning rate by `factor` after each of the shares `at` of the steps.

    Over the share `warmup` it first rises linearly from near 0.
    """

    at: tuple[Share, ...]
    factor: Weight
    warmup: ShareBelowOne = 0.0

    def __call__(self, share: float) -> float:
        if share < self.warmup:
            return rising(share, self.warmup)
        return math.pow(self.factor, sum(share >= drop for drop in self.at))


@dataclass(frozen=True)
class PolyDecay:
    """From 1 to 0 as (1 - share) ** power; DeepLab trains with 0.9 (arXiv 1606.00915)."""

    power: Weight

    def __call__(self, share: float) -> float:
        return math.pow(1 - share, self.power)


@dataclass(frozen=True)
class CosineDecay:
    """From 1 to `floor` along half a cosine, after a linear warm-up over the share `warmup`."""

    warmup: ShareBelowOne
    floor: Share

    def __call__(self, share: float) -> float:
        if share < self.warmup:
            return rising(share, self.warmup)
        rest = (share - self.warmup) / (1 - self.warmup)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * rest)) / 2


def rising(share: float, warmup: float) -> float:
    """Linear, from a thousandth of the training over that and the warm-up, to 1 at its end."""
    return (share + 1e-3) / (warmup + 1e-3)
