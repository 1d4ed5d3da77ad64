"""Writes one self-contained page about a study: findings, pitfalls, figures, tables, commands.

python scripts/report.py runs/glas_cpu                         runs/glas_cpu/report.html
python scripts/report.py --mongo --where dataset=glas --metric testA/dice --out glas.html
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from seg_al.results.report import write_report
from seg_al.results.script_arguments import add_arguments, metric_from, require_writable, study_from_arguments


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--out", type=Path, help="the page (report.html in the one folder given, else here)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    folder = Path(arguments.paths[0]) if len(arguments.paths) == 1 and not arguments.mongo else Path()
    path = arguments.out or (folder if folder.is_dir() else Path()) / "report.html"
    try:
        study = study_from_arguments(arguments)
        metric = metric_from(arguments, study)
        if path.is_dir():
            raise ValueError(f"--out: {path} is a folder; name a file, such as {path / 'report.html'}")
        require_writable(path.parent)
        findings = write_report(study, metric, arguments.cost, path)
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    print("\n".join([f"{metric} over {arguments.cost}", "", *findings, "", str(path)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
