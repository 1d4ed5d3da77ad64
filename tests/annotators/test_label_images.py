"""Label images are plain grey PNGs, and what no class explains is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg_al.annotators.formats.label_images import LabelImages
from seg_al.core import IGNORE

TREES = LabelImages(("ground", "tree"))


def test_the_file_is_a_grey_png_of_class_ids(tmp_path: Path) -> None:
    labels = np.array([[0, 1, IGNORE], [1, 1, 0]], dtype=np.uint8)
    TREES.write(labels, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        assert np.asarray(picture).tolist() == labels.tolist()


def test_what_a_painting_program_saved_is_read_where_its_channels_are_equal(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [IGNORE, 0]], dtype=np.uint8)
    Image.fromarray(np.repeat(labels[..., None], 3, axis=2)).save(tmp_path / "a.png")
    assert TREES.read(tmp_path / "a.png").tolist() == labels.tolist()
    Image.fromarray(np.stack([labels, labels, 0 * labels], axis=2)).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b\.png is coloured"):
        TREES.read(tmp_path / "b.png")


def test_values_of_no_class_are_listed_with_the_classes_that_there_are(tmp_path: Path) -> None:
    Image.fromarray(np.arange(8, dtype=np.uint8).reshape(2, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png holds the values 2, 3, 4, 5, 6, \.\.\.; the classes are 0 to 1"):
        TREES.read(tmp_path / "a.png")
