"""Data sets of 16 bits and of floats through a window, and stacks read slice by slice: folder, GlaS and COCO alike."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

import run
from experiments import built, composed, performed
from seg_al.datasets.cached import Cached
from seg_al.datasets.coco import read_coco
from seg_al.datasets.files.pixels import read_values
from seg_al.datasets.files.window import ValueWindow, Windowed
from seg_al.datasets.folder import FolderDataset, read_folder
from seg_al.datasets.glas import GlaS, read_glas
from seg_al.datasets.object_dataset import ObjectDataset
from seg_al.running.building import build_experiment
from seg_al.running.kept_window import keep_window, with_kept_window

CONF = Path(__file__).parents[2] / "conf" / "dataset"
SIZE = (12, 16)
PERCENTILES = {"percentiles": [5, 95]}


@pytest.fixture(autouse=True)
def _memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "memory"))


def deep(number: int, kind: str = "uint16") -> np.ndarray:
    """An image of 12 bits; of other numbers than `number` other values."""
    return (np.random.default_rng(number).random(SIZE) * 4000 + 100 * number).astype(kind)


def mask(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 2, SIZE, dtype=np.uint8)


def folder(root: Path, kind: str = "uint16") -> Path:
    """Ten images, of which the last four are val and test."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number in range(10):
        tifffile.imwrite(root / "images" / f"i{number}.tif", deep(number, kind) * (1 if number < 6 else 10))
        Image.fromarray(mask(number)).save(root / "masks" / f"i{number}.png")
    (root / "val.txt").write_text("i6\ni7\n")
    (root / "test.txt").write_text("i8\ni9\n")
    return root


def of_yaml(name: str) -> dict[str, Any]:
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    del values["_target_"]
    return values


MINE = {
    "run": 0, "images": "images/{name}.*", "masks": "masks/{name}.*", "void": [], "split": "list", "train": None,
    "val": "val.txt", "test": "test.txt",
}  # fmt: skip


def read(root: Path, **changes: Any) -> FolderDataset:
    return read_folder(**(of_yaml("folder") | MINE | {"root": str(root)} | changes))


def message(root: Path, **changes: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(root, **changes)
    return " ".join(str(caught.value).split())


def test_a_stated_window_makes_the_same_8_bits_of_every_split(tmp_path: Path) -> None:
    data = read(folder(tmp_path / "mine"), window=[500, 3500])
    for number in (0, 6, 8):
        values = deep(number).astype(float) * (1 if number < 6 else 10)
        expected = np.floor(np.clip((values - 500) / 3000, 0, 1) * 255 + 0.5)
        np.testing.assert_array_equal(data.image(f"i{number}"), np.stack([expected] * 3, axis=2))


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_percentiles_are_those_of_the_pool_whatever_val_and_test_hold(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        data = read(folder(tmp_path / "mine", kind), window=PERCENTILES)
    every = np.stack([deep(number, kind) for number in range(6)])
    low, high = np.quantile(every, [0.05, 0.95], method="inverted_cdf")
    assert data.window == ValueWindow(float(low), float(high))
    assert data.pool == tuple(f"i{number}" for number in range(6))
    np.testing.assert_array_equal(data.image("i8")[..., 0], ValueWindow(float(low), float(high))(deep(8, kind) * 10))
    assert f"window: {low:g} is black and {high:g} white, percentiles 5 and 95 of 6 pool images" in caplog.text


def test_percentiles_are_drawn_anew_only_where_a_file_or_the_pool_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path / "mine")
    first = read(root, window=PERCENTILES).window
    with monkeypatch.context() as patch:
        patch.setattr("seg_al.datasets.files.percentiles.read_values", None)  # nothing is decoded
        assert read(root, window=PERCENTILES).window == first
    tifffile.imwrite(root / "images/i0.tif", deep(0) + 9000)
    assert read(root, window=PERCENTILES).window != first


def test_a_window_is_refused_for_images_of_several_kinds_and_where_percentiles_agree(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    Image.fromarray(mask(9)).save(root / "images/i9.tif")
    text = message(root, window=[0, 4000])
    assert "dataset.window is one for all images, but they are of several kinds: " in text
    assert "i9.tif (8 bits, whole numbers)" in text
    assert "i0.tif (16 bits, whole numbers)" in text
    for number in range(10):
        tifffile.imwrite(root / f"images/i{number}.tif", np.full(SIZE, 7, dtype=np.uint16))
    text = message(root, window=PERCENTILES)
    assert "dataset.window={percentiles: [5.0, 95.0]}: both are 7 in the 6 images of the pool" in text


def test_without_a_window_16_bits_are_refused_with_the_key_and_wrong_windows_with_what_is_possible(
    tmp_path: Path,
) -> None:
    root = folder(tmp_path / "mine")
    assert "image of more than 8 bits per channel; say with dataset.window which" in message(root)
    assert "i0.tif (TIFF, 1 channel of 16 bits)" in message(root)
    assert "dataset.window=[9, 2] is none of null, [low, high]" in message(root, window=[9, 2])
    assert "dataset.pages='all' is unknown; choose one or slices" in message(root, pages="all")


def test_a_float_image_with_nan_is_refused_when_percentiles_are_drawn(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine", "float32")
    values = deep(2, "float32")
    values[0, 0] = np.nan
    tifffile.imwrite(root / "images/i2.tif", values)
    assert "i2.tif holds values that are no number (NaN); fill them" in message(root, window=PERCENTILES)


def test_a_window_stretches_8_bits_as_well(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    for number in range(10):
        (root / f"images/i{number}.tif").unlink()
        Image.fromarray(deep(number).astype(np.uint8)).save(root / f"images/i{number}.png")
    data = read(root, window=[50, 150])
    np.testing.assert_array_equal(data.image("i3")[..., 1], ValueWindow(50, 150)(deep(3).astype(np.uint8)))


def glas(root: Path, window: object) -> GlaS:
    root.mkdir()
    rows = ["name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"]
    for number, name in enumerate([f"train_{n}" for n in range(1, 9)] + ["testA_1", "testB_1"]):
        tifffile.imwrite(root / f"{name}.tif", deep(number))
        Image.fromarray(mask(number)).save(root / f"{name}_anno.bmp")
        rows.append(f"{name},{number},{'benign' if number % 2 else 'malignant'},x")
    (root / "Grade.csv").write_text("\n".join(rows))
    return read_glas(**(of_yaml("glas") | {"run": 0, "root": str(root), "val": 2, "window": window}))


def test_glas_reads_16_bits_through_a_window(tmp_path: Path) -> None:
    data = glas(tmp_path / "stated", [0, 4095])
    np.testing.assert_array_equal(data.image("testA_1")[..., 2], ValueWindow(0, 4095)(deep(8)))
    data = glas(tmp_path / "drawn", PERCENTILES)
    every = np.stack([deep(int(name.split("_")[1]) - 1) for name in data.pool])
    low, high = np.quantile(every, [0.05, 0.95], method="inverted_cdf")
    assert data.window == ValueWindow(float(low), float(high))
    with pytest.raises(
        ValueError, match=r"train_1\.tif \(TIFF, 1 channel of 16 bits\) is an image of more than 8 bits"
    ):
        glas(tmp_path / "none", None)


def coco(root: Path, records: list[dict[str, Any]], **changes: Any) -> ObjectDataset:
    """One square object in each image record."""
    images = [{"id": number, "height": SIZE[0], "width": SIZE[1], **one} for number, one in enumerate(records, start=1)]
    objects = [{"id": one["id"], "image_id": one["id"], "category_id": 1, "iscrowd": 0, "bbox": [one["id"], 2, 3, 4],
                "area": 12, "segmentation": [[one["id"], 2, one["id"] + 3, 2, one["id"] + 3, 6, one["id"], 6]]}
               for one in images]  # fmt: skip
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cell"}]}
    (root / "a.json").write_text(json.dumps(content))
    mine = {"root": str(root), "run": 0, "annotations": "a.json", "images": ".", "train": None, "val": 1, "test": 1}
    return read_coco(**(of_yaml("coco") | mine | changes))


def test_coco_reads_16_bits_through_a_window(tmp_path: Path) -> None:
    for number in range(6):
        tifffile.imwrite(tmp_path / f"i{number}.tif", deep(number))
    records = [{"file_name": f"i{number}.tif"} for number in range(6)]
    data = coco(tmp_path, records, window=[0, 4095], stratify=["kind"])
    np.testing.assert_array_equal(data.image("i4")[..., 2], ValueWindow(0, 4095)(deep(4)))
    data = coco(tmp_path, records, window=PERCENTILES)
    every = np.stack([deep(int(name[1:])) for name in data.pool])
    low, high = np.quantile(every, [0.05, 0.95], method="inverted_cdf")
    assert data.window == ValueWindow(float(low), float(high))
    with pytest.raises(ValueError, match="image of more than 8 bits per channel"):
        coco(tmp_path, records)
    with pytest.raises(ValueError, match=r"percentiles are of the pool; set\s+dataset.window=\[low, high\]"):
        coco(tmp_path, records, window=PERCENTILES, stratify=["kind"])


def stacks(root: Path, masks: int = 3) -> Path:
    """Two stacks of three slices and one single image."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for place, name in enumerate("ab"):
        pages = np.stack([deep(10 * place + page).astype(np.uint8) for page in range(3)])
        targets = np.stack([mask(10 * place + page) for page in range(masks)])
        tifffile.imwrite(root / f"images/{name}.tif", pages, photometric="minisblack")
        tifffile.imwrite(root / f"masks/{name}.tif", targets, photometric="minisblack")
    Image.fromarray(deep(30).astype(np.uint8)).save(root / "images/c.png")
    Image.fromarray(mask(30)).save(root / "masks/c.png")
    (root / "val.txt").write_text("b@0002\n")
    (root / "test.txt").write_text("c\nb@0003.tif\n")
    return root


def test_every_slice_of_a_stack_is_an_image_with_the_page_of_its_mask(tmp_path: Path) -> None:
    data = read(stacks(tmp_path / "mine"), pages="slices")
    assert data.pool == ("a@0001", "a@0002", "a@0003", "b@0001")
    assert data.val == ("b@0002",)
    assert data.tests == {"test": ("b@0003", "c")}
    for place, name in enumerate("ab"):
        for page in range(3):
            own = f"{name}@{page + 1:04d}"
            np.testing.assert_array_equal(data.image(own)[..., 0], deep(10 * place + page).astype(np.uint8))
            np.testing.assert_array_equal(data.target(own), mask(10 * place + page))
    np.testing.assert_array_equal(data.target("c"), mask(30))
    assert data.column("stack") == {name: f"images/{name[0]}.tif" for name in data.pool}


def test_the_values_of_each_page_are_counted_and_remembered_by_page(tmp_path: Path) -> None:
    root = stacks(tmp_path / "mine")
    pages = np.stack([mask(page) + (7 if page == 1 else 0) for page in range(3)]).astype(np.uint8)
    tifffile.imwrite(root / "masks/a.tif", pages, photometric="minisblack")
    for _ in range(2):  # the second time from memory
        text = message(root, pages="slices")
        assert "value outside dataset.classes and dataset.void (2): 7: " in text
        assert "in 1 images (a@0002)" in text


def test_stacks_are_refused_by_default_and_where_the_mask_has_other_pages(tmp_path: Path) -> None:
    text = message(stacks(tmp_path / "mine"), val=1, test=1)
    assert "image of several pages; set dataset.pages=slices to read each page as an image" in text
    assert "a.tif (TIFF, 1 channel of 8 bits, 3 pages)" in text
    text = message(stacks(tmp_path / "two", masks=2), pages="slices")
    assert "mask of another number of pages (6): a@0001: image 3, mask 2" in text


def test_coco_reads_the_pages_that_its_records_name(tmp_path: Path) -> None:
    pages = np.stack([deep(page).astype(np.uint8) for page in range(4)])
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    records = [{"file_name": "stack.tif", "page": page} for page in (1, 2, 4)]
    data = coco(tmp_path, records, pages="slices")
    assert sorted((*data.pool, *data.val, *data.tests["test"])) == ["stack@0001", "stack@0002", "stack@0004"]
    np.testing.assert_array_equal(data.image("stack@0004")[..., 0], pages[3])
    assert data.target("stack@0004")[2, 2:7].tolist() == [0, 1, 1, 1, 0]
    for wrong in ({"file_name": "stack.tif"}, {"file_name": "stack.tif", "page": 5}):
        with pytest.raises(ValueError, match=r"whose record names none of them: give it a page, from 1 \(1\): stack"):
            coco(tmp_path, [*records, wrong], pages="slices")
    with pytest.raises(ValueError, match="file of several images"):
        coco(tmp_path, records)
    with pytest.raises(ValueError, match=r"4 pages\)"):
        coco(tmp_path, [records[0]])


def words(root: Path, window: str) -> tuple[str, ...]:
    return (
        "dataset=folder", f"dataset.root={root}", "dataset.images='images/{name}.*'", "dataset.masks='masks/{name}.*'",
        "dataset.split=list", "dataset.train=null", "dataset.val=val.txt", "dataset.test=test.txt", "dataset.void=[]",
        f"dataset.window={window}", "mc_iters=2", "rounds=1", "initial=2", "budget=1", "objects=false", "gallery=0",
        "trainer.augmentation.crop=[12,16]", "trainer.pace.steps=1", "trainer.batch_size=2", "model.width=2",
        "trainer.validation.times=1", "tracking=none", "device=cpu", "share=false",
    )  # fmt: skip


def test_a_run_keeps_its_window_and_goes_on_with_it_although_images_have_changed(tmp_path: Path) -> None:
    root, place = folder(tmp_path / "mine"), tmp_path / "run"
    cfg, choices = composed(*words(root, "{percentiles:[5,95]}"), f"folder={place}")
    performed(cfg, choices)
    kept = json.loads((place / "window.json").read_text())["window"]
    every = np.stack([deep(number) for number in range(6)])
    assert kept == np.quantile(every, [0.05, 0.95], method="inverted_cdf").tolist()
    tifffile.imwrite(root / "images/i0.tif", deep(0) + 9000)
    again = build_experiment(with_kept_window(run.plain(cfg), place), choices, run.made, run.CONF).dataset
    assert isinstance(again, Windowed)
    assert again.window == ValueWindow(*kept)
    assert built(cfg, choices).dataset.window != ValueWindow(*kept)  # type: ignore[attr-defined]
    keep_window(again, place)
    assert json.loads((place / "window.json").read_text())["window"] == kept


def test_a_damaged_kept_window_is_named_and_a_stated_one_needs_none(tmp_path: Path) -> None:
    (tmp_path / "window.json").write_text('{"window": [5]}')
    drawn = {"dataset": {"window": {"percentiles": [5, 95]}}}
    with pytest.raises(ValueError, match=r"window\.json holds no window \[low, high\]; remove it"):
        with_kept_window(drawn, tmp_path)
    for given in ([0, 9], None):
        settings = {"dataset": {"window": given}}
        assert with_kept_window(settings, tmp_path) == settings


def test_a_dataset_without_windows_has_none(tmp_path: Path) -> None:
    data = Cached(read(stacks(tmp_path / "mine"), pages="slices"), 1)
    assert data.window is None
    keep_window(data, tmp_path)
    assert not (tmp_path / "window.json").exists()


@pytest.mark.parametrize("compression", [cv2.IMWRITE_TIFF_COMPRESSION_LZW, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE])
@pytest.mark.parametrize("kind", ["uint16", "uint32", "float32"])
def test_numbers_of_16_and_32_bits_are_read_as_they_were_written(kind: str, compression: int, tmp_path: Path) -> None:
    values = (np.random.default_rng(0).random(SIZE) * (1 if kind == "float32" else np.iinfo(kind).max)).astype(kind)
    path = tmp_path / "a.tif"
    assert cv2.imwrite(str(path), values, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert (read_values(path) == values).all()
