"""Writes one split file of GlaS per run, to be used as dataset.split_file, and prints the content of each.

python scripts/create_splits.py --root data/glas --runs 0-4 --val 17 --stratify grade --group patient --out splits/glas
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seg_al.datasets.glas import GRADE_KEYS, GRADES, GlaS, read_glas
from seg_al.datasets.splits import Split, origin_of, write_split

MOST_RUNS = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data/glas", help="folder of GlaS (default: %(default)s)")
    parser.add_argument("--runs", default="0-4", type=_runs, help="run numbers, such as 0-4 or 0,2,7 (default: 0-4)")
    parser.add_argument("--val", default=17, type=int, help="images of val (default: %(default)s)")
    parser.add_argument("--stratify", default=["grade"], nargs="*", choices=GRADE_KEYS, help="columns (default: grade)")
    parser.add_argument("--group", choices=GRADE_KEYS, help="a column whose groups stay together (default: none)")
    parser.add_argument("--out", required=True, type=Path, help="folder for run_<N>.csv")
    options = parser.parse_args(arguments)
    try:
        splits = {run: _draw(options.root, run, options.val, options.stratify, options.group) for run in options.runs}
        kept = [path for path in (options.out / f"run_{run}.csv" for run in splits) if path.exists()]
        if kept:
            raise ValueError(
                f"{', '.join(str(path) for path in kept)} exists already; delete it or choose another --out"
            )
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{'file':<32} {'split':<6} {'images':>6} {GRADES[0]:>7} {GRADES[1]:>10} {'patients':>9}")
    for run, (dataset, split) in splits.items():
        path = options.out / f"run_{run}.csv"
        write_split(path, split)
        for part, names in (("pool", split.pool), ("val", split.val), *sorted(split.tests.items())):
            grades = [dataset.frames[name].grade for name in names]
            patients = {dataset.frames[name].patient for name in names}
            counts = " ".join(f"{grades.count(grade):>{width}}" for grade, width in zip(GRADES, (7, 10), strict=True))
            print(f"{path!s:<32} {part:<6} {len(names):>6} {counts} {len(patients):>9}")
    return 0


def _draw(root: str, run: int, val: int, stratify: Sequence[str], group: str | None) -> tuple[GlaS, Split]:
    dataset = read_glas(root, run, val, stratify, group, split_file=None, test="both", scale=1.0)
    return dataset, Split(dataset.pool, dataset.val, dataset.tests, origin_of(run, val, stratify, group))


def _runs(text: str) -> list[int]:
    """The numbers in "0-4" or "0,2,7-9"."""
    runs: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise argparse.ArgumentTypeError(f"{text!r} is not like 0-4 or 0,2,7")
        if int(last or first) - int(first) >= MOST_RUNS:
            raise argparse.ArgumentTypeError(f"{text!r} names more than {MOST_RUNS:,} runs; each is a file of its own")
        if int(last or first) >= 2**32:
            raise argparse.ArgumentTypeError(f"{text!r} names a run above {2**32 - 1}, which run= does not take")
        runs += range(int(first), int(last or first) + 1)
    if len(set(runs)) != len(runs) or not runs:
        raise argparse.ArgumentTypeError(f"{text!r} names no run, or one twice")
    return runs


if __name__ == "__main__":
    sys.exit(main())
