"""Reads more columns of a folder's images from a CSV file: patients, plates, grades."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seg_al.datasets.file_patterns import MatchedFile
from seg_al.datasets.folder_checks import first_few
from seg_al.datasets.image_names import Names
from seg_al.datasets.splits import csv_cells


def with_table(images: Mapping[str, MatchedFile], path: Path) -> dict[str, MatchedFile]:
    """The images with their values in the file; its first line names the columns, the first of which is the image.

    Rows of other images are ignored, and images may have no row. ValueError with all that is wrong.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}; set dataset.table to a CSV file below dataset.root, or to null")
    header, *rows = csv_cells(path) or [[]]
    columns = [cell.strip() for cell in header]
    problems = _header_problems(columns, {key for image in images.values() for key in image.fields})
    found, names = dict(images), Names(images)
    places: dict[str, int] = {}
    for number, cells in enumerate(rows, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            problems.append(f"line {number}: {len(cells)} cells, the header has {len(columns)}")
            continue
        fitting = names.of(cells[0].strip())
        for name in fitting[:1] if len(fitting) == 1 else ():
            if name in places:
                problems.append(f"line {number}: a second row for {name}, after line {places[name]}")
            places.setdefault(name, number)
            row = {key: cell.strip() for key, cell in zip(columns[1:], cells[1:], strict=True)}
            found[name] = replace(images[name], fields={**row, **images[name].fields})
        if len(fitting) > 1:
            problems.append(f"line {number}: {cells[0]} fits several images ({first_few(fitting, 2)})")
    if not places and not problems:
        problems.append("no row is of an image; the first column must name them")
    if problems:
        raise ValueError(f"the table {path} cannot be used ({len(problems)}): {first_few(problems)}")
    return found


def _header_problems(columns: Sequence[str], fields: Collection[str]) -> list[str]:
    problems = [f"line 1: the column {one!r} is there twice" for one in sorted({*columns}) if columns.count(one) > 1]
    problems += [f"line 1: the column {one!r} is a field of dataset.images too" for one in columns[1:] if one in fields]
    if len(columns) < 2:
        problems.append(f"line 1: {','.join(columns)!r} is not a header such as image,patient")
    return problems
