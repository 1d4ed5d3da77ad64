"""Ways to spoil a file below a directory; each makes a function for `Bad(damage=...)`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from bad_inputs.line import Damage


def _one(place: Path, pattern: str) -> Path:
    """The first file or folder that matches."""
    found = sorted(place.glob(pattern))
    assert found, f"nothing in {place} is called {pattern}"
    return found[0]


def cut(pattern: str, keep: float = 0.5) -> Damage:
    """Leaves the first part of a file, as an interrupted copy does."""

    def damage(place: Path) -> None:
        path = _one(place, pattern)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])

    return damage


def write(name: str, content: str | bytes) -> Damage:
    """Puts this content into a file, which may be new; a pattern with * names the first file that matches."""

    def damage(place: Path) -> None:
        path = _one(place, name) if "*" in name else place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def remove(pattern: str) -> Damage:
    def damage(place: Path) -> None:
        path = _one(place, pattern)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return damage


def rename(pattern: str, name: str) -> Damage:
    """The new name is beside the old one."""

    def damage(place: Path) -> None:
        path = _one(place, pattern)
        path.rename(path.parent / name)

    return damage


def change(pattern: str, edit: Callable[[bytes], bytes]) -> Damage:
    """Puts what `edit` makes of a file's bytes in their place."""

    def damage(place: Path) -> None:
        path = _one(place, pattern)
        path.write_bytes(edit(path.read_bytes()))

    return damage


def replace(pattern: str, old: str, new: str) -> Damage:
    """Puts one text for another in a file, which must hold it."""

    def edit(content: bytes) -> bytes:
        assert old.encode() in content, f"{pattern} does not hold {old}"
        return content.replace(old.encode(), new.encode(), 1)

    return change(pattern, edit)


def folder(pattern: str) -> Damage:
    """Puts a folder where a file was."""

    def damage(place: Path) -> None:
        path = _one(place, pattern)
        path.unlink()
        path.mkdir()

    return damage


def both(*damages: Damage) -> Damage:
    def damage(place: Path) -> None:
        for one in damages:
            one(place)

    return damage


GONE = object()
"""In place of a value in `in_json`: the key is taken out."""


def in_json(name: str, *changes: tuple[tuple[str | int, ...], object]) -> Damage:
    """Puts a value at each of these places of a JSON file; a place is the keys and numbers that lead there."""

    def damage(place: Path) -> None:
        path = _one(place, name)
        content = json.loads(path.read_text())
        for keys, value in changes:
            inside = content
            for key in keys[:-1]:
                inside = inside[key]
            if value is GONE:
                del inside[keys[-1]]
            else:
                inside[keys[-1]] = value
        path.write_text(json.dumps(content))

    return damage


def encoded(values: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    """A picture file; the options are those of Pillow."""
    stream = BytesIO()
    Image.fromarray(values).save(stream, format=form, **options)
    return stream.getvalue()
