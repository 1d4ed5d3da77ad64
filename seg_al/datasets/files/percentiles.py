"""The window that a config gives by percentiles: computed once from the training images, and used for all images."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from seg_al.datasets.files.header import read_header
from seg_al.datasets.files.pixels import read_values
from seg_al.datasets.files.window import ValueWindow, numbers_of, percentiles_of

log = logging.getLogger(__name__)

Page = tuple[Path, int | None]
"""A file, and the number of a page in it, from 0; None: the file has one page."""
SAMPLED = 2**26
"""Most values that percentiles are computed from, where not every possible value can be counted."""
LEAST_SAMPLED = 1024
"""Fewest values that are taken from each image."""


def window_of(given: object, pool: Sequence[Page], others: Sequence[Page]) -> ValueWindow | None:
    """The window of a data set; `given` as the config has it. `others` are the images of val and of the tests.

    Percentiles are those of all pixels and channels of the pool: exact for whole numbers of up to 16 bits, else of
    evenly spaced pixels. ValueError where not all images are of one kind, or where the percentiles do not differ.
    """
    if given is None:
        return None
    _refuse_several_kinds([*pool, *others])
    numbers, percentiles = numbers_of(given), percentiles_of(given)
    if numbers is not None:
        return ValueWindow(*numbers)
    assert percentiles is not None
    memory = _memory(percentiles, pool)
    try:
        low, high = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        low, high = _percentiles(percentiles, pool)
        _remember(memory, [low, high])
    if not low < high:
        raise ValueError(
            f"dataset.window={{percentiles: {list(percentiles)}}}: both are {low:g} in the {len(pool)} images of the "
            "pool; choose others, or [low, high] in grey levels"
        )
    log.info(
        "window: %g is black and %g white, percentiles %g and %g of %d pool images", low, high, *percentiles, len(pool)
    )
    return ValueWindow(low, high)


def _refuse_several_kinds(pages: Sequence[Page]) -> None:
    examples: dict[tuple[int, str], Path] = {}
    for path in dict.fromkeys(path for path, _ in pages):
        header = read_header(path)
        examples.setdefault((header.bits, header.numbers), path)
    if len(examples) > 1:
        listed = ", ".join(f"{path} ({bits} bits, {kind} numbers)" for (bits, kind), path in sorted(examples.items()))
        raise ValueError(f"dataset.window is one for all images, but they are of several kinds: {listed}")


def _percentiles(percentiles: tuple[float, float], pool: Sequence[Page]) -> tuple[float, float]:
    """The smallest values that are not below these shares of all values."""
    counts = np.zeros(2**16, dtype=np.int64)
    taken = []
    share = max(LEAST_SAMPLED, SAMPLED // len(pool))
    for path, page in tqdm(pool, "draw the window", unit="image", leave=False, disable=None, delay=1):
        values = read_values(path, page).reshape(-1)
        if np.isnan(values).any():
            raise ValueError(f"{path} holds values that are no number (NaN); fill them")
        if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
            counts += np.bincount(values, minlength=2**16)
        else:
            taken.append(values[:: -(-len(values) // share)])
    wanted = np.asarray(percentiles) / 100
    if taken:
        low, high = np.quantile(np.concatenate(taken), wanted, method="inverted_cdf")
    else:
        low, high = np.searchsorted(np.cumsum(counts), np.maximum(wanted * counts.sum(), 1))
    return float(low), float(high)


def _memory(percentiles: tuple[float, float], pool: Sequence[Page]) -> Path:
    """The file that keeps them until an image changes."""
    files = [(str(path.absolute()), page, path.stat().st_size, path.stat().st_mtime_ns) for path, page in pool]
    key = hashlib.blake2b(json.dumps([percentiles, files]).encode(), digest_size=8).hexdigest()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seg_al" / "windows" / f"{key}.json"


def _remember(memory: Path, window: list[float]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        part = memory.with_name(f".{memory.name}.{os.getpid()}.part")
        part.write_text(json.dumps(window), encoding="utf-8")
        part.replace(memory)
    except OSError as error:
        log.warning("the window cannot be remembered (%s); the next run draws it again", error)
