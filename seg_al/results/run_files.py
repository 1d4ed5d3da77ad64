"""One run folder as a record: whatever a file holds that no run writes is an error with its name and the remedy."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seg_al.recording.agreement import agreement_scalars, asked_by
from seg_al.recording.checksums import DIFFERENT, checksum, checksums_in
from seg_al.recording.metric_declarations import declared_in
from seg_al.recording.query_statistics import query_scalars
from seg_al.results.records import Point, Record, choices_of, record_of

AWAY = "move the folder away and run the same command"
REMEDIES = {
    "config.json": AWAY,
    "finished.json": "delete it and run the same command",
    "metrics.json": "delete it, and finished.json where there is one, and run the same command",
}
NO_SUMS: Mapping[str, str] = {}
NOT_MADE_AGAIN = "delete it, and the round counts without it"
"""The remedy of the files that no later run of the command makes again."""


def read_run(folder: Path) -> Record:
    """The run in the folder. Raises ValueError naming the file, what is wrong with it, and the remedy."""
    path = str(folder)  # plain strings: a thousand runs have 45,000 files
    config = _optional(path, "config.json")
    if config is None:
        raise ValueError(f"config.json is not there; {AWAY}")
    with _named("config.json"):
        heuristic = str(choices_of(config).get("heuristic"))
    rounds = _rounds(path)
    points = [_point(path, name, entry, heuristic) for name, entry in rounds.items()]
    done = _optional(path, "finished.json") or {}
    complete = bool(done) and done.get("rounds") == config.get("rounds")  # else it is being extended
    written = os.path.getmtime(f"{path}/rounds/{list(rounds)[-1]}/metrics.json")
    with _named("config.json"):
        return record_of(path, config, points, complete, written, folder.name, declared_in(folder))


def number(value: object, what: str) -> float:
    """The value as a float, NaN for null. Raises ValueError for what is no number, or infinite."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
        raise ValueError(f"{what} is {value!r}, where a finite number or null is expected")
    return float(value)


def _rounds(path: str) -> dict[str, dict[str, Any]]:
    """The metrics.json of each round by the name of its folder, from 00 on without a gap."""
    names = sorted(os.listdir(f"{path}/rounds")) if os.path.isdir(f"{path}/rounds") else []
    found = {}
    for name in names:
        sums = checksums_in(f"{path}/rounds/{name}")
        if (entry := _optional(path, f"rounds/{name}/metrics.json", sums)) is not None:
            found[name] = entry
    for name in found:
        if not name.isdecimal():
            raise ValueError(f"rounds/{name} is no round, whose names are numbers; move it out of the run")
    if [int(name) for name in found] != list(range(len(found))):
        raise ValueError(
            f"rounds without metrics.json in between, found {', '.join(found)}; delete finished.json where there is "
            "one, and run the same command"
        )
    if not found:
        raise ValueError("no round has metrics yet")
    return found


def _point(path: str, name: str, entry: Mapping[str, Any], heuristic: str) -> Point:
    """One round's metrics with everything else that the tracker gets of it."""
    with _named(f"rounds/{name}/metrics.json"):
        cost, values = _numbers(entry["cost"], "cost"), _numbers(entry["metrics"], "metrics")
    if math.isnan(cost.get("images", math.nan)):
        raise ValueError(f"rounds/{name}/metrics.json lacks a number of images in its cost; {REMEDIES['metrics.json']}")
    sums = checksums_in(f"{path}/rounds/{name}")
    file = f"rounds/{name}/effort.json"
    effort = _optional(path, file) or {}
    with _named(file):
        values |= {f"effort/{key}": value for key, value in _numbers(effort, "it").items()}
    file = f"rounds/{name}/agreement.json"
    if agreed := _optional(path, file, sums):
        with _named(file):
            there = asked_by(agreed, heuristic) in agreed["spearman"]
            values |= _numbers(agreement_scalars(agreed, heuristic) if there else {}, "it")
    file = f"rounds/{name}/asked.json"
    if asked := _optional(path, file, sums):
        with _named(file):
            values |= _numbers(query_scalars(asked), "it")
    if truths := _truths_read(path, f"rounds/{name}/truths_read.json", sums):
        values["oracle/truths_read"] = truths
    return Point(float(name), cost, values)


def _numbers(values: object, what: str) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ValueError(f"{what} holds no names with their numbers")
    return {name: number(value, name) for name, value in values.items()}


def _truths_read(path: str, name: str, sums: Mapping[str, str]) -> float:
    """How many true labels an oracle selector read; 0 for the honest."""
    value = _json(path, name, sums)
    if value is None:
        return 0.0
    with _named(name):
        return number(value, "truths_read")


def _optional(path: str, name: str, sums: Mapping[str, str] = NO_SUMS) -> dict[str, Any] | None:
    """The JSON object in a file of the run; None where it is not there."""
    value = _json(path, name, sums)
    if value is None and os.path.exists(f"{path}/{name}"):
        raise ValueError(f"{name} holds null, and no JSON object; {_remedy(name)}")
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{name} holds no JSON object; {_remedy(name)}")
    return value


def _json(path: str, name: str, sums: Mapping[str, str]) -> Any:
    """The value in a file of the run, which its checksum must fit where it has one; None where it is not there."""
    try:
        with open(f"{path}/{name}", "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not whole JSON ({error}); {_remedy(name)}") from error
    if sums.get(name.rpartition("/")[2]) not in (None, checksum(text)):
        raise ValueError(f"{name} was changed ({DIFFERENT}); {_remedy(name)}")
    return value


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Gives what goes wrong with a file's content the name of the file and the remedy."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{name} lacks {error}; {_remedy(name)}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}; {_remedy(name)}") from error


def _remedy(name: str) -> str:
    return REMEDIES.get(name.rpartition("/")[2], NOT_MADE_AGAIN)
