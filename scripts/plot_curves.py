"""Draws the learning curves of finished runs and prints their table.

python scripts/plot_curves.py                                  all runs below runs/
python scripts/plot_curves.py 'runs/glas-*' --metric testA/dice --cost pixels
python scripts/plot_curves.py --mongo --where heuristic=bald,random dataset=glas --out figures/glas
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
from pathlib import Path

from seg_al.core import COST_UNITS
from seg_al.figures import draw
from seg_al.results import read_folders, read_mongo
from seg_al.tracking import LOCAL_URL, URL_VARIABLE


def main() -> int:
    arguments = _arguments()
    try:
        where = _filters(arguments.where)
        if arguments.mongo:
            url = arguments.url or os.environ.get(URL_VARIABLE) or LOCAL_URL
            table = read_mongo(url, arguments.database, where)
        else:
            table = read_folders(_paths(arguments.paths), where)
        drawing = draw(table, arguments.metric, arguments.cost, arguments.out)
    except (ValueError, OSError) as error:
        print(f"plot_curves: {error}", file=sys.stderr)
        return 1
    print(drawing.text)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "paths", nargs="*", default=["runs"], help="run folders, globs, or a folder that holds runs (runs)"
    )
    parser.add_argument("--mongo", action="store_true", help="read MongoDB, as Sacred wrote it, not folders")
    parser.add_argument("--url", help=f"of the MongoDB (the environment's {URL_VARIABLE}, else {LOCAL_URL})")
    parser.add_argument("--database", default="sacred", help="its database (%(default)s)")
    parser.add_argument("--metric", default="test/dice", help="what to draw (%(default)s)")
    parser.add_argument("--cost", choices=COST_UNITS, default="images", help="the x axis (%(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("figures/curves"), help="files without their ending (%(default)s)"
    )
    parser.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="NAME=A,B", help="keep only such runs"
    )
    return parser.parse_args()


def _paths(patterns: list[str]) -> list[Path]:
    paths = []
    for pattern in patterns:
        found = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        if not found:
            raise ValueError(f"nothing is called {pattern}: give run folders, or the folder that holds them")
        # a glob may catch files beside the run folders
        paths += [Path(name) for name in found if Path(name).is_dir() or not glob.has_magic(pattern)]
    return paths


def _filters(words: list[str]) -> dict[str, list[str]]:
    filters: dict[str, list[str]] = {}
    for word in words:
        name, sign, values = word.partition("=")
        if not (name and sign and values):
            raise ValueError(f"--where {word}: write NAME=VALUE or NAME=A,B, such as heuristic=bald,random")
        filters.setdefault(name, []).extend(values.split(","))
    return filters


if __name__ == "__main__":
    sys.exit(main())
