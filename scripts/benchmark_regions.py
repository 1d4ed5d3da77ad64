"""Times the code for regions against the loops of published code; both sides in the same run.

    python scripts/benchmark_regions.py --out benchmarks/regions

The sides take turns and medians are compared: processor seconds of one thread, so that what else runs on the machine
does not count. Each case states the ratio that it must reach.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from seg_al.asking.memory import keep_freed_memory
from seg_al.granularities.joining import join
from seg_al.granularities.superpixels import Slic
from seg_al.granularities.windows import greedy


@dataclass(frozen=True)
class Finding:
    """One case: both sides in processor seconds, their ratio, and whether they agree."""

    case: str
    ours: float
    theirs: float
    ratio: float
    wanted: float
    """Least ratio."""
    agree: str
    """The comparison in words, with the difference."""
    passed: bool


def seconds_of(side: Callable[[], Any], least: float) -> float:
    """Processor seconds of a call: the mean over as many as take `least` seconds together, at least one."""
    calls, start = 0, time.process_time()
    while calls == 0 or time.process_time() - start < least:
        side()
        calls += 1
    return (time.process_time() - start) / calls


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """The median of each, after a first call that does not count."""
    ours()
    theirs()
    turns = [(seconds_of(ours, 0.1), seconds_of(theirs, 0.1)) for _ in range(repeats)]
    return statistics.median(mine for mine, _ in turns), statistics.median(other for _, other in turns)


def smooth(size: tuple[int, ...], sigma: float) -> npt.NDArray[np.float64]:
    """Noise whose neighbours are alike, 0 to 1."""
    noise = np.random.default_rng(0).normal(size=size)
    blurred = gaussian_filter(noise, (sigma, sigma, *[0] * (len(size) - 2)))
    scaled: npt.NDArray[np.float64] = (blurred - blurred.min()) / np.ptp(blurred)
    return scaled


Means = Callable[[npt.NDArray[np.float32], npt.NDArray[np.int64]], list[float]]


def masked_means(scores: npt.NDArray[np.float32], ids: npt.NDArray[np.int64]) -> list[float]:
    """A mask for each cell, and nothing else."""
    return [float(scores[ids == cell].mean()) for cell in range(int(ids.max()) + 1)]


def published_means(scores: npt.NDArray[np.float32], ids: npt.NDArray[np.int64]) -> list[float]:
    """As in ViewAL's code (arXiv 1911.11789): cells are looked up in the map, each mean is painted in."""
    painted = scores.copy()
    means = []
    for cell in np.unique(ids).tolist():
        mean = painted[ids == cell].mean()
        painted[ids == cell] = mean
        means.append(float(mean))
    return means


def superpixel_means(loop: Means, wanted: float, words: str, repeats: int) -> Finding:
    """The mean of a score map over about 1,000 superpixels of 480 x 640 pixels."""
    image = (smooth((480, 640, 3), 4) * 255).astype(np.uint8)
    ids = Slic(1150, 10.0, 0.0)(image).astype(np.int64)
    scores = smooth((480, 640), 2).astype(np.float32)
    count = int(ids.max()) + 1
    maps = torch.from_numpy(scores), torch.from_numpy(ids)

    def ours() -> Tensor:
        return join(*maps, count, "mean", 1.0)

    mine, theirs = in_turns(ours, lambda: loop(scores, ids), repeats)
    apart = float(np.abs(ours().numpy() - loop(scores, ids)).max())
    passed = theirs / mine >= wanted and apart < 1e-6
    name = f"mean of {count} superpixels, 480 x 640, {words}"
    return Finding(name, mine, theirs, theirs / mine, wanted, f"means differ by at most {apart:.1g}", passed)


def search_each_maximum(score: Tensor, most: int, radius: int) -> list[int]:
    """As in RIPU's code: the maximum of the whole map by columns, then its surroundings are taken away, each time."""
    left = score.clone()
    picks = []
    for _ in range(most):
        highest, rows = left.max(0)
        column = int(highest.argmax())
        row = int(rows[column])
        picks.append(row * left.shape[1] + column)
        left[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1] = -torch.inf
    return picks


def greedy_picks(repeats: int) -> Finding:
    """1,000 regions of 3 x 3 pixels of 640 x 1280, with RIPU's suppression, against the search for each maximum."""
    noise = smooth((640, 1280), 2)
    ranks = noise.ravel().argsort().argsort()  # all different, as the two sides break ties in another order
    scores = ranks.reshape(noise.shape).astype(np.float32)
    everywhere = np.ones(scores.shape, dtype=np.bool_)
    score_map = torch.from_numpy(scores)

    def ours() -> list[int]:
        return greedy(scores, everywhere, 1000, 2)

    def theirs() -> list[int]:
        return search_each_maximum(score_map, 1000, 2)

    mine, search = in_turns(ours, theirs, repeats)
    same = ours() == theirs()
    wanted = 30.0
    passed = same and search / mine >= wanted
    words = "the same picks in the same order" if same else "DIFFERENT PICKS"
    return Finding("1,000 greedy picks, 640 x 1280, published loop", mine, search, search / mine, wanted, words, passed)


CASES: list[Callable[[int], Finding]] = [
    partial(superpixel_means, published_means, 100.0, "published loop"),
    partial(superpixel_means, masked_means, 50.0, "shortest loop"),
    greedy_picks,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="turns of each side; medians are compared")
    parser.add_argument("--out", type=Path, help="where to save the table: STEM.csv")
    parser.add_argument("--short", action="store_true", help="5 turns of each side")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as runs do
    found = [case(5 if options.short else options.repeats) for case in CASES]
    table = pd.DataFrame(found)
    print(table.to_string(index=False, formatters={"ratio": "{:.1f}".format}, float_format="{:.5f}".format))
    if options.rows:
        rows = [
            {"what": one.case.rpartition(", ")[0], "ours": one.ours, "alternative": one.case.rpartition(", ")[2],
             "theirs": one.theirs, "ratio": one.ratio, "note": one.agree}
            for one in found
        ]  # fmt: skip
        options.rows.write_text(json.dumps(rows))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out.with_suffix(".csv"), index=False)
    if not table["passed"].all():
        sys.exit("a case does not reach the ratio that it must")


if __name__ == "__main__":
    main()
