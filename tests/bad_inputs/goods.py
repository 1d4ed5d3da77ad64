"""Small good data sets and a folder of runs, each a directory in which `python run.py` runs, and a line in one."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from bad_inputs.line import Damage, Good, ended
from seg_al.datasets.glands import read_glands

TINY = """
defaults:
  - config
  - override dataset: {dataset}
  - override tracking: none
  - _self_
mc_iters: 2
rounds: 1
initial: 2
budget: 1
objects: false
gallery: 0
device: cpu
share: false
model: {{width: 2}}
trainer:
  augmentation: {{crop: [32, 32]}}
  pace: {{steps: 2}}
  batch_size: 2
  validation: {{times: 1}}
  optimizer: {{lr: 0.001}}
dataset: {values}
"""
"""A study, so that Hydra need not parse all these words again for each line."""
WORDS = ("-cd", ".", "-cn", "tiny")
SIZE = (32, 40)


def _study(place: Path, dataset: str, **values: object) -> None:
    (place / "tiny.yaml").write_text(TINY.format(dataset=dataset, values=json.dumps(values)))


def _pair(seed: int) -> tuple[Image.Image, Image.Image]:
    """A picture and its mask: a bright rectangle of class 1 on dark noise."""
    rng = np.random.default_rng(seed)
    picture, mask = rng.integers(0, 90, (*SIZE, 3)).astype(np.uint8), np.zeros(SIZE, np.uint8)
    top, left = rng.integers(2, 12, 2)
    picture[top : top + 14, left : left + 16] += 120
    mask[top : top + 14, left : left + 16] = 1
    return Image.fromarray(picture), Image.fromarray(mask)


def _glands(place: Path) -> None:
    read_glands(str(place / "data"), 0, val=2, train=8, rare=0, test_a=2, test_b=2, size=SIZE, constructed=True)
    _study(place, "glands", size=SIZE, train=8, rare=0, val=2, test_a=2, test_b=2)


def _glas(place: Path) -> None:
    read_glands(str(place / "painted"), 0, val=2, train=8, rare=0, test_a=2, test_b=2, size=SIZE, constructed=True)
    (source,) = (place / "painted").iterdir()
    source.rename(place / "glas")
    _study(place, "glas", root="glas", val=2)


def _folder(place: Path) -> None:
    """data/{train,val,test}/{images,masks}/NAME.png and a table with the columns site and patient."""
    rows = ["name,site,patient"]
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        for number in range(count):
            name = f"{split}_{number}"
            for kind, image in zip(("images", "masks"), _pair(len(rows)), strict=True):
                path = place / "data" / split / kind / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
            rows.append(f"{name},{'north' if number % 2 else 'south'},{number // 2}")
    (place / "data/table.csv").write_text("\n".join(rows) + "\n")
    _study(place, "folder", root="data")


def _coco(place: Path) -> None:
    """data/{train,val,test}/NAME.png and data/instances_{split}.json, an object (a rectangle) in each image."""
    number = 0
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        (place / "data" / split).mkdir(parents=True)
        images, annotations = [], []
        for _ in range(count):
            number += 1
            picture, mask = _pair(number)
            picture.save(place / "data" / split / f"{split}_{number}.png")
            rows, columns = np.nonzero(np.asarray(mask))
            top, left, bottom, right = (
                float(one) for one in (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
            )
            box = [left, top, right - left, bottom - top]
            outline = [left, top, right, top, right, bottom, left, bottom]
            images.append({"id": number, "file_name": f"{split}_{number}.png", "height": SIZE[0], "width": SIZE[1]})
            annotations.append(
                {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": box,
                 "area": box[2] * box[3], "segmentation": [outline]}
            )  # fmt: skip
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "block"}]}
        (place / "data" / f"instances_{split}.json").write_text(json.dumps(content, indent=1))
    _study(
        place, "coco", root="data", annotations="instances_{split}.json", train="train", val="val", test="test",
    )  # fmt: skip


def _labelme(place: Path) -> None:
    """data/{train,val,test}/NAME.png with NAME.json beside each: a polygon of the label block."""
    number = 0
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        (place / "data" / split).mkdir(parents=True)
        for _ in range(count):
            number += 1
            picture, mask = _pair(number)
            picture.save(place / "data" / split / f"{split}_{number}.png")
            rows, columns = np.nonzero(np.asarray(mask))
            top, left, bottom, right = (float(one) for one in (rows.min(), columns.min(), rows.max(), columns.max()))
            points = [[left, top], [right, top], [right, bottom], [left, bottom]]
            shape = {"label": "block", "points": points, "group_id": None, "shape_type": "polygon", "flags": {}}
            content = {"version": "5.0.0", "flags": {}, "shapes": [shape], "imagePath": f"{split}_{number}.png",
                       "imageData": None, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}  # fmt: skip
            (place / "data" / split / f"{split}_{number}.json").write_text(json.dumps(content))
    _study(
        place, "labelme", root="data", images="{split}/{name}.png", annotations="{split}/{name}.json",
        train="train", val="val", test="test",
    )  # fmt: skip


def _runs(place: Path) -> None:
    """Glands, and runs/ with two heuristics of two paired runs, of two rounds each."""
    _glands(place)
    before = Path.cwd()
    os.chdir(place)
    try:
        code, text = ended("-m heuristic=random,entropy run=0,1 rounds=2 tracking=file", GLANDS)
    finally:
        os.chdir(before)
    assert code == 0, text


GLANDS = Good("glands", _glands, WORDS)
GLAS = Good("glas", _glas, WORDS)
FOLDER = Good("folder", _folder, WORDS)
COCO = Good("coco", _coco, WORDS)
LABELME = Good("labelme", _labelme, WORDS)
RUNS = Good("runs", _runs, (*WORDS, "heuristic=random", "rounds=2"))
"""Its words are those of runs/glands-unet_small-random-run0-*, which is finished: rounds=3 goes on with it."""
GOODS = (GLANDS, GLAS, FOLDER, COCO, LABELME, RUNS)


class Bad:
    """A line of command in GLANDS, unless `on` says otherwise, and the words that its message must hold."""

    def __init__(self, line: str, *words: str, on: Good = GLANDS, damage: Damage | None = None) -> None:
        assert words, f"{line}: which words must its message hold?"
        self.line, self.words, self.on, self.damage = line, words, on, damage

    def __str__(self) -> str:
        return f"{self.on.name} {self.line}".strip()


bad_folder = partial(Bad, on=FOLDER)
bad_coco = partial(Bad, on=COCO)
bad_glas = partial(Bad, on=GLAS)
bad_labelme = partial(Bad, on=LABELME)
bad_runs = partial(Bad, on=RUNS)
