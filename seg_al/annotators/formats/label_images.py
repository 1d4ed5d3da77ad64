"""Label images: a grey PNG whose values are class ids, which every painting program and library opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from seg_al.core import IGNORE, ByteImage
from seg_al.datasets.files.pixels import read_ids
from seg_al.whole_files import write_whole


@dataclass(frozen=True)
class LabelImages:
    """One channel of 8 bits: 0 is the first class, 255 is unlabelled."""

    classes: tuple[str, ...]
    suffix: ClassVar[str] = ".png"

    def write(self, labels: ByteImage, path: Path) -> None:
        """ValueError for ids of no class."""
        self._check(labels, path)
        write_whole(path, Image.fromarray(np.ascontiguousarray(labels)).save)

    def read(self, path: Path) -> ByteImage:  # [H, W]
        """ValueError for a file that is damaged or missing, or holds colours or ids of no class."""
        values = read_ids(path)
        self._check(values, path)
        return values.astype(np.uint8)

    def _check(self, values: ByteImage, path: Path) -> None:
        wrong = sorted({*np.unique(values).tolist()} - {*range(len(self.classes)), IGNORE})
        if wrong:
            some = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
            raise ValueError(
                f"{path} holds the values {some}; the classes are 0 to {len(self.classes) - 1} "
                f"({', '.join(self.classes)}), and {IGNORE} is unlabelled"
            )
