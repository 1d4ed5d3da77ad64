"""Checks a folder of images and masks, and gathers all that is wrong into one error."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from seg_al.core import IGNORE
from seg_al.datasets.class_ids import ClassIds
from seg_al.datasets.file_listing import Listing
from seg_al.datasets.file_patterns import MatchedFile, Partners, Pattern, partners
from seg_al.datasets.files.header import read_header
from seg_al.datasets.files.held import Header
from seg_al.datasets.files.percentiles import Page
from seg_al.datasets.files.rules import FileReading
from seg_al.datasets.mask_counts import PixelCounts

log = logging.getLogger(__name__)

EXAMPLES = 5
"""Entries of each kind of problem that a message names."""
LONGEST = 200
"""Most bytes of an image's name: a file system allows 255, and written files add their endings to it."""
MANY = 16
"""Number of unknown values from which on they are taken for shades, not for forgotten ids."""
VALUES_NAMED = 256
"""Most values outside the class list that are named: every id of eight bits."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of one image, and the fields of its path."""

    image: Path
    mask: Path
    objects: Path | None
    size: tuple[int, int]
    """Height and width of the file in pixels."""
    fields: Mapping[str, str]
    page: int | None = None
    """The page of the image's file, and of its mask and object files, from 0; None: they have one page."""
    has_void: bool = True
    """Whether a pixel of the mask is void."""

    @property
    def image_page(self) -> Page:
        return self.image, self.page

    @property
    def mask_page(self) -> Page:
        return self.mask, self.page


@dataclass
class Problems:
    """Entries by kind of problem."""

    of_kind: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    most: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, entries: Iterable[str], most: int = EXAMPLES) -> None:
        """Adds entries of one kind, of which `most` are named and the others counted."""
        self.of_kind[kind] += entries
        self.most[kind] = most

    def merge(self, others: Mapping[str, Sequence[str]]) -> None:
        for kind, entries in others.items():
            self.add(kind, entries)

    def raise_for(self, folder: Path) -> None:
        """Raises ValueError that lists all problems, if there are any."""
        rows = []
        for kind, entries in self.of_kind.items():
            most = self.most[kind]
            more = [f"and {len(entries) - most:,} more"] if len(entries) > most else []
            if entries:
                rows.append("\n      ".join((f"  - {kind} ({len(entries):,}):", *entries[:most], *more)))
        if rows:
            listed = "\n".join(rows)
            raise ValueError(
                f"{folder} does not fit its description:\n{listed}\n"
                "Repair the files, or the values of dataset.* that describe them (see docs/own-images.md)"
            )


def first_few(entries: Sequence[str], most: int = EXAMPLES) -> str:
    more = f"; and {len(entries) - most:,} more" if len(entries) > most else ""
    return "; ".join(entries[:most]) + more


@dataclass(frozen=True)
class Files:
    """The images of a folder and what could belong to them."""

    images: Sequence[MatchedFile]
    masks: Partners
    objects: Partners | None
    listing: Listing

    def warn_of_masks_without_image(self, splits: Collection[str]) -> None:
        """Warns of masks in the used splits that belong to no image."""
        images = {image.file for image in self.images}
        fields = self.masks.lone()
        lone = [file for file in fields if file not in images and fields[file].get("split") in (None, *splits)]
        if lone:
            log.warning("%d masks without an image are left out: %s", len(lone), first_few(lone))


def files_of(root: Path, patterns: Mapping[str, str]) -> Files:
    """Lists the folder. ValueError, with what it holds instead, where no file is an image."""
    if not os.path.isdir(root):  # also where the path is too long for a folder
        raise ValueError(
            f"there is no folder {root} (from {Path.cwd()}); set dataset.root=<folder>; docs/own-images.md says how "
            "your own images are read, docs/datasets.md where the known datasets come from"
        )
    listing = Listing(root)
    found = Pattern(patterns["images"]).find(listing)
    masks = partners(Pattern(patterns["masks"]), listing, found)
    objects = partners(Pattern(patterns["objects"]), listing, found) if "objects" in patterns else None
    if listing.circles:
        circles = first_few(sorted(listing.circles))
        log.warning("links that lead back to a folder around them are not followed: %s", circles)
    listing.refuse_strange()
    others = {
        file for pairs in (masks, objects) if pairs is not None for files in pairs.of_image.values() for file in files
    }  # a wide pattern such as {name}.* also finds masks that lie beside their images
    images = [image for image in found if image.file not in others]
    if not images:
        inside = first_few(sorted(path.name for path in root.iterdir()), 10) or "nothing"
        raise ValueError(f"no image fits dataset.images={patterns['images']} below {root}, which holds: {inside}")
    return Files(images, masks, objects, listing)


def same_files(names: Sequence[str], found: Mapping[str, MatchedFile], files: Files) -> list[str]:
    """Pairs of used images that are one file."""
    paths = dict.fromkeys(found[name].file for name in names)
    return [f"{one} and {other}" for one, other in files.listing.same(list(paths))]


def too_long(names: Sequence[str]) -> list[str]:
    """The names that are too long for files that are written."""
    return [f"{name[:40]}... ({len(name.encode())} bytes)" for name in names if len(name.encode()) > LONGEST]


def check_files(
    root: Path, images: Mapping[str, MatchedFile], files: Files, reading: FileReading, problems: Problems
) -> dict[str, ImageFiles]:
    """Pairs each image with its mask and object file and reads their headers; images with problems are left out."""
    frames: dict[str, ImageFiles] = {}
    for name, image in tqdm(images.items(), desc="read headers", unit="image", leave=False, disable=None, delay=1):
        mask = _partner(root, name, image, files.masks, "mask", problems)
        objects = None if files.objects is None else _partner(root, name, image, files.objects, "object file", problems)
        header = _header(root / image.file, "image", reading.picture_problem, problems)
        fits = mask is not None and _fits(name, root / mask, "mask", header, reading, problems)
        if objects is not None:
            _fits(name, root / objects, "object file", header, reading, problems)
        if mask is not None and header is not None and fits:
            own = None if objects is None else root / objects
            frames[name] = ImageFiles(root / image.file, root / mask, own, header.size, image.fields, image.page)
    return frames


def _partner(root: Path, name: str, image: MatchedFile, pairs: Partners, kind: str, problems: Problems) -> str | None:
    found = pairs.of_image[image.file]
    if len(found) == 1:
        return found[0]
    if found:
        problems.add(f"image with several {kind}s", [f"{name} ({', '.join(found)})"])
    else:
        filled = pairs.pattern.filled(image.fields)
        few = len(problems.of_kind[f"image without {kind}"]) < EXAMPLES
        there = f", but {others}" if few and (others := _alike(root, filled, image.file)) else ""
        problems.add(f"image without {kind}", [f"{image.file} (no {filled}{there})"])
    return None


def _alike(root: Path, wanted: str, image: str) -> str:
    """Files that differ from the wanted one only by their ending."""
    place, base = PurePosixPath(wanted).parent, PurePosixPath(wanted).stem
    try:
        names = sorted(os.listdir(root / place))
    except OSError:
        return ""
    files = [str(place / name) for name in names if os.path.splitext(name)[0] == base]
    return " and ".join(file for file in files if file != image)


def _header(
    path: Path, kind: str, wrong_with: Callable[[Header], str | None], problems: Problems, of: str = ""
) -> Header | None:
    try:
        header = read_header(path)
    except ValueError as error:
        problems.add("unreadable file", [str(error)])
        return None
    if wrong := wrong_with(header):
        problems.add(f"{kind} {wrong}", [f"{path} ({header.described}){of}"])
        return None
    return header


def _fits(name: str, path: Path, kind: str, image: Header | None, reading: FileReading, problems: Problems) -> bool:
    """Whether the mask or object file fits an image with this header."""
    header = _header(path, kind, reading.mask_problem, problems, f" of {name}")
    if header is None:
        return False
    if image is not None and image.size != header.size:
        here, there = (f"{height}x{width}" for height, width in (image.size, header.size))
        turned = f" (turned by its EXIF orientation {image.orientation})" if image.orientation != 1 else ""
        problems.add(f"{kind} of another size (height x width)", [f"{name}: image {here}{turned}, {kind} {there}"])
        return False
    if image is not None and image.pages != header.pages:
        problems.add(f"{kind} of another number of pages", [f"{name}: image {image.pages}, {kind} {header.pages}"])
        return False
    return True


def _few(outside: list[str]) -> list[str]:
    """The unknown values, or one line in their place where they are many shades between class values."""
    if len(outside) <= MANY:
        return outside
    return [
        f"{len(outside)} values, such as {first_few(outside, 3)}; masks with soft edges hold such shades: save them "
        'without smoothing, or name ranges, such as [foreground, ">=128"], or set dataset.nearest'
    ]


def _one_class(table: ClassIds, present: Collection[int], pixels: Mapping[int, int]) -> str:
    """Why nothing can be learned from masks of one class, and the remedy."""
    held = ", ".join(
        f"{table.show(value)} ({table.name_of(value)}, {count:,} pixels)" for value, count in sorted(pixels.items())
    )
    void = [value for value in sorted(pixels) if table.class_of(value) == IGNORE]
    advice = "name the values of the classes in dataset.classes"
    if void and len(table.names) == 2 and table.coding == "ids":
        known = [value for value in sorted(pixels) if value not in void]
        first, second = table.names
        advice = (
            f"if {void[-1]} is {second}, set 'dataset.classes=[[{first},{known[0] if known else 0}],"
            f"[{second},{void[-1]}]]' 'dataset.void=[]'"
        )
    return f"the masks hold {held}, so that no class can be told from another; {advice}"


def check_values(
    frames: Mapping[str, ImageFiles], counts: Mapping[Page, PixelCounts], table: ClassIds, problems: Problems
) -> dict[str, ImageFiles]:
    """Notes which images have void pixels; values outside the class list become problems, unused classes a warning."""
    pixels: Counter[int] = Counter()
    images: dict[int, list[str]] = defaultdict(list)
    checked: dict[str, ImageFiles] = {}
    for name, frame in frames.items():
        if frame.mask_page not in counts:
            continue
        own = counts[frame.mask_page]
        pixels.update(own)
        for value in own:
            images[value].append(name)
        checked[name] = replace(frame, has_void=any(table.class_of(value) in (IGNORE, None) for value in own))
    outside = [
        f"{table.show(value)}: {pixels[value]:,} pixels in {len(names)} images ({first_few(names, 2)})"
        for value, names in sorted(images.items())
        if table.class_of(value) is None
    ]
    problems.add("value outside dataset.classes and dataset.void", _few(outside), VALUES_NAMED)
    present = {place for value in pixels if (place := table.class_of(value)) is not None}
    absent = [name for place, name in enumerate(table.names) if place not in present]
    if absent and checked and not outside and len(present - {IGNORE}) < 2:
        problems.add("nothing to tell apart", [_one_class(table, present, pixels)])
    elif absent and checked:
        log.warning("no mask has a pixel of %s; is the class list that of these masks?", ", ".join(absent))
    return checked
