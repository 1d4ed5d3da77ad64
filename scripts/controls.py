"""Runs the controls of experiments/controls and prints what they found beside the probability of chance.

python scripts/controls.py                              all of them, in about ten minutes on two cores
python scripts/controls.py --control redundancy

Ends with 1 where a gate is not passed.
"""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "experiments" / "controls"
NAMES = ("rare_types", "redundancy", "overlap")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control", nargs="+", choices=NAMES, default=NAMES, help="which ones (all)")
    parser.add_argument("--runs", type=Path, default=Path("runs/controls"), help="where the runs go (%(default)s)")
    arguments = parser.parse_args()
    for name in arguments.control:
        words = [f"experiment={name}", f"runs={arguments.runs / name}"]
        ended = subprocess.run([sys.executable, str(ROOT / "run.py"), "-m", "-cd", str(FOLDER), *words])
        if ended.returncode:
            return ended.returncode
    text, problems = runpy.run_path(str(FOLDER / "check.py"))["report"](arguments.runs, arguments.control)
    print(text)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
