"""What a picture or mask file holds, told without decoding: the one place where such files are opened."""

from __future__ import annotations

import logging
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import tifffile
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from seg_al.datasets.files.plain_headers import END_OF_JPEG, END_OF_PNG, TAIL, Plain, plain_header
from seg_al.datasets.files.tiff_tags import TiffTags, tags_of_pillow, tags_of_tifffile

SUFFIXES = frozenset((".bmp", ".gif", ".jpg", ".jpeg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""Of the files that are looked at; what a file is, is told by its content."""
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
"""Those that Pillow may open. It knows others that start programs, such as Ghostscript for PostScript."""
ORIENTATION_IN = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
"""Keys of Pillow's `info`."""
LOSSY = ("JPEG", "MPO", "JPEG2000")
NUMPY = "NumPy"
MOST_PIXELS = 2**28
"""A larger picture needs gigabytes to decode, and is more often an attack or a mistake than an image to train on."""
BROKEN = (
    OSError, SyntaxError, ValueError, LookupError, EOFError, TypeError, ArithmeticError, AssertionError, MemoryError,
    UserWarning, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow, tifffile and NumPy raise for files that are not what they seem, or cut off."""
ENDS = {"PNG": END_OF_PNG, "JPEG": END_OF_JPEG, "MPO": END_OF_JPEG}
"""What a whole file has near its end."""
GREY = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
CHANNELS = {**dict.fromkeys(GREY, 1), "RGB": 3, "RGBA": 3}
"""By Pillow's mode, without alpha; four for what is not here."""

Image.MAX_IMAGE_PIXELS = None  # Pillow would print a warning from a third of MOST_PIXELS on; `opened` refuses
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it lists every damage of a file; ours is one error

Numbers = Literal["whole", "signed", "real"]


@dataclass(frozen=True)
class Header:
    size: tuple[int, int]
    """Height and width in pixels, after turning by the orientation."""
    format: str
    """What the file is, whatever its suffix says, such as PNG."""
    mode: str
    """Pillow's name of the pixels' type, such as RGB or P; empty where Pillow does not read it."""
    bits: int
    """Per channel."""
    channels: int
    """Without alpha and what else goes with the colours; 1 for palettes."""
    numbers: Numbers = "whole"
    highest: int = 0
    """The largest value that a whole number can have, of 8 and 16 bits or as the file says."""
    pages: int = 1
    """Pages of a TIFF file, frames of an animation."""
    channel_pages: int = 1
    """How many of the pages are channels of one picture, as in hyperstacks of ImageJ."""
    alike: bool = True
    """Whether all pages have one size and kind, and are listed one by one."""
    orientation: int = 1
    """How the stored pixels are turned, from 1 (not) to 8, as EXIF numbers it."""
    lossy: bool = False

    @property
    def described(self) -> str:
        """For a reader, such as "TIFF, 3 channels of 16 bits, 5 pages"."""
        kind = "float " if self.numbers == "real" else ""
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        pages = f", {self.pages} {'pages' if self.format == 'TIFF' else 'frames'}" if self.pages > 1 else ""
        turned = f", orientation {self.orientation}" if self.orientation != 1 else ""
        return f"{self.format}, {channels} of {self.bits} {kind}bits{pages}{turned}"


@dataclass(frozen=True)
class Opened:
    """A file, its header, and what Pillow makes of it where Pillow reads it; closed by `opened`."""

    stream: IO[bytes]
    header: Header
    picture: Image.Image | None


def read_header(path: Path) -> Header:
    """Without decoding. ValueError where the file is no picture, or larger than MOST_PIXELS."""
    try:
        _refuse_others(path)
        if (plain := plain_header(path)) is not None:
            return _small(_of_plain(plain))
        with opened(path) as file:
            if file.picture is not None and _looks_cut(file):
                file.picture.load()
            return file.header
    except BROKEN as error:
        raise ValueError(f"{path} is unreadable ({words_of(error)})") from error


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Opens the file for `read_header` and for decoding; raises what is in BROKEN."""
    _refuse_others(path)
    with path.open("rb") as stream:
        start = stream.read(6)
        stream.seek(0)
        if start == b"\x93NUMPY":
            yield Opened(stream, _small(_numpy(stream, path.stat().st_size)), None)
            return
        try:
            picture = Image.open(stream, formats=FORMATS)
        except UnidentifiedImageError:
            if start[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                raise ValueError(f"it is none of {', '.join(FORMATS)}, {NUMPY}" if start else "it is empty") from None
            stream.seek(0)
            with tifffile.TiffFile(stream) as tiff:
                header = _tiff(tags_of_tifffile(tiff), "")
            yield Opened(stream, _small(header), None)
            return
        with picture:
            yield Opened(stream, _small(_header(picture, stream)), picture)


def _refuse_others(path: Path) -> None:
    """ValueError for what is no file: a pipe would make the reader wait for ever."""
    if not path.is_file():
        raise ValueError("it is no file" if path.exists() else "it is not there")


def _looks_cut(file: Opened) -> bool:
    """Whether the mark that ends a PNG or JPEG file is not where it should be, so that decoding must tell."""
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
    """The same. ValueError where it has more than MOST_PIXELS."""
    height, width = header.size
    if height * width > MOST_PIXELS:
        raise ValueError(f"it has {height}x{width} pixels, and {MOST_PIXELS:,} is the most: cut it into tiles")
    return header


def words_of(error: Exception) -> str:
    """What an exception says, in one line; those that are not meant for people with their names."""
    said = " ".join(str(error).split())
    return said if said and isinstance(error, OSError | SyntaxError | ValueError) else f"{type(error).__name__} {said}"


def _of_plain(plain: Plain) -> Header:
    size, mode, lossy = (plain.height, plain.width), plain.mode, plain.format in LOSSY
    return Header(size, plain.format, mode, plain.bits, CHANNELS[mode], highest=2**plain.bits - 1, lossy=lossy)


def _header(picture: ImageFile, stream: IO[bytes]) -> Header:
    """Of a picture that Pillow has opened."""
    if isinstance(picture, TiffImageFile):
        tags = tags_of_pillow(picture)
        if tags.pages > 1:  # Pillow would have to seek each of them
            stream.seek(0)
            with tifffile.TiffFile(stream) as tiff:
                tags = tags_of_tifffile(tiff)
        return _tiff(tags, picture.mode)
    name = str(picture.format)
    header = Header((picture.height, picture.width), name, picture.mode, 8, CHANNELS.get(picture.mode, 4), highest=255)
    if isinstance(picture, PngImageFile):
        header = _png(header, picture, stream)
    elif isinstance(picture, GifImageFile | WebPImageFile):
        header = replace(header, pages=picture.n_frames)
    elif name == "PPM":
        header = _ppm(header, picture.tile[0][3])
    elif name == "JPEG2000":
        bits = _bits_of_jpeg2000(stream)
        header = replace(header, bits=bits, highest=2**bits - 1)
    lossy = name in LOSSY or (name == "WEBP" and _is_lossy_webp(stream))
    orientation = header.orientation if header.orientation != 1 else _orientation(picture)
    height, width = header.size
    size = (width, height) if orientation >= 5 else (height, width)
    return replace(header, size=size, lossy=lossy, orientation=orientation)


def _orientation(picture: Image.Image) -> int:
    """From what was read with the header: the method of PngImageFile would decode the picture."""
    if not ORIENTATION_IN & picture.info.keys():
        return 1
    found = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _png(header: Header, picture: PngImageFile, stream: IO[bytes]) -> Header:
    """With the bits of the file, which Pillow's mode does not tell, the frames, and an orientation at its end."""
    place = stream.tell()
    stream.seek(24)  # after the signature, and length, name, width and height of the first chunk
    bits = stream.read(1)[0]
    length = stream.seek(0, 2)
    stream.seek(max(0, length - TAIL))
    late = b"eXIf" in stream.read(TAIL) and "exif" not in picture.info
    stream.seek(place)
    orientation = 1
    if late:
        picture.load()
        orientation = _orientation(picture)
    bits = 8 if picture.mode == "P" else bits
    pages = picture.n_frames
    return replace(header, bits=bits, highest=2**bits - 1, pages=pages, orientation=orientation)


def _ppm(header: Header, arguments: Any) -> Header:
    """With the largest value that the file states: Pillow stretches others than 255 and 65535."""
    if header.mode in ("1", "F"):
        return replace(header, bits=1 if header.mode == "1" else 32, numbers="real" if header.mode == "F" else "whole")
    of_16 = header.mode == "I"
    stated = arguments[1] if isinstance(arguments, tuple) and arguments[1] > 1 else 65535 if of_16 else 255
    return replace(header, bits=8 if stated <= 255 else 16, highest=stated)


def _bits_of_jpeg2000(stream: IO[bytes]) -> int:
    """From the marker SIZ of the code stream (ISO 15444-1, A.5.1)."""
    place = stream.tell()
    stream.seek(0)
    start = stream.read(65536)
    stream.seek(place)
    marker = start.find(b"\xff\x4f\xff\x51")
    return (start[marker + 42] & 127) + 1 if 0 <= marker < len(start) - 42 else 8


def _is_lossy_webp(stream: IO[bytes]) -> bool:
    """Whether a chunk "VP8 " holds pixels; those without loss are in "VP8L"."""
    place = stream.tell()
    stream.seek(12)
    found = False
    while len(head := stream.read(8)) == 8:
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"VP8L"):
            found = name == b"VP8 "
            break
        stream.seek(16 if name == b"ANMF" else length + length % 2, 1)  # a frame of an animation holds chunks itself
    stream.seek(place)
    return found


def _tiff(tags: TiffTags, mode: str) -> Header:
    height, width = (tags.width, tags.height) if tags.orientation >= 5 else (tags.height, tags.width)
    channels = 4 if mode and mode not in CHANNELS else tags.colours
    return Header(
        (height, width), "TIFF", mode, tags.bits, channels, tags.numbers, 2**tags.bits - 1, tags.pages,
        tags.channel_pages, tags.alike, tags.orientation, tags.lossy,
    )  # fmt: skip


def _numpy(stream: IO[bytes], length: int) -> Header:
    """Of an array [H, W] or [H, W, 3] of numbers. ValueError for others, and where the file is cut off."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    if kind.kind not in "biuf":
        raise ValueError(f"its array holds {kind}; numbers are needed")
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or 0 in shape:
        raise ValueError(f"its array is {list(shape)}; [height, width] or [height, width, 3] is needed")
    if length < stream.tell() + math.prod(shape) * kind.itemsize:
        raise ValueError("it is cut off")
    numbers: Numbers = {"f": "real", "i": "signed"}.get(kind.kind, "whole")  # type: ignore[assignment]
    bits = 1 if kind.kind == "b" else 8 * kind.itemsize
    return Header((shape[0], shape[1]), NUMPY, "", bits, 1 if len(shape) == 2 else 3, numbers, 2**bits - 1)
