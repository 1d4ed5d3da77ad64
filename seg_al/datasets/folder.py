"""Any folder of images, masks and a class list, described by a yaml: CamVid, Cityscapes, your own."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.measure import label

from seg_al.core import IGNORE, ByteImage, Colour, PixelSet
from seg_al.datasets.class_colours import colours_of, palette_problems
from seg_al.datasets.class_ids import ClassIds, MaskCoding, class_ids
from seg_al.datasets.file_patterns import Pattern, named
from seg_al.datasets.files.percentiles import Page, window_of
from seg_al.datasets.files.pixels import read_ids, read_picture
from seg_al.datasets.files.resize import resized, resized_labels
from seg_al.datasets.files.rules import FileReading, Pages
from seg_al.datasets.files.window import ValueWindow
from seg_al.datasets.folder_checks import (
    LONGEST,
    ImageFiles,
    Problems,
    check_files,
    check_values,
    files_of,
    first_few,
    same_files,
    too_long,
)
from seg_al.datasets.folder_splits import By, Parts, SplitValues, Wanted, draw_parts, named_parts
from seg_al.datasets.folder_table import with_table
from seg_al.datasets.folder_values import pattern_problems, refuse_other_kinds, size_problems
from seg_al.datasets.mask_counts import PixelCounts, mask_counts
from seg_al.datasets.packed_masks import PackedMasks
from seg_al.datasets.slices import slices_of

log = logging.getLogger(__name__)

PACKED_BYTES = 64 * 2**20
"""Bytes of askable pixels that are kept in memory."""
COMPONENTS = "components"
"""Given in place of a pattern of object files: the connected pieces of each class are the objects."""
RARE_SHARE = 0.05
"""Share of labelled pixels below which the resized mask is checked for labelled pixels."""


@dataclass(frozen=True)
class FolderDataset:
    """The images of one split, decoded on every call; `read_folder` builds it."""

    frames: Mapping[str, ImageFiles]
    table: ClassIds
    background: int | None
    pool: tuple[str, ...]
    val: tuple[str, ...]
    tests: Mapping[str, tuple[str, ...]]
    scale: float
    """Factor on height and width, unless `fixed` is given."""
    fixed: tuple[int, int] | None
    """Height and width in pixels to which all images are resized."""
    colours: tuple[Colour, ...] | None = None
    """The colours of the classes in pictures; None: the default ones."""
    components: int | None = None
    """Pixels of the smallest connected piece of a class that is an object; None: the pieces are no objects."""
    window: ValueWindow | None = None
    """The window of the images' grey levels; None: they have 8 bits."""
    _askable: PackedMasks = field(default_factory=lambda: PackedMasks(PACKED_BYTES), repr=False, compare=False)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.table.names

    def size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels after resizing, without decoding."""
        if self.fixed is not None:
            return self.fixed
        height, width = self.frames[name].size
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))

    def image(self, name: str) -> ByteImage:
        """RGB [H, W, 3], resized bilinearly. ValueError if the file is corrupt."""
        frame = self.frames[name]
        return resized(read_picture(frame.image, self.window, frame.page), self.size(name))

    def target(self, name: str) -> ByteImage:
        """[H, W] class ids, IGNORE where void, resized to the nearest pixel.

        ValueError if the file is corrupt, or has changed since it was checked and holds values of no class.
        """
        mask, page = self.frames[name].mask_page
        try:
            return self.table(resized_labels(self.table.values(mask, page), self.size(name)))
        except ValueError as error:
            raise ValueError(f"the mask {mask}: {error}") from error

    def askable(self, name: str) -> PixelSet | None:
        """[H, W], the pixels that belong to a class; None where no pixel is void."""
        if not self.frames[name].has_void:
            return None
        held = self._askable.get(name)
        if held is None:
            held = self.target(name) != IGNORE
            self._askable.put(name, held)
        return held

    def objects(self, name: str) -> npt.NDArray[np.int32] | None:
        """[H, W] ids of the object file or of components, 0 where void, resized to the nearest pixel; None: none."""
        if self.components is not None:
            return resized_labels(self._components(name), self.size(name))
        path, page = self.frames[name].objects, self.frames[name].page
        if path is None:
            return None
        ids = resized_labels(read_ids(path, page), self.size(name)).astype(np.int32)
        askable = self.askable(name)
        return ids if askable is None else np.where(askable, ids, np.int32(0))

    def _components(self, name: str) -> npt.NDArray[np.int32]:  # [H, W] of the file
        """The 8-connected pieces of each class but the background, numbered from 1; pieces that are too small are 0."""
        mask, page = self.frames[name].mask_page
        classes = self.table(self.table.values(mask, page)).astype(np.int32)
        nothing = (classes == IGNORE) | (classes == (IGNORE if self.background is None else self.background))
        ids = label(np.where(nothing, -1, classes), background=-1, connectivity=2)
        kept = np.bincount(ids.ravel()) >= (self.components or 1)
        kept[0] = False
        numbers: npt.NDArray[np.int32] = np.where(kept, np.cumsum(kept), 0).astype(np.int32)[ids]
        return numbers

    def column(self, key: str) -> Mapping[str, str]:
        """For each image of the pool, the value of the field or the table's column `key`."""
        return self.values(key, self.pool)

    def values(self, key: str, names: Sequence[str]) -> dict[str, str]:
        """The value of the column `key` for each of `names`. ValueError where there is no such column."""
        columns = sorted({key for frame in self.frames.values() for key in frame.fields} - {"name"})
        if key not in columns:
            remedy = "give dataset.images a {field}, or dataset.table a file"
            there = f"choose {', '.join(columns)}" if columns else remedy
            raise ValueError(f"this dataset has no column {key!r}; {there}")
        missing = [name for name in names if key not in self.frames[name].fields]
        if missing:
            raise ValueError(
                f"{len(missing)} images have no {key}: {first_few(missing)}; give each a row in dataset.table"
            )
        return {name: self.frames[name].fields[key] for name in names}


def read_folder(
    root: str,
    run: int,
    images: str,
    masks: str,
    objects: str | None,
    coding: MaskCoding,
    classes: Sequence[Sequence[Any]],
    void: Sequence[Any],
    background: str | None,
    split: By,
    train: SplitValues | None,
    val: SplitValues | float,
    test: SplitValues | float,
    scale: float,
    size: Sequence[int] | None,
    window: object = None,
    pages: Pages = "one",
    palette: Mapping[str, Sequence[int]] | None = None,
    stratify: Sequence[str] | str = (),
    group: str | None = None,
    table: str | None = None,
    nearest: int = 0,
    smallest: int = 1,
) -> FolderDataset:
    """Finds, pairs, checks and splits the images below `root`; conf/dataset/folder.yaml says what each value means.

    There are many arguments because they are the keys of that file, all that a new dataset needs. Sizes come from
    headers; the values in the masks are counted once and remembered. Raises one ValueError that lists everything that
    is wrong with the values; if they are right, one with everything that is wrong with the files.
    """
    refuse_other_kinds(
        texts={"root": root, "images": images, "masks": masks},
        maybe_texts={"objects": objects, "background": background, "table": table},
        lists={"classes": classes, "void": void},
        splits={"val": val, "test": test},
        numbers={"scale": scale, "smallest": smallest},
    )
    patterns = {"images": images, "masks": masks} | ({} if objects in (None, COMPONENTS) else {"objects": objects})
    folder, wanted = Path(root), Wanted(split, train, val, test, stratify, group)
    reading = FileReading(window, pages)
    wrong = [*pattern_problems(patterns), *wanted.problems(Pattern(images).fields), *size_problems(scale, size)]
    wrong += reading.problems()
    if not isinstance(smallest, int) or smallest < 1:
        wrong.append(f"dataset.smallest={smallest!r} is not a number of pixels from 1 on")
    ids = _table(classes, void, coding, nearest, background, wrong)
    if wrong := palette_problems(palette, ids.names):
        raise ValueError("the dataset is described wrongly:\n" + "\n".join(f"  - {one}" for one in wrong))
    frames, parts, counts = _checked(folder, patterns, wanted, ids, reading, table)
    whole = FolderDataset(
        frames,
        ids,
        None if background is None else ids.names.index(background),
        pool=parts.used,
        val=(),
        tests={},
        scale=scale,
        fixed=None if size is None else (size[0], size[1]),
        components=smallest if objects == COMPONENTS else None,
        colours=colours_of(palette, ids, [frame.mask for frame in frames.values()]),
    )
    pool, chosen, tests = draw_parts(_without_void(whole, parts, counts), wanted, run, whole.values)
    reported = ", ".join(f"{len(names)} {key}" for key, names in tests.items())
    others = {*chosen, *(name for names in tests.values() for name in names)}
    seen = [[frames[name].image_page for name in names] for names in (pool, sorted(others))]
    log.info("%s with masks %s: %d pool, %d val, %s", folder, masks, len(pool), len(chosen), reported)
    return replace(whole, pool=pool, val=chosen, tests=tests, window=window_of(window, *seen))


def _table(
    classes: Sequence[Sequence[Any]],
    void: Sequence[Any],
    coding: MaskCoding,
    nearest: int,
    background: str | None,
    wrong: Sequence[str],
) -> ClassIds:
    """The table of the classes. ValueError where it cannot be made, or where `wrong` already lists errors."""
    found = list(wrong)
    try:
        table = class_ids(classes, void, coding, nearest)
        if background is not None and background not in table.names:
            found.append(f"dataset.background={background!r} is not a class; choose one of {', '.join(table.names)}")
    except ValueError as error:
        found.append(str(error).replace("\n", "\n  "))
    if found:
        raise ValueError("the dataset is described wrongly:\n" + "\n".join(f"  - {one}" for one in found))
    return table


def _checked(
    folder: Path, patterns: Mapping[str, str], wanted: Wanted, table: ClassIds, reading: FileReading, rows: str | None
) -> tuple[dict[str, ImageFiles], Parts, dict[Page, PixelCounts]]:
    """The used images, their splits and the pixel counts of their masks. ValueError with all that is wrong."""
    problems = Problems()
    files = files_of(folder, patterns)
    found, twice = named(slices_of(folder, files.images) if reading.pages == "slices" else files.images)
    problems.add("name of several files", twice)
    if rows is not None:
        found = with_table(found, folder / rows)
    parts = named_parts(wanted, found, folder)
    problems.merge(parts.problems)
    problems.add("one file under two names, by links", same_files(parts.used, found, files))
    problems.add(f"name of more than {LONGEST} bytes", too_long(parts.used))
    used = {name: found[name] for name in parts.used}
    frames = check_files(folder, used, files, reading, problems)
    counts, corrupt = mask_counts(folder, [frame.mask_page for frame in frames.values()], table)
    problems.add(f"mask that dataset.coding={table.coding} cannot read", corrupt)
    frames = check_values(frames, counts, table, problems)
    problems.raise_for(folder)
    files.warn_of_masks_without_image({image.fields.get("split", "") for image in used.values()})
    return frames, parts, counts


def _without_void(dataset: FolderDataset, parts: Parts, counts: Mapping[Page, PixelCounts]) -> Parts:
    """The splits without training images that have no labelled pixel; a warning names those.

    ValueError where none would be left, or where val or a test consists of such images.
    """
    left = parts
    for key, names in {"train": parts.train, "val": parts.val, **(parts.tests or {})}.items():
        void = [name for name in sorted(names or ()) if _is_void(dataset, name, counts[dataset.frames[name].mask_page])]
        if void and len(void) == len(names or ()):
            raise ValueError(
                f"no pixel of the {len(void)} {key} images has a class, so that nothing can be learned or measured; "
                "labels of official test sets are often held back: choose another split"
            )
        if void and key == "train":
            log.warning("%d images are all void and leave the pool: %s", len(void), first_few(void, 20))
            left = replace(parts, train=parts.train - set(void))
    return left


def _is_void(dataset: FolderDataset, name: str, counts: PixelCounts) -> bool:
    labelled, size = dataset.table.labelled(counts), dataset.frames[name].size
    if labelled == 0 or dataset.size(name) == size or labelled >= RARE_SHARE * math.prod(size):
        return labelled == 0
    return bool((dataset.target(name) == IGNORE).all())
