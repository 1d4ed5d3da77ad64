"""A fast reader of the headers of ordinary PNG and JPEG files, of which most data sets consist."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

START, TAIL = 4096, 4096
"""Bytes that are read from the start of a file."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_MODES = {(0, 1): "1", (0, 2): "L", (0, 4): "L", (0, 8): "L", (0, 16): "I;16", (2, 8): "RGB", (2, 16): "RGB",
         (3, 1): "P", (3, 2): "P", (3, 4): "P", (3, 8): "P", (4, 8): "LA", (4, 16): "LA", (6, 8): "RGBA",
         (6, 16): "RGBA"}  # fmt: skip
"""Pillow's mode by colour type and bits of PNG."""
UNUSUAL = (b"acTL", b"eXIf", b"iTXt", b"zTXt")
"""Chunks of animations, and those that can hold an orientation."""
PROFILE = b"Raw profile type exif"
"""An orientation in a chunk of text, as older programs wrote it."""
END_OF_PNG, END_OF_JPEG = b"IEND", b"\xff\xd9"
TABLES = (0xC4, 0xDB, 0xDD, 0xE0, 0xFE)
"""JPEG markers that are skipped on the way to the size: tables, JFIF, comments."""
FRAMES = (0xC0, 0xC1, 0xC2)
"""JPEG markers that hold the size."""


class Plain(NamedTuple):
    format: str
    height: int
    width: int
    bits: int
    mode: str
    """Pillow's."""


def plain_header(path: Path) -> Plain | None:
    """None where the file is neither PNG nor JPEG, is cut off, or has marks that this reader leaves to Pillow."""
    with path.open("rb", buffering=0) as stream:
        start = stream.read(START)
        if start[:8] != SIGNATURE and start[:2] != b"\xff\xd8":
            return None
        length = stream.seek(0, 2)
        if length > START:
            stream.seek(length - TAIL)
        tail = stream.read(TAIL) if length > START else start
    found = _png(start, tail) if start[:8] == SIGNATURE else _jpeg(start, tail)
    return found if found is not None and found.height > 0 < found.width else None


def _png(start: bytes, tail: bytes) -> Plain | None:
    if len(start) < 45 or zlib.crc32(start[12:29]) != int.from_bytes(start[29:33], "big") or PROFILE in start:
        return None
    place = 33
    while (name := start[place + 4 : place + 8]) != b"IDAT":
        if len(name) < 4 or name in UNUSUAL:
            return None
        place += 12 + int.from_bytes(start[place : place + 4], "big")
    first, width, height, bits, colour = struct.unpack(">4sIIBB", start[12:26])
    mode = PNG_MODES.get((colour, bits))
    if first != b"IHDR" or mode is None or b"eXIf" in tail or END_OF_PNG not in tail:
        return None
    return Plain("PNG", height, width, 8 if colour == 3 else bits, mode)


def _jpeg(start: bytes, tail: bytes) -> Plain | None:
    place = 2
    while place + 10 <= len(start) and start[place] == 0xFF:
        marker, length = start[place + 1], int.from_bytes(start[place + 2 : place + 4], "big")
        if marker in FRAMES:
            bits, height, width, channels = struct.unpack(">BHHB", start[place + 4 : place + 10])
            mode = {1: "L", 3: "RGB"}.get(channels)
            return (
                None if mode is None or bits != 8 or END_OF_JPEG not in tail else Plain("JPEG", height, width, 8, mode)
            )
        if marker not in TABLES:
            return None
        place += 2 + length
    return None
