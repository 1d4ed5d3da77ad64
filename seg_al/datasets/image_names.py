"""Finds the image that a line of a text file names: by name or path, with or without folders and ending."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath

from seg_al.datasets.file_patterns import MatchedFile
from seg_al.datasets.files.header import SUFFIXES


class Names:
    """The images of a dataset, found by the names that lists and tables use."""

    def __init__(self, images: Mapping[str, MatchedFile]) -> None:
        self._images = images
        self._index: dict[str, list[str]] = {}
        for name, image in images.items():
            for key in {name, image.short, PurePosixPath(image.file).stem}:
                self._index.setdefault(key, []).append(name)

    def of(self, text: str) -> list[str]:
        """The images of exactly this name; of several, those with the most folders in common with the text.

        Only the ending of a picture is taken off, so that "scan.2" is never read as "scan".
        """
        path = PureWindowsPath(text)  # takes both kinds of slashes
        names = self._index.get(path.name)
        if names is None and path.suffix.lower() in SUFFIXES:
            names = self._index.get(path.stem)
        if names is None or len(names) < 2:
            return names or []
        agreed = {name: _common(path.parts, PurePosixPath(self._images[name].file).parts) for name in names}
        return [name for name in names if agreed[name] == max(agreed.values())]

    def of_line(self, line: str) -> list[str]:
        """The images that the first column of a line means.

        The longest beginning that is an image counts, so that names may hold blanks and commas: columns end at a comma,
        a tab, or a blank behind the ending of a picture.
        """
        for text in _beginnings(line):
            if names := self.of(text):
                return names
        return []


def _beginnings(line: str) -> Iterator[str]:
    """Possible first columns, longest first."""
    whole = line.strip()
    yield whole
    for place in range(len(whole) - 1, 0, -1):
        text = whole[:place].strip()
        if whole[place] in ",\t" or (whole[place] == " " and PureWindowsPath(text).suffix.lower() in SUFFIXES):
            yield text


def _common(here: Iterable[str], there: Iterable[str]) -> int:
    """How many folders are equal, counted from the file up."""
    pairs = list(zip(reversed(tuple(here)[:-1]), reversed(tuple(there)[:-1]), strict=False))
    return next((place for place, (one, other) in enumerate(pairs) if one != other), len(pairs))
