"""Label images keep the laws of annotation formats, and each law catches a format that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg_al.annotators.formats.annotation_format import AnnotationFormat
from seg_al.annotators.formats.label_images import LabelImages
from seg_al.conformance.annotation_formats import LAWS, AnnotationFormatSuite, check_annotation_format
from seg_al.conformance.laws import findings
from seg_al.core import IGNORE, ByteImage

CLASSES = ("ground", "tree", "water")


class Photographs(LabelImages):
    """JPEG changes pixels."""

    suffix = ".jpg"

    def write(self, labels: ByteImage, path: Path) -> None:
        Image.fromarray(np.ascontiguousarray(labels)).save(path)

    def read(self, path: Path) -> ByteImage:
        return np.asarray(Image.open(path))


class WithoutVoid(LabelImages):
    def write(self, labels: ByteImage, path: Path) -> None:
        super().write(np.where(labels == IGNORE, 0, labels).astype(np.uint8), path)


class Wide(LabelImages):
    def read(self, path: Path) -> ByteImage:
        return super().read(path).astype(np.int64)  # type: ignore[return-value]


class KeepsTheFirst(LabelImages):
    def write(self, labels: ByteImage, path: Path) -> None:
        if not path.exists():
            super().write(labels, path)


class LeavesACopy(LabelImages):
    def write(self, labels: ByteImage, path: Path) -> None:
        super().write(labels, path)
        super().write(labels, path.with_name("copy.png"))


class Writes(LabelImages):
    def write(self, labels: ByteImage, path: Path) -> None:
        super().write(labels, path)
        labels[labels == IGNORE] = 0


@dataclass(frozen=True)
class AnyId(LabelImages):
    def _check(self, values: ByteImage, path: Path) -> None:
        pass


class RefusesTooLate(LabelImages):
    def write(self, labels: ByteImage, path: Path) -> None:
        Image.fromarray(np.ascontiguousarray(labels)).save(path)
        super().write(labels, path)


@dataclass(frozen=True)
class Numbers:
    """Rows of numbers as text, which is whole wherever it ends."""

    classes: tuple[str, ...]
    suffix: str = ".txt"

    def write(self, labels: ByteImage, path: Path) -> None:
        if not set(np.unique(labels).tolist()) <= {*range(len(self.classes)), IGNORE}:
            raise ValueError(f"{path} would hold ids of no class")
        path.write_text("\n".join(" ".join(map(str, row)) for row in labels.tolist()))

    def read(self, path: Path) -> ByteImage:
        return np.array([row.split() for row in path.read_text().splitlines()], dtype=np.uint8)


class Nameless(LabelImages):
    def read(self, path: Path) -> ByteImage:
        try:
            return super().read(path)
        except ValueError as error:
            raise ValueError("a file is damaged") from error


BROKEN: dict[str, tuple[Callable[[tuple[str, ...]], AnnotationFormat], str]] = {
    "photographs": (Photographs, "gives back what was written"),
    "no void": (WithoutVoid, "gives back what was written"),
    "wide numbers": (Wide, "gives back what was written"),
    "keeps the first": (KeepsTheFirst, "writes one file in place of the old"),
    "leaves a copy": (LeavesACopy, "writes one file in place of the old"),
    "writes into the labels": (Writes, "leaves the labels alone"),
    "any id": (AnyId, "refuses ids of no class"),
    "refuses too late": (RefusesTooLate, "refuses ids of no class"),
    "rows of numbers": (Numbers, "refuses damaged files by name"),
    "does not name the file": (Nameless, "refuses damaged files by name"),
}
"""Each with the law that it breaks, and perhaps others that follow from it."""


class TestLabelImages(AnnotationFormatSuite):
    def make(self) -> AnnotationFormat:
        return LabelImages(CLASSES)


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_format_is_caught_by_the_law_that_it_breaks(what: str) -> None:
    make, law = BROKEN[what]
    assert law in {one.check for one in findings(make(CLASSES), LAWS) if not one.passed}


def test_every_law_has_a_format_that_breaks_it() -> None:
    assert {law for _, law in BROKEN.values()} == {law.__name__.replace("_", " ") for law in LAWS}


def test_all_that_is_broken_is_said_at_once() -> None:
    check_annotation_format(LabelImages(CLASSES))
    with pytest.raises(
        AssertionError, match=r"1 of 5 laws are broken:\n  - refuses damaged files by name: the first 1 of"
    ):
        check_annotation_format(Nameless(CLASSES))
