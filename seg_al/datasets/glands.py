"""A small synthetic dataset of glands, always the same, written in the layout of GlaS; it needs no download."""

from __future__ import annotations

import csv
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from seg_al.datasets.glas import GRADE_COLUMNS, GlaS, read_glas
from seg_al.datasets.tissue import look_of, paint_tissue
from seg_al.randomness import numpy_rng

log = logging.getLogger(__name__)

PAINTING_VERSION = 1
"""Part of the folder's name: increase it with every change of the painting."""
SEED = 0
"""Seed of the images; `run` draws only the split."""
PATIENTS = 14
DETAILED = {
    "benign": ("healthy", "adenomatous"),
    "malignant": ("moderately differentiated", "poorly differentiated"),
}


def write_glands(folder: Path, *, train: int, test_a: int, test_b: int, size: tuple[int, int], seed: int) -> None:
    """Writes images of `size` (height, width in pixels), annotations and Grade.csv, unless `folder` exists.

    The folder is written under another name and then renamed, so that other processes never see half of it.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with (part / "Grade.csv").open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream, lineterminator="\r\n")
            rows.writerow((GRADE_COLUMNS[0], GRADE_COLUMNS[1], *(f" {column}" for column in GRADE_COLUMNS[2:])))
            for prefix, count in (("testA", test_a), ("testB", test_b), ("train", train)):
                for number in range(1, count + 1):
                    rows.writerow(_write_image(part, f"{prefix}_{number}", number % 2 == 0, size, seed))
        part.chmod(0o755)
        part.rename(folder)
        log.info("painted %d images of glands into %s", train + test_a + test_b, folder)
    except OSError:
        if not folder.exists():  # else another process was first, with the same bytes
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_image(
    folder: Path, name: str, malignant: bool, size: tuple[int, int], seed: int
) -> tuple[str, int, str, str]:
    """Paints one image and returns its row of Grade.csv; seven of eight patients have images of one grade only."""
    rng = numpy_rng(seed, "glands", name)
    has_grade = malignant != (rng.random() < 1 / 8)
    patient = 2 * int(rng.integers(0, PATIENTS // 2)) + 1 + has_grade
    image, ids = paint_tissue(
        rng, look_of(rng, numpy_rng(seed, "glands", "patient", patient), malignant, size[0]), size
    )
    Image.fromarray(image).save(folder / f"{name}.bmp")
    Image.fromarray(ids).save(folder / f"{name}_anno.bmp")
    grade = "malignant" if malignant else "benign"
    return name, patient, f" {grade}", f" {rng.choice(DETAILED[grade])}"


def read_glands(root: str, run: int, val: int, train: int, test_a: int, test_b: int, size: Sequence[int]) -> GlaS:
    """Paints the images under `root` unless they exist, and reads them as GlaS is read.

    `val` of the `train` images are drawn from `run`, each grade with its share.
    """
    if len(size) != 2 or min(size) < 32:
        raise ValueError(f"dataset.size={list(size)} is not [height, width] with at least 32 pixels each")
    if min(train, test_a, test_b) < 2:
        raise ValueError(f"dataset.train={train}, test_a={test_a}, test_b={test_b}: each needs 2 images, one per grade")
    height, width = size
    made_of = f"{PAINTING_VERSION} {train} {test_a} {test_b} {height} {width} {SEED}"
    folder = Path(root) / f"glands-{hashlib.blake2b(made_of.encode(), digest_size=4).hexdigest()}"
    write_glands(folder, train=train, test_a=test_a, test_b=test_b, size=(height, width), seed=SEED)
    return read_glas(str(folder), run, val, stratify=["grade"], group=None, split_file=None, test="both", scale=1.0)
