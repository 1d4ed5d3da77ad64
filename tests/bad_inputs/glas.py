"""GlaS: its table of grades, images and annotations, values, split files, and damaged files."""

from __future__ import annotations

import numpy as np

from bad_inputs.damage import both, change, cut, encoded, folder, remove, rename, replace, write
from bad_inputs.goods import Bad, bad_glas
from bad_inputs.line import Damage

GRADES, IMAGE, MASK = "glas/Grade.csv", "glas/train_1.bmp", "glas/train_1_anno.bmp"
GREY, RGB = np.zeros((32, 40), np.uint8), np.zeros((32, 40, 3), np.uint8)
HEADER = "name,patient ID,grade (GlaS),grade (Sirinukunwattana et al. 2015)\n"
SPLIT, FOLDER = "dataset.split_file=split.csv", "dataset.split_file=splits"


def refused(line: str, *words: str, damage: Damage | None = None) -> Bad:
    """The data is read before the folder of the run is made."""
    return bad_glas(line, *words, damage=damage)


def drawn(*words: str, damage: Damage) -> Bad:
    """By the script, which reads the same folder and is done sooner."""
    return bad_glas("scripts/create_splits.py --root glas --val 2 --out out", *words, damage=damage)


def split(rows: str, *words: str) -> Bad:
    return refused(SPLIT, *words, damage=write("split.csv", f"image,split\n{rows}"))


def again(content: bytes) -> bytes:
    """With the second line once more at the end."""
    return content + content.splitlines(keepends=True)[1]


def without_last(content: bytes) -> bytes:
    """Without the last line."""
    return b"".join(content.splitlines(keepends=True)[:-1])


def shorter(content: bytes) -> bytes:
    """Without the last cell of the second line."""
    lines = content.splitlines()
    lines[1] = lines[1].rpartition(b",")[0]
    return b"\n".join(lines)


LINES = [
    # the table of grades
    drawn("Grade.csv is missing", damage=remove(GRADES)),
    drawn("it must name name, patient ID", damage=write(GRADES, "a,b\n")),
    drawn("it must name name, patient ID", damage=write(GRADES, "")),
    drawn("no row in Grade.csv", damage=change(GRADES, without_last)),
    drawn("Grade.csv is not in UTF-8", damage=write(GRADES, b"n\xe4me\n")),
    drawn("Grade.csv is not in UTF-8", damage=change(GRADES, lambda content: content.decode().encode("utf-16"))),
    drawn("a second row for", damage=change(GRADES, again)),
    drawn("line 2: 3 cells, the header has 4", damage=change(GRADES, shorter)),
    drawn("unknown grade 'severe'", damage=replace(GRADES, " benign", " severe")),
    drawn("unknown row in Grade.csv", damage=both(remove(IMAGE), remove(MASK))),
    drawn("Grade.csv cannot be read as CSV", damage=write(GRADES, HEADER + "x" * 200_000)),
    drawn("Grade.csv is missing", damage=folder(GRADES)),
    # images and annotations
    drawn("train_1: image without annotation", damage=remove(MASK)),
    drawn("train_1: annotation without image", damage=remove(IMAGE)),
    drawn("train_1: 2 files of this name", damage=write("glas/train_1.png", encoded(RGB))),
    drawn("train_1_anno.bmp (", "annotation in a lossy format", damage=write(MASK, encoded(GREY, "JPEG"))),
    drawn("sizes differ, the image has 32x40 pixels", damage=write(MASK, encoded(GREY.T))),
    drawn("an image of more than 8 bits", damage=write(IMAGE, encoded(np.zeros((32, 40), np.uint16)))),
    drawn("train_1.bmp is unreadable (it is empty)", damage=write(IMAGE, b"")),
    drawn("train_1.bmp is unreadable (it is none of PNG", damage=write(IMAGE, "a page of the web")),
    drawn("train_1.bmp is unreadable", damage=cut(IMAGE, 0.005)),
    drawn("train_1_anno.bmp is unreadable", damage=cut(MASK, 0.01)),
    drawn("train_1.bmp is unreadable (it is no file)", damage=folder(IMAGE)),
    drawn("train_1_anno.bmp is unreadable (it is no file)", damage=folder(MASK)),
    drawn("image without annotation", "annotation without image", damage=rename(MASK, "train_99_anno.bmp")),
    # values
    refused("dataset.root=nowhere", "there is no folder nowhere", "set dataset.root"),
    refused("dataset.root=painted", "holds no image train_N"),
    refused("dataset.val=9", "dataset.val=9, but there are 8 training images"),
    refused("dataset.val=0", "dataset.val=0"),
    refused("dataset.val=-1", "dataset.val=-1"),
    refused("dataset.scale=-1", "is not a factor above 0"),
    refused("dataset.stratify=[site]", "dataset.stratify=['site'] is no list of columns; choose grade"),
    refused("dataset.group=site", "dataset.group='site' is no column; choose grade"),
    refused("dataset.test=C", "dataset.test"),
    refused("dataset.window=[1]", "dataset.window=[1] is none of null"),
    refused("dataset.root=.", "several copies of GlaS", damage=write("other/Grade.csv", HEADER)),
    # split files
    refused(SPLIT, "no split file split.csv", "scripts/create_splits.py"),
    refused(SPLIT, "is not in UTF-8", damage=write("split.csv", b"image,split\n\xe9,pool\n")),
    refused(SPLIT, "no image in pool", damage=write("split.csv", "")),
    refused(SPLIT, "line 1: the header is 'name;split'", damage=write("split.csv", "name;split\n")),
    split("train_1\n", "line 2: 'train_1' is not 'image,split'"),
    split("train_99,pool\n", "train_99 is not in the dataset"),
    split("train_1,pool\ntrain_1,val\n", "train_1 is there twice: in pool and in val"),
    split("testA_1,pool\n", "testA_1 is a testA image and cannot be in 'pool'"),
    split("train_1,dev\n", "train_1 is a train image and cannot be in 'dev'"),
    split("train_1,pool\n", "no image in val"),
    refused(FOLDER, "val.csv is missing", damage=write("splits/train.csv", "train_1.bmp,train_1_anno.bmp,0\n")),
    refused(FOLDER, "is not 'image,mask,label'", damage=write("splits/train.csv", "train_1.bmp\n")),
    refused(
        FOLDER,
        "the mask of train_1 is train_2_anno",
        damage=write("splits/train.csv", "train_1.bmp,train_2_anno.bmp,0\n"),
    ),
]
