"""Times the harness itself: sweeps of an experiment whose model, training and data cost almost nothing.

    python scripts/benchmark_harness.py            # seconds per run beyond imports, with tracking none and file

The experiment trains one step of the smallest UNet on a few 32x40 images in two rounds, without a gallery. What remains
is config, checks, stages, files, learning-curve pictures and tracking, and the little work itself.
"""

from __future__ import annotations

import argparse
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
    options = parser.parse_args()
    for tracking in options.tracking:
        extra = []
        for _ in range(options.repeats):
            with tempfile.TemporaryDirectory() as place:
                one = seconds(Path(place), 1, 2, tracking)
            with tempfile.TemporaryDirectory() as place:
                many = seconds(Path(place), 1 + options.runs, 2, tracking)
            extra.append((many - one) / options.runs)
        print(f"tracking={tracking}: {statistics.median(extra):.2f} s per run of two rounds, beyond the first run")


if __name__ == "__main__":
    main()
