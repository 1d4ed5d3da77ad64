"""Draws the learning curves of finished runs and prints their table.

python scripts/plot_curves.py                                  all runs below runs/; by Dice, or AP if they have none
python scripts/plot_curves.py 'runs/glas-*' --metric testA/dice --cost pixels
python scripts/plot_curves.py --mongo --where heuristic=bald,random dataset=glas --out figures/glas
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seg_al.results.figures import draw
from seg_al.results.script_arguments import add_arguments, metric_from, require_writable, study_from_arguments


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("figures/curves"), help="files without their ending (%(default)s)"
    )
    arguments = parser.parse_args()
    try:
        study = study_from_arguments(arguments)
        metric = metric_from(arguments, study)
        require_writable(arguments.out.parent)
        drawing = draw(study, metric, arguments.cost, arguments.out)
    except (ValueError, OSError) as error:
        print(f"plot_curves: {error}", file=sys.stderr)
        return 1
    print(drawing.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
