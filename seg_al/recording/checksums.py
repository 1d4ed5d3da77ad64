"""Checksums that reveal damaged files: written before a file gets its name, compared when it is read.

A process that is killed between the two leaves a checksum without a file, which is ignored: the file is made
again, with its checksum. Beside them stands the run that wrote them, so that a round of another run is refused. Older
folders have neither, and their files are read unchecked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

SUMS = "checksums.json"
"""The file beside those of a round: {"weights.pt": "0f3a...", ...}."""
OWNER = "../../config.json"
"""The key for the run and the round that the folder belongs to."""
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


def owner_of(folder: Path) -> str | None:
    """The identity of the run and the name of its round, whose folder this is; None for other folders."""
    if folder.parent.name != "rounds":
        return None
    try:
        config = json.loads((folder.parents[1] / "config.json").read_bytes())
    except (ValueError, RecursionError, OSError):
        return None  # a run without a config is refused elsewhere
    identity = config.get("identity") if isinstance(config, dict) else None
    return None if identity is None else f"{identity} {folder.name}"


def require_own(folder: Path) -> None:
    """Raises ValueError for the folder of a round that was written by another run, or as another round of this one."""
    written, owner = checksums_in(folder).get(OWNER), owner_of(folder)
    if None not in (written, owner) and written != owner:
        raise ValueError(
            f"{folder} was written by another run, or as another round of this one; put back the folder that was here, "
            "or remove it with all later rounds and run the same command again, which makes them anew"
        )
