"""Reads from the tags of a TIFF file its first page and its number of pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import tifffile
from PIL.TiffImagePlugin import TiffImageFile

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 256, 257, 258, 259, 262, 270
ORIENTATION, SAMPLES, EXTRA_SAMPLES, SAMPLE_FORMAT = 274, 277, 338, 339
XMP = 700
ROWS_PER_STRIP, STRIP_BYTES, PLANAR, TILE_WIDTH, TILE_LENGTH, TILE_BYTES = 278, 279, 284, 322, 323, 325
"""Numbers of the tags (TIFF 6.0)."""
LOSSY_COMPRESSIONS = (6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 50001, 50002, 52546)
"""Compressions: JPEG of two kinds, JPEG 2000, lossy JPEG of DNG, WebP, JPEG XL."""
COLOUR_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1}
"""Channels by photometric interpretation: grey of two kinds, RGB, palette."""
WHITE_IS_ZERO, YCBCR = 0, 6
ALPHA_CHANNELS = (1, 2)
"""Values of EXTRA_SAMPLES that mean transparency."""


@dataclass(frozen=True)
class TiffTags:
    height: int
    """As stored, before turning."""
    width: int
    bits: int
    numbers: Literal["whole", "signed", "real"]
    colours: int
    """Channels without alpha."""
    compression: int
    lossy: bool
    orientation: int
    pages: int
    channel_pages: int
    """Pages that are channels of one picture."""
    alike: bool
    """Whether all pages are listed, with one size and kind."""
    white_is_zero: bool


def tags_of_pillow(picture: TiffImageFile) -> TiffTags:
    return tags_of({code: picture.tag_v2[code] for code in picture.tag_v2}, picture.n_frames, kinds=1)


def tags_of_tifffile(tiff: tifffile.TiffFile) -> TiffTags:
    """For files of several pages, and those that Pillow does not read."""
    first = tiff.pages.first
    kinds = len({(page.shape, str(page.dtype)) for page in tiff.pages})
    return tags_of({tag.code: tag.value for tag in first.tags}, len(tiff.pages), kinds)


def tags_of(tags: Mapping[int, Any], pages: int, kinds: int) -> TiffTags:
    """`tags` maps the number of a tag to its value; `kinds`: how many different kinds of pages there are."""
    formats = set(_several(tags.get(SAMPLE_FORMAT, 1)))
    orientation = _orientation(tags)
    stated, channels = _stated_pages(str(tags.get(DESCRIPTION, "")), int(tags.get(SAMPLES, 1)))
    compression, photometric = int(tags.get(COMPRESSION, 1)), int(tags.get(PHOTOMETRIC, 1))
    extra = [one for one in _several(tags.get(EXTRA_SAMPLES, ())) if one in ALPHA_CHANNELS]
    samples = int(tags.get(SAMPLES, 1)) - len(extra[:1])
    if _strips_missing(tags, int(tags.get(SAMPLES, 1))):
        raise ValueError("it is cut off: it has fewer strips or bytes than its size needs")
    return TiffTags(
        int(tags[HEIGHT]),
        int(tags[WIDTH]),
        max(_several(tags.get(BITS, 1))),
        "real" if 3 in formats else "signed" if 2 in formats else "whole",
        4 if photometric not in (*COLOUR_CHANNELS, YCBCR) and samples == 3 else samples,
        compression,
        compression in LOSSY_COMPRESSIONS,
        orientation if 1 <= orientation <= 8 else 1,
        max(pages, stated),
        channels,
        kinds == 1 and stated <= pages,
        photometric == WHITE_IS_ZERO,
    )


def _orientation(tags: Mapping[int, Any]) -> int:
    """The orientation from its own tag, or else from XMP, as Pillow reads it."""
    if ORIENTATION in tags or XMP not in tags:
        return int(tags.get(ORIENTATION, 1))
    found = re.search(rb'tiff:Orientation(?:="|>)([0-9])', bytes(tags[XMP]))
    return 1 if found is None else int(found[1])


def _strips_missing(tags: Mapping[int, Any], samples: int) -> bool:
    """Whether strips or tiles are missing, or uncompressed ones have too few bytes for the picture.

    Decoders would leave such pixels black without an error.
    """
    height, width = int(tags[HEIGHT]), int(tags[WIDTH])
    rows, columns = int(tags.get(TILE_LENGTH, tags.get(ROWS_PER_STRIP, height))), int(tags.get(TILE_WIDTH, width))
    if min(rows, columns) < 1:
        return True
    planes = samples if tags.get(PLANAR, 1) == 2 else 1
    expected = -(-height // rows) * -(-width // columns) * planes
    bytes_of = _several(tags.get(TILE_BYTES, tags.get(STRIP_BYTES, ())))
    if not bytes_of:
        return False
    plain = tags.get(COMPRESSION, 1) == 1 and tags.get(PHOTOMETRIC, 1) != YCBCR
    needed = -(-width * max(_several(tags.get(BITS, 1))) * samples // 8) * height
    return len(bytes_of) < expected or (plain and sum(bytes_of) < needed)


def _several(value: Any) -> Sequence[int]:
    return [int(one) for one in value] if isinstance(value, tuple | list) else [int(value)]


def _stated_pages(description: str, samples: int) -> tuple[int, int]:
    """Pages that the description by ImageJ, OME or tifffile states, and how many of them are channels.

    Such files can hold more pages than they list, one after the other behind the first.
    """
    if description.startswith("ImageJ="):
        told = dict(re.findall(r"^(images|channels)=(\d+)", description, re.MULTILINE))
        return int(told.get("images", 1)), max(1, int(told.get("channels", 1)) // samples)
    if "<OME" in description:
        sizes = {axis: int(size) for axis, size in re.findall(r'\bSize([CZT])="(\d+)"', description)}
        channels = max(1, sizes.get("C", 1) // samples)
        return channels * sizes.get("Z", 1) * sizes.get("T", 1), channels
    if match := re.match(r'\{"shape": \[([\d, ]+)\]', description):
        shape = [int(one) for one in match[1].split(",")]
        own = 2 if samples == 1 and shape[-1:] != [1] else 3
        pages = 1
        for size in shape[:-own]:
            pages *= size
        return pages, 1
    return 1, 1
