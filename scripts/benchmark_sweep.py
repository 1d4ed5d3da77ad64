"""Times one sweep of small runs by Hydra's basic launcher and by joblib with a few workers; both in one process set.

    python scripts/benchmark_sweep.py            # 20 runs on all cores, 2 workers; prints both times and their ratio

Both sweeps are whole commands, imports and checks included, and share the images, which are painted before. Each
trains all of its runs; threads=auto gives a run of the basic launcher all cores and one of joblib its share.
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
SMALL = [
    "dataset.size=[64,80]", "dataset.train=12", "dataset.rare=0", "dataset.val=2",
    "dataset.test_a=4", "dataset.test_b=4",
    "model.width=4", "trainer.pace.steps=40", "trainer.batch_size=4", "trainer.augmentation.crop=[64,64]",
    "mc_iters=5", "rounds=3", "initial=4", "budget=2", "gallery=2", "device=cpu", "tracking=file",
]  # fmt: skip


def seconds(folder: Path, name: str, runs: int, words: list[str]) -> float:
    """Wall time of a sweep of half as many run numbers by two heuristics, in a folder of runs of its own."""
    command = [sys.executable, "run.py", "-m", *SMALL, f"dataset.root={folder / 'data'}", f"runs={folder / name}",
               "heuristic=random,bald", f"run=range(0,{runs // 2})", *words]  # fmt: skip
    start = time.perf_counter()
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    took = time.perf_counter() - start
    if found.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{found.stdout}\n{found.stderr}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="runs of each sweep, an even number")
    parser.add_argument("--workers", type=int, default=2, help="of joblib")
    parser.add_argument(
        "--repeats", type=int, default=1, help="sweeps by each launcher, in turns; medians are compared"
    )
    parser.add_argument("--short", action="store_true", help="6 runs by each")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args()
    runs = 6 if options.short else options.runs
    launchers = {"basic": [], "joblib": ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={options.workers}"]}
    times: dict[str, list[float]] = {name: [] for name in launchers}
    with tempfile.TemporaryDirectory() as place:
        seconds(Path(place), "painted", 2, ["rounds=1", "trainer.pace.steps=1"])
        for repeat in range(options.repeats):
            for name, words in launchers.items():
                times[name].append(seconds(Path(place), f"{name}{repeat}", runs, words))
                print(f"{name}: {runs} runs in {times[name][-1]:.1f} s", flush=True)
    ratio = statistics.median(times["basic"]) / statistics.median(times["joblib"])
    print(f"joblib with {options.workers} workers is {ratio:.2f} times as fast as basic")
    if options.rows:
        row = {
            "what": f"a sweep of {runs} small runs by joblib, {options.workers} workers, wall",
            "ours": statistics.median(times["joblib"]), "alternative": "Hydra's basic launcher, threads=auto",
            "theirs": statistics.median(times["basic"]), "ratio": ratio,
        }  # fmt: skip
        options.rows.write_text(json.dumps([row]))


if __name__ == "__main__":
    main()
