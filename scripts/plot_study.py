"""Draws every figure of a study, as PNG and PDF at the width of a column or page, and its tables as CSV and LaTeX.

python scripts/plot_study.py runs/glas_cpu --out figures/glas_cpu
python scripts/plot_study.py --mongo --where dataset=glas --metric testA/dice --cost pixels
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from seg_al.results.script_arguments import add_arguments, metric_from, require_writable, study_from_arguments
from seg_al.results.study_figures import study_figures
from seg_al.results.table_files import write_tables

ENDINGS = (".png", ".pdf", ".csv", ".tex")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("figures/study"), help="the folder (%(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    try:
        study = study_from_arguments(arguments)
        metric = metric_from(arguments, study)
        require_writable(arguments.out)
        paths = write_tables(study, metric, arguments.cost, arguments.out)
        for figure in study_figures(study, metric, arguments.cost):
            paths += figure.save(arguments.out)
    except (ValueError, OSError) as error:
        print(f"plot_study: {error}", file=sys.stderr)
        return 1
    print(f"{metric} over {arguments.cost}", *paths, sep="\n")
    if older := sorted(set(path for path in arguments.out.iterdir() if path.suffix in ENDINGS) - set(paths)):
        print("\nnot of this study, from before:", *older, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
