"""Folders of images, masks and a class list: patterns, codings, splits, sizes, and every way to be wrong."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from seg_al.core import IGNORE
from seg_al.datasets import mask_counts as counting
from seg_al.datasets.class_colours import palette_problems
from seg_al.datasets.class_ids import class_ids, count_values
from seg_al.datasets.file_listing import Listing
from seg_al.datasets.file_patterns import Pattern, named, partners
from seg_al.datasets.folder import FolderDataset, read_folder
from seg_al.datasets.packed_masks import PackedMasks
from seg_al.tasks.objects.objects import instances_of

CONF = Path(__file__).parents[2] / "conf" / "dataset" / "folder.yaml"
SIZE = (6, 8)
RNG = np.random.default_rng(0)
IDS = RNG.choice(np.array([0, 4, 5, 9, 7], dtype=np.uint8), SIZE)
"""4 and 5 are trees, 9 is water, 7 is void."""
TARGET = np.select([IDS == 0, (IDS == 4) | (IDS == 5), IDS == 9], [0, 1, 2], IGNORE)
CLASSES = [["ground", 0], ["tree", [4, 5]], ["water", 9]]
COLOURS = [["ground", [0, 0, 0]], ["tree", [[0, 128, 0], [0, 255, 1]]], ["water", [0, 0, 255]]]
PALETTE = {0: (0, 0, 0), 4: (0, 128, 0), 5: (0, 255, 1), 9: (0, 0, 255), 7: (250, 10, 20)}
NAMES = {"train": [f"t{n}" for n in range(8)], "val": ["v0", "v1"], "test": ["s0", "s1", "s2"]}


@pytest.fixture(autouse=True)
def _memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "memory"))


def read(root: Path, **changes: Any) -> FolderDataset:
    values = yaml.safe_load(CONF.read_text())
    del values["_target_"]
    mine = {"root": str(root), "run": 0, "classes": CLASSES, "void": [7], "background": "ground"}
    return read_folder(**(values | mine | changes))


def message(root: Path, **changes: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(root, **changes)
    return " ".join(str(caught.value).split())


def picture(name: str) -> np.ndarray:
    return np.random.default_rng(sum(name.encode())).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def folder(root: Path) -> Path:
    """The layout of folder.yaml."""
    for split, names in NAMES.items():
        for part in ("images", "masks"):
            (root / split / part).mkdir(parents=True)
        for name in names:
            Image.fromarray(picture(name)).save(root / split / "images" / f"{name}.png")
            Image.fromarray(IDS).save(root / split / "masks" / f"{name}.png")
    return root


def coloured() -> np.ndarray:
    rgb = np.zeros((*SIZE, 3), dtype=np.uint8)
    for value, colour in PALETTE.items():
        rgb[value == IDS] = colour
    return rgb


def test_pixels_classes_and_void_are_those_of_the_files(tmp_path: Path) -> None:
    data = read(folder(tmp_path / "mine"))
    assert (data.pool, data.val, data.tests) == (tuple(NAMES["train"]), ("v0", "v1"), {"test": ("s0", "s1", "s2")})
    assert (data.classes, data.background) == (("ground", "tree", "water"), 0)
    np.testing.assert_array_equal(data.image("t3"), picture("t3"))
    np.testing.assert_array_equal(data.target("t3"), TARGET)
    assert data.target("t3").dtype == np.uint8
    for _ in range(2):  # decoded, then held
        askable = data.askable("t3")
        assert askable is not None
        np.testing.assert_array_equal(askable, IDS != 7)
        askable[:] = False  # what is given away is the caller's
    assert data.objects("t3") is None
    assert data.size("t3") == SIZE


def test_a_mask_without_void_says_none_and_an_image_that_is_all_void_leaves_the_pool(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = folder(tmp_path / "mine")
    Image.fromarray(np.full(SIZE, 9, dtype=np.uint8)).save(root / "train/masks/t1.png")
    Image.fromarray(np.full(SIZE, 7, dtype=np.uint8)).save(root / "train/masks/t2.png")
    data = read(root)
    assert data.askable("t1") is None
    assert "t2" not in data.pool
    assert len(data.pool) == 7
    assert "1 images are all void and leave the pool: t2" in caplog.text


def test_an_image_whose_few_labels_are_lost_by_resizing_leaves_the_pool(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    for name, place in (("t1", (0, 0)), ("t2", (1, 1))):  # halving takes the odd rows and columns
        mask = np.full(SIZE, 7, dtype=np.uint8)
        mask[place] = 9
        Image.fromarray(mask).save(root / f"train/masks/{name}.png")
    assert {"t1", "t2"} <= set(read(root).pool)
    half = read(root, scale=0.5)
    assert "t1" not in half.pool
    assert "t2" in half.pool


@pytest.mark.parametrize("kind", ["grey", "16 bit", "palette", "three equal channels", "bilevel"])
def test_ids_are_read_from_every_kind_of_mask(tmp_path: Path, kind: str) -> None:
    root = folder(tmp_path / "mine")
    image, classes, expected = Image.fromarray(IDS), CLASSES, TARGET
    if kind == "16 bit":
        image, classes = Image.fromarray(IDS.astype(np.uint16) * 1000), [["a", 0], ["b", [4000, 5000]], ["c", 9000]]
    if kind == "palette":
        image.putpalette([channel for index in range(256) for channel in PALETTE.get(index, (9, 9, 9))])
    if kind == "three equal channels":
        image = Image.fromarray(np.stack([IDS] * 3, axis=-1))
    if kind == "bilevel":
        image, classes, expected = Image.fromarray(IDS == 4), [["a", 0], ["b", 1]], (IDS == 4).astype(np.uint8)
    for path in root.glob("*/masks/*"):
        image.save(path)
    data = read(root, classes=classes, void=[7000] if kind == "16 bit" else [7], background=None)
    np.testing.assert_array_equal(data.target("t0"), expected)


@pytest.mark.parametrize("palette", [False, True])
def test_colours_are_read_from_rgb_and_from_palettes(tmp_path: Path, palette: bool) -> None:
    root = folder(tmp_path / "mine")
    image = Image.fromarray(coloured())
    for path in root.glob("*/masks/*"):
        (image.quantize(8, Image.Quantize.FASTOCTREE) if palette else image).save(path)
    if palette:
        image = Image.open(path).convert("RGB")  # quantisation may move colours
        shades = {value: tuple(int(c) for c in np.asarray(image)[value == IDS][0]) for value in PALETTE}
    else:
        shades = PALETTE
    classes = [["ground", list(shades[0])], ["tree", [list(shades[4]), list(shades[5])]], ["water", list(shades[9])]]
    data = read(root, coding="colours", classes=classes, void=[list(shades[7])])
    np.testing.assert_array_equal(data.target("t0"), TARGET)
    assert data.classes == ("ground", "tree", "water")


@pytest.mark.parametrize(("scale", "size"), [(0.5, None), (1.0, [3, 4]), (2.0, None), (1.0, [12, 4])])
def test_resized_labels_are_the_nearest_and_images_keep_their_mean(
    tmp_path: Path, scale: float, size: list[int] | None
) -> None:
    root = folder(tmp_path / "mine")
    flat = np.full((*SIZE, 3), (10, 20, 30), dtype=np.uint8)
    Image.fromarray(flat).save(root / "train/images/t0.png")
    data = read(root, scale=scale, size=size)
    height, width = data.size("t0")
    assert (height, width) == (tuple(size) if size else (round(6 * scale), round(8 * scale)))
    rows = [int((row + 0.5) * 6 / height) for row in range(height)]
    columns = [int((column + 0.5) * 8 / width) for column in range(width)]
    expected = np.array([[TARGET[row, column] for column in columns] for row in rows])
    np.testing.assert_array_equal(data.target("t0"), expected)
    askable = data.askable("t0")
    assert askable is not None
    np.testing.assert_array_equal(askable, expected != IGNORE)
    np.testing.assert_array_equal(data.image("t0"), np.broadcast_to(flat[0, 0], (height, width, 3)))


def test_a_smaller_image_averages_what_a_pixel_covers(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    stripes = np.zeros((*SIZE, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(root / "train/images/t0.png")
    small = read(root, scale=0.5).image("t0")
    assert 50 < small.min() <= small.max() < 150  # one sample each would give 0 or 200


def test_object_ids_are_read_and_left_out_where_void(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    ids = np.arange(48, dtype=np.uint16).reshape(SIZE) * 1000
    for path in root.glob("*/masks/*"):
        target = path.parents[1] / "objects" / path.name
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(ids).save(target)
    objects = read(root, objects="{split}/objects/{name}.png").objects("t0")
    assert objects is not None
    assert objects.dtype == np.int32
    np.testing.assert_array_equal(objects, np.where(IDS == 7, 0, ids.astype(np.int64)))


def test_shares_and_numbers_are_drawn_from_run_and_from_the_training_images_only(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    drawn = [read(root, val=0.25, run=run) for run in (0, 0, 1, 2, 3)]
    for data in drawn:
        assert len(data.val) == 2
        assert sorted(data.pool + data.val) == NAMES["train"]
        assert data.tests == {"test": tuple(NAMES["test"])}
    assert drawn[0].val == drawn[1].val
    assert len({data.val for data in drawn}) > 1
    both = read(root, split="folder", train=None, val=3, test=0.5, images="*/images/{name}.*", masks="*/masks/{name}.*")
    assert (len(both.pool), len(both.val), len(both.tests["test"])) == (4, 3, 6)
    assert sorted(both.pool + both.val + both.tests["test"]) == sorted(
        name for names in NAMES.values() for name in names
    )


def test_lists_may_name_files_elsewhere_with_other_endings_and_columns(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    Image.fromarray(picture("x")).save(root / "train/images/my tree.png")
    Image.fromarray(IDS).save(root / "train/masks/my tree.png")
    (root / "train.txt").write_text("/SegNet/train/t0.jpg /SegNet/annot/t0_label.png\n\n# a remark\nC:\\x\\t1.tif\n")
    (root / "val.txt").write_text("v0,v0_mask\nmy tree.png\nt2")
    (root / "north.txt").write_text("test/images/s0.png\n")
    (root / "south.txt").write_text("s2\ts2_mask.png\n")
    data = read(root, split="list", train="train.txt", val="val.txt", test=["north.txt", "south.txt"])
    assert (data.pool, data.val) == (("t0", "t1"), ("my tree", "t2", "v0"))
    assert data.tests == {"north": ("s0",), "south": ("s2",)}
    rest = read(root, split="list", train=None, val="val.txt", test="north.txt")
    assert rest.pool == ("s1", "s2", "t0", "t1", "t3", "t4", "t5", "t6", "t7", "v1")


def test_equal_base_names_keep_their_paths_and_lists_tell_them_apart_by_folders(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    for part in ("images", "masks"):
        (root / f"val/{part}/v0.png").rename(root / f"val/{part}/t0.png")
    data = read(root)
    assert data.val == ("v1", "val__images__t0")
    assert data.pool[-1] == "train__images__t0"
    np.testing.assert_array_equal(data.image("train__images__t0"), picture("t0"))
    np.testing.assert_array_equal(data.image("val__images__t0"), picture("v0"))
    (root / "train.txt").write_text("/far/train/images/t0.jpg\nt1\n")
    (root / "val.txt").write_text("val\\images\\t0.jpg\n")
    listed = read(root, split="list", train="train.txt", val="val.txt", test=0.5)
    assert listed.val == ("val__images__t0",)
    (root / "val.txt").write_text("t0.jpg\n")
    text = message(root, split="list", train="train.txt", val="val.txt", test=0.5)
    assert (
        "list entry that fits several images (1): val.txt line 1: t0.jpg (train__images__t0, val__images__t0)" in text
    )


def test_the_order_in_which_files_are_written_changes_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "one", folder(tmp_path / "other")
    for split in reversed(NAMES):
        for part in ("masks", "images"):
            (one / split / part).mkdir(parents=True)
            for name in reversed(NAMES[split]):
                (one / split / part / f"{name}.png").write_bytes((other / split / part / f"{name}.png").read_bytes())
    here, there = read(one, val=2), read(other, val=2)
    assert (here.pool, here.val, here.tests) == (there.pool, there.val, there.tests)
    assert list(here.frames) == sorted(here.frames) == list(there.frames)


def test_masks_beside_their_images_are_no_images(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    for name in ("a", "a_b", "c"):
        Image.fromarray(picture(name)).save(root / f"{name}.png")
        Image.fromarray(IDS).save(root / f"{name}_mask.png")
    (root / "._a.png").write_bytes(b"left behind by another system")
    (root / "Thumbs.db").write_bytes(b"")
    data = read(root, images="{name}.*", masks="{name}_mask.*", train=None, val=1, test=1)
    assert sorted(data.pool + data.val + data.tests["test"]) == ["a", "a_b", "c"]


def test_fields_of_the_path_are_columns_of_the_pool(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for city in ("aachen", "bonn"):
        (root / city).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(picture(city)).save(root / city / f"day_{number}.png")
            Image.fromarray(IDS).save(root / city / f"day_{number}_ids.png")
    patterns = {"images": "{city}/{light}_{name}.png", "masks": "{city}/{light}_{name}_ids.png"}
    data = read(root, **patterns, train=None, val=1, test=1)
    assert set(data.column("light").values()) == {"day"}
    assert data.column("city") == {name: name.split("__")[0] for name in data.pool}
    with pytest.raises(ValueError, match="no column 'town'; choose city, light"):
        data.column("town")


def test_a_field_that_stands_twice_is_the_same_text_and_brackets_are_literal() -> None:
    pattern = Pattern("[x]/{id}/{name}_{id}.png")
    assert pattern.fields == ("id", "name")
    assert re.fullmatch(pattern.regex(), "[x]/7/a_b_7.png")
    assert not re.fullmatch(pattern.regex(), "[x]/7/a_8.png")
    assert pattern.filled({"id": "7", "name": "a"}) == "[x]/7/a_7.png"


def test_a_folder_with_brackets_in_its_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "[x]").mkdir()
    Image.fromarray(IDS).save(tmp_path / "[x]" / "a.png")
    assert [one.file for one in Pattern("[x]/{name}.*").find(Listing(tmp_path))] == ["[x]/a.png"]


def test_folders_of_any_depth_are_found(tmp_path: Path) -> None:
    for place in ("a.png", "x/b.png", "x/y/c.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IDS).save(tmp_path / place)
    found, twice = named(Pattern("**/{name}.png").find(Listing(tmp_path)))
    assert {name: one.file for name, one in found.items()} == {"a": "a.png", "b": "x/b.png", "c": "x/y/c.png"}
    assert not twice
    pairs = partners(Pattern("x/**/{name}.*"), Listing(tmp_path), list(found.values()))
    assert pairs.of_image == {"a.png": (), "x/b.png": (), "x/y/c.png": ()}  # no image is its own mask


def test_everything_that_is_wrong_with_the_files_is_told_at_once(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    (root / "train/masks/t0.png").unlink()
    Image.fromarray(IDS[:5]).save(root / "train/masks/t1.png")
    Image.fromarray(IDS).convert("RGB").save(root / "train/masks/t2.png", format="JPEG")
    strange = IDS.copy()
    strange[0, :3], strange[1, 0] = 77, 201
    for name in ("t3", "v0"):
        Image.fromarray(strange).save(root / f"{'train' if name == 't3' else 'val'}/masks/{name}.png")
    (root / "train/images/t4.png").write_bytes(b"no picture")
    data = (root / "train/masks/t5.png").read_bytes()
    (root / "train/masks/t5.png").write_bytes(data[: len(data) - 30])
    Image.fromarray(IDS).save(root / "train/masks/t6.bmp")
    Image.fromarray(picture("t7")).save(root / "train/masks/t7.png")
    Image.fromarray(np.zeros(SIZE, dtype=np.uint16)).save(root / "test/images/s0.png")
    (root / "train/images/t6.bmp").write_bytes((root / "test/images/s1.png").read_bytes())
    text = message(root)
    for part in (
        "image without mask (1): train/images/t0.png (no train/masks/t0.*)",
        "mask of another size (height x width) (1): t1: image 6x8, mask 5x8",
        "mask in a lossy format, which blurs values into others; save it as PNG (1): ",
        "t2.png",
        "value outside dataset.classes and dataset.void (2): 77: 6 pixels in 2 images (t3; v0) 201: 2 pixels in 2",
        "unreadable file (2)",
        "images/t4.png is unreadable",
        "masks/t5.png is unreadable (image file is truncated)",
        "mask that dataset.coding=ids cannot read (1)",
        "masks/t7.png is coloured, so it holds no ids",
        "name of several files (",
        "image with several masks (",
        "image of more than 8 bits per channel; say with dataset.window which values are black and white",
        "s0.png (PNG, 1 channel of 16 bits)",
        "docs/own-images.md",
    ):
        assert part in text, part


def test_everything_that_is_wrong_with_lists_is_told_at_once(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    (root / "train.txt").write_text("t0\nt1\nghost.png\nt0\n")
    (root / "val.txt").write_text("v0\nt1\n")
    (root / "empty.txt").write_text("\n")
    (root / "val/masks/v0.png").unlink()
    text = message(root, split="list", train="train.txt", val=["val.txt", "empty.txt"], test="nowhere.txt")
    for part in (
        "list entry without an image (1): train.txt line 3: ghost.png",
        "image that a list names twice (1): train.txt line 4: t0",
        "image in two splits (1): t1 (train and val)",
        f"split without an image (1): {root / 'empty.txt'}",
        "list that is not there (1)",
        "nowhere.txt",
        "image without mask (1): val/images/v0.png",
    ):
        assert part in text, part


def test_an_empty_split_and_a_split_of_no_labels_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    assert "split without an image (1): validation (there are test, train, val)" in message(root, val="validation")
    assert "image in two splits (2): v0 (train and val)" in message(root, train=["train", "val"])
    for name in NAMES["test"]:
        Image.fromarray(np.full(SIZE, 7, dtype=np.uint8)).save(root / f"test/masks/{name}.png")
    assert "no pixel of the 3 test images has a class" in message(root)


def test_many_examples_are_shortened_and_masks_without_image_only_warn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = folder(tmp_path / "mine")
    (root / "train/images/t7.png").unlink()
    assert len(read(root).pool) == 7
    assert "1 masks without an image are left out: train/masks/t7.png" in caplog.text
    for name in NAMES["train"][:7]:
        (root / f"train/masks/{name}.png").unlink()
    text = message(root)
    assert "image without mask (7): train/images/t0.png" in text
    assert "masks/t4.*) and 2 more" in text
    assert "t5" not in text


def test_a_class_that_no_mask_has_is_doubted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(folder(tmp_path / "mine"), classes=[*CLASSES, ["boat", 33]])
    assert "no mask has a pixel of boat" in caplog.text


def test_everything_that_is_wrong_with_the_values_is_told_at_once(tmp_path: Path) -> None:
    text = message(
        folder(tmp_path / "mine"),
        masks="{split}/masks/{town}.png",
        classes=[["ground", 0], ["ground", 1], ["tree", [0, 4]], ["water"], ["sky", -1]],
        void=[4, "seven"],
        val=1.5,
        scale=0.0,
    )
    for part in (
        "dataset.masks={split}/masks/{town}.png has {town}, but the fields of dataset.images are: split, name",
        "dataset.classes has 'ground' twice",
        "the value [0, 4] of tree is also that of ground",
        "dataset.classes[3]=['water'] is not [name, value]",
        "sky: -1 is not an id from 0 to 65535",
        "the value 4 of dataset.void is also that of tree",
        "dataset.void: seven is not an id from 0 to 65535, a range such as",
        "dataset.val=1.5: neither a share between 0 and 1 nor a number of images",
        "dataset.scale=0.0 is not a factor above 0",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("changes", "named_value"),
    [
        ({"images": None, "masks": 5}, "dataset.images=None is not a text - dataset.masks=5 is not a text"),
        ({"objects": 5, "table": ""}, "dataset.objects=5 is not a text, or null - dataset.table=''"),
        ({"classes": None, "void": 5}, "dataset.classes=None is not a list - dataset.void=5 is not a list"),
        ({"classes": [5, ["a", 1]]}, "dataset.classes[0]=5 is not [name, value]"),
        ({"val": None, "test": [1]}, "dataset.val=None is not a name, a list of names, or a number - dataset.test=[1]"),
        ({"scale": "1", "smallest": True}, "dataset.scale='1' is not a number - dataset.smallest=True"),
        ({"size": 5}, "dataset.size=5 is not [height, width]"),
        ({"stratify": 5, "group": 5}, "dataset.group=5 is not the name of a column"),
        ({"size": [3]}, "dataset.size=[3] is not [height, width]"),
        ({"size": [3, "4"]}, "is not [height, width]"),
        ({"size": [3, 4], "scale": 0.5}, "contradict"),
        ({"background": "sea"}, "dataset.background='sea' is not a class; choose one of ground, tree, water"),
        ({"coding": "names"}, "dataset.coding='names'"),
        ({"coding": "colours"}, "ground: 0 is not a colour [red, green, blue]"),
        ({"split": "share"}, "dataset.split='share' is unknown; choose folder or list"),
        ({"images": "{split}/images/{name}.jpg"}, "which holds: test; train; val"),
        ({"images": "train/images/{name}.*", "masks": "train/masks/{name}.*"}, "split=folder compares it with {split}"),
        ({"masks": "{split}/images/{name}.*"}, "is the same as dataset.images"),
        ({"val": 8}, "dataset.val=8 draws 8 of the 8 images"),
        ({"val": 0.01}, "dataset.val=0.01 draws 0 of the 8 images"),
        ({"val": True}, "dataset.val=True"),
        ({"train": 0.5}, "dataset.train=0.5 is a number"),
        ({"test": []}, "dataset.test=[]: names nothing"),
        ({"test": ["test", "val"]}, "none of them can be called train, val or test"),
        ({"classes": [["ground", 0]]}, "dataset.classes has 1 entries"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, changes: dict[str, Any], named_value: str) -> None:
    assert named_value in message(folder(tmp_path / "mine"), **changes)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = message(tmp_path / "nowhere")
    assert f"there is no folder {tmp_path / 'nowhere'}" in text
    assert "docs/own-images.md says how your own images are read" in text
    assert "dataset.root" in text


def test_masks_are_decoded_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path / "mine")
    decoded: list[int] = []
    monkeypatch.setattr(counting, "count_values", lambda values: (decoded.append(1), count_values(values))[1])
    read(root)
    assert len(decoded) == 13
    before = sorted(str(path) for path in root.rglob("*"))
    read(root)
    read(root, classes=[["ground", 0], ["all else", [4, 5, 7, 9]]], void=[])  # what is remembered is no class
    assert len(decoded) == 13
    strange = IDS.copy()
    strange[0, 0] = 44
    Image.fromarray(strange).save(root / "train/masks/t0.png")
    assert "44: 1 pixels in 1 images (t0)" in message(root)
    assert len(decoded) == 14
    assert sorted(str(path) for path in root.rglob("*")) == before  # nothing is written beside the data


def test_a_memory_that_is_broken_or_cannot_be_written_is_told_and_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = folder(tmp_path / "mine")
    read(root)
    (memory,) = (tmp_path / "memory").rglob("*.json")
    memory.write_text("{")
    assert len(read(root).pool) == 8
    assert "cannot be used" in caplog.text
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(read(root).pool) == 8
    assert "cannot be remembered" in caplog.text


def test_a_mask_that_changes_during_a_run_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    data = read(root)
    Image.fromarray(np.full(SIZE, 254, dtype=np.uint8)).save(root / "train/masks/t0.png")
    Image.fromarray(np.full(SIZE, 999, dtype=np.uint16)).save(root / "train/masks/t1.png")
    for name, value in (("t0", 254), ("t1", 999)):
        with pytest.raises(ValueError, match=rf"{name}\.png: it holds values outside the class list: {value}"):
            data.target(name)


def test_packed_masks_keep_the_last_used_within_their_limit() -> None:
    rng = np.random.default_rng(1)
    masks = {name: rng.random((40, 50)) < 0.5 for name in "abc"}  # noise: about 250 bytes each
    packed = PackedMasks(600)
    for name in "ab":
        packed.put(name, masks[name])
    assert packed.get("a") is not None
    packed.put("c", masks["c"])
    assert packed.get("b") is None
    for name in "ac":
        held = packed.get(name)
        assert held is not None
        np.testing.assert_array_equal(held, masks[name])


def test_values_of_every_type_are_counted_like_one_by_one() -> None:
    table = class_ids(CLASSES, [7], "ids")
    for kind in (np.uint8, np.uint16, np.int32):
        values = IDS.astype(kind)
        expected = {value: int((value == IDS).sum()) for value in np.unique(IDS).tolist()}
        assert count_values(values) == expected
        assert table.labelled(expected) == int((IDS != 7).sum())
        np.testing.assert_array_equal(table(values), TARGET)


def test_the_log_says_where_which_masks_and_how_many(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = folder(tmp_path / "mine")
    with caplog.at_level(logging.INFO):
        read(root)
    assert f"{root} with masks {{split}}/masks/{{name}}.*: 8 pool, 2 val, 3 test" in caplog.text


def test_colours_come_from_the_palette_of_the_yaml_from_colours_or_from_the_palette_of_the_masks(
    tmp_path: Path,
) -> None:
    root = folder(tmp_path / "mine")
    assert read(root).colours is None
    given = {"tree": [1, 2, 3], "water": [4, 5, 6], "ground": [7, 8, 9]}
    assert read(root, palette=given).colours == ((7, 8, 9), (1, 2, 3), (4, 5, 6))
    text = message(root, palette={"tree": [1, 2, 300], "sea": [0, 0, 0], "ground": [0, 0, 1]})
    assert "dataset.palette.tree=[1, 2, 300] is not [red, green, blue]" in text
    assert "has no colour of water" in text
    assert "has sea; the classes are ground, tree, water" in text
    for path in root.glob("*/masks/*"):
        image = Image.fromarray(IDS)
        image.putpalette([channel for index in range(256) for channel in PALETTE.get(index, (9, 9, 9))])
        image.save(path)
    assert read(root).colours == (PALETTE[0], PALETTE[4], PALETTE[9])
    for path in root.glob("*/masks/*"):
        Image.fromarray(coloured()).save(path)
    data = read(root, coding="colours", classes=COLOURS, void=[[250, 10, 20]])
    assert data.colours == ((0, 0, 0), (0, 128, 0), (0, 0, 255))


@pytest.mark.parametrize("name", ["camvid", "cityscapes", "cityscapes_train_ids"])
def test_the_palettes_of_street_scenes_have_a_colour_of_their_own_for_each_class(name: str) -> None:
    values = yaml.safe_load((CONF.parent / f"{name}.yaml").read_text())
    names = [entry[0] for entry in values["classes"]]
    assert palette_problems(values["palette"], names) == []
    assert len({tuple(colour) for colour in values["palette"].values()}) == len(names)
    assert values["palette"]["road"] == [128, 64, 128]


def test_groups_of_a_table_or_a_field_are_never_in_two_splits_and_strata_have_their_share(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    names = [f"p{patient}_{number}" for patient in range(8) for number in range(3)]
    for name in names:
        Image.fromarray(picture(name)).save(root / "images" / f"{name}.png")
        Image.fromarray(IDS).save(root / "masks" / f"{name}.png")
    lines = ["image,grade", *(f"images/{name}.png,{'low' if int(name[1]) < 4 else 'high'}" for name in names)]
    (root / "more.csv").write_text("\n".join(lines) + "\n")
    both = {"images": "images/{patient}_{name}.*", "masks": "masks/{patient}_{name}.*", "table": "more.csv"}
    values = both | {"train": None, "val": 6, "test": 0.25, "group": "patient", "stratify": ["grade"]}
    for run in range(5):
        data = read(root, run=run, **values)
        splits = [data.pool, data.val, data.tests["test"]]
        patients = [{data.frames[name].fields["patient"] for name in one} for one in splits]
        assert [len(one) for one in patients] == [4, 2, 2]
        assert len(set.union(*patients)) == 8
        for one, share in zip(splits, (6, 3, 3), strict=True):
            assert sum(data.frames[name].fields["grade"] == "low" for name in one) == share
        assert read(root, run=run, **values).val == data.val
    assert set(data.column("grade").values()) == {"low", "high"}
    text = message(root, **(values | {"val": 1}))
    assert "dataset.val=1 with dataset.group=patient: no whole groups come near to 1 of 18 images" in text
    assert "choose grade, patient" in message(root, **(values | {"group": "ward"}))
    (root / "val.txt").write_text("p0_1.png\n")
    text = message(root, **(values | {"split": "list", "val": "val.txt"}))
    assert "1 groups of dataset.group=patient are in two splits" in text
    assert "p0 (train and val)" in text


def test_everything_that_is_wrong_with_a_table_is_told(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    assert "there is no file" in message(root, table="no.csv")
    (root / "more.csv").write_bytes("image,ort\nt0,K\u00f6ln\n".encode("latin-1"))
    assert "more.csv is not in UTF-8" in message(root, table="more.csv")
    (root / "more.csv").write_text("image,split,a,a\nt0,1,2,3\nt0,1,2,3\nt1,1\n")
    text = message(root, table="more.csv")
    for part in (
        "line 1: the column 'a' is there twice",
        "line 1: the column 'split' is a field of dataset.images too",
        "line 3: a second row for t0, after line 2",
        "line 4: 2 cells, the header has 4",
    ):
        assert part in text, part
    (root / "more.csv").write_text("image,ward\nt0,north\n")
    assert "12 images have no ward: s0; s1; s2; t1; t2; and 7 more" in message(root, table="more.csv", group="ward")


def test_lists_mean_the_image_that_they_name_exactly(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    for name in ("cell", "cell (2)", "#1 a", "a,b", "a"):
        Image.fromarray(picture(name)).save(root / f"train/images/{name}.png")
        Image.fromarray(IDS).save(root / f"train/masks/{name}.png")
    (root / "train.txt").write_text("cell (2).png\n#1 a.png\n# a.png\na,b.png\nt0.jpg t0_mask.png\nt1,cell\n")
    (root / "val.txt").write_text("v0\n")
    lists = {"split": "list", "train": "train.txt", "val": "val.txt", "test": 1}
    data = read(root, **lists)
    assert sorted(data.pool + data.tests["test"]) == ["#1 a", "a,b", "cell (2)", "t0", "t1"]
    (root / "train.txt").write_text("cell (3).png\ncell.2\nt1\n")
    text = message(root, **lists)
    assert "list entry without an image (2): train.txt line 1: cell (3).png train.txt line 2: cell.2" in text
    (root / "train.txt").write_bytes(b"caf\xe9.png\n")
    assert "train.txt is not in UTF-8 (invalid continuation byte at byte 3); save it again in UTF-8" in message(
        root, **lists
    )


def beside(root: Path, images: list[str], masks: list[str]) -> Path:
    for part, files in (("images", images), ("masks", masks)):
        for file in files:
            (root / part / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(IDS if part == "masks" else picture(file)).save(root / part / file)
    return root


FLAT = {"images": "images/{name}.*", "masks": "masks/{name}.*", "train": None, "val": 1, "test": 1}


def test_a_name_may_hold_dots_and_never_takes_the_mask_of_a_longer_one(tmp_path: Path) -> None:
    files = [f"2021.01.0{day}.png" for day in range(1, 5)]
    data = read(beside(tmp_path / "dates", files, files), **FLAT)
    assert {name: frame.mask.name for name, frame in data.frames.items()} == {file[:-4]: file for file in files}
    root = beside(tmp_path / "longer", ["s1.png", "s1.b.png", "s2.png"], ["s1.b.png", "s2.tif"])
    assert "image without mask (1): images/s1.png (no masks/s1.*)" in message(root, **FLAT)


@pytest.mark.parametrize(
    "masks", ["masks/{name}.*", "*/{name}.*", "**/{name}_m*.png", "*/m*_{name}.png", "m/{name}/*.png"]
)
def test_partners_are_those_that_a_look_at_every_file_finds(tmp_path: Path, masks: str) -> None:
    names = ["1", "11", "1.1", "x_1", "1_m1"]
    files = [f"images/{name}.png" for name in names]
    files += [masks.replace("**/", "masks/deep/").replace("*/", "masks/").replace("{name}", name).replace(
        "*", "png" if masks.endswith(".*") else "1") for name in names]  # fmt: skip
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    listing, pattern = Listing(tmp_path), Pattern(masks)
    images = Pattern("images/{name}.png").find(listing)
    for image in images:
        ending = r"[^/.]*" if masks.endswith(".*") else r"[^/]*"
        text = re.escape(masks.replace("{name}", image.fields["name"])).replace(r"\*\*/", "(?:[^/]+/)@")
        whole = text.replace(r"\*", ending if masks.endswith(".*") and "*/" not in masks else "[^/]*").replace("@", "*")
        if masks == "*/{name}.*":
            whole = "[^/]*/" + re.escape(image.fields["name"]) + r"\.[^/.]*"
        every = [file for file in sorted({*files}) if re.fullmatch(whole, file) and file != image.file]
        assert list(partners(pattern, listing, images).of_image[image.file]) == every


def test_endings_in_capitals_are_found_by_a_pattern_in_small_letters(tmp_path: Path) -> None:
    root = beside(tmp_path / "mine", ["a.PNG", "b.png", "c.Png"], ["a.png", "b.PNG", "c.png"])
    data = read(root, **(FLAT | {"images": "images/{name}.png", "masks": "masks/{name}.png"}))
    assert {name: frame.mask.name for name, frame in data.frames.items()} == {
        "a": "a.png", "b": "b.PNG", "c": "c.png"}  # fmt: skip
    assert data.frames["a"].image.name == "a.PNG"


def test_links_in_a_circle_end_and_one_file_under_two_names_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = ["a.png", "b.png", "c.png"]
    root = beside(tmp_path / "mine", files, files)
    (root / "images/latest").symlink_to(".")
    changes = FLAT | {"images": "images/**/{name}.png"}
    assert len(read(root, **changes).frames) == 3
    assert "links that lead back to a folder around them are not followed: images/latest" in caplog.text
    (root / "images/d.png").symlink_to("a.png")
    Image.fromarray(IDS).save(root / "masks/d.png")
    assert "one file under two names, by links (1): images/a.png and images/d.png" in message(root, **changes)


def test_names_that_are_not_utf_8_or_too_long_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    files = ["a.png", "b.png", f"{'x' * 210}.png"]
    root = beside(tmp_path / "mine", files, files)
    assert f"name of more than 200 bytes (1): {'x' * 40}... (210 bytes)" in message(root, **FLAT)
    os.rename(root / "images/b.png", os.fsencode(root / "images") + b"/caf\xe9.png")
    text = message(root, **FLAT)
    assert "1 names below" in text
    assert "images/caf\\xe9.png; rename them" in text
    assert "there is no folder" in message(tmp_path / ("y" * 300))


def test_a_file_with_another_ending_is_told_where_the_wanted_one_is_not_there(tmp_path: Path) -> None:
    root = beside(tmp_path / "mine", ["a.png", "b.png", "c.png"], ["a.png", "b.tif", "c.png"])
    text = message(root, **(FLAT | {"masks": "masks/{name}.png"}))
    assert "image without mask (1): images/b.png (no masks/b.png, but masks/b.tif)" in text


def test_masks_of_0_and_255_under_the_shipped_list_are_refused_with_the_remedy(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    for path in root.glob("*/masks/*"):
        Image.fromarray((IDS == 4).astype(np.uint8) * 255).save(path)
    shipped = yaml.safe_load(CONF.read_text())
    text = message(root, classes=shipped["classes"], void=shipped["void"], background="background")
    assert "nothing to tell apart (1): the masks hold 0 (background, " in text
    assert "255 (void, " in text
    assert "set 'dataset.classes=[[background,0],[foreground,255]]' 'dataset.void=[]'" in text
    data = read(root, classes=[["background", 0], ["foreground", 255]], void=[], background="background")
    np.testing.assert_array_equal(data.target("t0"), IDS == 4)


def test_ranges_thresholds_and_nearest_values_are_classes(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    shades = np.arange(48, dtype=np.uint8).reshape(SIZE) * 5  # 0 to 235
    for path in root.glob("*/masks/*"):
        Image.fromarray(shades).save(path)
    text = message(root, classes=[["a", 0], ["b", 255]], void=[], background="a")
    assert "value outside dataset.classes and dataset.void (1): 47 values, such as 5: 13 pixels in 13 images" in text
    assert 'such as [foreground, ">=128"]' in text
    ranged = [["low", "<10"], ["middle", [10, "11 - 99"]], ["high", ">=128"]]
    data = read(root, classes=ranged, void=["100-127"], background="low")
    expected = np.select([shades < 10, shades < 100, shades >= 128], [0, 1, 2], IGNORE)
    np.testing.assert_array_equal(data.target("t0"), expected)
    near = read(root, classes=[["a", 0], ["b", 235]], void=[], background="a", nearest=120)
    np.testing.assert_array_equal(near.target("t0"), shades > 117)
    text = message(root, classes=[["a", 0], ["b", 235]], void=[], background="a", nearest=100)
    assert "dataset.void (6): 105: 13 pixels in 13 images" in text
    overlapping = [["a", "0-9"], ["b", ">8"]]
    assert "the value >8 of b is also that of a" in message(root, classes=overlapping, void=[], background="a")
    assert "a: 9-1 is not an id" in message(root, classes=[["a", "9-1"], ["b", 0]], void=[], background="a")
    assert "dataset.nearest=-1" in message(root, nearest=-1)


def test_colours_may_be_near_in_every_channel(tmp_path: Path) -> None:
    table = class_ids([["a", [0, 0, 0]], ["b", [200, 100, 0]]], [[255, 255, 255]], "colours", nearest=20)
    values = np.array([[0, 20 << 16, 185 << 16 | 115 << 8 | 19, 250 << 16 | 240 << 8 | 255]])
    np.testing.assert_array_equal(table(values), [[0, 0, 1, IGNORE]])
    assert table.class_of(185 << 16 | 121 << 8) is None


def test_connected_pieces_of_a_class_are_objects_from_a_stated_size_on(tmp_path: Path) -> None:
    root = folder(tmp_path / "mine")
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[0, 0] = mask[1, 1] = mask[2, 2] = 4  # they touch at corners
    mask[0:2, 4:6], mask[2:4, 4:6] = 4, 9  # one piece each: another class ends a piece
    mask[5, 7], mask[5, 0] = 9, 7
    Image.fromarray(mask).save(root / "train/masks/t0.png")
    ids = read(root, objects="components", smallest=2).objects("t0")
    expected = np.zeros(SIZE, dtype=np.int32)
    expected[0, 0] = expected[1, 1] = expected[2, 2] = 1
    expected[0:2, 4:6], expected[2:4, 4:6] = 2, 3
    np.testing.assert_array_equal(ids, expected)
    data = read(root, objects="components")
    np.testing.assert_array_equal(data.objects("t0"), expected + 4 * (mask == 9) * (expected == 0))
    found = instances_of(data, "t0")
    assert sorted(zip(found.classes[~found.crowd].tolist(), found.areas[~found.crowd].tolist(), strict=True)) == [
        (1, 3), (1, 4), (2, 1), (2, 4)]  # fmt: skip
    assert "dataset.smallest=0 is not a number of pixels" in message(root, objects="components", smallest=0)
