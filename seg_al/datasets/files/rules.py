"""Which files can be images and which can be masks, decided by their headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from seg_al.datasets.files.held import Header
from seg_al.datasets.files.window import window_problem

Pages = Literal["one", "slices"]
"""Whether a file with several pages is refused, or each of its pages is an image."""


ZERO_IS_WHITE = "in which 0 stands for white, which programs read in two ways; save it with 0 as black"


@dataclass(frozen=True)
class FileReading:
    """How the files of a data set are read, by the values `window` and `pages` of its config."""

    window: object = None
    """[low, high], {"percentiles": [low, high]} or None, as the config has it."""
    pages: Pages = "one"

    def problems(self) -> list[str]:
        """What is wrong with the values."""
        wrong = window_problem(self.window)
        found = [] if wrong is None else [wrong]
        if self.pages not in get_args(Pages):
            found.append(f"dataset.pages={self.pages!r} is unknown; choose {' or '.join(get_args(Pages))}")
        return found

    def picture_problem(self, header: Header) -> str | None:
        """Why the file cannot be an image, as words after "image"; None: it can."""
        if wrong := self._pages_problem(header):
            return wrong
        if header.channels not in (1, 3):
            return "that is neither grey nor RGB; save it as RGB"
        if header.bits > 8 and (header.format == "JPEG2000" or (header.format == "PPM" and header.channels == 3)):
            return "of more than 8 bits in a format that is read with 8; save it as PNG or TIFF"
        if header.bits > 8 and header.white_is_zero:
            return ZERO_IS_WHITE
        if (header.bits > 8 or header.numbers != "whole") and self.window is None:
            return (
                "of more than 8 bits per channel; say with dataset.window which values are black and white, such as "
                "[0, 4095], or {percentiles: [1, 99]} of all training images"
            )
        return None

    def mask_problem(self, header: Header) -> str | None:
        """Why the file cannot be a mask, as words after "mask"; None: it can."""
        if header.lossy:
            return "in a lossy format, which blurs values into others; save it as PNG"
        if wrong := self._pages_problem(header):
            return wrong
        if header.orientation != 1:
            return "with an EXIF orientation, which some programs ignore; save it upright, without one"
        if header.bits > 1 and header.white_is_zero:
            return ZERO_IS_WHITE
        if header.numbers == "real":
            return "of floating point numbers; save whole numbers"
        if header.channels not in (1, 3):
            return "that has neither one channel nor RGB; save it with one channel"
        return None

    def _pages_problem(self, header: Header) -> str | None:
        if header.pages == 1:
            return None
        if header.channel_pages > 1:
            return "whose pages are channels; save them as one RGB picture, or the channel that is meant alone"
        if header.format != "TIFF":
            return "of several frames; save the one that is meant as PNG"
        if self.pages != "slices":
            return (
                "of several pages; set dataset.pages=slices to read each page as an image, or save one picture per file"
            )
        if not header.alike:
            return "whose pages are of several sizes or kinds, or not listed one by one; save one picture per file"
        return None
