"""A line of command that must be refused, and how it is run: in this process, as the program itself runs it."""

from __future__ import annotations

import logging
import os
import re
import runpy
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import torch

import run

ROOT = Path(run.__file__).parent
Damage = Callable[[Path], None]
"""Spoils something below the directory that it is given."""


@dataclass(frozen=True)
class Good:
    """A current directory in which `python run.py WORDS` runs."""

    name: str
    make: Damage
    """Fills an empty directory."""
    words: tuple[str, ...]


def ended(line: str, on: Good) -> tuple[int, str]:
    """The exit of the line in the current directory, and all that it printed; a traceback where it raised."""
    typed, printed = shlex.split(line), StringIO()
    script = typed[0] if typed[:1] and typed[0].startswith("scripts/") else ""
    with _left_as_it_was(), redirect_stdout(printed), redirect_stderr(printed), warnings.catch_warnings():
        warnings.simplefilter("default")
        sys.argv = [str(ROOT / script), *typed[1:]] if script else [str(ROOT / "run.py"), *on.words, *typed]
        try:
            if script:
                runpy.run_path(sys.argv[0], run_name="__main__")
            else:
                run.program()
            code: object = 0
        except SystemExit as end:
            code = end.code
        except Exception:
            printed.write(traceback.format_exc())
            code = 1
    number, told = (code or 0, "") if isinstance(code, int | None) else (1, str(code))
    return number, f"{printed.getvalue()}{told}"


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    """What a program may change of its process, because it ends with it."""
    argv, path, threads = sys.argv, [*sys.path], torch.get_num_threads()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    root, level = [*logging.root.handlers], logging.root.level
    with patch.dict(os.environ):
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            logging.root.handlers[:] = root
            logging.root.setLevel(level)
            torch.set_num_threads(threads)
            sys.argv, sys.path[:] = argv, path


def message(text: str) -> str:
    """What was told, without what differs from one input to the next: numbers, names of files, values and times."""
    told = text[text.rindex("error: ") :] if "error: " in text else text[text.strip().rfind("\n") + 1 :]
    told = re.sub(r"\S*[/=]\S*|'[^']*'|\"[^\"]*\"|\S*\d\S*|\S+\.(?:json|csv|png|txt|yaml)\S*", "#", told)
    return " ".join(told.split())
