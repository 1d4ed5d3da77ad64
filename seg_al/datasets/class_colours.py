"""The colours in which the classes of a dataset are drawn: those of its config, or else those of its masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seg_al.core import IGNORE, Colour
from seg_al.datasets.class_ids import ClassIds
from seg_al.datasets.files.header import BROKEN, opened

GivenColours = Mapping[str, Sequence[int]]
"""Red, green and blue by class."""


def palette_problems(palette: GivenColours | None, classes: Sequence[str]) -> list[str]:
    """What is wrong with `dataset.palette` for these classes."""
    if palette is None:
        return []
    if not isinstance(palette, Mapping):
        return [f"dataset.palette={palette} is no table; write {{{classes[0]}: [red, green, blue], ...}}"]
    wrong = [
        f"dataset.palette.{name}={colour} is not [red, green, blue] of values from 0 to 255"
        for name, colour in palette.items()
        if not _is_colour(colour)
    ]
    missing, strange = [name for name in classes if name not in palette], [one for one in palette if one not in classes]
    if missing:
        wrong.append(f"dataset.palette has no colour of {', '.join(missing)}; give every class one")
    if strange:
        wrong.append(f"dataset.palette has {', '.join(map(str, strange))}; the classes are {', '.join(classes)}")
    return wrong


def colours_of(palette: GivenColours | None, table: ClassIds, masks: Sequence[Path]) -> tuple[Colour, ...] | None:
    """A colour for each class: of `palette`, of masks in colours, or of the first mask's palette; None: there is none.

    Of a class with several values it is the colour of the first.
    """
    if palette is not None:
        return tuple(_colour(palette[name]) for name in table.names)
    first: dict[int, int] = {}
    for value, place in table.of_value.items():
        first.setdefault(place, value)
    values = [first[place] for place in range(len(table.names)) if place != IGNORE]
    if table.coding == "colours":
        return tuple((value >> 16, value >> 8 & 255, value & 255) for value in values)
    return _of_file(masks[0], values) if masks else None


def _of_file(mask: Path, values: Sequence[int]) -> tuple[Colour, ...] | None:
    """The colours of the indices `values`; None where the file has no palette, or no different colours for them."""
    try:
        with opened(mask) as file:
            palette = file.picture.getpalette() if file.picture is not None and file.picture.mode == "P" else None
    except BROKEN:  # the checks of the masks report it
        return None
    if palette is None or 3 * max(values) + 3 > len(palette):
        return None
    colours = tuple(_colour(palette[3 * value : 3 * value + 3]) for value in values)
    return colours if len(set(colours)) == len(colours) else None


def _colour(given: Sequence[int]) -> Colour:
    red, green, blue = given
    return red, green, blue


def _is_colour(given: object) -> bool:
    return (
        isinstance(given, Sequence)
        and len(given) == 3
        and all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= 255 for one in given)
    )
