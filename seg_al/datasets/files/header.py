"""Reads what a picture or mask file holds, without decoding it. All such files are opened here."""

from __future__ import annotations

import logging
import struct
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import tifffile
from PIL import Image, UnidentifiedImageError

from seg_al.datasets.files.formats import numpy_file, picture_file, plain_file, tiff_file
from seg_al.datasets.files.held import NUMPY, Header
from seg_al.datasets.files.plain_headers import END_OF_JPEG, END_OF_PNG, TAIL, plain_header
from seg_al.datasets.files.plain_tiff import plain_tiff
from seg_al.datasets.files.tiff_tags import tags_of_tifffile

SUFFIXES = frozenset((".bmp", ".gif", ".jpg", ".jpeg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""Endings of files that are read; the content, not the ending, decides the format."""
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
"""Formats that Pillow may open. Others start programs, such as Ghostscript for PostScript."""
MOST_PIXELS = 2**28
"""A larger picture needs gigabytes to decode, and is more often an attack or a mistake than an image to train on."""
BROKEN = (
    OSError, SyntaxError, ValueError, LookupError, EOFError, TypeError, ArithmeticError, AssertionError,
    UserWarning, struct.error, zlib.error, tokenize.TokenError,
)  # fmt: skip
"""Exceptions of Pillow, tifffile and NumPy for files that are cut off or not of their format."""
ENDS = {"PNG": END_OF_PNG, "JPEG": END_OF_JPEG, "MPO": END_OF_JPEG}
"""Bytes near the end of a complete file."""

Image.MAX_IMAGE_PIXELS = None  # Pillow would print a warning from a third of MOST_PIXELS on; `opened` refuses
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs every damage; here one error does


@dataclass(frozen=True)
class Opened:
    """A file, its header, and what Pillow makes of it where Pillow reads it; closed by `opened`."""

    stream: IO[bytes]
    header: Header
    picture: Image.Image | None


def read_header(path: Path) -> Header:
    """The header, without decoding. ValueError where the file is no picture, or larger than MOST_PIXELS."""
    try:
        _refuse_others(path)
        if (plain := plain_header(path)) is not None:
            return _small(plain_file(plain))
        if (tags := plain_tiff(path)) is not None:
            return _small(tiff_file(*tags))
        with opened(path) as file:
            if file.picture is not None and _looks_cut(file):
                file.picture.load()
            return file.header
    except (*BROKEN, MemoryError) as error:
        raise ValueError(f"{path} is unreadable ({words_of_error(error)})") from error


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Opens the file for `read_header` and for decoding; raises the exceptions in BROKEN."""
    _refuse_others(path)
    with path.open("rb") as stream, opened_stream(stream, path.stat().st_size) as file:
        yield file


@contextmanager
def opened_stream(stream: IO[bytes], length: int) -> Iterator[Opened]:
    """Opens a picture of `length` bytes that lies in another file; the stream is not closed."""
    start = stream.read(6)
    stream.seek(0)
    if start == b"\x93NUMPY":
        yield Opened(stream, _small(numpy_file(stream, length)), None)
        return
    try:
        picture = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        if start[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise ValueError(f"it is none of {', '.join(FORMATS)}, {NUMPY}" if start else "it is empty") from None
        stream.seek(0)
        with tifffile.TiffFile(stream) as tiff:
            header = tiff_file(tags_of_tifffile(tiff), "")
        yield Opened(stream, _small(header), None)
        return
    with picture:
        yield Opened(stream, _small(picture_file(picture, stream)), picture)


def _refuse_others(path: Path) -> None:
    """ValueError where the path is no file: reading a pipe would wait for ever."""
    if not path.is_file():
        raise ValueError("it is no file" if path.exists() else "it is not there")


def _looks_cut(file: Opened) -> bool:
    """Whether the mark that ends a PNG or JPEG file is not where it should be, so that decoding must show."""
    mark = ENDS.get(file.header.format)
    if mark is None:
        return False
    place = file.stream.tell()
    length = file.stream.seek(0, 2)
    file.stream.seek(max(0, length - TAIL))
    whole = mark in file.stream.read(TAIL)
    file.stream.seek(place)
    return not whole


def _small(header: Header) -> Header:
    """The header itself. ValueError where it has more than MOST_PIXELS."""
    height, width = header.size
    if height * width > MOST_PIXELS:
        raise ValueError(f"it has {height}x{width} pixels, and {MOST_PIXELS:,} is the most: cut it into tiles")
    return header


def words_of_error(error: Exception) -> str:
    """The message of an exception in one line; with the exception's name where the message is not meant for people."""
    said = " ".join(str(error).split())
    return said if said and isinstance(error, OSError | SyntaxError | ValueError) else f"{type(error).__name__} {said}"
