"""The commands that make the runs of an arm again, or those that it lacks, in the shell's and in Hydra's words.

A record holds every value of its experiment and not what its options leave at their defaults, so a command states
all of them: what was changed on the command line or in a study's file is among them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import fields

from seg_al.results.arms import CIRCUMSTANCE, REPETITION
from seg_al.results.records import Record
from seg_al.results.study import Study
from seg_al.running.groups import GROUPS
from seg_al.running.settings import Settings

FIRST = ("dataset", "model", "heuristic")
"""What a reader looks for."""
OPTIONS = (*FIRST, *(group for group in GROUPS if group not in FIRST))
VALUES = [
    field.name
    for field in fields(Settings)
    if field.name in ("rounds", "runs") or field.name not in (*CIRCUMSTANCE, *REPETITION, "evaluate")
]
"""Top-level values that a run's numbers depend on, and the folder in which a report finds it."""
BY_CHANCE: Mapping[str, object] = {"heuristic": "random", "selector": "top", "schedule": None}
BARE = re.compile(r"(?!(?:true|false|null|nan|inf)$)[a-z_/][\w./-]*", re.IGNORECASE | re.ASCII)
"""Texts that Hydra reads as they stand."""


def command(study: Study, label: str, changed: Mapping[str, object]) -> str:
    """The command of an arm's runs with some options or values changed, whose details are then those of the option.

    Several, joined by &&, where other settings go with the run, such as a split's file. A record
    does not show that a key of an option was removed: run.py then names the key and starts nothing.
    """
    numbers: dict[tuple[str, str], set[int]] = {}
    for record in study.of(label):
        numbers.setdefault(_words(record, changed), set()).add(record.settings["run"])
    return " && ".join(
        " ".join(filter(None, ("python run.py -m", choices, f"run={','.join(map(str, sorted(runs)))}", details)))
        for (choices, details), runs in numbers.items()
    )


def random_command(study: Study, label: str) -> str:
    """What makes the random arm of an arm."""
    return command(study, label, BY_CHANCE)


def ceiling_command(study: Study, label: str) -> str:
    """What makes the full-data runs of an arm's setup."""
    return command(study, label, {**BY_CHANCE, "initial": "all", "rounds": 1})


def _words(record: Record, changed: Mapping[str, object]) -> tuple[str, str]:
    """Options and values, and apart from them the details; ++ sets a detail whether or not its option has it."""
    settings = {key: record.settings[key] for key in (*OPTIONS, *VALUES) if key in record.settings}
    details = {
        f"++{key}": value
        for key, value in sorted(record.settings.items())
        if "." in key and key.partition(".")[0] in GROUPS and key.partition(".")[0] not in changed
        if key.rpartition(".")[2] not in REPETITION
    }
    return _overrides({**settings, **changed}), _overrides(details)


def _overrides(values: Mapping[str, object]) -> str:
    return " ".join(shlex.quote(f"{key}={hydra_value(value)}") for key, value in values.items())


def hydra_value(value: object) -> str:
    """A plain value in the grammar of Hydra's overrides, which reads it back as it was."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{hydra_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(hydra_value(one) for one in value) + "]"
    text = str(value)
    if BARE.fullmatch(text):
        return text
    escaped = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + (r"\"" if found[2] else ""), text)
    return f'"{escaped}"'
