"""Makes a header from each file format; what Pillow does not tell is read from the file's own bytes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import IO, Any

import numpy as np
import tifffile
from PIL import ExifTags, Image
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from seg_al.datasets.files.held import CHANNELS, LOSSY_FORMATS, NUMPY, Header, Numbers
from seg_al.datasets.files.plain_headers import TAIL, Plain
from seg_al.datasets.files.tiff_tags import TiffTags, tags_of_pillow, tags_of_tifffile

ORIENTATION_IN = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
"""Keys of Pillow's `info` that can hold an orientation."""
WIDEST_WEBP = 16383
"""Pixels of a side. A damaged header can state millions, which take minutes to decode."""


def plain_file(plain: Plain) -> Header:
    size, mode, lossy = (plain.height, plain.width), plain.mode, plain.format in LOSSY_FORMATS
    return Header(size, plain.format, mode, plain.bits, CHANNELS[mode], highest=2**plain.bits - 1, lossy=lossy)


def picture_file(picture: ImageFile, stream: IO[bytes]) -> Header:
    """The header of a picture that Pillow has opened."""
    if isinstance(picture, TiffImageFile):
        tags = tags_of_pillow(picture)
        if tags.pages > 1:  # Pillow would have to seek each of them
            stream.seek(0)
            with tifffile.TiffFile(stream) as tiff:
                tags = tags_of_tifffile(tiff)
        return tiff_file(tags, picture.mode)
    name = str(picture.format)
    header = Header((picture.height, picture.width), name, picture.mode, 8, CHANNELS.get(picture.mode, 4), highest=255)
    if isinstance(picture, PngImageFile):
        header = _png(header, picture, stream)
    elif isinstance(picture, GifImageFile | WebPImageFile):
        if name == "WEBP" and max(picture.size) > WIDEST_WEBP:
            stated = f"{picture.height}x{picture.width}"
            raise ValueError(f"it has {stated} pixels, and no side of WebP is above {WIDEST_WEBP:,}")
        header = replace(header, pages=picture.n_frames)
    elif name == "PPM":
        header = _ppm(header, picture.tile[0][3])
    elif name == "JPEG2000":
        bits = _bits_of_jpeg2000(stream)
        header = replace(header, bits=bits, highest=2**bits - 1)
    lossy = name in LOSSY_FORMATS or (name == "WEBP" and _is_lossy_webp(stream))
    orientation = header.orientation if header.orientation != 1 else _orientation(picture)
    height, width = header.size
    size = (width, height) if orientation >= 5 else (height, width)
    return replace(header, size=size, lossy=lossy, orientation=orientation)


def _orientation(picture: Image.Image) -> int:
    """The orientation from what was read with the header; PngImageFile's own method would decode the picture."""
    if not ORIENTATION_IN & picture.info.keys():
        return 1
    found = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _png(header: Header, picture: PngImageFile, stream: IO[bytes]) -> Header:
    """The header with what Pillow's mode does not tell: bits, frames, and an orientation at the file's end."""
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
    """The header with the largest value that the file states: Pillow stretches all but 255 and 65535."""
    if header.mode in ("1", "F"):
        return replace(header, bits=1 if header.mode == "1" else 32, numbers="real" if header.mode == "F" else "whole")
    of_16 = header.mode == "I"
    stated = arguments[1] if isinstance(arguments, tuple) and arguments[1] > 1 else 65535 if of_16 else 255
    return replace(header, bits=8 if stated <= 255 else 16, highest=stated)


def _bits_of_jpeg2000(stream: IO[bytes]) -> int:
    """Bits per channel from the marker SIZ of the code stream (ISO 15444-1, A.5.1)."""
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


def tiff_file(tags: TiffTags, mode: str) -> Header:
    height, width = (tags.width, tags.height) if tags.orientation >= 5 else (tags.height, tags.width)
    channels = 4 if mode and mode not in CHANNELS else tags.colours
    return Header(
        (height, width), "TIFF", mode, tags.bits, channels, tags.numbers, 2**tags.bits - 1, tags.pages,
        tags.channel_pages, tags.alike, tags.white_is_zero, tags.orientation, tags.lossy,
    )  # fmt: skip


def numpy_file(stream: IO[bytes], length: int) -> Header:
    """The header of an array [H, W] or [H, W, 3] of numbers. ValueError for others, and where the file is cut off."""
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
