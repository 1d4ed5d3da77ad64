"""Draws, writes and reads splits of images, by name, into a pool to ask about and val to choose checkpoints by."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from seg_al.randomness import numpy_rng

ORDERS = 20
"""Number of random orders of the groups, of which a split by groups takes the best."""

Row = tuple[str, str, str]
"""File and line of a row, its image, and its split."""


@dataclass(frozen=True)
class Split:
    """Sorted names of images; no name is in two splits."""

    pool: tuple[str, ...]
    val: tuple[str, ...]
    tests: Mapping[str, tuple[str, ...]]
    """The tests by name, such as "testA"."""
    origin: Mapping[str, str]
    """How the split was drawn: run, stratify, group, val; empty where a file does not say."""

    def rows(self) -> Iterator[tuple[str, str]]:
        """Every image with its split: pool, val, then the tests in the order of their names."""
        for part, names in (("pool", self.pool), ("val", self.val), *sorted(self.tests.items())):
            yield from ((name, part) for name in names)


def draw_split(
    run: int,
    val: int,
    columns: Mapping[str, Mapping[str, str]],
    stratify: Sequence[str],
    group: str | None,
    tests: Mapping[str, tuple[str, ...]],
) -> Split:
    """Draws `val` of the images in `columns`; the others are the pool.

    Each value of the columns in `stratify` has its share in both; images with one value of `group` stay
    together.
    """
    names = next(iter(columns.values()))
    if not 1 <= val < len(names):
        raise ValueError(f"dataset.val={val}, but there are {len(names)} training images: val and pool need at least 1")
    strata = {name: "|".join(columns[key][name] for key in stratify) for name in names}
    groups = None if group is None else columns[group]
    try:
        chosen = drawn(val, strata, groups, numpy_rng(run, "split"))
    except ValueError as error:
        raise ValueError(f"dataset.val={val} with dataset.group={group}: {error}") from error
    pool = tuple(sorted(names.keys() - set(chosen)))
    return Split(pool, chosen, tests, origin_of(run, val, stratify, group))


def origin_of(run: int, val: int, stratify: Sequence[str], group: str | None) -> dict[str, str]:
    """How a split was drawn, as texts for a file."""
    together = {} if group is None else {"group": group}
    return {"run": str(run), "stratify": ", ".join(stratify), **together, "val": str(val)}


def drawn(
    count: int, strata: Mapping[str, str], groups: Mapping[str, str] | None, rng: np.random.Generator
) -> tuple[str, ...]:
    """`count` of the images that `strata` maps to their stratum, sorted, so that every stratum has its share.

    Where `groups` maps the same images to their group (a patient, a plate), about `count`, in whole groups.
    ValueError where that would leave nothing on one of the two sides.
    """
    return stratified_val(strata, count, rng) if groups is None else by_group(groups, strata, count, rng)


def stratified_val(groups: Mapping[str, str], val: int, rng: np.random.Generator) -> tuple[str, ...]:
    """`val` image names in which every group has its share, rounded by largest remainders.

    `groups` maps image to group, such as its grade.
    """
    members = {
        group: sorted(name for name, its in groups.items() if its == group) for group in sorted(set(groups.values()))
    }
    quota = {group: val * len(names) // len(groups) for group, names in members.items()}
    remainder = {group: val * len(names) % len(groups) for group, names in members.items()}
    by_remainder = sorted(members, key=lambda group: (-remainder[group], group))
    for group in by_remainder[: val - sum(quota.values())]:
        quota[group] += 1
    drawn = [names[index] for group, names in members.items() for index in rng.permutation(len(names))[: quota[group]]]
    return tuple(sorted(drawn))


def by_group(
    groups: Mapping[str, str], strata: Mapping[str, str], count: int, rng: np.random.Generator
) -> tuple[str, ...]:
    """About `count` image names that make up whole groups, so that no group is on both sides.

    Takes the best of ORDERS random orders, each filled greedily: the one that misses the fewest strata on either side,
    then is nearest to `count` images, then nearest to the strata's shares. Raises ValueError where no group fits.
    """
    sizes = Counter(groups.values())
    every = sorted(sizes)
    draws: list[tuple[tuple[int, int, float], tuple[str, ...]]] = []
    for _ in range(ORDERS):
        chosen: set[str] = set()
        total = 0
        for group in (every[index] for index in rng.permutation(len(every))):
            nearer = abs(total + sizes[group] - count) < abs(total - count)
            if nearer and total + sizes[group] < len(groups):
                chosen.add(group)
                total += sizes[group]
        names = tuple(sorted(name for name, group in groups.items() if group in chosen))
        if names:
            rank = (_missing(names, strata), abs(total - count), _skew(names, strata))
            draws.append((rank, names))
    if not draws:
        raise ValueError(
            f"no whole groups come near to {count} of {len(groups)} images: they are of {len(sizes)} groups, and the "
            f"smallest has {min(sizes.values())} images; choose another number of images, or dataset.group=null"
        )
    return min(draws, key=lambda draw: draw[0])[1]


def _missing(names: Sequence[str], strata: Mapping[str, str]) -> int:
    """Strata that `names` lack, plus strata that the rest lacks."""
    own = set(names)
    inside = {strata[name] for name in names}
    outside = {stratum for name, stratum in strata.items() if name not in own}
    every = set(strata.values())
    return len(every - inside) + len(every - outside)


def _skew(names: Sequence[str], strata: Mapping[str, str]) -> float:
    """Total difference between the strata's shares among `names` and among all."""
    here, everywhere = Counter(strata[name] for name in names), Counter(strata.values())
    return sum(abs(here[one] / len(names) - everywhere[one] / len(strata)) for one in sorted(everywhere))


def write_split(path: Path, split: Split) -> None:
    """Writes CSV with columns image,split under comment lines with the origin; under another name, then renamed."""
    text = io.StringIO()
    for key, value in split.origin.items():
        text.write(f"# {key}: {value}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "split"))
    writer.writerows(split.rows())
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text.getvalue(), encoding="utf-8", newline="\n")
    part.replace(path)


def read_split(path: Path, trainable: Sequence[str], tests: Mapping[str, Sequence[str]]) -> Split:
    """Reads a file of `write_split`, or a folder with train.csv, val.csv and test.csv (rows image,mask,label).

    `trainable` are the images that may be in pool or val, `tests` the official test sets by part. Images that the file
    leaves out are left out; where it names no test image at all, the tests are the official ones.
    Raises one ValueError that lists every unknown name, repetition, misplaced image and malformed line.
    """
    if not path.exists():
        raise ValueError(f"no split file {path}; write one with scripts/create_splits.py, or set split_file=null")
    part_of = {name: part for part, names in tests.items() for name in names}
    rows, origin, problems = _folder_rows(path, part_of) if path.is_dir() else _file_rows(path)
    part_of.update({name: "train" for name in trainable})
    placed: dict[str, str] = {}
    for where, name, split in rows:
        problem = _misplaced(name, split, part_of.get(name))
        if problem is None and name in placed:
            problem = f"{name} is there twice: in {placed[name]} and in {split}"
        if problem is None:
            placed[name] = split
        else:
            problems.append(f"{where}: {problem}")
    problems += [f"no image in {split}" for split in ("pool", "val") if split not in placed.values()]
    if problems:
        listed = "\n  - ".join(problems)
        raise ValueError(f"the split {path} does not fit the dataset ({len(problems)} problems):\n  - {listed}")
    given = {part: _placed_in(placed, part) for part in tests}
    official = {part: tuple(sorted(names)) for part, names in tests.items()}
    chosen = given if any(given.values()) else official
    return Split(_placed_in(placed, "pool"), _placed_in(placed, "val"), chosen, origin)


def _placed_in(placed: Mapping[str, str], split: str) -> tuple[str, ...]:
    return tuple(sorted(name for name, its in placed.items() if its == split))


def _misplaced(name: str, split: str, part: str | None) -> str | None:
    """Why the image cannot be in the split; None where it can."""
    if part is None:
        return f"{name} is not in the dataset"
    allowed = ("pool", "val") if part == "train" else (part,)
    if split in allowed:
        return None
    return f"{name} is a {part} image and cannot be in {split!r}, only in {' or '.join(allowed)}"


def csv_cells(path: Path) -> list[list[str]]:
    """The cells of a CSV file by line. ValueError, naming it, where it is no CSV in UTF-8."""
    try:
        return list(csv.reader(io.StringIO(text_of(path), newline="")))
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read as CSV ({error})") from error


def text_of(path: Path) -> str:
    """The content of a text file. ValueError, naming it, where it is not in UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not in UTF-8 ({error.reason} at byte {error.start}); save it again in UTF-8"
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error


def _file_rows(path: Path) -> tuple[list[Row], dict[str, str], list[str]]:
    """The rows of a file that `write_split` wrote, its origin from the comment lines, and its malformed lines."""
    rows: list[Row] = []
    origin: dict[str, str] = {}
    problems: list[str] = []
    header_seen = False
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            origin[key.strip()] = value.strip()
        elif not line.strip():
            continue
        elif not header_seen:
            header_seen = True
            if cells != ["image", "split"]:
                problems.append(f"line {number}: the header is {line!r}, not 'image,split'")
        elif len(cells) == 2:
            rows.append((f"line {number}", cells[0], cells[1]))
        else:
            problems.append(f"line {number}: {line!r} is not 'image,split'")
    return rows, origin, problems


def _folder_rows(folder: Path, part_of: Mapping[str, str]) -> tuple[list[Row], dict[str, str], list[str]]:
    """The rows and the malformed lines of the three files train.csv, val.csv and test.csv."""
    rows: list[Row] = []
    problems: list[str] = []
    for file, split in (("train.csv", "pool"), ("val.csv", "val"), ("test.csv", "test")):
        if not (folder / file).is_file():
            problems.append(f"{file} is missing")
            continue
        lines = [(f"{file} line {number}", cells) for number, cells in enumerate(csv_cells(folder / file), start=1)]
        for where, cells in lines:
            if len(cells) != 3:
                problems.append(f"{where}: {','.join(cells)!r} is not 'image,mask,label'")
                continue
            name, mask = (PureWindowsPath(cell.strip()).stem for cell in cells[:2])
            if mask != f"{name}_anno":
                problems.append(f"{where}: the mask of {name} is {mask}, not {name}_anno")
            rows.append((where, name, part_of.get(name, split) if split == "test" else split))
    return rows, {}, problems
