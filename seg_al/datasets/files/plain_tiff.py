"""A fast reader of the headers of ordinary TIFF files with one page, in half the time that Pillow takes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Any

from seg_al.datasets.files import tiff_tags
from seg_al.datasets.files.tiff_tags import TiffTags, tags_of

LITTLE_ENDIAN = b"II*\0"
READ = frozenset((
    tiff_tags.WIDTH, tiff_tags.HEIGHT, tiff_tags.BITS, tiff_tags.COMPRESSION, tiff_tags.PHOTOMETRIC,
    tiff_tags.DESCRIPTION, tiff_tags.ORIENTATION, tiff_tags.SAMPLES, tiff_tags.EXTRA_SAMPLES, tiff_tags.SAMPLE_FORMAT,
    tiff_tags.ROWS_PER_STRIP, tiff_tags.STRIP_BYTES, tiff_tags.PLANAR, tiff_tags.TILE_WIDTH, tiff_tags.TILE_LENGTH,
    tiff_tags.TILE_BYTES,
))  # fmt: skip
VALUE_TYPES = {1: "B", 2: "s", 3: "H", 4: "I"}
"""Letters of struct by the kinds of values that ordinary files have in these tags."""
TIFF_MODES: dict[tuple[Any, ...], str] = {
    (1, 8, 1, 1): "L",
    (1, 16, 1, 1): "I;16",
    (2, 8, 3, 1): "RGB",
    (3, 8, 1, 1): "P",
}
"""Pillow's mode by photometric interpretation, bits, samples and their format."""
MOST_TAGS, MOST_TAG_VALUES = 64, 65536


def plain_tiff(path: Path) -> tuple[TiffTags, str] | None:
    """The tags and Pillow's mode; None where the file is no TIFF, or is left to Pillow and tifffile."""
    with path.open("rb") as stream:
        tags = _tags(stream)
    needed = {tiff_tags.WIDTH, tiff_tags.HEIGHT, tiff_tags.STRIP_BYTES}
    if tags is None or not needed <= tags.keys() or tiff_tags.EXTRA_SAMPLES in tags:
        return None
    bits = tags.get(tiff_tags.BITS, 1)
    kinds = set(bits) if isinstance(bits, tuple) else {bits}
    formats = tags.get(tiff_tags.SAMPLE_FORMAT, 1)
    mode = TIFF_MODES.get((
        tags.get(tiff_tags.PHOTOMETRIC), max(kinds), tags.get(tiff_tags.SAMPLES, 1),
        max(formats) if isinstance(formats, tuple) else formats,
    ))  # fmt: skip
    return None if mode is None or len(kinds) > 1 else (tags_of(tags, 1, 1), mode)


def _tags(stream: IO[bytes]) -> dict[int, Any] | None:
    """The tags of the first page; None where there are more pages, or other kinds of values."""
    head = stream.read(8)
    if head[:4] != LITTLE_ENDIAN or len(head) < 8:
        return None
    stream.seek(int.from_bytes(head[4:], "little"))
    number = int.from_bytes(stream.read(2), "little")
    table = stream.read(12 * number + 4)
    if not 0 < number <= MOST_TAGS or len(table) < 12 * number + 4 or table[-4:] != bytes(4):
        return None
    tags: dict[int, Any] = {}
    for code, kind, count, value in struct.iter_unpack("<HHI4s", table[:-4]):
        if code == tiff_tags.XMP or (code in READ and (kind not in VALUE_TYPES or not 0 < count <= MOST_TAG_VALUES)):
            return None
        if code in READ:
            size = count * struct.calcsize(VALUE_TYPES[kind])
            if size > 4:
                stream.seek(int.from_bytes(value, "little"))
                value = stream.read(size)
            values = struct.unpack(f"<{count}{VALUE_TYPES[kind]}", value[:size])
            tags[code] = values[0].decode("latin-1") if kind == 2 else values if count > 1 else values[0]
    return tags
