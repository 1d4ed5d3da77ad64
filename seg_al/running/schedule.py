"""Heuristics and selectors by round: reads `schedule`, whose names are those of options, into what each phase makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

PHASED = ("heuristic", "selector")
"""The groups of which a schedule names options."""
FORM = "write 'schedule={1: typiclust, 3: bald}': the round from which it acts, and the name of a heuristic or selector"
WORDS = re.compile(r"([^@>]+)(?:@(\d+))?")
"""An entry of a schedule as a text, such as bald@3."""


@dataclass(frozen=True)
class Options:
    """The options of each group, as files of configs hold them."""

    files: Callable[[str], Sequence[Path]]
    """The file of each option of a group."""
    values: Callable[[str, Path], dict[str, Any]]
    """The values of an option of a group, by its file, in this config."""

    def names(self, group: str) -> list[str]:
        return [path.stem for path in self.files(group)]

    def of(self, group: str, name: str) -> dict[str, Any]:
        return self.values(group, next(path for path in self.files(group) if path.stem == name))


def scheduled(settings: dict[str, Any], choices: Mapping[str, str], options: Options) -> dict[str, Any]:
    """The settings with the schedule as a text, such as typiclust>bald@3, and with what its phases make, as `phases`.

    Without a schedule they are as they were. What an entry does not name is composed, and so is what it names of the
    composed options. Raises ValueError for rounds and names that are none.
    """
    given = settings.get("schedule")
    if given is None:
        return settings
    entries = _entries(given)
    named = {begins: _parts(entry, begins, options) for begins, entry in sorted(entries.items())}
    phases = []
    for begins, parts in named.items():
        made = {
            group: options.of(group, parts[group])
            if parts.get(group, choices[group]) != choices[group]
            else settings[group]
            for group in PHASED
        }
        phases.append({"begins": begins, "name": parts.get("heuristic", choices["heuristic"]), **made})
    texts = ["+".join(parts.values()) + (f"@{begins}" if begins > 1 else "") for begins, parts in named.items()]
    return {**settings, "schedule": ">".join(texts), "phases": phases}


def _entries(given: Any) -> dict[int, Any]:
    """What is named for each round."""
    if isinstance(given, str):
        found = [WORDS.fullmatch(text.strip()) for text in given.split(">")]
        pairs = [(int(one[2] or 1), one[1]) if one else _refuse(given, FORM) for one in found]
    elif isinstance(given, Mapping) and given:
        pairs = [(_round(begins, given), entry) for begins, entry in given.items()]
    else:
        _refuse(given, FORM)
    entries = dict(pairs)
    if len(entries) < len(pairs):
        _refuse(given, "a round stands there twice")
    if wrong := [begins for begins in entries if begins < 1]:
        _refuse(
            given, f"round {wrong[0]} asks before there is a network: rounds count from 1, and `start` chooses then"
        )
    return entries


def _round(begins: object, given: object) -> int:
    if isinstance(begins, int) or (isinstance(begins, str) and begins.isdecimal()):
        return int(begins)
    _refuse(given, f"{begins} is no number of a round; {FORM}")


def _parts(entry: Any, begins: int, options: Options) -> dict[str, str]:
    """The option of one group, or of both, that an entry names; heuristics first."""
    where = f"{begins}: {entry}"
    if isinstance(entry, Mapping):
        if not entry or (unknown := [str(key) for key in entry if key not in PHASED]):
            _refuse(where, f"{', '.join(unknown) if entry else 'it'} names no part; {' and '.join(PHASED)} are named")
        pairs = [(group, str(entry[group])) for group in PHASED if group in entry]
        for group, name in pairs:
            if name not in options.names(group):
                _refuse(where, f"{name} is no {group}; {_nearest(name, options.names(group))}")
    elif isinstance(entry, str):
        pairs = sorted((_group_of(name.strip(), where, options), name.strip()) for name in entry.split("+"))
    else:
        _refuse(where, FORM)
    parts = dict(pairs)
    if len(parts) < len(pairs):
        _refuse(where, f"it names two of the group {pairs[0][0]}; one of each acts at a time")
    return parts


def _group_of(name: str, where: str, options: Options) -> str:
    groups = [group for group in PHASED if name in options.names(group)]
    if len(groups) > 1:
        _refuse(where, f"{name} is a heuristic and a selector; say which, as in {{heuristic: {name}}}")
    if not groups:
        every = [one for group in PHASED for one in options.names(group)]
        _refuse(where, f"{name} is no heuristic and no selector; {_nearest(name, every)}")
    return groups[0]


def _nearest(name: str, names: Sequence[str]) -> str:
    return f"the nearest names are {', '.join(get_close_matches(name, names, 3, 0))}"


def _refuse(given: object, why: str) -> NoReturn:
    raise ValueError(f"schedule={given}: {why}")
