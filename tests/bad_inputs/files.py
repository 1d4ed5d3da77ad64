"""What a picture or mask file may not hold: other formats, lost values, pages, turned pixels, and damage."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from bad_inputs.damage import change, cut, encoded, folder, write
from bad_inputs.goods import Bad, bad_folder
from bad_inputs.line import Damage

IMAGE, MASK = "data/train/images/train_1.png", "data/train/masks/train_1.png"
GREY = np.zeros((32, 40), np.uint8)
RGB = np.zeros((32, 40, 3), np.uint8)
DEEP = np.arange(32 * 40, dtype=np.uint16).reshape(32, 40)
REAL = np.full((32, 40), 0.5, np.float32)
TURNED = Image.Exif()
TURNED[274] = 6
"""The orientation in which the upper left corner is shown at the upper right."""
SECOND = [Image.fromarray(GREY + 1)]


def refused(line: str, *words: str, damage: Damage | None = None) -> Bad:
    """The data is read before the folder of the run is made."""
    return bad_folder(line, *words, damage=damage)


def made(*words: str, damage: Damage) -> Bad:
    """By the script that reads such files as well, and is done sooner."""
    pattern = "'{split}/images/{name}.png' --labels '{split}/masks/{name}.png'"
    return bad_folder(f"scripts/make_coco.py --root data --images {pattern}", *words, damage=damage)


def in_image(content: bytes, *words: str) -> Bad:
    return made("train_1.png", *words, damage=write(IMAGE, content))


def in_mask(content: bytes, *words: str) -> Bad:
    return made("train_1.png", *words, damage=write(MASK, content))


def with_image(content: bytes, *words: str, line: str = "") -> Bad:
    return refused(line, *words, damage=write(IMAGE, content))


def with_mask(content: bytes, *words: str) -> Bad:
    return refused("", *words, damage=write(MASK, content))


def array(values: np.ndarray, pickled: bool = False) -> bytes:
    stream = BytesIO()
    np.save(stream, values, allow_pickle=pickled)
    return stream.getvalue()


def flipped(content: bytes) -> bytes:
    """With other bytes in the middle."""
    half = len(content) // 2
    return content[:half] + bytes(255 - one for one in content[half : half + 20]) + content[half + 20 :]


def stated(height: int, width: int) -> bytes:
    """The header of a bitmap of this size, and few pixels."""
    content = bytearray(encoded(GREY, "BMP"))
    content[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return bytes(content)


LINES = [
    # masks
    in_mask(encoded(GREY, "JPEG"), "mask in a lossy format", "save it as PNG"),
    in_mask(encoded(RGB, "WEBP"), "mask in a lossy format"),
    in_mask(encoded(GREY, "TIFF", compression="jpeg"), "mask in a lossy format"),
    in_mask(encoded(GREY, exif=TURNED), "mask with an EXIF orientation", "save it upright"),
    in_mask(encoded(GREY, "TIFF", save_all=True, append_images=SECOND), "mask of several pages", "dataset.pages"),
    in_mask(encoded(GREY, "GIF", save_all=True, append_images=SECOND), "mask of several frames"),
    in_mask(encoded(GREY, save_all=True, append_images=SECOND), "mask of several frames"),
    in_mask(encoded(REAL, "TIFF"), "mask of floating point numbers", "save whole numbers"),
    in_mask(array(REAL), "mask of floating point numbers"),
    in_mask(array(np.zeros((32, 40, 4), np.uint8)), "[height, width] or [height, width, 3] is needed"),
    in_mask(array(np.zeros(32, np.uint8)), "its array is [32]"),
    in_mask(array(np.zeros((0, 40), np.uint8)), "its array is [0, 40]"),
    in_mask(array(np.array([[{}]]), pickled=True), "numbers are needed"),
    in_mask(array(np.full((32, 40), "a")), "numbers are needed"),
    in_mask(array(GREY)[:200], "it is cut off"),
    in_mask(array(GREY)[:7], "is corrupt", "copy it again"),
    with_mask(encoded(GREY[:30]), "mask of another size (height x width)", "image 32x40, mask 30x40"),
    in_mask(np.full((32, 40), 7, np.uint8).tobytes(), "it is none of PNG"),
    with_mask(encoded(GREY + np.uint8(7)), "7: 1,280 pixels in 1 images (train_1)"),
    with_mask(encoded(DEEP), "1277 values, such as 2: 1 pixels"),
    with_mask(array(GREY.astype(np.int8) - 1), "-1: 1,280 pixels"),
    made("train_1.png", "corrupt", damage=change(MASK, flipped)),
    made("train_1.png", "corrupt", damage=cut(MASK, 0.6)),
    made("train_1.png", "corrupt", damage=cut(MASK, 0.1)),
    # images
    with_image(encoded(DEEP), "image of more than 8 bits per channel", "dataset.window"),
    with_image(encoded(REAL, "TIFF"), "image of more than 8 bits per channel", "dataset.window"),
    with_image(encoded(DEEP), "one for all images, but they are of several kinds", line="dataset.window=[0,255]"),
    with_image(encoded(RGB, "TIFF", save_all=True, append_images=SECOND), "image of several pages", "pages=slices"),
    in_image(encoded(RGB, "GIF", save_all=True, append_images=SECOND), "image of several frames"),
    in_image(b"\x89PNG\r\n\x1a\n", "unreadable"),
    with_image(encoded(RGB, "JPEG", exif=TURNED), "turned by its EXIF orientation 6"),
    in_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 32\nshowpage\n", "it is none of PNG"),
    in_image(b"a text\n", "it is none of PNG"),
    in_image(b"<svg xmlns='http://www.w3.org/2000/svg' width='40' height='32'/>", "it is none of PNG"),
    in_image(b"\0" * 500, "it is none of PNG"),
    in_image(b"", "it is empty"),
    in_image(encoded(RGB, "ICO"), "it is none of PNG"),
    in_image(encoded(RGB, "PDF"), "it is none of PNG"),
    in_image(stated(50_000, 50_000), "268,435,456 is the most", "cut it into tiles"),
    in_image(encoded(RGB, "JPEG")[:300], "unreadable"),
    in_image(encoded(RGB, "TIFF")[:100], "unreadable"),
    in_image(encoded(RGB, "BMP")[:30], "unreadable"),
    in_image(encoded(RGB, "GIF")[:12], "unreadable"),
    in_image(encoded(RGB, "WEBP")[:20], "unreadable"),
    in_image(b"P5\n40 x\n255\n", "unreadable"),
    made("it is no file", damage=folder(IMAGE)),
    # windows
    refused("dataset.window=5", "dataset.window=5 is none of null, [low, high]"),
    refused("dataset.window=[5,5]", "dataset.window=[5, 5] is none of null"),
    refused("dataset.window={percentiles:[1,101]}", "with percentages of all training images"),
    refused("dataset.window={percentiles:[1,1.001]}", "choose others, or [low, high] in grey levels"),
    refused("dataset.pages=all", "dataset.pages=all: one or slices is needed"),
]
