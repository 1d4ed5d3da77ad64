"""Decodes pictures and masks whole, or refuses them: no content of a file is dropped in silence."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from seg_al.core import ByteImage
from seg_al.datasets.files.header import BROKEN, Opened, opened, opened_stream, words_of_error
from seg_al.datasets.files.held import NUMPY, Header
from seg_al.datasets.files.rules import FileReading, Pages
from seg_al.datasets.files.window import ValueWindow

READ_BY_TIFFFILE = (tifffile.COMPRESSION.NONE, tifffile.COMPRESSION.ADOBE_DEFLATE, tifffile.COMPRESSION.DEFLATE)
"""Compressions of TIFF that tifffile reads without further libraries; OpenCV reads the others."""


class Refused(ValueError):
    """The file is complete, but its content cannot be used."""


def read_picture(path: Path, window: ValueWindow | None, page: int | None = None) -> ByteImage:  # [H, W, 3]
    """RGB, upright; alpha is left out. Values go through the `window`; without one they must have 8 bits.

    `page` counts from 0; None: the file must have one only. ValueError where the file is corrupt or cannot be an image.
    """
    values = _values(path, FileReading(window, _pages(page)), page)
    if window is not None:
        try:
            values = window(values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    elif values.dtype == np.bool_:
        values = values * np.uint8(255)
    return np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else np.array(values, dtype=np.uint8)


def read_values(path: Path, page: int | None = None) -> npt.NDArray[Any]:  # [H, W] or [H, W, 3]
    """The values that the window is applied to: grey or RGB as stored, upright, without alpha."""
    return _values(path, FileReading(window=True, pages=_pages(page)), page)


def _values(path: Path, reading: FileReading, page: int | None) -> npt.NDArray[Any]:
    with _decoding(path) as file:
        if wrong := reading.picture_problem(file.header):
            raise Refused(f"{path} ({file.header.described}) is an image {wrong}")
        if file.picture is None or not _is_plain(file.header):
            return _samples(file, page or 0)
        file.picture.seek(page or 0)
        return _upright(np.asarray(file.picture.convert("RGB")), file.header)


def read_ids(path: Path, page: int | None = None) -> npt.NDArray[Any]:  # [H, W]
    """The numbers in a mask: palette indices, grey values, or the common value of equal channels.

    ValueError where the file is corrupt or cannot be a mask, or where its channels differ.
    """
    with _decoding(path) as file:
        _refuse(path, file.header, page)
        values = _samples(file, page or 0)
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise ValueError(f"{path} is coloured, so it holds no ids; save it with one channel")
        values = values[..., 0]
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def values_in(data: bytes) -> npt.NDArray[Any]:  # [H, W] or [H, W, 3]
    """The numbers in a PNG mask that lies within another file. ValueError, which names no file, where it is no mask."""
    try:
        with opened_stream(io.BytesIO(data), len(data)) as file:
            if file.header.format != "PNG":
                raise ValueError(f"it is {file.header.format}, not PNG")
            if wrong := FileReading().mask_problem(file.header):
                raise ValueError(f"a mask {wrong}")
            values = _samples(file, 0)
    except (*BROKEN, MemoryError) as error:
        raise ValueError(words_of_error(error)) from error
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def read_colours(path: Path, page: int | None = None) -> npt.NDArray[np.int32]:  # [H, W]
    """65536 R + 256 G + B of each pixel of a mask. ValueError where the file is corrupt or cannot be such a mask."""
    with _decoding(path) as file:
        _refuse(path, file.header, page)
        if file.picture is None or not _is_plain(file.header):
            raise Refused(f"{path} ({file.header.described}) holds no colours of 8 bits; save it as an RGB PNG")
        file.picture.seek(page or 0)
        colours = np.asarray(file.picture.convert("RGB"), dtype=np.int32)
    return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]


@contextmanager
def _decoding(path: Path) -> Iterator[Opened]:
    """The opened file; errors in its bytes become a ValueError that names it."""
    try:
        with opened(path) as file:
            yield file
    except Refused:
        raise
    except MemoryError as error:
        raise ValueError(f"{path} does not fit into memory when it is decoded; cut it into tiles") from error
    except (*BROKEN, cv2.error) as error:
        raise ValueError(
            f"{path} is corrupt ({words_of_error(error)}); copy it again from the source of the dataset"
        ) from error


def _pages(page: int | None) -> Pages:
    return "one" if page is None else "slices"


def _refuse(path: Path, header: Header, page: int | None) -> None:
    if wrong := FileReading(pages=_pages(page)).mask_problem(header):
        raise Refused(f"{path} ({header.described}) is a mask {wrong}")


def _is_plain(header: Header) -> bool:
    """Whether Pillow reads it without loss."""
    return header.bits <= 8 and header.numbers == "whole"


def _samples(file: Opened, page: int) -> npt.NDArray[Any]:  # [H, W] or [H, W, 3], upright
    """The numbers as they are stored, without alpha; the indices of a palette."""
    header, picture = file.header, file.picture
    if header.format == NUMPY:
        file.stream.seek(0)
        return np.asarray(np.lib.format.read_array(file.stream, allow_pickle=False))
    if header.format == "TIFF" and not _is_plain(header):
        return _of_tiff(file, page)
    if picture is None:
        raise ValueError("Pillow does not know how its pixels are stored")
    picture.seek(page)
    picture.load()
    if header.bits > 8 and picture.mode in ("LA", "RGB", "RGBA"):
        return _turned(_of_opencv(file, 0), header.orientation)
    values = _without_alpha(np.asarray(picture), header)
    return _upright(_unstretched(values, header), header)


def _without_alpha(values: npt.NDArray[Any], header: Header) -> npt.NDArray[Any]:
    if values.ndim == 2:
        return values
    return values[..., 0] if header.channels == 1 else values[..., : header.channels]


def _unstretched(values: npt.NDArray[Any], header: Header) -> npt.NDArray[Any]:
    """Grey values as the file states them: Pillow stretches 2 and 4 bits, and odd ranges of PGM, to 8 or 16 bits."""
    full = {"L": 255, "I": 65535}.get(header.mode)
    if full is None or header.highest in (0, full) or (header.mode == "I" and header.format != "PPM"):
        return values
    return np.rint(values.astype(np.float64) * (header.highest / full)).astype(values.dtype)


def _of_tiff(file: Opened, page: int) -> npt.NDArray[Any]:
    """A page of more than 8 bits, or of numbers with a sign."""
    header, picture = file.header, file.picture
    file.stream.seek(0)
    with tifffile.TiffFile(file.stream) as tiff:
        found = tiff.pages[page]
        if found.compression in READ_BY_TIFFFILE and tiff.pages.first.predictor != tifffile.PREDICTOR.FLOATINGPOINT:
            values = np.asarray(found.asarray())
            if values.ndim == 3 and tiff.pages.first.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                values = np.moveaxis(values, 0, -1)
            return _turned(_without_alpha(values, header), header.orientation)
    if picture is not None and header.channels == 1:
        picture.seek(page)
        values = _without_alpha(np.asarray(picture), header)
        unsigned = header.numbers == "whole" and values.dtype == np.int32  # Pillow has 32 bits with a sign only
        return values.view(np.uint32) if unsigned else values
    return _turned(_of_opencv(file, page), header.orientation)


def _of_opencv(file: Opened, page: int) -> npt.NDArray[Any]:
    """[H, W] or [H, W, 3], as stored. ValueError where it cannot be decoded."""
    file.stream.seek(0)
    data = np.frombuffer(file.stream.read(), dtype=np.uint8)
    fine, pages = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    if not fine or not pages:
        raise ValueError("its pixels cannot be decoded")
    values: npt.NDArray[Any] = np.asarray(pages[0])
    if values.ndim == 3:
        values = values[..., 2::-1]  # OpenCV puts blue first
    return values[..., 0] if values.ndim == 3 and file.header.channels == 1 else values


def _upright(values: npt.NDArray[Any], header: Header) -> npt.NDArray[Any]:
    """The orientation that is left to apply: Pillow turns TIFF by itself."""
    return values if header.format == "TIFF" else _turned(values, header.orientation)


def _turned(values: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Pixels that are stored with this EXIF orientation, turned upright."""
    if orientation >= 5:
        values = np.swapaxes(values, 0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return values[rows, columns]
