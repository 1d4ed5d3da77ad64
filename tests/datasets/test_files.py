"""The gate: what a picture or mask file holds is read whole, by value, or refused with what is wrong and the remedy."""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from seg_al.datasets.files import header as gate
from seg_al.datasets.files.header import opened, read_header
from seg_al.datasets.files.pixels import read_colours, read_ids, read_picture
from seg_al.datasets.files.rules import FileReading
from seg_al.datasets.files.window import ValueWindow, window_problem

ROOT = Path(__file__).parents[2]
SIZE = (10, 14)
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
GREY = RGB[..., 0].copy()
RGB16 = RNG.integers(0, 2**16, (*SIZE, 3), dtype=np.uint16)
IDS16 = RGB16[..., 0].copy()
REALS = RNG.normal(size=SIZE)
FULL = ValueWindow(0, 65535)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(path: Path, values: np.ndarray, bits: int, *late: bytes) -> None:
    """A grey PNG of 1, 2 or 4 bits, with chunks after its pixels."""
    shifts = np.arange(bits - 1, -1, -1)
    rows = [b"\0" + np.packbits((row[:, None] >> shifts & 1).astype(np.uint8).reshape(-1)).tobytes() for row in values]
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(rows)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + b"".join(late) + chunk(b"IEND", b""))


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def refusal(read: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(*arguments)
    return str(caught.value)


def test_no_other_module_opens_a_picture() -> None:
    """Words that decode a file, in any module but the gate's own."""
    words = re.compile(r"Image\.open|imread|imdecode|TiffFile\(|np\.load\(|skimage\.io|torchvision\.io|read_image\(")
    own = ROOT / "seg_al" / "datasets" / "files"
    sources = [*(ROOT / "seg_al").rglob("*.py"), *(ROOT / "scripts").glob("*.py"), ROOT / "run.py"]
    found = {str(path.relative_to(ROOT)): words.findall(path.read_text(encoding="utf-8")) for path in sources
             if own not in path.parents}  # fmt: skip
    assert len(found) > 150
    found["scripts/benchmark_folder.py"] = []  # its loop is the alternative that a gate is compared with
    for own_arrays in (
        "seg_al/recording/stages.py",
        "seg_al/kept_arrays.py",
    ):  # of the program's own record
        found[own_arrays] = [word for word in found[own_arrays] if word != "np.load("]
    assert {path: those for path, those in found.items() if those} == {}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_pictures_are_turned_upright_and_their_headers_tell_the_size_after_it(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(RGB).save(path, exif=exif(orientation), **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_picture(path, None), upright)
    assert read_header(path).size == upright.shape[:2] == (SIZE if orientation < 5 else SIZE[::-1])
    assert read_header(path).orientation == orientation


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_pictures_of_16_bits_are_turned_upright_as_well(tmp_path: Path, orientation: int) -> None:
    turned = {1: RGB16, 3: RGB16[::-1, ::-1], 6: np.rot90(RGB16, -1), 8: np.rot90(RGB16)}[orientation]
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, RGB16, photometric="rgb", extratags=[(274, 3, 1, orientation, False)])
    np.testing.assert_array_equal(read_picture(path, FULL), FULL(turned))
    assert read_header(path).size == turned.shape[:2]


def test_an_orientation_behind_the_pixels_of_a_png_is_found(tmp_path: Path) -> None:
    values = RNG.integers(0, 4, SIZE)
    png(tmp_path / "late.png", values, 2, chunk(b"eXIf", exif(6).tobytes().removeprefix(b"Exif\0\0")))
    assert read_header(tmp_path / "late.png").orientation == 6
    np.testing.assert_array_equal(read_picture(tmp_path / "late.png", None)[..., 0], np.rot90(values * 85, -1))


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_a_mask_with_an_orientation_is_refused_naming_file_and_orientation(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(GREY).convert("RGB").save(path, exif=exif(3), **({"lossless": True} if suffix == "webp" else {}))
    text = refusal(read_ids, path)
    assert str(path) in text
    assert "orientation 3) is a mask with an EXIF orientation" in text
    assert "save it upright" in text


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_rgb_of_16_bits_keeps_every_level(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "scan.tif"
    if compression == "lzw":
        cv2.imwrite(str(path), RGB16[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    else:
        tifffile.imwrite(path, RGB16, photometric="rgb", compression=compression)
    cv2.imwrite(str(tmp_path / "scan.png"), RGB16[..., ::-1])
    narrow = ValueWindow(1000, 1255)
    for file in (path, tmp_path / "scan.png"):
        assert (read_header(file).bits, read_header(file).channels) == (16, 3)
        np.testing.assert_array_equal(read_picture(file, narrow), np.clip(RGB16.astype(int) - 1000, 0, 255))


@pytest.mark.parametrize("kind", ["rgba.png", "grey.png", "grey_alpha.png", "planar.tif", "alpha.tif", "grey.pgm"])
def test_every_kind_of_16_bits_is_read_by_value(tmp_path: Path, kind: str) -> None:
    path, alpha = tmp_path / kind, RNG.integers(0, 2**16, (*SIZE, 1), dtype=np.uint16)
    expected = FULL(IDS16 if "grey" in kind else RGB16)
    if kind == "rgba.png":
        cv2.imwrite(str(path), np.concatenate([RGB16[..., ::-1], alpha], axis=2))
    elif kind == "grey.png":
        Image.fromarray(IDS16).save(path)
    elif kind == "grey_alpha.png":
        rows = [b"\0" + np.stack([row, row[::-1]], axis=1).astype(">u2").tobytes() for row in IDS16]
        head = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], 16, 4, 0, 0, 0)
        body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    elif kind == "planar.tif":
        tifffile.imwrite(path, np.moveaxis(RGB16, 2, 0), photometric="rgb", planarconfig="separate")
    elif kind == "alpha.tif":
        tifffile.imwrite(path, np.concatenate([RGB16, alpha], axis=2), photometric="rgb", extrasamples=["unassalpha"])
    else:
        path.write_bytes(f"P5 {SIZE[1]} {SIZE[0]} 65535\n".encode() + IDS16.astype(">u2").tobytes())
    shown = read_picture(path, FULL)
    np.testing.assert_array_equal(shown, expected if expected.ndim == 3 else np.stack([expected] * 3, axis=2))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8", "int16", "int32", "uint32", "int64"])
def test_floats_and_numbers_with_a_sign_are_read_by_value(tmp_path: Path, kind: str) -> None:
    values = (REALS * 40).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", values)
    np.save(tmp_path / "a.npy", values)
    window = ValueWindow(-40, 60)
    for path in (tmp_path / "a.tif", tmp_path / "a.npy"):
        np.testing.assert_array_equal(read_picture(path, window)[..., 2], window(values))
        if "float" in kind:
            assert "of floating point numbers; save whole numbers" in refusal(read_ids, path)
        else:
            np.testing.assert_array_equal(read_ids(path), values)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_masks_of_few_bits_hold_the_ids_of_the_file_and_pictures_their_grey_levels(tmp_path: Path, bits: int) -> None:
    values = RNG.integers(0, 2**bits, SIZE)
    png(tmp_path / "mask.png", values, bits)
    np.testing.assert_array_equal(read_ids(tmp_path / "mask.png"), values)
    np.testing.assert_array_equal(read_picture(tmp_path / "mask.png", None)[..., 1], values * (255 // (2**bits - 1)))


@pytest.mark.parametrize("highest", [20, 255, 4095])
def test_grey_maps_hold_the_ids_of_the_file_whatever_their_range(tmp_path: Path, highest: int) -> None:
    values = RNG.integers(0, highest + 1, SIZE)
    stored = values.astype(np.uint8 if highest < 256 else ">u2").tobytes()
    (tmp_path / "mask.pgm").write_bytes(f"P5 {SIZE[1]} {SIZE[0]} {highest}\n".encode() + stored)
    np.testing.assert_array_equal(read_ids(tmp_path / "mask.pgm"), values)


def test_arrays_of_numpy_are_masks_and_pictures(tmp_path: Path) -> None:
    for name, values in (("ids", IDS16), ("bool", GREY > 99), ("rgb", RGB), ("rgb16", RGB16)):
        np.save(tmp_path / f"{name}.npy", values)
    np.testing.assert_array_equal(read_ids(tmp_path / "ids.npy"), IDS16)
    np.testing.assert_array_equal(read_ids(tmp_path / "bool.npy"), GREY > 99)
    np.testing.assert_array_equal(read_picture(tmp_path / "bool.npy", None)[..., 0], (GREY > 99) * 255)
    np.testing.assert_array_equal(read_picture(tmp_path / "rgb.npy", None), RGB)
    np.testing.assert_array_equal(read_picture(tmp_path / "rgb16.npy", FULL), FULL(RGB16))


def test_arrays_that_hold_objects_other_shapes_or_too_little_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([[{}, 1]]), allow_pickle=True)
    np.save(tmp_path / "first.npy", np.moveaxis(RGB, 2, 0))
    np.save(tmp_path / "cut.npy", IDS16)
    data = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(data[:-1])
    for name, part in {
        "object": "its array holds object; numbers are needed",
        "first": "its array is [3, 10, 14]; [height, width] or [height, width, 3] is needed",
        "cut": "it is cut off",
    }.items():
        assert f"{name}.npy is unreadable ({part})" in refusal(read_header, tmp_path / f"{name}.npy")
        assert part in refusal(read_ids, tmp_path / f"{name}.npy")


ORDINARY = {
    "grey.png": lambda path: Image.fromarray(GREY).save(path),
    "grey16.png": lambda path: Image.fromarray(IDS16).save(path),
    "rgb.png": lambda path: Image.fromarray(RGB).save(path, pnginfo=None, dpi=(300, 300)),
    "rgba.png": lambda path: Image.fromarray(RGB).convert("RGBA").save(path),
    "grey_alpha.png": lambda path: Image.fromarray(GREY).convert("LA").save(path),
    "palette.png": lambda path: Image.fromarray(RGB).quantize(16).save(path),
    "bits.png": lambda path: Image.fromarray(GREY > 99).save(path),
    "rgb16.png": lambda path: cv2.imwrite(str(path), RGB16),
    "grey.jpg": lambda path: Image.fromarray(GREY).save(path, comment="scanned"),
    "rgb.jpg": lambda path: Image.fromarray(RGB).save(path, progressive=True, optimize=True),
    "turned.jpg": lambda path: Image.fromarray(RGB).save(path, exif=exif(6)),
    "cmyk.jpg": lambda path: Image.fromarray(RGB).convert("CMYK").save(path),
    "rgb.tif": lambda path: Image.fromarray(RGB).save(path, compression="tiff_lzw"),
    "grey16.tif": lambda path: tifffile.imwrite(path, IDS16, photometric="minisblack", rowsperstrip=2),
    "grey.tif": lambda path: Image.fromarray(GREY).save(path),
    "stack.tif": lambda path: tifffile.imwrite(path, np.stack([GREY] * 3), photometric="minisblack", truncate=True),
    "rgba.tif": lambda path: Image.fromarray(RGB).convert("RGBA").save(path),
    "palette.tif": lambda path: Image.fromarray(RGB).quantize(16).save(path),
    "jpeg.tif": lambda path: Image.fromarray(RGB).save(path, compression="jpeg"),
    "float.tif": lambda path: tifffile.imwrite(path, REALS.astype(np.float32)),
    "turned.tif": lambda path: Image.fromarray(RGB).save(path, exif=exif(8)),
    "big_endian.tif": lambda path: tifffile.imwrite(path, IDS16, byteorder=">"),
    "turned.png": lambda path: Image.fromarray(RGB).save(path, exif=exif(8)),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_a_header_without_pillow_says_what_pillow_says(tmp_path: Path, name: str) -> None:
    ORDINARY[name](tmp_path / name)
    with opened(tmp_path / name) as file:
        assert read_header(tmp_path / name) == file.header


def test_ordinary_files_are_told_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the headers of 80,000 images take seconds."""
    names = ("rgb.png", "grey16.png", "palette.png", "rgb.jpg", "grey.jpg", "rgb.tif", "grey16.tif")
    for name in names:
        ORDINARY[name](tmp_path / name)
    monkeypatch.setattr(gate, "opened", None)
    for name in names:
        assert read_header(tmp_path / name).size == SIZE


@pytest.mark.parametrize("name", ["jpeg.png", "mpo.png", "jpeg2000.png", "webp.png", "tiff.png"])
def test_a_mask_in_a_lossy_format_is_refused_whatever_its_suffix(tmp_path: Path, name: str) -> None:
    path, picture = tmp_path / name, Image.fromarray(GREY)
    if name == "tiff.png":
        picture.save(path, format="TIFF", compression="jpeg")
    elif name == "mpo.png":
        picture.save(path, format="MPO", save_all=True, append_images=[picture])
    else:
        picture.save(path, format=name.split(".")[0])
    assert "is a mask in a lossy format, which blurs values into others; save it as PNG" in refusal(read_ids, path)
    assert read_picture(path, None).shape == RGB.shape


def test_webp_without_loss_is_a_mask(tmp_path: Path) -> None:
    Image.fromarray(GREY).convert("RGB").save(tmp_path / "mask.webp", lossless=True)
    np.testing.assert_array_equal(read_ids(tmp_path / "mask.webp"), GREY)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_are_refused_with_their_number_of_frames(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.roll(RGB, step, axis=1)) for step in range(3)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    for read in (lambda path: read_picture(path, None), read_ids, read_colours):
        text = refusal(read, tmp_path / f"a.{suffix}")
        assert "3 frames" in text
        assert "of several frames; save the one that is meant as PNG" in text


def test_a_stack_is_refused_with_its_number_of_pages_or_read_page_by_page(tmp_path: Path) -> None:
    path, pages = tmp_path / "stack.tif", np.stack([np.roll(GREY, step) for step in range(4)])
    tifffile.imwrite(path, pages, photometric="minisblack")
    text = refusal(read_picture, path, None)
    assert "4 pages) is an image of several pages; set dataset.pages=slices to read each page as an image" in text
    assert "4 pages) is a mask of several pages" in refusal(read_ids, path)
    for page in range(4):
        np.testing.assert_array_equal(read_ids(path, page), pages[page])
        np.testing.assert_array_equal(read_picture(path, None, page)[..., 0], pages[page])


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_pages_of_more_bits_are_read_by_value(tmp_path: Path, kind: str) -> None:
    pages = (RNG.random((3, *SIZE)) * 1000).astype(kind)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack", compression="zlib")
    window = ValueWindow(0, 1000)
    for page in range(3):
        np.testing.assert_array_equal(read_picture(tmp_path / "stack.tif", window, page)[..., 0], window(pages[page]))


@pytest.mark.parametrize("how", ["imagej", "ome"])
def test_pages_that_are_channels_are_refused_also_as_slices(tmp_path: Path, how: str) -> None:
    channels = np.stack([GREY] * 3)
    tifffile.imwrite(tmp_path / "a.tif", channels, photometric="minisblack", metadata={"axes": "CYX"}, **{how: True})
    for page in (None, 0):
        assert "whose pages are channels; save them as one RGB picture" in refusal(
            read_picture, tmp_path / "a.tif", None, page
        )


def test_pages_of_several_sizes_and_pages_that_are_not_listed_are_no_slices(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "sizes.tif") as writer:
        writer.write(GREY, photometric="minisblack")
        writer.write(GREY[:5], photometric="minisblack")
    tifffile.imwrite(tmp_path / "hidden.tif", np.stack([GREY] * 3), photometric="minisblack", truncate=True)
    for name in ("sizes", "hidden"):
        assert "of several sizes or kinds, or not listed one by one" in refusal(
            read_picture, tmp_path / f"{name}.tif", None, 0
        )
    assert "3 pages" in refusal(read_picture, tmp_path / "hidden.tif", None)


@pytest.mark.parametrize("name", ["rgb16.png", "grey16.png", "float.tif", "signed.tif"])
def test_a_picture_of_more_than_8_bits_is_refused_with_the_key_to_set(tmp_path: Path, name: str) -> None:
    if name in ORDINARY:
        ORDINARY[name](tmp_path / name)
    else:
        tifffile.imwrite(tmp_path / name, REALS.astype("float32" if name == "float.tif" else "int8"))
    text = refusal(read_picture, tmp_path / name, None)
    assert "say with dataset.window which values are black and white" in text
    assert "{percentiles: [1, 99]}" in text


@pytest.mark.parametrize("kind", ["cmyk.jpg", "lab.tif", "five.tif"])
def test_other_colours_and_further_channels_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "five.tif":
        tifffile.imwrite(path, RNG.integers(0, 255, (*SIZE, 5), dtype=np.uint8), photometric="minisblack",
                         planarconfig="contig")  # fmt: skip
    else:
        Image.fromarray(RGB).convert("RGB").convert("CMYK" if kind == "cmyk.jpg" else "RGB").save(path)
        if kind == "lab.tif":
            Image.frombytes("LAB", SIZE[::-1], RGB.tobytes()).save(path)
    text = refusal(read_picture, path, None)
    assert "is an image that is neither grey nor RGB; save it as RGB" in text


def test_a_tiff_whose_0_is_white_is_no_mask_and_with_16_bits_no_image(tmp_path: Path) -> None:
    words = "in which 0 stands for white, which programs read in two ways; save it with 0 as black"
    for name, values in (("grey", GREY), ("deep", IDS16)):
        tifffile.imwrite(tmp_path / f"{name}.tif", values, photometric="miniswhite")
        assert f"is a mask {words}" in refusal(read_ids, tmp_path / f"{name}.tif")
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.tif", None)[..., 0], 255 - GREY)
    assert f"is an image {words}" in refusal(read_picture, tmp_path / "deep.tif", FULL)


def test_values_that_are_no_number_are_refused_with_the_file(tmp_path: Path) -> None:
    values = REALS.copy()
    values[0, :3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values)
    text = refusal(read_picture, tmp_path / "a.tif", ValueWindow(0, 1))
    assert "a.tif: 3 of its values are no number (NaN); fill them" in text


def test_colours_are_read_from_palettes_and_refused_where_there_are_16_bits(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    whole = RGB.astype(np.int32)
    codes = whole[..., 0] << 16 | whole[..., 1] << 8 | whole[..., 2]
    np.testing.assert_array_equal(read_colours(tmp_path / "a.png"), codes)
    cv2.imwrite(str(tmp_path / "b.png"), RGB16)
    assert "holds no colours of 8 bits; save it as an RGB PNG" in refusal(read_colours, tmp_path / "b.png")
    assert "b.png is coloured, so it holds no ids" in refusal(read_ids, tmp_path / "b.png")


def test_formats_that_start_other_programs_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 14\n%%EndComments\nshowpage\n")
    text = refusal(read_header, tmp_path / "a.png")
    assert "a.png is unreadable (it is none of PNG, JPEG, TIFF, BMP, GIF, WEBP, PPM, JPEG2000, NumPy)" in text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_a_folder_and_an_empty_file_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    for name, part in (("pipe", "it is no file"), ("folder", "it is no file"), ("empty", "it is empty"),
                       ("missing", "it is not there")):  # fmt: skip
        assert f"{name}.png is unreadable ({part})" in refusal(read_header, tmp_path / f"{name}.png")
        assert part in refusal(read_ids, tmp_path / f"{name}.png")


def test_a_vast_picture_is_refused_with_its_size_and_a_large_one_read_without_a_warning(tmp_path: Path) -> None:
    def blank(name: str, height: int, width: int) -> Path:
        row = zlib.compressobj()
        packed = b"".join(row.compress(bytes(1 + (width + 7) // 8)) for _ in range(height)) + row.flush()
        body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)) + chunk(b"IDAT", packed)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
        return tmp_path / name

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(blank("large.png", 14000, 14000)).size == (14000, 14000)
        text = refusal(read_header, blank("vast.png", 20000, 20000))
    assert "vast.png is unreadable (it has 20000x20000 pixels, and 268,435,456 is the most: cut it into tiles)" in text


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif", "a.bmp", "a.webp", "deflated.tif", "lzw16.tif",
                                  "rgb16.png", "a.pgm"])  # fmt: skip
def test_a_file_that_is_cut_off_anywhere_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "deflated.tif":
        tifffile.imwrite(path, RGB16, photometric="rgb", compression="zlib")
    elif name in ("rgb16.png", "lzw16.tif"):
        cv2.imwrite(str(path), RGB16)
    else:
        Image.fromarray(GREY if name == "a.pgm" else RGB).save(path)
    data = path.read_bytes()
    for kept in (0, 3, 9, len(data) // 4, len(data) // 2, len(data) - 40):
        path.write_bytes(data[:kept])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = refusal(read_picture, path, FULL)
        assert re.match(rf"{re.escape(str(path))} is corrupt \(.+\); copy it again", text), text


@pytest.mark.parametrize("name", ["rgb.png", "rgb16.png", "rgb.jpg"])
def test_a_png_or_jpeg_that_is_cut_off_is_noticed_before_anything_is_trained(tmp_path: Path, name: str) -> None:
    ORDINARY[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 3 // 4])
    assert f"{name} is unreadable (image file is truncated" in refusal(read_header, tmp_path / name)


@pytest.mark.parametrize("tag", ["height", "strips"])
def test_a_tiff_with_fewer_strips_than_its_size_needs_is_refused(tmp_path: Path, tag: str) -> None:
    """Pillow leaves what is missing black."""
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", rowsperstrip=2)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        if tag == "height":
            tiff.pages.first.tags["ImageLength"].overwrite(4000)
        else:
            tiff.pages.first.tags["StripByteCounts"].overwrite([1] * 5)
    assert "a.tif is unreadable (it is cut off: it has fewer strips or bytes than its size needs)" in refusal(
        read_header, tmp_path / "a.tif"
    )


def test_a_webp_that_states_an_impossible_size_is_refused_at_once(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.webp", save_all=True, append_images=[Image.fromarray(RGB[::-1])])
    data = bytearray((tmp_path / "a.webp").read_bytes())
    data[24:27] = (10_000_000 - 1).to_bytes(3, "little")  # the width of the canvas
    (tmp_path / "a.webp").write_bytes(data)
    text = refusal(read_picture, tmp_path / "a.webp", None)
    assert "a.webp is corrupt (it has 10x10000000 pixels, and no side of WebP is above 16,383)" in text


def test_windows_are_lines_between_two_grey_levels() -> None:
    values = np.array([[-5, 0, 100, 150, 200, 999]])
    np.testing.assert_array_equal(ValueWindow(100, 200)(values), [[0, 0, 0, 128, 255, 255]])
    np.testing.assert_array_equal(ValueWindow(0, 255)(np.arange(256)), np.arange(256))
    np.testing.assert_array_equal(ValueWindow(-1, 1)(np.array([-np.inf, np.inf])), [0, 255])


@pytest.mark.parametrize(
    "given", [[1], [5, 5], [9, 2], [0, True], [0, float("inf")], "1,99", 7, {"percentiles": [0, 101]},
              {"percentiles": 1}, {"percentile": [1, 99]}, {"percentiles": [99, 1]}, {}],
)  # fmt: skip
def test_other_values_of_window_are_refused_with_what_is_possible(given: object) -> None:
    text = window_problem(given)
    assert text is not None
    assert f"dataset.window={given} is none of null, [low, high]" in text
    assert FileReading(given).problems() == [text]


def test_good_values_of_window_and_pages_are_taken() -> None:
    for given in (None, [0, 4095], (0.5, 1), [-1, 1], {"percentiles": [0, 100]}, {"percentiles": [0.5, 99.5]}):
        assert FileReading(given, "slices").problems() == []
    assert "dataset.pages='all' is unknown; choose one or slices" in FileReading(None, "all").problems()[0]  # type: ignore[arg-type]
