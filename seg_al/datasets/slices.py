"""Files of several pages, where each page is an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from seg_al.datasets.file_patterns import MatchedFile
from seg_al.datasets.files.header import read_header

STACK = "stack"
"""The column with the file of a slice."""


def slices_of(root: Path, images: Sequence[MatchedFile]) -> list[MatchedFile]:
    """Each page of each file as an image; files of one page, and those that cannot be read, stay as they are."""
    found: list[MatchedFile] = []
    for image in tqdm(images, desc="count pages", unit="image", leave=False, disable=None, delay=1):
        try:
            pages = read_header(root / image.file).pages
        except ValueError:
            pages = 1  # reported later, with all other problems
        fields = {STACK: image.file, **image.fields}
        found += [replace(image, fields=fields, page=page if pages > 1 else None) for page in range(pages)]
    return found
