"""Scripts that read data: scripts/make_coco.py on folders, and scripts/create_splits.py on GlaS."""

from __future__ import annotations

import numpy as np

from bad_inputs.damage import cut, encoded, folder, remove, rename, write
from bad_inputs.goods import Bad, bad_folder, bad_glas
from bad_inputs.line import Damage

MASK, IMAGE = "data/train/masks/train_1.png", "data/train/images/train_1.png"
IMAGES, LABELS = "--images '{split}/images/{name}.png'", "--labels '{split}/masks/{name}.png'"
GOOD = f"{IMAGES} {LABELS}"
GREY = np.zeros((32, 40), np.uint8)


def made(line: str, *words: str, damage: Damage | None = None) -> Bad:
    return bad_folder(f"scripts/make_coco.py --root data {line}", *words, damage=damage)


def drawn(line: str, *words: str, damage: Damage | None = None) -> Bad:
    return bad_glas(f"scripts/create_splits.py --root glas {line}", *words, damage=damage)


LINES = [
    made(GOOD, "1 names below data are not in UTF-8", damage=rename(IMAGE, "caf\udce9.png")),
    bad_folder(f"scripts/make_coco.py --root nowhere {GOOD}", "there is no folder nowhere"),
    bad_folder("scripts/make_coco.py", "required: --root, --images"),
    made(IMAGES, "give either --labels or --masks"),
    made(f"{GOOD} --masks a", "give either --labels or --masks"),
    made(f"{IMAGES} --masks a --classes b", "--classes needs --labels"),
    made(f"{GOOD} --tolerance -1", "--tolerance -1.0 is not a number of pixels from 0 on"),
    made(f"{GOOD} --tolerance nan", "--tolerance nan is not a number of pixels from 0 on"),
    made(f"{GOOD} --tolerance inf --coding polygon", "--tolerance inf is not a number of pixels from 0 on"),
    made(f"{GOOD} --category a --category b", "need --classes, which tells them apart"),
    made(f"{GOOD} --category a=1", "need --classes, which tells them apart"),
    made(f"{GOOD} --classes '{{split}}/masks/{{name}}.png' --category a", "every --category is NAME=VALUE"),
    made(
        f"{GOOD} --classes '{{split}}/masks/{{name}}.png' --category a=1 --category b=1",
        "a name or a value is given twice",
    ),
    made("--images 'x/{name}.png' --labels '*/masks/{name}.png'", "no image fits --images x/{name}.png below data"),
    made(f"{IMAGES} --labels 'x/{{name}}.png'", "images do not have one file each"),
    made(f"{IMAGES} --masks 'x/{{name}}.png'", "no file fits x/{name}.png below data"),
    made(
        f"{IMAGES} --labels 'x/{{patient}}.png'",
        "--labels x/{patient}.png has {patient}, but the fields of --images are: split, name",
    ),
    made(f"{GOOD} --val 1", "--images has {split}, so --val and --test are given already"),
    made("--images '*/images/{name}.png' --labels '*/masks/{name}.png' --val -1", "are shares below 1, or numbers"),
    made("--images '*/images/{name}.png' --labels '*/masks/{name}.png' --val 99", "99"),
    made("--images '*/images/{name}.png' --labels '*/masks/{name}.png' --val nan", "are shares below 1, or numbers"),
    made("--images '*/images/{name}.png' --labels '*/masks/{name}.png' --val inf", "are shares below 1, or numbers"),
    made(
        "--images '*/images/{name}.png' --labels '*/masks/{name}.png' --val 1 --run -1",
        "--run -1 is not a whole number from 0",
    ),
    made(f"{GOOD} --coding bits", "invalid choice: 'bits'"),
    made(f"{GOOD} --out table", "table", damage=write("table", "a file")),
    made(GOOD, "exists already; add --force", damage=write("data/annotations/instances_val.json", "{}")),
    made(GOOD, "train_1.png", "corrupt", damage=cut(MASK)),
    made(GOOD, "train_1.png is unreadable", damage=cut(IMAGE)),
    made(GOOD, "train_1.png is unreadable (it is empty)", damage=write(IMAGE, b"")),
    made(GOOD, "train_1.png", "it is no file", damage=folder(MASK)),
    made(GOOD, "images do not have one file each: train/images/train_1.png (0 label images)", damage=remove(MASK)),
    made(
        GOOD, "train_1.png has 40x32 pixels (height x width), but its image 32x40", damage=write(MASK, encoded(GREY.T))
    ),
    made(GOOD, "a mask in a lossy format", damage=write(MASK, encoded(GREY, "JPEG"))),
    made(
        GOOD,
        "is coloured, so it holds no ids",
        damage=write(MASK, encoded(np.arange(3840, dtype=np.uint8).reshape(32, 40, 3))),
    ),
    drawn("", "required: --out"),
    drawn("--out out --runs x", "'x' is not like 0-4 or 0,2,7"),
    drawn("--out out --runs 0,0", "names no run, or one twice"),
    drawn("--out out --runs 4-0", "names no run, or one twice"),
    drawn("--out out --runs ²", "is not like 0-4 or 0,2,7"),
    drawn("--out out --val 8", "dataset.val=8, but there are 8 training images"),
    drawn("--out out --val x", "argument --val: invalid int value: 'x'"),
    drawn("--out out --stratify site", "invalid choice: 'site'"),
    drawn("--out out --group site", "invalid choice: 'site'"),
    drawn("--out glas/Grade.csv --val 2", "Grade.csv"),
    drawn("--out out --val 2 --runs 0", "run_0.csv exists already", damage=write("out/run_0.csv", "")),
    drawn("--out out --val 2 --runs 99999999999999999999", "names a run above 4294967295"),
    drawn("--out out --val 2", "Grade.csv is missing", damage=remove("glas/Grade.csv")),
    drawn("--out out --val 2", "train_1.bmp is unreadable", damage=cut("glas/train_1.bmp", 0.005)),
    bad_glas("scripts/create_splits.py --root nowhere --out out", "there is no folder nowhere"),
]
