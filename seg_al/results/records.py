"""Runs as they were read: their settings, and what was measured at each evaluation."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seg_al.core import Metric
from seg_al.results.arms import CHOICES, REPETITION

log = logging.getLogger(__name__)

TRAINED_BY = ("dataset", "model", "trainer")
"""The parts of a config that decide what a network trained on all data reaches."""


@dataclass(frozen=True)
class Point:
    """One evaluation."""

    round: float
    cost: Mapping[str, float]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Record:
    """One run as it was read."""

    source: str
    identity: str
    """The hash of all settings that decide the numbers."""
    settings: Mapping[str, Any]
    """Flat: the choices and top-level values under their names, details as "model.width"."""
    points: tuple[Point, ...]
    complete: bool
    written: float
    """When it was last written, seconds since 1970; of two equal copies the newer one counts."""
    metrics: tuple[Metric, ...] | None = None
    """What its task declares; None: an older run, which declares none."""

    @property
    def rank(self) -> tuple[bool, int, float]:
        """Of two copies of one run the better one: complete first, then the longer, then the newer."""
        return self.complete, len(self.points), self.written

    @property
    def ceiling(self) -> bool:
        """Whether it was trained once, on the whole pool: what no choice of labels is expected to beat by much."""
        return self.settings.get("initial") == "all"

    @cached_property
    def setup(self) -> str:
        """Dataset, model and trainer in all details but the repetition; arms of one setup compare."""
        return self._trained_by(paced=True)

    @cached_property
    def ceiling_of(self) -> str:
        """The setup of the arms that it is a ceiling of: all of the pool may need more steps than a few images do."""
        return self._trained_by(paced=False)

    def _trained_by(self, *, paced: bool) -> str:
        kept = {
            key: value
            for key, value in self.settings.items()
            if key.partition(".")[0] in TRAINED_BY and key.rpartition(".")[2] not in REPETITION
            if paced or not key.startswith("trainer.pace.")
        }
        return json.dumps(kept, sort_keys=True, default=str)

    @property
    def steps(self) -> float:
        """Of its longest training; 0 where older runs do not say."""
        return max((point.metrics.get("training/steps", 0) for point in self.points), default=0)


def record_of(
    source: str,
    config: Mapping[str, Any],
    points: Sequence[Point],
    complete: bool,
    written: float,
    fallback: str,
    metrics: tuple[Metric, ...] | None = None,
) -> Record:
    """A record of a run's config, nested as in config.json or lifted as Sacred stores it.

    Raises ValueError for a config that is not one of this harness. `fallback` is the identity of a config without one.
    """
    settings = {**_flat(config), **choices_of(config)}
    if "heuristic" not in settings or not isinstance(settings.get("run"), int):
        raise ValueError("the config names no heuristic or no run, so it is not one of this harness")
    for group in CHOICES:
        if not isinstance(settings.get(group), str | None):
            raise ValueError(f"the {group} is {settings[group]!r}, no name of an option")
    return Record(source, str(config.get("identity", fallback)), settings, tuple(points), complete, written, metrics)


def choices_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The option of each group; empty where Sacred has lifted them into the config."""
    choices = config.get("choices", {})
    if not isinstance(choices, Mapping):
        raise ValueError("choices is no JSON object with the option of each group")
    return choices


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names; a group's details stand under its name, or under <group>_options."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            if key not in ("choices", "decides"):  # which repeat the others
                flat |= _flat(value, f"{prefix}{key.removesuffix('_options')}.")
        else:
            flat[prefix + key] = value
    return flat
