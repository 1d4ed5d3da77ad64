"""Times the harness itself: sweeps of an experiment whose model, training and data cost almost nothing.

    python scripts/benchmark_harness.py            # seconds per run beyond imports, with tracking none and file

The experiment trains one step of the smallest UNet on a few 32x40 images in two rounds, without a gallery. What remains
is config, checks, stages, files, learning-curve pictures and tracking, and the little work itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
TINY = [
    "dataset.size=[32,40]", "dataset.train=8", "dataset.rare=0", "dataset.val=2", "dataset.test_a=2",
    "dataset.test_b=2", "model.width=1",
    "trainer.pace.steps=1", "trainer.batch_size=2", "trainer.augmentation.crop=[16,16]", "trainer.validation.times=1",
    "trainer.validation.keep=last", "mc_iters=2", "initial=2", "budget=2", "gallery=0", "objects=false", "threads=1",
]  # fmt: skip


def seconds(folder: Path, runs: int, rounds: int, tracking: str) -> float:
    """Wall time of a sweep of `runs` runs."""
    command = [sys.executable, "run.py", "-m", *TINY, f"dataset.root={folder / 'data'}", f"runs={folder / tracking}",
               f"run=range(0,{runs})", f"rounds={rounds}", f"tracking={tracking}"]  # fmt: skip
    start = time.perf_counter()
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if found.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{found.stdout}\n{found.stderr}")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="runs of the longer sweep; the shorter has one")
    parser.add_argument("--repeats", type=int, default=3, help="sweeps of each kind; medians are taken")
    parser.add_argument("--tracking", nargs="+", default=["none", "file"], help="none, file, mongo (needs a server)")
    parser.add_argument("--short", action="store_true", help="4 further runs, one sweep of each kind, tracking=file")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args()
    if options.short:
        options.runs, options.repeats, options.tracking = 4, 1, ["file"]
    rows = []
    for tracking in options.tracking:
        extra, alone = [], []
        for _ in range(options.repeats):
            with tempfile.TemporaryDirectory() as place:
                one = seconds(Path(place), 1, 2, tracking)
            with tempfile.TemporaryDirectory() as place:
                many = seconds(Path(place), 1 + options.runs, 2, tracking)
            alone.append(one)
            extra.append((many - one) / options.runs)
        mine, single = statistics.median(extra), statistics.median(alone)
        print(f"tracking={tracking}: {mine:.2f} s per run of two rounds, beyond the first run of {single:.2f} s")
        rows.append({
            "what": f"a further run of two tiny rounds in a sweep, tracking={tracking}, wall", "ours": mine,
            "alternative": "a command of its own", "theirs": single, "ratio": single / mine,
        })  # fmt: skip
    if options.rows:
        options.rows.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
