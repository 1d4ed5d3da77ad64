"""COCO files of instances: masks, splits, sizes, and every way to be wrong; the real DSB2018 where it is there."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco

from seg_al.core import IGNORE, ByteImage
from seg_al.datasets.coco import read_coco
from seg_al.datasets.object_dataset import ObjectDataset
from seg_al.datasets.picture_kind import kind_of
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Instances, class_map, object_map, void_of

CONF = Path(__file__).parents[2] / "conf" / "dataset"
DSB2018 = Path(__file__).parents[3] / "shared" / "datasets" / "dsb2018"
SIZE = (8, 10)
CATEGORIES = [{"id": 7, "name": "bud"}, {"id": 3, "name": "cell"}, {"id": 10, "name": "dust"}]
SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]
"""Rows and columns 1 to 4."""


def annotation(number: Any, image: Any, segmentation: Any = SQUARE, category: Any = 3, **more: Any) -> dict[str, Any]:
    """A polygon is given as its corners, for short."""
    shape = [segmentation] if segmentation and isinstance(segmentation, list) else segmentation
    return {
        "id": number, "image_id": image, "category_id": category, "iscrowd": 0,
        "segmentation": shape, "bbox": [1, 1, 4, 4], "area": 16, **more,
    }  # fmt: skip


def written(root: Path, images: int = 6, letter: str = "i", **lists: Any) -> Path:
    """One JSON of images 1, 2, ... and a square in each, unless `lists` say otherwise."""
    (root / "pictures").mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(1, images + 1):
        file = root / "pictures" / f"{letter}{number}.png"
        Image.fromarray(np.full((*SIZE, 3), 10 * number, dtype=np.uint8)).save(file)
        records.append({"id": number, "file_name": file.name, "height": SIZE[0], "width": SIZE[1]})
    content = {
        "images": records,
        "categories": CATEGORIES,
        "annotations": [annotation(number, number) for number in range(1, images + 1)],
    }
    (root / "all.json").write_text(json.dumps(content | lists))
    return root


def read(root: Path, **changes: Any) -> ObjectDataset:
    values = yaml.safe_load((CONF / "coco.yaml").read_text())
    del values["_target_"]
    mine = {"root": str(root), "run": 0, "annotations": "all.json", "images": "pictures", "train": None, "val": 1}
    return read_coco(**(values | mine | {"test": 1} | changes))


def message(root: Path, **changes: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(root, **changes)
    return " ".join(str(caught.value).split())


def square(top: int, left: int, side: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, dtype=np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools.decode with numpy 2
def test_run_lengths_are_those_of_pycocotools_and_crops_those_of_the_whole_mask() -> None:
    rng = np.random.default_rng(0)
    for size in ((1, 1), (7, 5), (40, 3), (33, 64)):
        for density in (0.0, 0.03, 0.5, 1.0):
            mask = rng.random(size) < density
            code = rle.encode(mask, size)
            theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
            assert code == theirs["counts"]
            np.testing.assert_array_equal(rle.dense(theirs["counts"], size), coco.decode(theirs).astype(np.bool_))
            starts, stops = rle.runs(code)
            assert (stops > starts).all()
            np.testing.assert_array_equal(rle.positions(code), np.flatnonzero(mask.T))
            window = np.pad(mask, 9)[10:18, 7:13]
            np.testing.assert_array_equal(rle.crop(code, size, (-2, 1, 4, 9)), window)
            (x0, y0, x1, y1), cut = rle.tight(code, size)
            np.testing.assert_array_equal(mask[y0:y1, x0:x1], cut)
            assert cut.sum() == mask.sum() == rle.mask_areas((code,), size)[0]


@pytest.mark.parametrize("new", [(4, 5), (16, 30), (3, 10), (1, 1)])
def test_a_resized_mask_takes_the_pixel_under_the_centre_of_each_new_one(new: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).random(SIZE) < 0.5
    rows = [int((row + 0.5) * SIZE[0] / new[0]) for row in range(new[0])]
    columns = [int((column + 0.5) * SIZE[1] / new[1]) for column in range(new[1])]
    small = rle.dense(rle.resized_code(rle.encode(mask, SIZE), SIZE, new), new)
    np.testing.assert_array_equal(small, mask[np.ix_(rows, columns)])


def test_more_masks_than_a_byte_counts_are_measured() -> None:
    codes = tuple(rle.encode(square(0, 0, 1 + place % 8), SIZE) for place in range(600))
    assert rle.mask_areas(codes, SIZE).tolist() == [(1 + place % 8) ** 2 for place in range(600)]


def test_the_smaller_object_is_on_top_and_any_object_is_on_a_crowd() -> None:
    large, small, crowd = square(0, 0, 6), square(2, 2, 2), square(4, 4, 4)
    codes = [rle.encode(mask, SIZE) for mask in (small, large, crowd)]
    instances = Instances.of(SIZE, codes, [2, 1, 1], [False, False, True])
    expected = np.where(small, 2, np.where(large, 1, np.where(crowd, IGNORE, 0)))
    np.testing.assert_array_equal(class_map(instances), expected)
    np.testing.assert_array_equal(object_map(instances), np.where(small, 1, np.where(large, 2, 0)))
    np.testing.assert_array_equal(void_of(instances), crowd & ~large)
    assert instances.boxes.tolist() == [[2, 2, 4, 4], [0, 0, 6, 6], [4, 4, 8, 8]]
    np.testing.assert_array_equal(instances.full(), [small, large, crowd])
    np.testing.assert_array_equal(instances.crops((3, 1, 7, 4)), np.stack([small, large, crowd])[:, 1:4, 3:7])
    assert len(instances.select(instances.crowd)) == 1


def test_polygons_lengths_and_parts_are_read_and_classes_follow_the_order_of_their_ids(tmp_path: Path) -> None:
    ring = rle.encode(square(1, 1, 4), SIZE)
    counts = rle.lengths(ring).tolist()
    parts = [SQUARE, [6, 1, 9, 1, 9, 3, 6, 3]]
    shapes: list[Any] = [
        SQUARE, {"size": list(SIZE), "counts": ring.decode()}, {"size": list(SIZE), "counts": counts},
    ]  # fmt: skip
    records = [annotation(number, number, shape) for number, shape in enumerate(shapes, start=1)]
    records.append({**annotation(4, 4, category=7), "segmentation": parts})
    records.append(annotation(5, 5))
    data = read(written(tmp_path, annotations=records))
    assert data.classes == ("background", "cell", "bud", "dust")
    assert data.background == 0
    for number in (1, 2, 3):
        np.testing.assert_array_equal(data.target(f"i{number}"), square(1, 1, 4))
    expected = square(1, 1, 4)
    expected[1:3, 6:9] = True
    np.testing.assert_array_equal(data.target("i4"), 2 * expected)
    assert data.instances("i4").boxes.tolist() == [[1, 1, 9, 5]]
    np.testing.assert_array_equal(data.objects("i4"), expected)
    assert data.askable("i4") is None
    assert len(data.instances("i6")) == 0  # it has no object and stays
    assert sorted(data.pool + data.val + data.tests["test"]) == [f"i{n}" for n in range(1, 7)]
    np.testing.assert_array_equal(data.image("i3"), np.full((*SIZE, 3), 30))


def test_crowds_are_void_and_everything_follows_the_scale(tmp_path: Path) -> None:
    crowd = annotation(8, 1, [6, 4, 10, 4, 10, 8, 6, 8], iscrowd=1)
    data = read(written(tmp_path, annotations=[*(annotation(n, n) for n in range(1, 7)), crowd]), scale=0.5)
    assert data.size("i1") == (4, 5)
    assert data.image("i1").shape == (4, 5, 3)
    expected = np.where(square(0, 0, 2, (4, 5)), 1, 0)
    expected[2:, 3:] = IGNORE
    np.testing.assert_array_equal(data.target("i1"), expected)
    askable = data.askable("i1")
    assert askable is not None
    np.testing.assert_array_equal(askable, expected != IGNORE)
    assert data.instances("i1").crowd.tolist() == [False, True]
    assert data.instances("i1").size == (4, 5)
    assert data.objects("i1").max() == 1


def test_text_and_number_ids_are_the_same_and_an_id_of_zero_is_an_id(tmp_path: Path, caplog: Any) -> None:
    root = written(tmp_path, annotations=[annotation("a", "1"), annotation(0, 2.0, category="3"), annotation("x", 3),
                                          annotation(5, 4), annotation(6, 5), annotation(7, 6)])  # fmt: skip
    data = read(root)
    assert [len(data.instances(f"i{n}")) for n in range(1, 7)] == [1] * 6
    assert "annotation with the id 0 or none: numbered anew (1): all.json: 0" in caplog.text


def test_what_can_be_kept_is_kept_and_told_once_with_counts(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "val.txt").write_text("i1")
    (tmp_path / "test.txt").write_text("i4")
    line, outside = [1, 1, 4, 4], [-20, 1, 5, 1, 5, 5, -20, 5]
    records = [
        annotation(1, 1),
        annotation(1, 1),
        annotation(1, 1, outside),
        annotation(2, 2, line),
        annotation(3, 3, line, bbox=[1, 1, 0, 4]),
        annotation(4, 4, bbox=[1, 1, 0, 0]),
        annotation(5, 5, [20, 20, 30, 20, 30, 30]),
        annotation(6, 6, [3, 3, 4, 3, 4, 4, 3, 4]),
        annotation(7, 99),
        annotation(8, 6),
        {**annotation(9, 5), "segmentation": [line, outside, SQUARE]},
    ]
    with caplog.at_level(logging.WARNING):
        data = read(written(tmp_path, annotations=records), scale=0.25, split="list", val="val.txt", test="test.txt")
    text = " ".join(caplog.text.split())
    for told in (
        "copy of another annotation: left out (1): all.json: 1",
        "id of several annotations: numbered anew (1)",
        "annotation of an image that is not listed: left out (1): all.json: 7 (image 99)",
        "polygon of fewer than three points: left out (3)",
        "without a mask: its box is void, as a crowd (1): all.json: 2",
        "without a mask or a box: left out (1): all.json: 3",
        "box of zero area: taken from the mask (1): all.json: 4",
        "reaches outside its image: clipped (3): all.json: 1; all.json: 5; all.json: 9",
        "mask without a pixel: left out (1): all.json: 5",
        "mask without a pixel at dataset.scale=0.25: left out (1): all.json: 6",
        "category without an annotation in the training file: kept as a class (2): bud; dust",
    ):
        assert told in text, told
    assert len([one for one in caplog.records if one.levelno == logging.WARNING]) == 1
    assert [len(data.instances(f"i{n}")) for n in range(1, 7)] == [2, 1, 0, 1, 1, 1]
    assert data.instances("i2").crowd.all()


def test_a_polygon_that_leaves_the_image_is_cut_at_its_edge(tmp_path: Path) -> None:
    records = [annotation(n, n, [-1e12, 1, 5, 1, 5, 5, -1e12, 5]) for n in range(1, 7)]
    expected = np.zeros(SIZE, dtype=np.bool_)
    expected[1:5, :5] = True
    np.testing.assert_array_equal(read(written(tmp_path, annotations=records)).target("i1"), expected)


def test_what_cannot_be_used_stops_with_one_error_that_lists_all(tmp_path: Path) -> None:
    bad = {"size": [3, 3], "counts": "1"}
    root = written(
        tmp_path,
        annotations=[
            annotation(1, 1, category=5), annotation(2, 2, bad), annotation(6, 99), annotation(5, 6, [1, 1]),
            annotation(3, 4, {"size": list(SIZE), "counts": [3, 4]}),
            annotation(4, 5, {"size": list(SIZE), "counts": "zz"}),
        ],
        categories=[*CATEGORIES, {"id": 3, "name": "rod"}, {"id": 4, "name": "bud"}, {"id": 8, "name": "background"}],
    )  # fmt: skip
    content = json.loads((root / "all.json").read_text())
    content["images"][1]["width"] = 99
    content["images"] += [{"id": 1, "file_name": "twice.png"}, {"id": 70, "file_name": "i1.png"}, {"id": 71},
                          {"id": 72, "file_name": "gone.png"}, {"id": 73, "file_name": "broken.png"}]  # fmt: skip
    (root / "pictures" / "broken.png").write_bytes(b"no picture")
    (root / "all.json").write_text(json.dumps(content))
    text = message(root)
    for told in (
        "id of several categories (1): all.json: 3 (cell, rod)",
        "name of several categories (1): all.json: bud",
        "category that has the name of the background; set dataset.background to another name (1)",
        "id of several images (1): all.json: 1 (i1.png, twice.png)",
        "file of several images (1): all.json: i1.png (1, 70)",
        "image without an id or a file_name (1): all.json: number 8 of the list",
        "image that is not there (1)",
        "unreadable image (1)",
        "image of another size (height x width) than its file (1): i2.png: 8x99 and 8x10",
        "annotation of an unknown category (1): all.json: 1 (category 5)",
        "mask that cannot be read (2): all.json: 3: run lengths of 7 pixels for an image of 80; all.json: 4: run",
        "These would be repaired or left out: - annotation of an image that is not listed: left out (1)",
    ):
        assert told in text, told


def test_values_and_files_that_do_not_fit_say_what_to_change(tmp_path: Path) -> None:
    root = written(tmp_path)
    assert "there is no file" in message(root, annotations="some.json")
    assert "all.json" in message(root, annotations="some.json")
    assert "dataset.scale=0" in message(root, scale=0)
    assert "dataset.annotations does not have" in message(root, train="train")
    assert "dataset.annotations=all.json has not" in message(root, images="{split}")
    assert "choose kind, size" in message(root, stratify=["stain"])
    (root / "all.json").write_text("{")
    assert "is no JSON file" in message(root)
    (root / "all.json").write_text("[]")
    assert "has no list 'images'" in message(root)
    written(tmp_path, annotations=[annotation(n, n) for n in range(1, 5)])
    assert "there is no object in the 1 images of val" in message(root, split="list", **lists(root))


def lists(root: Path) -> dict[str, str]:
    (root / "val.txt").write_text("i5.png\n")
    (root / "test.txt").write_text("pictures/i2.png\n")
    return {"val": "val.txt", "test": "test.txt"}


def test_splits_are_files_lists_or_drawn_by_groups_from_run(tmp_path: Path) -> None:
    root = written(tmp_path)
    listed = read(root, split="list", **lists(root))
    assert (listed.pool, listed.val, listed.tests) == (("i1", "i3", "i4", "i6"), ("i5",), {"test": ("i2",)})
    written(tmp_path / "train")
    cell = [{"id": "k", "name": "cell"}]
    written(
        tmp_path / "north", 3, "n", categories=cell, annotations=[annotation(n, n, category="k") for n in (1, 2, 3)]
    )
    files = read(
        tmp_path, annotations="{split}/all.json", images="{split}/pictures", train="train", val=2, test="north"
    )
    assert files.tests == {"test": ("n1", "n2", "n3")}
    assert sorted(files.pool + files.val) == [f"i{n}" for n in range(1, 7)]
    assert files.target("n1").max() == 1
    written(tmp_path / "north", 3, "n", categories=[{"id": 1, "name": "rod"}], annotations=[])
    assert "category that the training images do not have (1): all.json: rod" in message(
        tmp_path, annotations="{split}/all.json", images="{split}/pictures", train="train", val=2, test="north"
    )


def test_groups_have_their_share_of_what_is_drawn(tmp_path: Path) -> None:
    root = written(tmp_path, images=20)
    content = json.loads((root / "all.json").read_text())
    for number, record in enumerate(content["images"]):
        record["plate"] = "A" if number < 15 else "B"
    (root / "all.json").write_text(json.dumps(content))
    plate = {f"i{number + 1}": "A" if number < 15 else "B" for number in range(20)}
    drawn = [read(root, stratify=["plate", "size"], val=4, test=0.4, run=run) for run in (0, 0, 1)]
    for data in drawn:
        assert Counter(plate[name] for name in data.tests["test"]) == {"A": 6, "B": 2}
        assert Counter(plate[name] for name in data.val) == {"A": 3, "B": 1}
        assert data.column("plate") == {name: plate[name] for name in data.pool}
        assert set(data.column("size").values()) == {"8x10"}
    assert drawn[0].val == drawn[1].val
    assert drawn[0].val != drawn[2].val


def test_a_patient_of_the_records_or_of_the_file_name_is_never_in_two_splits(tmp_path: Path) -> None:
    root = written(tmp_path, images=12)
    content = json.loads((root / "all.json").read_text())
    for number, record in enumerate(content["images"]):
        record["patient"] = f"p{number // 3}"
        (root / "pictures" / record["file_name"]).rename(root / "pictures" / f"w{number // 3}_{number}.png")
        record["file_name"] = f"w{number // 3}_{number}.png"
    (root / "all.json").write_text(json.dumps(content))
    for changes in ({"group": "patient"}, {"group": "well", "file_name": "{well}_{name}.png"}):
        data = read(root, val=3, test=3, **changes)
        splits = (data.pool, data.val, data.tests["test"])
        sides = [set(data.values(changes["group"], names).values()) for names in splits]
        assert [len(one) for one in sides] == [2, 1, 1]
        assert len(set.union(*sides)) == 4
    assert "file_name that does not fit dataset.file_name={well}-{name}.png (12)" in message(
        root, file_name="{well}-{name}.png"
    )


def test_categories_that_all_have_a_colour_give_the_colours_of_the_classes(tmp_path: Path) -> None:
    colours = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    own = [one | {"color": colour} for one, colour in zip(CATEGORIES, colours, strict=True)]
    assert read(written(tmp_path, categories=own)).colours == ((0, 0, 0), (4, 5, 6), (1, 2, 3), (7, 8, 9))
    assert read(written(tmp_path, categories=[*own[:2], CATEGORIES[2]])).colours is None
    assert read(written(tmp_path)).colours is None


def test_the_kind_of_microscopy_follows_colour_and_background() -> None:
    def picture(*colour: int) -> ByteImage:
        pixels = np.full((100, 90, 3), colour, dtype=np.uint8)
        pixels[:20, :20] = 255 - pixels[:20, :20]
        return pixels

    assert kind_of(picture(20, 20, 20)) == "fluorescence"
    assert kind_of(picture(230, 230, 230)) == "brightfield"
    assert kind_of(picture(200, 160, 190)) == "stained"


@pytest.mark.skipif(not DSB2018.is_dir(), reason="DSB2018 is not here")
def test_dsb2018_is_read_whole_and_every_kind_is_in_every_split() -> None:
    values = yaml.safe_load((CONF / "dsb2018.yaml").read_text())
    del values["_target_"]
    data = read_coco(**(values | {"root": str(DSB2018), "run": 3}))
    parts = {"pool": data.pool, "val": data.val, "test": data.tests["test"]}
    assert {key: len(names) for key, names in parts.items()} == {"pool": 465, "val": 66, "test": 133}
    kinds = {key: Counter(data.values("kind", names).values()) for key, names in parts.items()}
    assert sum(kinds.values(), Counter()) == {"fluorescence": 541, "stained": 107, "brightfield": 16}
    assert kinds["test"]["stained"] in (21, 22)
    assert kinds["test"]["brightfield"] in (3, 4)
    assert all(set(found) == {"fluorescence", "stained", "brightfield"} for found in kinds.values())
    assert sum(len(data.instances(name)) for names in parts.values() for name in names) == 28986
    name = max(data.pool, key=lambda name: len(data.instances(name)))
    full = data.instances(name).full()
    np.testing.assert_array_equal(data.target(name), full.any(axis=0))
    alone = full.sum(axis=0) == 1
    np.testing.assert_array_equal(data.objects(name)[alone], (full.argmax(axis=0) + 1)[alone])
