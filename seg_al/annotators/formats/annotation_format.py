"""What a format of annotations has to do: give back what was written, and refuse by name what it cannot read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from seg_al.core import ByteImage


class AnnotationFormat(Protocol):
    """Files that hold the class of each pixel of an image, one file for an image."""

    @property
    def suffix(self) -> str: ...  # how its files end, such as ".png"
    @property
    def classes(self) -> tuple[str, ...]: ...  # C names, in the order of their ids

    def write(self, labels: ByteImage, path: Path) -> None:
        """Writes [H, W] class ids, IGNORE where nothing is known, as a whole file or none, in place of what was there.

        Raises ValueError naming the file for an id of no class.
        """
        ...

    def read(self, path: Path) -> ByteImage:
        """[H, W] class ids, IGNORE where nothing is known. ValueError naming the file that is damaged, or no such."""
        ...
