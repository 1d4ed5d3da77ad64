"""What a picture or mask file holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NUMPY = "NumPy"
LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000")
GREY_MODES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
CHANNELS = {**dict.fromkeys(GREY_MODES, 1), "RGB": 3, "RGBA": 3}
"""Channels by Pillow's mode, without alpha; modes that are not listed have four."""
Numbers = Literal["whole", "signed", "real"]


@dataclass(frozen=True)
class Header:
    size: tuple[int, int]
    """Height and width in pixels, after turning by the orientation."""
    format: str
    """The format of the content, such as PNG, whatever the suffix is."""
    mode: str
    """Pillow's name of the pixels' type, such as RGB or P; empty where Pillow does not read it."""
    bits: int
    """Per channel."""
    channels: int
    """Colour channels, without alpha; 1 for palettes."""
    numbers: Numbers = "whole"
    highest: int = 0
    """The largest possible whole number: of all bits, or as the file states."""
    pages: int = 1
    """Pages of a TIFF file, frames of an animation."""
    channel_pages: int = 1
    """How many of the pages are channels of one picture, as in hyperstacks of ImageJ."""
    alike: bool = True
    """Whether all pages have one size and kind, and are listed one by one."""
    white_is_zero: bool = False
    """Whether low values are bright, as TIFF files of fax machines and some scanners state it."""
    orientation: int = 1
    """How the stored pixels are turned, from 1 (not) to 8, as EXIF numbers it."""
    lossy: bool = False

    @property
    def described(self) -> str:
        """The header in words, such as "TIFF, 3 channels of 16 bits, 5 pages"."""
        kind = "float " if self.numbers == "real" else ""
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        pages = f", {self.pages} {'pages' if self.format == 'TIFF' else 'frames'}" if self.pages > 1 else ""
        turned = f", orientation {self.orientation}" if self.orientation != 1 else ""
        return f"{self.format}, {channels} of {self.bits} {kind}bits{pages}{turned}"
