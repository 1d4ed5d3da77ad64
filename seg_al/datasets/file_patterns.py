"""Finds images by a pattern with fields, such as "{split}/{name}.png", and their masks by the same fields."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from seg_al.datasets.file_listing import Listing

TOKEN = re.compile(r"\{(\w+)\}|(\*\*/)|(\*)")


@dataclass(frozen=True)
class MatchedFile:
    """An image's file and what the fields of its pattern say."""

    file: str
    """Below the root, with forward slashes."""
    fields: Mapping[str, str]
    page: int | None = None
    """The page of the file, from 0, where each page is an image; None: the file is the image."""

    @property
    def short(self) -> str:
        """The name of the image, where no other image has the same."""
        return self.fields.get("name", PurePosixPath(self.file).stem) + self.slice

    @property
    def slice(self) -> str:
        """The end of the name of a page; pages are counted from 1, as programs for stacks do."""
        return "" if self.page is None else f"@{self.page + 1:04d}"


@dataclass(frozen=True)
class Pattern:
    """A path below a root in which {field} and * stand for any text within one part, **/ for any folders."""

    text: str

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(match[1] for match in TOKEN.finditer(self.text) if match[1]))

    def regex(self, known: Collection[str] = ()) -> str:
        """The regular expression of a whole path; the fields are groups, each as short as possible.

        `known` fields must equal what earlier groups matched. A ".*" at the end is one ending, without a dot, so
        that the name in "{name}.*" may hold dots. Paths are compared as `small_ending` makes them.
        """
        seen = set(known)
        parts: list[str] = []
        text = small_ending(self.text)
        for literal, token in _pieces(text):
            parts.append(re.escape(literal))
            if token is None:
                continue
            field, folders, _ = token.groups()
            if field:
                parts.append(f"(?P={field})" if field in seen else f"(?P<{field}>[^/]+?)")
                seen.add(field)
            elif folders:
                parts.append("(?:[^/]+/)*")
            else:
                parts.append("[^/.]*" if literal.endswith(".") and token.end() == len(text) else "[^/]*")
        return "".join(parts)

    def filled(self, fields: Mapping[str, str]) -> str:
        """The pattern with the fields filled in, for messages."""
        return _filled(self.text, fields)

    def find(self, listing: Listing) -> list[MatchedFile]:
        """The files that fit, sorted."""
        whole = re.compile(self.regex())
        found = ((file, whole.fullmatch(small_ending(file))) for file in listing.files(self.text))
        return [MatchedFile(file, match.groupdict()) for file, match in found if match]


def small_ending(path: str) -> str:
    """The path with its ending in small letters, so that "{name}.png" finds a.PNG."""
    head, dot, ending = path.rpartition(".")
    return f"{head}{dot}{ending.lower()}" if dot and ending.isalnum() else path


def _pieces(text: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """The texts between fields and stars, each with the field or star after it."""
    start = 0
    for match in TOKEN.finditer(text):
        yield text[start : match.start()], match
        start = match.end()
    yield text[start:], None


@dataclass(frozen=True)
class Partners:
    """The files that belong to images: those that fit a pattern with the fields of an image filled in."""

    pattern: Pattern
    files: tuple[str, ...]
    """Every file that fits the pattern with any fields, sorted."""
    of_image: Mapping[str, tuple[str, ...]]
    """By the image's file."""

    def lone(self) -> dict[str, Mapping[str, str]]:
        """The files that belong to no image, with the values of their fields."""
        whole = re.compile(self.pattern.regex())
        owned = {file for files in self.of_image.values() for file in files}
        matches = {file: whole.fullmatch(small_ending(file)) for file in self.files if file not in owned}
        return {file: match.groupdict() for file, match in matches.items() if match}


def partners(pattern: Pattern, listing: Listing, images: Sequence[MatchedFile]) -> Partners:
    files = tuple(listing.files(pattern.text))
    sought = _Sought(pattern, files)
    return Partners(pattern, files, {image.file: sought.of(image) for image in images})


class _Sought:
    """Finds the files of an image among many, without comparing it with each."""

    def __init__(self, pattern: Pattern, files: Sequence[str]) -> None:
        self._text = small_ending(pattern.text)
        self._fields = pattern.fields
        given = "".join(f"(?P<{field}>[^\0]*)\0" for field in self._fields)
        self._whole = re.compile(given + pattern.regex(self._fields))
        keys = [small_ending(file) for file in files]
        of_base = sorted((key.rpartition("/")[2], place) for place, key in enumerate(keys))
        of_end = sorted((key[::-1], place) for place, key in enumerate(keys))
        of_path = sorted((key, place) for place, key in enumerate(keys))
        self._files, self._keys = files, keys
        self._orders = [of_path, of_base, of_end]
        cut = [match.start() for match in TOKEN.finditer(self._text) if not match[1]]
        base = self._text.rfind("/") + 1
        first = min((place for place in cut if place >= base), default=len(self._text))
        last = max((match.end() for match in TOKEN.finditer(self._text) if not match[1]), default=0)
        self._begins = [self._text[: min(cut, default=len(self._text))], self._text[base:first], self._text[last:]]

    def of(self, image: MatchedFile) -> tuple[str, ...]:
        """The files of an image, in order; an image is never its own mask."""
        path, base, end = (_filled(text, image.fields) for text in self._begins)
        ranges = [_range(order, text) for order, text in zip(self._orders, (path, base, end[::-1]), strict=True)]
        order, span = min(zip(self._orders, ranges, strict=True), key=lambda pair: len(pair[1]))
        given = "".join(f"{image.fields[field]}\0" for field in self._fields)
        places = (order[at][1] for at in span)
        fitting = sorted(place for place in places if self._whole.fullmatch(given + self._keys[place]))
        return tuple(self._files[place] for place in fitting if self._files[place] != image.file)


def _filled(text: str, fields: Mapping[str, str]) -> str:
    return TOKEN.sub(lambda token: fields.get(token[1] or "", token[0]), text)


def _range(order: Sequence[tuple[str, int]], start: str) -> range:
    """The range of the sorted texts that begin with `start`."""
    first = bisect_left(order, (start, -1))
    return range(first, bisect_left(order, (start + chr(0x10FFFF), -1), first))


def named(images: Sequence[MatchedFile]) -> tuple[dict[str, MatchedFile], list[str]]:
    """The images by their names, sorted, and the names that several files share.

    A name is the {name} of the path, or else the file's base name; where several images share it, the parts of their
    paths are joined by "__", so that a name can always be that of a file.
    """
    short = Counter(image.short for image in images)
    found: dict[str, MatchedFile] = {}
    twice: list[str] = []
    for image in images:
        name = image.short
        if short[name] > 1:
            name = "__".join(PurePosixPath(image.file).with_suffix("").parts) + image.slice
        if name in found:
            twice.append(f"{name} ({found[name].file} and {image.file})")
        found.setdefault(name, image)
    return dict(sorted(found.items())), twice
