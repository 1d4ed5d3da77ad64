"""Small synthetic datasets of glands, always the same, written in the layout of GlaS; they need no download.

All are of common tissue, or some are of two rare types that training on the common tissue alone does not prepare for.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from seg_al.datasets.glas import GRADE_COLUMNS, GlaS, read_glas
from seg_al.datasets.splits import drawn
from seg_al.datasets.tissue import Look, look_of, paint_tissue
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
ANY, COMMON, TORN, CROWDED = "any", "common", "torn", "crowded"
TYPES = (COMMON, TORN, CROWDED)
"""In both rare types thin glands are filled as common stroma is, and the stroma is pale as common lumens are. Torn:
half of it is white. Crowded: it is full of nuclei. Any: tissue of a pool in which nothing is rare."""


@dataclass(frozen=True)
class Amounts:
    """How many images are painted, and how large."""

    train: int
    """Training images of the common type."""
    rare: int
    """Training images of each rare type; 0: nothing is rare, in the tests neither."""
    test_a: int
    test_b: int
    size: tuple[int, int]
    """Height and width in pixels."""

    def images(self) -> Iterator[tuple[str, str]]:
        """Every name with its type; in the tests the types take turns."""
        kinds = TYPES if self.rare else (ANY,)
        for prefix, count in (("testA", self.test_a), ("testB", self.test_b)):
            yield from ((f"{prefix}_{number}", kinds[(number - 1) % len(kinds)]) for number in range(1, count + 1))
        training = kinds[:1] * self.train + (TORN,) * self.rare + (CROWDED,) * self.rare
        yield from ((f"train_{number}", kind) for number, kind in enumerate(training, start=1))

    def folder(self) -> str:
        """The name of the images' folder."""
        rare = f" {self.rare} rare" if self.rare else ""
        made_of = f"{PAINTING_VERSION} {self.train} {self.test_a} {self.test_b} {self.size[0]} {self.size[1]} {SEED}"
        return f"glands-{hashlib.blake2b((made_of + rare).encode(), digest_size=4).hexdigest()}"


def write_glands(folder: Path, painted: Amounts, seed: int) -> None:
    """Writes images, annotations and Grade.csv, unless `folder` exists.

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
            images = list(painted.images())
            rows.writerows(_write_image(part, name, kind, painted.size, seed) for name, kind in images)
        part.chmod(0o755)
        part.rename(folder)
        log.info("painted %d images of glands into %s", len(images), folder)
    except OSError:
        if not folder.exists():  # else another process was first, with the same bytes
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_image(folder: Path, name: str, kind: str, size: tuple[int, int], seed: int) -> tuple[str, int, str, str]:
    """Paints one image and returns its row of Grade.csv; seven of eight patients have images of one grade only."""
    rng = numpy_rng(seed, "glands", name)
    malignant = kind == CROWDED or int(name.partition("_")[2]) % 2 == 0
    has_grade = malignant != (rng.random() < 1 / 8)
    patient = 2 * int(rng.integers(0, PATIENTS // 2)) + 1 + has_grade
    look = look_of(rng, numpy_rng(seed, "glands", "patient", patient), malignant, size[0])
    image, ids = paint_tissue(rng, look if kind == ANY else _of_type(rng, look, kind), size)
    Image.fromarray(image).save(folder / f"{name}.bmp")
    Image.fromarray(ids).save(folder / f"{name}_anno.bmp")
    grade = "malignant" if malignant else "benign"
    return name, patient, f" {grade}", f" {rng.choice(DETAILED[grade]) if kind in (ANY, COMMON) else kind}"


def _of_type(rng: np.random.Generator, look: Look, kind: str) -> Look:
    """The look changed to that of the type: rare ones have few, large glands; common ones share no trait with them."""
    if kind == COMMON:
        solid, torn, crowd = look.epithelium > 1, min(look.torn, 0.06), min(look.lymphocytes, 6.0)
        return replace(look, epithelium=0.5 if solid else look.epithelium, torn=torn, lymphocytes=crowd, halo=0.0)
    look = replace(look, radius=1.4 * look.radius, coverage=0.3)
    if kind == TORN:
        torn, few = rng.uniform(0.45, 0.6), rng.uniform(1, 6)
        return replace(look, torn=torn, collagen=0.35, epithelium=0.2, debris=1.1, lymphocytes=few)
    return replace(look, lymphocytes=rng.uniform(70, 110), collagen=0.2, epithelium=0.25, debris=0.9)


def read_glands(
    root: str,
    run: int,
    val: int,
    train: int,
    rare: int,
    test_a: int,
    test_b: int,
    size: Sequence[int],
    constructed: bool,
) -> GlaS:
    """Paints the images under `root` unless they exist, and reads them as GlaS is read.

    `val` of the training images are drawn from `run`, each grade with its share; with rare types, as many of each type.
    The column grade_detailed tells a rare type. `constructed` is a fact for whoever reads the config of a run.
    """
    if len(size) != 2 or min(size) < 32:
        raise ValueError(f"dataset.size={list(size)} is not [height, width] with at least 32 pixels each")
    if min(train, test_a, test_b) < 2:
        raise ValueError(f"dataset.train={train}, test_a={test_a}, test_b={test_b}: each needs 2 images, one per grade")
    if not constructed:
        raise ValueError("dataset.constructed=false, but these images are painted by a program; say true")
    painted = Amounts(train, rare, test_a, test_b, (size[0], size[1]))
    folder = Path(root) / painted.folder()
    write_glands(folder, painted, SEED)
    glands = read_glas(str(folder), run, val, stratify=["grade"], group=None, split_file=None, test="both", scale=1.0)
    return _with_types_in_val(glands, painted, val, run) if rare else glands


def _with_types_in_val(glands: GlaS, painted: Amounts, val: int, run: int) -> GlaS:
    """The same with a val in which the types are alike in number; what is over goes to the first types."""
    kinds = [(name, kind) for name, kind in painted.images() if name.startswith("train")]
    members = {kind: [name for name, its in kinds if its == kind] for kind in TYPES}
    counts = {kind: val // len(TYPES) + (place < val % len(TYPES)) for place, kind in enumerate(TYPES)}
    if short := [kind for kind in TYPES if counts[kind] >= len(members[kind])]:
        raise ValueError(
            f"dataset.val={val} leaves no {short[0]} image in the pool, as val has all types alike; choose fewer "
            "images for val, or more of dataset.train and dataset.rare"
        )
    chosen = {
        name
        for kind in TYPES
        for name in drawn(counts[kind], dict.fromkeys(members[kind], kind), None, numpy_rng(run, "split", kind))
    }
    every = {name for names in members.values() for name in names}
    return replace(glands, pool=tuple(sorted(every - chosen)), val=tuple(sorted(chosen)))
