"""Writes and reads the files of a run, each in its format and with its checksum; a damaged file is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch

from seg_al.core import Query, Region
from seg_al.recording.checksums import (
    DIFFERENT,
    OWNER,
    SUMS,
    checksum_of,
    checksums_in,
    is_whole,
    owner_of,
    require_own,
)
from seg_al.whole_files import flushed, write_whole

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


def write_checked(path: Path, save: Callable[[Path], None]) -> None:
    """Saves as `saved_whole` does, and writes the file's checksum before the file gets its name."""
    partial = flushed(path, save)
    require_own(path.parent)
    owner = owner_of(path.parent)
    sums = {**checksums_in(path.parent), path.name: checksum_of(partial), **({OWNER: owner} if owner else {})}
    write_json(path.with_name(SUMS), sums)
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    write_whole(path, lambda partial: JSON.save(value, partial))


def write_record(path: Path, value: T, form: Format[T]) -> None:
    """Writes a JSON file of a round, with its checksum."""
    write_checked(path, lambda partial: form.save(value, partial))


@dataclass(frozen=True)
class Format(Generic[T]):
    """How a value is saved in a file and loaded from it."""

    save: Callable[[T, Path], None]
    load: Callable[[Path], T]


def _save_json(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def _save_queries(queries: Sequence[Query], path: Path) -> None:
    path.write_text("".join(json.dumps(asdict(query)) + "\n" for query in queries))


def _load_queries(path: Path) -> list[Query]:
    def query(row: dict[str, Any]) -> Query:
        region = row["region"]
        runs = tuple((start, stop) for start, stop in region["runs"])
        return Query(row["image"], Region(tuple(region["size"]), runs), row["why"], row["score"])

    return [query(json.loads(line)) for line in path.read_text().splitlines()]


def _load_parts(path: Path, *parts: str) -> dict[str, dict[str, Any]]:
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in parts):
        raise ValueError(f"it holds no {' and '.join(parts)}")
    return found


def _load_effort(path: Path) -> dict[str, float]:
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or not isinstance(found.get("seconds"), int | float):
        raise ValueError("it holds no seconds")
    return found


def _load_object(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    if not isinstance(found, dict):
        raise ValueError("it holds no JSON object")
    return found


def _load_numbers(path: Path) -> dict[str, float]:
    found = _load_object(path)
    if not found or not all(isinstance(value, int | float) for value in found.values()):
        raise ValueError("it holds no numbers by name")
    return found


def _load_number(path: Path) -> float:
    return float(json.loads(path.read_text()))


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd  # takes 0.3 s, which resuming a finished run does not need

    return pd.read_parquet(path)


JSON: Format[Any] = Format(_save_json, lambda path: json.loads(path.read_text()))
METRICS: Format[dict[str, dict[str, float]]] = Format(_save_json, lambda path: _load_parts(path, "cost", "metrics"))
BASELINES: Format[dict[str, dict[str, Any]]] = Format(_save_json, lambda path: _load_parts(path, "scores", "constants"))
EFFORT: Format[dict[str, float]] = Format(_save_json, _load_effort)
OBJECT: Format[dict[str, Any]] = Format(_save_json, _load_object)
NAMED_NUMBERS: Format[dict[str, float]] = Format(_save_json, _load_numbers)
NUMBER: Format[float] = Format(_save_json, _load_number)
SCORES: Format[pd.DataFrame] = Format(lambda table, path: table.to_parquet(path, index=False), _table)
QUERIES: Format[list[Query]] = Format(_save_queries, _load_queries)
WEIGHTS: Format[list[dict[str, torch.Tensor]]] = Format(
    lambda weights, path: torch.save(weights, path),
    lambda path: torch.load(path, map_location="cpu", weights_only=True),
)


UNREADABLE = (OSError, EOFError, RuntimeError, UnpicklingError, ValueError, LookupError, TypeError, AttributeError)
"""Exceptions of torch, json and this module for a file that was cut off or edited."""


MADE_ANEW = "remove it and run the same command again, which makes it anew"
WITHOUT = "remove it and run the same command again; the round then counts without it"


def loaded(path: Path, form: Format[T], remedy: str = MADE_ANEW) -> T:
    """The file's value. Raises ValueError where it cannot be read or was changed, FileNotFoundError for none."""
    require_own(path.parent)  # errors of the checksums have a remedy of their own
    try:
        value = form.load(path)
        if not is_whole(path):
            raise ValueError(DIFFERENT)
        return value
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        why = "these are no weights" if isinstance(error, UnpicklingError) else str(error).partition("\n")[0]
        raise ValueError(f"{path} cannot be read, it is cut or was changed ({why}); {remedy}") from error


def read_json(path: Path) -> Any:
    return loaded(path, JSON)
