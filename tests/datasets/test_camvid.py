"""conf/dataset/camvid.yaml on the real CamVid: its official lists, sizes, class frequencies and void."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from seg_al.core import IGNORE
from seg_al.datasets.folder import FolderDataset, read_folder

REAL = Path(__file__).parents[3] / "shared" / "datasets" / "camvid" / "CamVid"
CONF = Path(__file__).parents[2] / "conf" / "dataset" / "camvid.yaml"
PIXELS = {
    "train": [10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385, 184967, 2503995],
    "val": [1601620, 4531180, 98499, 5053176, 1521751, 2851125, 155724, 537197, 304716, 113531, 387010, 297271],
    "test": [6870982, 9906732, 473895, 10390661, 3731857, 4530895, 406612, 476807, 1599124, 255232, 76220, 1543383],
}
"""Of each grey value in the annotations of each list, 11 (void) last; counted with Pillow and numpy alone."""

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real CamVid images are not at {REAL}")


def read(**changes: Any) -> FolderDataset:
    values = yaml.safe_load(CONF.read_text())
    del values["_target_"]
    return read_folder(**(values | {"root": str(REAL), "run": 0} | changes))


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All tests here share what one of them counted, and none writes into the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("memory")))
        yield


@pytest.fixture(scope="module")
def camvid(memory: None) -> FolderDataset:
    return read()


def test_the_official_lists_are_pool_val_and_test_whatever_the_run(camvid: FolderDataset) -> None:
    for data in (camvid, read(run=1)):
        parts = {"train": data.pool, "val": data.val, "test": data.tests["test"]}
        for part, names in parts.items():
            lines = (REAL / f"{part}.txt").read_text().splitlines()
            assert names == tuple(sorted(line.split()[0].split("/")[-1].removesuffix(".png") for line in lines))
        assert [len(names) for names in parts.values()] == [367, 101, 233]
        assert list(data.tests) == ["test"]
    assert (len(data.classes), data.background) == (11, None)
    assert {data.size(name) for name in data.frames} == {(360, 480)}


def test_every_pixel_is_of_its_class_or_void(camvid: FolderDataset) -> None:
    for part, names in (("train", camvid.pool), ("val", camvid.val), ("test", camvid.tests["test"])):
        counts = sum(np.bincount(camvid.target(name).ravel(), minlength=256) for name in names)
        assert isinstance(counts, np.ndarray)
        assert [*counts[:11].tolist(), int(counts[IGNORE])] == PIXELS[part]
        assert counts.sum() == len(names) * 360 * 480


def test_void_is_not_askable_and_the_one_image_without_void_says_none(camvid: FolderDataset) -> None:
    masks = {name: camvid.askable(name) for name in camvid.val}
    area = sum(np.count_nonzero(mask) for mask in masks.values() if mask is not None)
    assert all(mask is not None for mask in masks.values())
    assert area == 101 * 360 * 480 - PIXELS["val"][11]
    (whole,) = (name for name, frame in camvid.frames.items() if not frame.has_void)
    assert whole in camvid.tests["test"]
    assert np.asarray(Image.open(REAL / "testannot" / f"{whole}.png")).max() < 11
    assert camvid.askable(whole) is None


def test_an_image_and_its_mask_are_those_of_the_files_and_belong_together(camvid: FolderDataset) -> None:
    name = "0001TP_006690"
    np.testing.assert_array_equal(camvid.image(name), np.asarray(Image.open(REAL / "train" / f"{name}.jpg")))
    target = camvid.target(name)
    sky, road = (camvid.image(name)[target == camvid.classes.index(one)].mean() for one in ("sky", "road"))
    assert sky > road + 50
    half = read(scale=0.5)
    assert half.size(name) == half.image(name).shape[:2] == half.target(name).shape == (180, 240)
    np.testing.assert_array_equal(half.target(name), target[1::2, 1::2])


def test_folders_give_the_same_splits_as_the_lists(camvid: FolderDataset) -> None:
    by_folder = read(split="folder", train="train", val="val", test="test")
    assert (by_folder.pool, by_folder.val, by_folder.tests) == (camvid.pool, camvid.val, camvid.tests)
    assert set(by_folder.column("split").values()) == {"train"}


@pytest.mark.usefixtures("memory")
def test_leaving_void_out_of_the_yaml_is_told_with_its_pixels() -> None:
    with pytest.raises(ValueError, match=r"11: 4,344,649 pixels in 700 images \(0001TP_006690; "):
        read(void=[])
