"""Finds images by a pattern with fields, such as "{split}/{name}.png", and what belongs to them by filling others."""

from __future__ import annotations

import glob
import os
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path, PurePosixPath

from seg_al.datasets.files.header import SUFFIXES

TOKEN = re.compile(r"\{(\w+)\}|(\*\*/)|(\*)")


@dataclass(frozen=True)
class Found:
    """An image's file and what the fields of its pattern say."""

    file: str
    """Below the root, with forward slashes."""
    fields: Mapping[str, str]
    page: int | None = None
    """Of the file, from 0, where each page is an image; None: the file is the image."""

    @property
    def short(self) -> str:
        """Its name, where no other image has the same."""
        return self.fields.get("name", PurePosixPath(self.file).stem) + self.slice

    @property
    def slice(self) -> str:
        """What its name ends with where it is a page: pages are shown from 1 on, as programs for stacks do."""
        return "" if self.page is None else f"@{self.page + 1:04d}"


@dataclass(frozen=True)
class Pattern:
    """A path below a root in which {field} and * stand for any text within one part, **/ for any folders."""

    text: str

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(match[1] for match in TOKEN.finditer(self.text) if match[1]))

    def _pieces(self) -> Iterator[tuple[str, re.Match[str] | None]]:
        """Literal texts, each with the token that follows it."""
        start = 0
        for match in TOKEN.finditer(self.text):
            yield self.text[start : match.start()], match
            start = match.end()
        yield self.text[start:], None

    def regex(self, fields: Mapping[str, str]) -> str:
        """What a path must look like in full; `fields` are fixed, the others are groups, each as short as it can be."""
        seen: set[str] = set()
        parts: list[str] = []
        for literal, token in self._pieces():
            parts.append(re.escape(literal))
            if token is None:
                continue
            field, folders, _ = token.groups()
            if field in fields:
                parts.append(re.escape(fields[field]))
            elif field:
                parts.append(f"(?P={field})" if field in seen else f"(?P<{field}>[^/]+?)")
                seen.add(field)
            else:
                parts.append("(?:[^/]+/)*" if folders else "[^/]*")
        return "".join(parts)

    def filled(self, fields: Mapping[str, str]) -> str:
        """The pattern with the fields filled in, for a reader."""
        return TOKEN.sub(lambda token: fields.get(token[1] or "", token[0]), self.text)

    def prefix(self, fields: Mapping[str, str]) -> str:
        """The path up to the first *, with the fields filled in."""
        parts: list[str] = []
        for literal, token in self._pieces():
            parts.append(literal)
            if token is not None and not token[1]:
                break
            parts.append(fields[token[1]] if token is not None else "")
        return "".join(parts)

    def files(self, root: Path) -> list[str]:
        """Every picture that could fit, sorted; files whose names begin with a dot are left out."""
        wild = "".join(
            glob.escape(literal) + ("" if token is None else "**/" if token[2] else "*")
            for literal, token in self._pieces()
        )
        listed = sorted(glob.glob(wild, root_dir=root, recursive=True))
        return [file.replace(os.sep, "/") for file in listed if PurePosixPath(file).suffix.lower() in SUFFIXES]

    def find(self, root: Path) -> list[Found]:
        whole = re.compile(self.regex({}))
        return [Found(file, match.groupdict()) for file in self.files(root) if (match := whole.fullmatch(file))]


@dataclass(frozen=True)
class Partners:
    """The files that belong to images: those that a pattern gives once an image's fields are filled in."""

    pattern: Pattern
    files: tuple[str, ...]
    """Every file that could be one, sorted."""
    of_image: Mapping[str, tuple[str, ...]]
    """By the image's file."""

    def lone(self) -> dict[str, Mapping[str, str]]:
        """The files that belong to no image, with what their fields may say."""
        whole = re.compile(self.pattern.regex({}))
        owned = {file for files in self.of_image.values() for file in files}
        matches = {file: whole.fullmatch(file) for file in self.files if file not in owned}
        return {file: match.groupdict() for file, match in matches.items() if match}


def partners(pattern: Pattern, root: Path, images: Sequence[Found]) -> Partners:
    files = tuple(sorted(pattern.files(root)))
    return Partners(pattern, files, {image.file: _belonging(pattern, files, image) for image in images})


def _belonging(pattern: Pattern, files: Sequence[str], image: Found) -> tuple[str, ...]:
    start = pattern.prefix(image.fields)
    position = bisect_left(files, start)
    if "*" not in pattern.text:
        return tuple(file for file in files[position : position + 1] if file == start != image.file)
    whole = re.compile(pattern.regex(image.fields))
    begun = takewhile(lambda file: file.startswith(start), islice(files, position, None))
    return tuple(file for file in begun if file != image.file and whole.fullmatch(file))


def named(images: Sequence[Found]) -> tuple[dict[str, Found], list[str]]:
    """The images by their names, sorted, and the names that are still those of several files.

    A name is the {name} of the path, or else the file's base name; where several images share it, the parts of their
    paths are joined by "__", so that a name can always be that of a file.
    """
    short = Counter(image.short for image in images)
    found: dict[str, Found] = {}
    twice: list[str] = []
    for image in images:
        parts = PurePosixPath(image.file).with_suffix("").parts
        name = image.short if short[image.short] == 1 else "__".join(parts) + image.slice
        if name in found:
            twice.append(f"{name} ({found[name].file} and {image.file})")
        found.setdefault(name, image)
    return dict(sorted(found.items())), twice
