"""Every data set in conf/, on a small copy of its layout, keeps the laws; each law catches one that breaks it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_datasets import BROKEN, Right, WithoutLabels
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from experiments import composed, tiny
from seg_al.conformance.datasets import LAWS, LAWS_OF_IMAGES, DatasetSuite, Reader, check_dataset
from seg_al.conformance.laws import Law, findings
from seg_al.datasets.cached import Cached
from seg_al.datasets.glands import Amounts, write_glands
from seg_al.running.checks import problems_of

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))
SIZE = (12, 16)


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def drawn(number: int, *values: int) -> np.ndarray:
    """Two rows of each value, repeated, moved by the image's number."""
    rows = np.repeat(np.resize(np.roll(np.array(values), number), SIZE[0]), SIZE[1]).reshape(SIZE)
    return rows.astype(np.uint8)


def painted(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def camvid(root: Path) -> dict[str, Any]:
    for split, first in (("train", 0), ("val", 4), ("test", 6)):
        names = [f"frame{number}" for number in range(first, first + 2)]
        for number, name in enumerate(names):
            picture(root / split / f"{name}.png", painted(first + number))
            picture(root / f"{split}annot" / f"{name}.png", drawn(number, 0, 3, 11))
        (root / f"{split}.txt").write_text("".join(f"{split}/{name}.png {split}annot/{name}.png\n" for name in names))
    return {}


def cityscapes(root: Path, masks: str = "labelIds", ids: tuple[int, ...] = (7, 26, 0)) -> dict[str, Any]:
    for split, count in (("train", 6), ("val", 2)):
        for number in range(count):
            name = f"aachen_{number:06d}_{split}"
            place = root / "gtFine" / split / "aachen"
            picture(root / "leftImg8bit" / split / "aachen" / f"{name}_leftImg8bit.png", painted(number))
            picture(place / f"{name}_gtFine_{masks}.png", drawn(number, *ids))
            instances = np.where(drawn(number, 7, 26, 0) == 26, 26000, drawn(number, 7, 26, 0)).astype(np.uint16)
            picture(place / f"{name}_gtFine_instanceIds.png", instances)
    return {"val": 0.34}


def train_ids(root: Path) -> dict[str, Any]:
    return cityscapes(root, "labelTrainIds", (0, 13, 255))


def folder(root: Path) -> dict[str, Any]:
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for number in range(count):
            picture(root / split / "images" / f"{split}{number}.png", painted(number))
            picture(root / split / "masks" / f"{split}{number}.png", drawn(number, 0, 1, 255))
    return {"classes": [["ground", 0], ["tree", 1]], "void": [255], "background": "ground"}


def coco(root: Path) -> dict[str, Any]:
    for number in range(8):
        picture(root / "images" / f"i{number}.png", painted(number))
    square = {"segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]], "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}
    content = {
        "images": [
            {"id": number, "file_name": f"i{number}.png", "height": SIZE[0], "width": SIZE[1]} for number in range(8)
        ],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [{"id": number + 1, "image_id": number, "category_id": 1, **square} for number in range(8)],
    }
    (root / "all.json").write_text(json.dumps(content))
    return {"annotations": "all.json", "images": "images", "train": None, "val": 2, "test": 2}


def labelme(root: Path) -> dict[str, Any]:
    cell = {"label": "cell", "points": [[2, 1], [7, 6]], "shape_type": "rectangle", "group_id": None, "flags": {}}
    for number in range(8):
        picture(root / f"i{number}.png", painted(number))
        sides = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        content = {"version": "5.8.3", "flags": {}, "shapes": [cell], "imagePath": f"i{number}.png", "imageData": None}
        (root / f"i{number}.json").write_text(json.dumps(content | sides))
    return {"val": 2, "test": 2}


def glands(root: Path) -> dict[str, Any]:
    return {"size": [32, 40], "train": 6, "rare": 3, "val": 3, "test_a": 3, "test_b": 3}


def glands_homogeneous(root: Path) -> dict[str, Any]:
    return {"size": [32, 40], "train": 6, "val": 2, "test_a": 2, "test_b": 2}


def glas(root: Path) -> dict[str, Any]:
    write_glands(root / "official", Amounts(6, 0, 2, 2, (32, 40)), seed=0)
    return {"root": str(root / "official"), "val": 2}


SMALL: dict[str, Callable[[Path], dict[str, Any]]] = {
    "camvid": camvid,
    "cityscapes": cityscapes,
    "cityscapes_train_ids": train_ids,
    "coco": coco,
    "dsb2018": coco,
    "folder": folder,
    "glands": glands,
    "glands_homogeneous": glands_homogeneous,
    "glas": glas,
    "labelme": labelme,
}
"""Writes files in the layout of the option, and what its config has to say besides."""


@pytest.fixture(scope="module", params=OPTIONS)
def read(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """What reads the option's small copy."""
    root = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("memory")))
        changes = SMALL[request.param](root)
        cfg, _ = composed(f"dataset={request.param}", f"dataset.root={root}")
        node = OmegaConf.to_container(cfg, resolve=True)["dataset"] | changes

        def reader() -> Any:
            return instantiate(node, _convert_="all")

        yield reader


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_an_option_keeps_the_law(read: Reader, law: Law[Reader]) -> None:
    law(read)


def test_a_data_set_that_is_held_in_memory_keeps_the_laws(read: Reader) -> None:
    check_dataset(lambda: Cached(read(), mib=1.0))


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_data_set_is_caught_by_the_law_that_it_breaks(what: str) -> None:
    make, law = BROKEN[what]
    assert law in {one.check for one in findings(make, LAWS) if not one.passed}


def test_every_law_has_a_data_set_that_breaks_it() -> None:
    assert {law for _, law in BROKEN.values()} == {law.__name__.replace("_", " ") for law in LAWS}


def test_all_that_is_broken_is_said_at_once() -> None:
    check_dataset(Right)
    make, _ = BROKEN["an image of val in the pool"]
    with pytest.raises(AssertionError, match=r"1 of 13 laws are broken:\n.*e is in pool and in val"):
        check_dataset(make)


def test_a_data_set_without_labels_of_pixels_keeps_the_laws_of_images_alone() -> None:
    check_dataset(WithoutLabels, LAWS_OF_IMAGES)
    with pytest.raises(AssertionError, match=r"5 of 13 laws are broken:\n.*Labels tells no class of pixels"):
        check_dataset(WithoutLabels)


def test_a_data_set_in_place_of_the_function_that_makes_it_is_refused_in_one_sentence() -> None:
    class Whole(DatasetSuite):
        def make(self) -> Reader:
            return Right()  # type: ignore[return-value]

    wanted = "Right is no function: make returns a function that makes the data set"
    with pytest.raises(ValueError, match=wanted):
        check_dataset(Right())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=wanted):
        Whole().test_keeps(LAWS[0])


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ("floats", r"image a is float32 [6, 8, 3], and has to be uint8 [6, 8, 3] as size tells"),
        ("width before height", r"image a is uint8 [6, 8, 3], and has to be uint8 [8, 6, 3] as size tells"),
        ("grey", r"image a is uint8 [6, 8], and has to be uint8 [6, 8, 3] as size tells"),
        ("values of the file", r"the target of a holds 200; class ids are 0 to 1, and 255 is void"),
        ("wide targets", r"the target of a is int64 [6, 8], and has to be uint8 [6, 8] as size tells"),
        ("a mask of numbers", r"askable of a is uint8 [6, 8], and has to be bool [6, 8] as size tells"),
    ],
)
def test_a_run_says_at_the_first_reading_what_the_suite_says(what: str, wanted: str) -> None:
    made = BROKEN[what][0]()
    data = Cached(made, mib=1.0)
    with pytest.raises(ValueError, match=re.escape(f"dataset {type(made).__name__}: {wanted}; check_dataset of")):
        _ = data.image("a"), data.target("a"), data.askable("a")
    with pytest.raises(AssertionError, match=re.escape(wanted)):
        check_dataset(BROKEN[what][0])


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ("an order of its own", "pool is not sorted, or holds a name twice"),
        ("a list", "pool is a list, not a tuple of names"),
        ("an image of val in the pool", "e is in pool and in val"),
        ("no such background", "dataset.background=2 is no class id; it is 0 to 1, or None"),
        ("a background by its name", "dataset.background='ground' is no class id; it is 0 to 1, or None"),
        ("a tuple of tests", "tests is a tuple, not a mapping"),
    ],
)
def test_a_run_refuses_what_a_data_set_says_wrongly_of_itself(what: str, wanted: str, data: Path) -> None:
    experiment = replace(tiny(data), dataset=Cached(BROKEN[what][0](), mib=1.0))
    assert [one for one in problems_of(experiment) if wanted in one and "check_dataset" in one]


class TestFromOutside(DatasetSuite):
    """As the tests of another repository would have it."""

    def make(self) -> Reader:
        return Right
