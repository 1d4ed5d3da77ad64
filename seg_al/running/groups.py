"""The groups of a config and its composition; imports nothing that takes long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_al.running.option_files import option_of
from seg_al.running.schedule import Options, scheduled

GROUPS = (
    "dataset", "task", "granularity", "trainer", "model", "heuristic", "predictor", "features", "selector", "annotator",
    "start", "tracking",
)  # fmt: skip

Make = Callable[[Mapping[str, Any]], Any]
"""Makes what the `_target_` of a node names."""


@dataclass(frozen=True)
class Composition:
    """A composed config."""

    choices: Mapping[str, str]
    """The option of each group."""
    plain: Callable[[Mapping[str, Any]], dict[str, Any]]
    """Its settings as they are written, with other values in place of some of its root."""
    options: Callable[[str], Sequence[Path]]
    """The file of each option of a group."""

    def with_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Its settings with other values for some keys, and its phases; ValueError where one is missing."""
        settings = self.plain(values)

        def values_of(group: str, path: Path) -> dict[str, Any]:
            found: dict[str, Any] = self.plain({**values, group: option_of(path, group)})[group]
            return found

        return scheduled(settings, self.choices, Options(self.options, values_of))

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
