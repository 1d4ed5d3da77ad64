"""The groups of a config and its composition; imports nothing that takes long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

GROUPS = (
    "dataset", "task", "granularity", "trainer", "model", "heuristic", "predictor", "selector", "annotator", "start",
    "tracking",
)  # fmt: skip

Make = Callable[[Mapping[str, Any]], Any]
"""Makes what the `_target_` of a node names."""


@dataclass(frozen=True)
class Composition:
    """A composed config."""

    choices: Mapping[str, str]
    """The option of each group."""
    with_values: Callable[[Mapping[str, Any]], dict[str, Any]]
    """Its settings, plain, with other values for some keys of its root; raises ValueError where one is missing."""

    @property
    def settings(self) -> dict[str, Any]:
        return self.with_values({})


def chosen_options(chosen: Mapping[str, Any]) -> dict[str, str]:
    """The option of each of our groups; "own" where a config states the group without choosing an option."""
    return {group: str(chosen.get(group) or "own") for group in GROUPS}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return found
