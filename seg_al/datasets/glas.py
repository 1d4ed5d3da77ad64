"""GlaS, the gland segmentation challenge of MICCAI 2015, read from its official flat folder or a jpg/png copy of it."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from skimage.measure import label

from seg_al.core import ByteImage
from seg_al.datasets.files.header import read_header
from seg_al.datasets.files.percentiles import window_of
from seg_al.datasets.files.pixels import read_ids, read_picture
from seg_al.datasets.files.resize import resized, resized_labels
from seg_al.datasets.files.rules import FileReading
from seg_al.datasets.files.window import ValueWindow
from seg_al.datasets.splits import csv_cells, draw_split, read_split

log = logging.getLogger(__name__)

GLAS_SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
NAME = re.compile(r"(train|testA|testB)_\d+")
GRADES = ("benign", "malignant")
GRADE_COLUMNS = ("name", "patient ID", "grade (GlaS)", "grade (Sirinukunwattana et al. 2015)")
GRADE_KEYS = ("grade", "grade_detailed", "patient")
"""Our names of the columns of Grade.csv."""
LISTED = "grade, grade_detailed or patient"
WHERE_TO_GET_IT = (
    "get the Warwick-QU images from the GlaS challenge page of the Warwick TIA centre (see docs/datasets.md), "
    "unpack them and set dataset.root=<folder>"
)


@dataclass(frozen=True)
class GlasFiles:
    """The files of one image, and its row of Grade.csv."""

    image: Path
    annotation: Path
    size: tuple[int, int]
    """Height and width of the file in pixels."""
    patient: str
    grade: str
    """benign or malignant."""
    grade_detailed: str
    """The grade of Sirinukunwattana et al. 2015, as it is spelt in Grade.csv."""


@dataclass(frozen=True)
class GlaS:
    """The images of one split, decoded on every call; `read_glas` builds it from a folder."""

    frames: Mapping[str, GlasFiles]
    pool: tuple[str, ...]
    val: tuple[str, ...]
    tests: Mapping[str, tuple[str, ...]]
    scale: float
    """Factor on height and width; 1.0 leaves the pixels as they are."""
    window: ValueWindow | None = None
    """The window of the images' grey levels; None: they have 8 bits."""

    classes: ClassVar[tuple[str, ...]] = ("background", "gland")
    background: ClassVar[int | None] = 0

    def size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels after scaling, without decoding."""
        height, width = self.frames[name].size
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))

    def image(self, name: str) -> ByteImage:
        """RGB [H, W, 3], resized bilinearly. ValueError if the file is corrupt."""
        return resized(read_picture(self.frames[name].image, self.window), self.size(name))

    def askable(self, name: str) -> None:
        """Every pixel is gland or background."""

    def target(self, name: str) -> ByteImage:
        """[H, W], 1 inside any gland. ValueError if the file is corrupt."""
        return np.where(self._ids(name) != 0, np.uint8(1), np.uint8(0))

    def objects(self, name: str) -> npt.NDArray[np.int32]:
        """[H, W] gland ids, 0 outside, resized to the nearest pixel. ValueError if the file is corrupt or coloured.

        Separate pieces of one id are separate glands: some annotations of test B give all glands one id.
        """
        glands: npt.NDArray[np.int32] = label(self._ids(name), connectivity=2).astype(np.int32)
        return glands

    def _ids(self, name: str) -> npt.NDArray[np.integer]:  # [H, W]
        return resized_labels(read_ids(self.frames[name].annotation), self.size(name))

    def column(self, key: str) -> Mapping[str, str]:
        """A column of Grade.csv by image of the pool: grade, grade_detailed or patient."""
        if key not in GRADE_KEYS:
            raise ValueError(f"GlaS has no column {key!r}; choose {LISTED}")
        return grade_columns(self.frames, self.pool)[key]


def grade_columns(frames: Mapping[str, GlasFiles], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The columns of Grade.csv by our names, and in each the value by image."""
    rows = {name: (frames[name].grade, frames[name].grade_detailed, frames[name].patient) for name in names}
    return {key: {name: row[place] for name, row in rows.items()} for place, key in enumerate(GRADE_KEYS)}


def read_glas(
    root: str,
    run: int,
    val: int,
    stratify: Sequence[str],
    group: str | None,
    split_file: str | None,
    test: Literal["A", "B", "both"],
    scale: float,
    window: object = None,
) -> GlaS:
    """Checks the folder by its headers alone and splits it.

    `root` holds Grade.csv, or one sub-folder that does. `val` images are drawn from `run` so that the values of each
    column of `stratify` have their share, in whole groups of the column `group`; a `split_file` is read instead.
    Raises one ValueError that lists everything that is wrong with the folder.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"dataset.scale={scale} is not a factor above 0; 1.0 keeps the size, 0.5 halves it")
    if isinstance(stratify, str) or not set(stratify) <= set(GRADE_KEYS):
        raise ValueError(f"dataset.stratify={stratify!r} is no list of columns; choose {LISTED}, as in [grade]")
    if group is not None and group not in GRADE_KEYS:
        raise ValueError(f"dataset.group={group!r} is no column; choose {LISTED}, or null")
    if test not in ("A", "B", "both"):
        raise ValueError(f"dataset.test={test!r} is unknown; choose A, B or both")
    reading = FileReading(window)
    if wrong := reading.problems():
        raise ValueError("; ".join(wrong))
    folder = _folder_of(Path(root))
    frames = _frames(folder, reading)
    official = {
        part: tuple(sorted(name for name in frames if name.startswith(f"{part}_")))
        for part in ("train", "testA", "testB")
    }
    trainable = official.pop("train")
    if split_file is None:
        split = draw_split(run, val, grade_columns(frames, trainable), stratify, group, official)
    else:
        split = read_split(Path(split_file), trainable, official)
    tests = {f"test{part}": split.tests[f"test{part}"] for part in ("A", "B") if test in (part, "both")}
    empty = [part for part, names in tests.items() if not names]
    if empty:
        raise ValueError(f"no image in {' and '.join(empty)} of {folder}; choose another dataset.test than {test}")
    counts = ", ".join(f"{len(names)} {part}" for part, names in tests.items())
    log.info("GlaS in %s: %d pool, %d val, %s", folder, len(split.pool), len(split.val), counts)
    others = [*split.val, *(name for names in tests.values() for name in names)]
    seen = [[(frames[name].image, None) for name in names] for names in (split.pool, others)]
    return GlaS(frames, split.pool, split.val, tests, scale, window_of(window, *seen))


def _folder_of(root: Path) -> Path:
    """`root` if it has a Grade.csv, else its only sub-folder that has one."""
    if not root.is_dir():
        raise ValueError(f"there is no folder {root} (from {Path.cwd()}); {WHERE_TO_GET_IT}")
    if (root / "Grade.csv").is_file():
        return root
    inside = sorted(path.parent for path in root.glob("*/Grade.csv"))
    if len(inside) > 1:
        found = ", ".join(str(path) for path in inside)
        raise ValueError(f"{root} holds several copies of GlaS; set dataset.root to one of {found}")
    return inside[0] if inside else root


def _frames(folder: Path, reading: FileReading) -> dict[str, GlasFiles]:
    """Every image with its annotation and row, sorted by name; or one ValueError with all that is wrong."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in GLAS_SUFFIXES)
    images = [path for path in files if NAME.fullmatch(path.stem)]
    annotations = [path for path in files if NAME.fullmatch(path.stem.removesuffix("_anno")) and path not in images]
    if not images and not (folder / "Grade.csv").is_file():
        raise ValueError(f"{folder} holds no image train_N and no Grade.csv; {WHERE_TO_GET_IT}")
    image_of = {path.stem: path for path in images}
    annotation_of = {path.stem.removesuffix("_anno"): path for path in annotations}
    rows, problems = _grades(folder / "Grade.csv")
    copies = Counter(path.stem for path in images + annotations)
    problems += [f"{stem}: {count} files of this name" for stem, count in sorted(copies.items()) if count > 1]
    problems += [f"{name}: image without annotation" for name in sorted(image_of.keys() - annotation_of.keys())]
    problems += [f"{name}: annotation without image" for name in sorted(annotation_of.keys() - image_of.keys())]
    if rows:
        problems += [f"{name}: no row in Grade.csv" for name in sorted(image_of.keys() - rows.keys())]
        missing = sorted(rows.keys() - image_of.keys() - annotation_of.keys())
        problems += [f"{name}: unknown row in Grade.csv, neither image nor annotation is there" for name in missing]
    frames: dict[str, GlasFiles] = {}
    for name in sorted(image_of.keys() & annotation_of.keys()):
        try:
            size = _common_size(image_of[name], annotation_of[name], reading)
            frames[name] = GlasFiles(image_of[name], annotation_of[name], size, *rows.get(name, ("", "", "")))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        listed = "\n  - ".join(problems)
        raise ValueError(
            f"{folder} is not a complete GlaS folder ({len(problems)} problems):\n  - {listed}\n"
            f"Repair these, or {WHERE_TO_GET_IT}"
        )
    return frames


def _common_size(image: Path, annotation: Path, reading: FileReading) -> tuple[int, int]:
    """Height and width of both files from their headers; ValueError where they do not fit together."""
    headers, wrong = [], []
    for path in (image, annotation):
        try:
            header = read_header(path)
        except ValueError as error:
            wrong.append(str(error))
            continue
        headers.append(header)
        is_image = path is image
        if problem := reading.picture_problem(header) if is_image else reading.mask_problem(header):
            wrong.append(f"{path} ({header.described}) is an {'image' if is_image else 'annotation'} {problem}")
    if wrong:
        raise ValueError("; ".join(wrong))
    if headers[0].size != headers[1].size:
        here, there = (f"{one.size[0]}x{one.size[1]}" for one in headers)
        raise ValueError(f"{image.stem}: sizes differ, the image has {here} pixels, the annotation {there}")
    return headers[0].size


def _grades(path: Path) -> tuple[dict[str, tuple[str, str, str]], list[str]]:
    """Patient, grade and detailed grade by image, and what is wrong; spaces around cells are removed."""
    if not path.is_file():
        return {}, [f"{path.name} is missing"]
    try:
        lines = [[cell.strip() for cell in cells] for cells in csv_cells(path)]
    except ValueError as error:
        return {}, [str(error)]
    header = lines[0] if lines else []
    if any(column not in header for column in GRADE_COLUMNS):
        return {}, [f"{path.name}: the header is {', '.join(header)!r}, it must name {', '.join(GRADE_COLUMNS)}"]
    rows: dict[str, tuple[str, str, str]] = {}
    problems: list[str] = []
    for number, cells in enumerate(lines[1:], start=2):
        where = f"{path.name} line {number}"
        if not any(cells):
            continue
        if len(cells) != len(header):
            problems.append(f"{where}: {len(cells)} cells, the header has {len(header)}")
            continue
        name, patient, grade, detailed = (cells[header.index(column)] for column in GRADE_COLUMNS)
        if name in rows:
            problems.append(f"{where}: a second row for {name}")
        if grade not in GRADES:
            problems.append(f"{where}: unknown grade {grade!r} of {name}, not {' or '.join(GRADES)}")
        if not patient:
            problems.append(f"{where}: no patient of {name}")
        rows.setdefault(name, (patient, grade, detailed))
    return rows, problems
