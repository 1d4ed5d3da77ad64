"""Where a script's study comes from: the arguments that all scripts about results share."""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from seg_al.core import COST_UNITS
from seg_al.results.reader import folder_study, mongo_study
from seg_al.results.study import Study
from seg_al.running.nearest_names import nearest_names
from seg_al.tracking.backends import LOCAL_URL
from seg_al.tracking.storable import URL_VARIABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Paths or a database, a filter, the metric and the cost."""
    parser.add_argument(
        "paths", nargs="*", default=["runs"], help="run folders, globs, or a folder that holds runs (runs)"
    )
    parser.add_argument("--mongo", action="store_true", help="read MongoDB, as Sacred wrote it, not folders")
    parser.add_argument("--url", help=f"of the MongoDB (the environment's {URL_VARIABLE}, else {LOCAL_URL})")
    parser.add_argument("--database", default="sacred", help="its database (%(default)s)")
    parser.add_argument("--metric", help="what is compared (the first metric of the task, on test)")
    parser.add_argument("--cost", choices=COST_UNITS, default="images", help="what labels cost (%(default)s)")
    parser.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="NAME=A,B", help="keep only such runs"
    )


def study_from_arguments(arguments: argparse.Namespace) -> Study:
    """The study that the arguments name. Raises ValueError saying what is there instead."""
    where = filters(arguments.where)
    if arguments.mongo:
        url = arguments.url or os.environ.get(URL_VARIABLE) or LOCAL_URL
        return mongo_study(url, arguments.database, where)
    return folder_study(existing(arguments.paths), where)


def metric_from(arguments: argparse.Namespace, study: Study) -> str:
    """The metric that the arguments name, else the first headline of a task that the study has.

    Raises ValueError naming the metrics that are there instead.
    """
    there = sorted(set(study.table.loc[~study.table["ceiling"], "metric"]))
    wanted = study.headlines if arguments.metric is None else (arguments.metric,)
    for metric in wanted:
        if metric in there:
            return str(metric)
    remedy = "; choose one by --metric" if arguments.metric is None else ""
    raise ValueError(
        f"no run has the metric {' or '.join(map(repr, wanted))}{remedy}; there are {nearest_names(wanted[0], there)}"
    )


def require_writable(folder: Path) -> None:
    """Makes the folder that --out names, so that an error comes before hours of drawing. Raises ValueError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"--out: {folder} cannot be written ({error.strerror}); choose another place") from error


def existing(patterns: Sequence[str]) -> list[Path]:
    """The folders that paths and globs name; ValueError for one that names nothing."""
    paths: list[Path] = []
    for pattern in patterns:
        found = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        if not found:
            raise ValueError(f"nothing is called {pattern}: give run folders, or the folder that holds them")
        # a glob may also match files
        paths += [Path(name) for name in found if Path(name).is_dir() or not glob.has_magic(pattern)]
    return paths


def filters(words: Sequence[str]) -> dict[str, list[str]]:
    """{"heuristic": ["bald", "random"]} of "heuristic=bald,random"; ValueError for another form."""
    allowed: dict[str, list[str]] = {}
    for word in words:
        name, sign, values = word.partition("=")
        if not (name and sign and values):
            raise ValueError(f"--where {word}: write NAME=VALUE or NAME=A,B, such as heuristic=bald,random")
        allowed.setdefault(name, []).extend(values.split(","))
    return allowed
