"""Counts the values in every mask of a dataset; counts are remembered until a mask changes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seg_al.datasets.class_ids import ClassIds, count_values

log = logging.getLogger(__name__)

PixelCounts = Mapping[int, int]
"""Pixels by mask value."""
Mask = tuple[Path, int | None]
"""A file, and the number of a page in it, from 0; None: the file has one page."""
READING = 2
"""Increase it when the same file is read as other values than before, so that old counts are not used."""
MOST_MASK_VALUES = 1000
"""A mask with more values has soft edges or is another kind of file; as it must be repaired, it is not remembered."""


def memory_folder() -> Path:
    """The user's cache folder, where counts are kept; nothing is written into the dataset."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seg_al" / "masks"


def mask_counts(root: Path, masks: Sequence[Mask], classes: ClassIds) -> tuple[dict[Mask, PixelCounts], list[str]]:
    """The counts of each mask that can be decoded, and what is wrong with the others."""
    key = hashlib.blake2b(f"{root.resolve()}\n{classes.coding}\n{READING}".encode(), digest_size=8).hexdigest()
    memory = memory_folder() / f"{key}.json"
    rows = _recalled(memory)
    stamps = {mask: _stamp(mask[0]) for mask in masks}
    new = [mask for mask in masks if rows.get(_key(mask), {}).get("stamp") != stamps[mask]]
    changed = set(new)
    counts: dict[Mask, PixelCounts] = {
        mask: {int(value): count for value, count in rows[_key(mask)]["counts"].items()}
        for mask in masks
        if mask not in changed
    }
    problems: list[str] = []
    for mask in tqdm(new, desc="check masks", unit="mask", leave=False, disable=None, delay=1):
        try:
            counts[mask] = count_values(classes.values(*mask))
        except ValueError as error:
            problems.append(str(error))
            continue
        if len(counts[mask]) <= MOST_MASK_VALUES:
            rows[_key(mask)] = {"stamp": stamps[mask], "counts": counts[mask]}
    if new:
        _remember(memory, rows)
    return counts, problems


def _key(mask: Mask) -> str:
    path, page = mask
    return str(path.absolute()) if page is None else f"{path.absolute()} page {page}"


def _stamp(mask: Path) -> list[int]:
    """The size and the time of the last change of a file, by which changes are noticed."""
    status = mask.stat()
    return [status.st_size, status.st_mtime_ns]


def _recalled(memory: Path) -> dict[str, dict[str, Any]]:
    """Remembered counts by path; empty where there are none, or the file is not ours."""
    try:
        rows: dict[str, dict[str, Any]] = json.loads(memory.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s cannot be used (%s); the masks are checked anew", memory, error)
        return {}
    return rows


def _remember(memory: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the file whole; where nothing can be written, the next run checks the masks again."""
    part = memory.with_name(f".{memory.name}.{os.getpid()}.part")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(rows), encoding="utf-8")
        part.replace(memory)
    except OSError as error:
        log.warning("the check of the masks cannot be remembered (%s); the next run does it again", error)
