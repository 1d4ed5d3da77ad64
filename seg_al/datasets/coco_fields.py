"""What a field of a COCO record may hold: ids, sides, crowd flags, boxes, and paths that stay below their folder."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path, PureWindowsPath
from typing import Any

FLAGS = {"0": False, "false": False, "1": True, "true": True}
"""How annotations mark a crowd, as text in small letters."""
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")
LONG = 80
"""Characters of a text that a message shows."""


def id_text(value: Any) -> str | None:
    """An id as text, so that 7, 7.0 and "7" are the same; None where it is missing or no id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return str(value)


def by_number(key: str) -> tuple[bool, int, str]:
    """Sorts ids: numbers by value, before any other text."""
    return (False, int(key), "") if key.isdecimal() and len(key) < 20 else (True, 0, key)


def flag(value: Any) -> bool | None:
    """Whether an annotation is a crowd: 0, 1, true or false, as number, truth value or text; None: another value.

    Without a value it is no crowd.
    """
    if value is None:
        return False
    if isinstance(value, bool | int | float):
        return bool(value) if value in (0, 1) else None
    return FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def side(value: Any) -> int | None:
    """A width or height in pixels, also given as text; None where it is no whole number of at least 1."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value >= 1 and value == int(value) else None


def numbers_of_box(box: Any) -> list[float] | None:
    """x, y, width and height; None where it is no list of four finite numbers."""
    if not isinstance(box, list) or len(box) != 4:
        return None
    fine = all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e9 for one in box)
    return [float(one) for one in box] if fine else None  # NaN is not below 1e9 either


def leaves(file: str) -> str | None:
    """Why a file_name is no path below a folder; None where it is one, as far as its text goes.

    Symbolic links are followed: whoever can put a link into the folder can put a file there too.
    """
    if URL.match(file):
        return "it is an address in the web; download the image, and write its path below dataset.images"
    windows = PureWindowsPath(file)
    if windows.drive or windows.root:
        return "it is an absolute path; write the path below dataset.images"
    try:
        file.encode()
    except UnicodeEncodeError:
        return "it is no text; write the image's name in UTF-8"
    return "it holds a zero byte" if "\0" in file else None


def below(folder: Path, file: str, root: Path) -> Path | None:
    """The path of `file` from `folder`, without ".."; None where it leaves both the folder and the root."""
    path = Path(os.path.normpath(folder / file))
    whole = Path(os.path.abspath(path))
    return path if any(whole.is_relative_to(os.path.abspath(one)) for one in (folder, root)) else None


def is_file(path: Path) -> bool:
    """False also where the name is too long for a file."""
    try:
        return path.is_file()
    except OSError:
        return False


def excerpt(text: str) -> str:
    """The beginning of a text for a message, in one line."""
    return repr(text[:LONG])[1:-1] + ("..." if len(text) > LONG else "")
