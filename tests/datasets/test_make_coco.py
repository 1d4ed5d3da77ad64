"""scripts/make_coco.py as a user calls it, and what seg_al reads of its files."""

from __future__ import annotations

import json
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from seg_al.datasets.coco import read_coco
from seg_al.datasets.coco_write import polygons_of
from seg_al.datasets.object_dataset import ObjectDataset
from seg_al.tasks.objects import rle

ROOT = Path(__file__).parents[2]
MAIN = runpy.run_path(str(ROOT / "scripts" / "make_coco.py"))["main"]
SIZE = (24, 32)


def labels(number: int) -> np.ndarray:
    """Object 300 in two parts, object 7 with a hole, object 2 of one pixel in the corner; image 3 has none."""
    ids = np.zeros(SIZE, dtype=np.uint16)
    if number != 3:
        ids[2:8, 3:9], ids[2:5, 14:20] = 300, 300
        ids[12 : 20 - number, 10:22] = 7
        ids[14:16, 13:16] = 0
        ids[23, 31] = 2
    return ids


def classes(number: int) -> np.ndarray:
    """Object 300 is 1, object 7 mostly 5, object 2 is 9, which is of no category."""
    ids, values = labels(number), np.zeros(SIZE, dtype=np.uint8)
    values[ids == 300], values[ids == 7], values[ids == 2] = 1, 5, 9
    values[12] = np.where(ids[12] == 7, 1, values[12])
    return values


def folder(root: Path, images: int = 5) -> Path:
    for number in range(images):
        own = root / "masks" / f"n{number}"
        own.mkdir(parents=True)
        for part, array in (("images", np.full((*SIZE, 3), number, dtype=np.uint8)), ("ids", labels(number)),
                            ("values", classes(number))):  # fmt: skip
            (root / part).mkdir(exist_ok=True)
            Image.fromarray(array).save(root / part / f"n{number}.png")
        for one in np.unique(labels(number)):
            if one:
                Image.fromarray(((labels(number) == one) * 255).astype(np.uint8)).save(own / f"{one:03}.png")
    return root


def make(root: Path, *words: str) -> int:
    code: int = MAIN(["--root", str(root), "--images", "images/{name}.*", *words])
    return code


def content(root: Path, name: str = "instances") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "annotations" / f"{name}.json").read_text())
    return found


def read(root: Path, **changes: Any) -> ObjectDataset:
    values = yaml.safe_load((ROOT / "conf" / "dataset" / "coco.yaml").read_text())
    del values["_target_"]
    mine = {"root": str(root), "run": 0, "annotations": "annotations/instances.json", "images": "."}
    return read_coco(**(values | mine | {"train": None, "val": 1, "test": 1} | changes))


@pytest.mark.parametrize("words", [("--labels", "ids/{name}.*"), ("--masks", "masks/{name}/*.png")])
def test_objects_come_back_exactly_from_label_images_and_from_masks(tmp_path: Path, words: Sequence[str]) -> None:
    root = folder(tmp_path)
    assert make(root, *words, "--licence", "CC0 1.0", "--description", "cells", "--date", "2020-02-03") == 0
    file = content(root)
    assert file["info"] | {"url": ""} == file["info"]
    assert (file["info"]["description"], file["info"]["year"]) == ("cells", 2020)
    assert file["licenses"] == [{"id": 1, "name": "CC0 1.0", "url": ""}]
    assert file["images"][0] == {"id": 1, "file_name": "images/n0.png", "height": 24, "width": 32, "license": 1}
    assert [one["id"] for one in file["annotations"]] == list(range(1, 13))
    assert file["annotations"][0] | {"bbox": [31, 23, 1, 1], "area": 1, "iscrowd": 0} == file["annotations"][0]
    data = read(root)
    assert data.classes == ("background", "object")
    for number in range(5):
        name, ids = f"n{number}", labels(number)
        np.testing.assert_array_equal(data.instances(name).full(), ids == np.unique(ids[ids > 0])[:, None, None])
        np.testing.assert_array_equal(data.target(name), ids > 0)


def test_class_id_masks_give_each_object_the_class_of_most_of_its_pixels(tmp_path: Path, capsys: Any) -> None:
    root = folder(tmp_path)
    words = ("--labels", "ids/{name}.*", "--classes", "values/{name}.*", "--category", "bud=5", "--category", "cell=1")
    assert make(root, *words) == 0
    told = capsys.readouterr()
    assert "4 objects are of several classes" in told.err
    assert "4 objects are of no --category and are left out" in told.err
    data = read(root)
    assert data.classes == ("background", "bud", "cell")
    assert data.instances("n0").classes.tolist() == [1, 2]  # 7 before 300
    np.testing.assert_array_equal(data.target("n0"), np.select([labels(0) == 7, labels(0) == 300], [1, 2], 0))


def test_polygons_without_tolerance_are_exact_but_for_holes_and_say_how_well_they_agree(
    tmp_path: Path, capsys: Any
) -> None:
    root = folder(tmp_path)
    assert make(root, "--labels", "ids/{name}.*", "--coding", "polygon", "--tolerance", "0") == 0
    assert "polygons (tolerance 0 pixels) agree with their masks at a mean IoU of" in capsys.readouterr().out
    objects = read(root).instances("n0").full()
    filled = labels(0)
    filled[14:16, 13:16] = 7  # COCO's polygons have no holes
    for mask, one in zip(objects, (2, 7, 300), strict=True):
        np.testing.assert_array_equal(mask, filled == one)
    polygons = [len(one["segmentation"]) for one in content(root)["annotations"][:3]]
    assert polygons == [1, 1, 2]  # a hole has none, each part has one


def test_an_outline_keeps_within_the_tolerance_and_gets_simpler_with_it() -> None:
    rows, columns = np.indices((64, 64))
    code = rle.encode((rows - 30) ** 2 + (columns - 33) ** 2 <= 24**2, (64, 64))
    corners = {}
    for tolerance in (0.0, 0.5, 3.0):
        (polygon,) = polygons_of(code, (64, 64), tolerance)
        points = np.array(polygon).reshape(-1, 2)
        corners[tolerance] = len(points)
        radius = np.hypot(points[:, 0] - 33.5, points[:, 1] - 30.5)  # centres of pixels lie at halves
        assert radius.min() > 23
        assert radius.max() < 25.5
    assert corners[0.0] > 2 * corners[0.5] > 2 * corners[3.0] >= 8


def test_splits_are_drawn_or_those_of_the_path(tmp_path: Path, capsys: Any) -> None:
    root = folder(tmp_path, images=10)
    assert make(root, "--labels", "ids/{name}.*", "--val", "0.2", "--test", "3", "--run", "4") == 0
    files = {split: {one["file_name"] for one in content(root, f"instances_{split}")["images"]}
             for split in ("train", "val", "test")}  # fmt: skip
    assert {split: len(names) for split, names in files.items()} == {"train": 5, "val": 2, "test": 3}
    assert len(set.union(*files.values())) == 10
    one = "annotations/instances_{split}.json"
    data = read(root, annotations=one, images=".", train="train", val="val", test="test")
    assert {f"images/{name}.png" for name in data.tests["test"]} == files["test"]
    assert MAIN(["--root", str(root), "--images", "{split}/{name}.png", "--labels", "ids/{name}.*"]) == 1
    assert "do not have one file each" not in capsys.readouterr().out


def test_nothing_is_replaced_without_force(tmp_path: Path, capsys: Any) -> None:
    root = folder(tmp_path)
    assert make(root, "--labels", "ids/{name}.*") == 0
    before = (root / "annotations" / "instances.json").read_bytes()
    assert make(root, "--labels", "ids/{name}.*", "--category", "cell") == 1
    assert "exists already; add --force" in capsys.readouterr().err
    assert (root / "annotations" / "instances.json").read_bytes() == before
    assert make(root, "--labels", "ids/{name}.*", "--category", "cell", "--force") == 0
    assert content(root)["categories"] == [{"id": 1, "name": "cell"}]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "give either --labels or --masks"),
        (("--labels", "ids/{name}.*", "--masks", "masks/{name}/*"), "give either --labels or --masks"),
        (("--masks", "masks/{name}/*", "--classes", "values/{name}.*"), "--classes needs --labels"),
        (("--labels", "nothing/{name}.*"), "5 images do not have one file each"),
        (("--masks", "nothing/{name}.*"), "no file fits nothing/"),
        (("--labels", "ids/{name}.*", "--category", "a", "--category", "b"), "need --classes"),
        (("--labels", "ids/{name}.*", "--classes", "values/{name}.*", "--category", "a"), "NAME=VALUE"),
        (("--labels", "ids/{name}.*", "--tolerance", "-1"), "--tolerance"),
        (("--labels", "ids/{name}.*", "--val", "9"), "draws 9 of the 5 images"),
        (("--labels", "small/{name}.*"), "12x32 pixels (height x width), but its image 24x32"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(
    tmp_path: Path, capsys: Any, words: Sequence[str], reason: str
) -> None:
    root = folder(tmp_path)
    (root / "small").mkdir()
    for number in range(5):
        Image.fromarray(labels(number)[::2]).save(root / "small" / f"n{number}.png")
    assert make(root, *words) == 1
    assert reason in capsys.readouterr().err
    assert not (root / "annotations").exists()


@pytest.mark.parametrize("kind", ["jpeg", "jpeg in tiff", "pages", "turned"])
def test_masks_that_are_not_exact_are_refused_with_the_file_and_nothing_is_written(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "mine")
    path, picture = root / "ids" / "n2.png", Image.fromarray(labels(2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3
    save: dict[str, Any] = {
        "jpeg": {"format": "JPEG"},
        "jpeg in tiff": {"format": "TIFF", "compression": "jpeg"},
        "pages": {"format": "TIFF", "save_all": True, "append_images": [picture, picture]},
        "turned": {"format": "PNG", "exif": exif},
    }[kind]
    picture.save(path, **save)
    assert make(root, "--labels", "ids/{name}.*") == 1
    said = capsys.readouterr().err
    assert f"error: {path} (" in said
    words = {
        "pages": "3 pages) is a mask of several pages",
        "turned": "orientation 3) is a mask with an EXIF orientation",
    }
    assert words.get(kind, "is a mask in a lossy format, which blurs values into others; save it as PNG") in said
    assert not (root / "annotations").exists()


def test_images_tell_their_size_after_turning(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(np.zeros((*SIZE, 3), dtype=np.uint8))).save(root / "images/n0.png", exif=exif)
    assert make(root, "--labels", "ids/{name}.*") == 0
    content = json.loads((root / "annotations/instances.json").read_text())
    assert {(one["height"], one["width"]) for one in content["images"]} == {SIZE}
