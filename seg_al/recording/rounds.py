"""The folders of a run's rounds, the first round that runs share, and the weights that are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from seg_al.core import Model
from seg_al.recording.first_round import FirstRound

Metrics = dict[str, dict[str, float]]
"""Costs and metrics of a round, by "cost" and "metrics"."""
Models = Callable[[], Sequence[Model]]


class Held:
    """Models that are loaded or trained at the first call, and kept in memory until they are released."""

    def __init__(self, load: Models) -> None:
        self._load = load
        self._models: Sequence[Model] | None = None

    def __call__(self) -> Sequence[Model]:
        if self._models is None:
            self._models = self._load()
        return self._models

    def let_go(self) -> None:
        self._models = None


class Training(Protocol):
    """The training and the evaluation of a round as stages in a folder, made when they are called."""

    def __call__(self, folder: Path) -> tuple[Held, Callable[[], Metrics]]: ...


@dataclass(frozen=True)
class Rounds:
    """The folders of the rounds of one run."""

    folder: Path
    """The folder of the run."""
    shared: FirstRound | None
    """The first round that runs with the same start share; None: this run trains its own."""
    keep_weights: Literal["last", "all"]
    """Whether the weights of older rounds are removed."""

    def of(self, number: int) -> Path:
        return self.folder / "rounds" / f"{number:02d}"

    def trained(self, number: int, training: Training) -> tuple[Held, Metrics]:
        """The models of the round and its metrics, from the disk where their files exist."""
        folder = self.of(number)
        if number == 0 and self.shared is not None and not (folder / "metrics.json").exists():
            self.shared.fill(folder, training)
        models, metrics = training(folder)
        return models, metrics()

    def release(self, number: int) -> None:
        """Removes the weights that the round was asked with, once nothing needs them any more."""
        if number > 0 and self.keep_weights == "last":
            (self.of(number - 1) / "weights.pt").unlink(missing_ok=True)
