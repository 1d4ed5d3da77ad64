"""Checksums that reveal damaged files: written before a file gets its name, compared when it is read.

A process that is killed between the two leaves a checksum without a file, which is ignored: the file is made
again, with its checksum. Older folders have no checksums, and their files are read unchecked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

SUMS = "checksums.json"
"""The file beside those of a round: {"weights.pt": "0f3a...", ...}."""
CHUNK = 2**20  # bytes
DIFFERENT = "its checksum is not the one that was written with it"


def checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def checksum_of(path: Path) -> str:
    """The checksum of a file of any size, read in chunks."""
    found = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def checksums_in(folder: Path | str) -> Mapping[str, str]:
    """The checksums by file name; empty where the folder has none. Raises ValueError where they cannot be read."""
    path = f"{folder}/{SUMS}"
    try:
        with open(path, "rb") as file:
            sums = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {_REMEDY}") from error
    if not isinstance(sums, dict) or not all(isinstance(one, str) for one in sums.values()):
        raise ValueError(f"{path} holds no names with their checksums; {_REMEDY}")
    return sums


_REMEDY = "remove it, and the files beside it are read unchecked"


def is_whole(path: Path) -> bool:
    """Whether the file fits its checksum, if it has one. Raises ValueError for unreadable checksums."""
    known = checksums_in(path.parent).get(path.name)
    return known is None or known == checksum_of(path)
