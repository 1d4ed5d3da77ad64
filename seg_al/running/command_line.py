"""The command line that began a run or a sweep, before Hydra reads it, and the one that repeats a job."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence


def study_of(argv: Sequence[str]) -> tuple[str | None, str | None]:
    """The folder and the name of the config that Hydra's options name on a command line."""
    parser = ArgumentParser(add_help=False)
    for option in (("-cd", "--config-dir"), ("-cn", "--config-name")):
        parser.add_argument(*option)
    study, _ = parser.parse_known_args(argv[1:])
    return study.config_dir, study.config_name


def repeated(argv: Sequence[str], last: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """The command that runs one job, with these words and the `last` ones, of the sweep that `argv` has begun."""
    pairs = zip(("-cd", "-cn"), study_of(argv), strict=True)
    return ("python", argv[0], *(word for option, value in pairs if value for word in (option, value)), *words, *last)
