"""Times core-set and CDAL against repeated pairwise distances and a naive loop, and compares their picks.

python scripts/benchmark_selectors.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances

from seg_al.asking.spending import spend
from seg_al.core import Candidates
from seg_al.selectors.cdal import CDAL
from seg_al.selectors.core_set import CoreSet
from seg_al.selectors.descriptors import ClassConfusion, MeanFeature


def candidates(descriptors: np.ndarray, known: np.ndarray) -> Candidates:
    count = len(descriptors)
    names = tuple(f"image_{number:06d}" for number in range(count))
    zeros = np.zeros(count)
    return Candidates(names, np.zeros(count, dtype=np.int64), zeros, np.ones(count), descriptors, known)


def core_set_by_pairs(points: np.ndarray, known: np.ndarray, budget: int) -> list[int]:
    """k-center with scikit-learn's distances from every new centre."""
    nearest = pairwise_distances(points, known).min(1)
    picks: list[int] = []
    for _ in range(budget):
        picks.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, pairwise_distances(points, points[picks[-1]][None])[:, 0])
    return picks


def contextual_distance(one: np.ndarray, other: np.ndarray, classes: int) -> float:
    """Mean over common classes of the symmetric KL divergence of class mixtures [C C]."""
    p, q = (mixture.reshape(classes, classes).astype(np.float64).clip(min=1e-8) for mixture in (one, other))
    return float(np.mean([((a - b) * (np.log(a) - np.log(b))).sum() / 2 for a, b in zip(p, q, strict=True)]))


def cdal_by_pairs(points: np.ndarray, known: np.ndarray, budget: int, classes: int) -> list[int]:
    nearest = np.array([min(contextual_distance(point, one, classes) for one in known) for point in points])
    picks: list[int] = []
    for _ in range(budget):
        picks.append(int(nearest.argmax()))
        distance = np.array([contextual_distance(point, points[picks[-1]], classes) for point in points])
        nearest = np.minimum(nearest, distance)
    return picks


def timed(work: Callable[[], list[int]], repeats: int) -> tuple[float, list[int]]:
    seconds, picks = [], work()
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), picks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="timed repetitions; medians are compared")
    parser.add_argument("--short", action="store_true", help="the same, as it takes seconds")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args()
    repeats = options.repeats
    rng = np.random.default_rng(0)
    points = rng.standard_normal((20_000, 512), dtype=np.float32)
    known = rng.standard_normal((100, 512), dtype=np.float32)
    classes = 19
    mixtures = rng.dirichlet(np.ones(classes), (610, classes)).reshape(610, -1).astype(np.float32)
    pool, seen = candidates(points, known), candidates(mixtures[:600], mixtures[600:])
    sides = {
        "core-set, N=20,000 D=512 B=200": (
            lambda: [int(pick) for pick in spend(CoreSet(MeanFeature(False)), pool, 200, np.random.default_rng(1))],
            lambda: core_set_by_pairs(points, known, 200),
        ),
        "CDAL, N=600 C=19 B=10": (
            lambda: [int(pick) for pick in spend(CDAL(ClassConfusion()), seen, 10, np.random.default_rng(1))],
            lambda: cdal_by_pairs(mixtures[:600], mixtures[600:], 10, classes),
        ),
    }
    rows = []
    for name, (ours, theirs) in sides.items():
        (mine, picks), (other, others) = timed(ours, repeats), timed(theirs, min(repeats, 3))
        row = {
            "case": name,
            "ours, s": mine,
            "pairwise, s": other,
            "ratio": other / mine,
            "same picks": picks == others,
        }
        rows.append(row)
    if options.rows:
        shown = [
            {"what": row["case"], "ours": row["ours, s"], "alternative": "distances in pairs",
             "theirs": row["pairwise, s"], "ratio": row["ratio"],
             "note": "the same picks" if row["same picks"] else "OTHER PICKS"}
            for row in rows
        ]  # fmt: skip
        options.rows.write_text(json.dumps(shown))
    print(pd.DataFrame(rows).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
