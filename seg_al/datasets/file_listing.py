"""Lists the picture files below a folder, each once; links are followed unless they lead back to a folder above."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seg_al.datasets.files.header import SUFFIXES

log = logging.getLogger(__name__)

WILD = re.compile(r"\{\w+\}|\*")


@dataclass
class Listing:
    """The files below `root`, and the names and links that were found unusable."""

    root: Path
    strange: set[str] = field(default_factory=set)
    """Paths that are not UTF-8, as text for a message."""
    circles: set[str] = field(default_factory=set)
    """Links to a folder that they lie in; they are not followed."""
    has_links: bool = False
    """Whether there is a link."""

    def files(self, pattern: str) -> list[str]:
        """Every picture file, sorted, with forward slashes; names that begin with a dot are left out."""
        found = set(self._below("", pattern.split("/"), (os.path.realpath(self.root),)))
        return sorted(file for file in found if os.path.splitext(file)[1].lower() in SUFFIXES)

    def same(self, files: Sequence[str]) -> list[tuple[str, str]]:
        """Pairs of paths that are one file by links, the first in order first."""
        if not self.has_links:
            return []
        first: dict[str, str] = {}
        every = [(file, first.setdefault(os.path.realpath(self.root / file), file)) for file in files]
        return [(before, file) for file, before in every if before != file]

    def refuse_strange(self) -> None:
        """ValueError where a name is not in UTF-8."""
        if self.strange:
            raise ValueError(
                f"{len(self.strange)} names below {self.root} are not in UTF-8, and would break records and pictures: "
                f"{'; '.join(sorted(self.strange)[:5])}; rename them, for instance with: "
                f"convmv -f latin1 -t utf8 -r --notest {self.root}"
            )

    def _below(self, folder: str, parts: Sequence[str], inside: tuple[str, ...]) -> Iterator[str]:
        """The files below a folder; `inside`: the real paths of it and of the folders around it."""
        part, *rest = parts
        if part == "**" and rest:
            yield from self._below(folder, rest, inside)
        elif not WILD.search(part) and rest:
            yield from self._entered(f"{folder}{part}/", rest, inside)
            return
        literal = [re.escape(text) for text in WILD.split(part)]
        fits = re.compile(".*".join(literal), re.IGNORECASE | re.DOTALL)
        try:
            entries = sorted(os.scandir(self.root / folder), key=lambda entry: entry.name)
        except OSError as error:
            log.warning("the folder %s cannot be listed (%s)", self.root / folder, error.strerror)
            return
        for entry in entries:
            name = entry.name
            if name.startswith(".") or not fits.fullmatch(name):
                continue
            if not name.isascii() and not _is_text(name):
                self.strange.add(os.fsencode(folder + name).decode("utf-8", "backslashreplace"))
                continue
            self.has_links |= entry.is_symlink()
            if not rest:
                yield folder + name
            elif entry.is_dir():
                yield from self._entered(f"{folder}{name}/", parts if part == "**" else rest, inside)

    def _entered(self, folder: str, parts: Sequence[str], inside: tuple[str, ...]) -> Iterator[str]:
        path = os.path.join(self.root, folder[:-1])
        if not os.path.isdir(path):
            return
        real = os.path.realpath(path)
        self.has_links |= os.path.islink(path)
        if real in inside and os.path.islink(path):
            self.circles.add(folder[:-1])
            return
        yield from self._below(folder, parts, (*inside, real))


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
