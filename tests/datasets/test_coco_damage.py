"""COCO files that are damaged, hostile or of another program: each is one sentence, and nothing outside is read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_coco import SIZE, SQUARE, annotation, message, read, square, written

from seg_al.tasks.objects import rle

AREA = SIZE[0] * SIZE[1]


def six(**more: Any) -> list[dict[str, Any]]:
    """An annotation for each image, the third with other fields."""
    return [annotation(number, number, **(more if number == 3 else {})) for number in range(1, 7)]


def with_image(root: Path, place: int = 2, **fields: Any) -> Path:
    """The JSON of `written` with other fields in the record of one image."""
    written(root)
    content = json.loads((root / "all.json").read_text())
    content["images"][place] |= fields
    (root / "all.json").write_text(json.dumps(content))
    return root


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(0, False), (1, True), (False, False), (True, True), ("0", False), ("1", True), ("false", False), ("True", True),
     (0.0, False), (None, False)],
)  # fmt: skip
def test_a_crowd_is_told_by_number_truth_value_or_text(tmp_path: Path, value: Any, crowd: bool) -> None:
    data = read(written(tmp_path, annotations=six(iscrowd=value)), split="list", **held_out(tmp_path))
    assert data.instances("i3").crowd.tolist() == [crowd]
    assert (data.target("i3")[square(1, 1, 4)] == (255 if crowd else 1)).all()


def held_out(root: Path) -> dict[str, str]:
    (root / "val.txt").write_text("i1.png\n")
    (root / "test.txt").write_text("i2.png\n")
    return {"val": "val.txt", "test": "test.txt"}


@pytest.mark.parametrize("value", ["", "no", 2, -1, 0.5, [], {}, float("nan")])
def test_any_other_crowd_is_refused_with_its_annotation(tmp_path: Path, value: Any) -> None:
    text = message(written(tmp_path, annotations=six(iscrowd=value)))
    assert "iscrowd that is neither 0 nor 1" in text
    assert "all.json: 3" in text


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("bbox", [1, 1, 4], "bbox that is not [x, y, width, height] in finite numbers"),
        ("bbox", [1, 1, 4, 4, 4], "bbox that is not [x, y, width, height]"),
        ("bbox", [1, 1, float("nan"), 4], "bbox that is not"),
        ("bbox", [1, 1, float("inf"), 4], "bbox that is not"),
        ("bbox", ["1", 1, 4, 4], "bbox that is not"),
        ("bbox", {"x": 1}, "bbox that is not"),
        ("category_id", 5, "annotation of an unknown category"),
        ("category_id", None, "annotation of an unknown category"),
        ("category_id", [3], "annotation of an unknown category"),
        ("image_id", None, "annotation without an image_id"),
        ("image_id", [3], "annotation without an image_id"),
        ("image_id", float("nan"), "annotation without an image_id"),
        ("segmentation", [[*SQUARE, 3]], "a polygon of 9 numbers, so that one x has no y"),
        ("segmentation", [[1, 1, 5, float("nan"), 5, 5]], "a polygon with a corner that is no finite number"),
        ("segmentation", [[1, 1, 5, float("inf"), 5, 5]], "a polygon with a corner that is no finite number"),
        ("segmentation", [[1, 1, 5, 10**400, 5, 5]], "a polygon with a corner that is no finite number"),
        ("segmentation", [["1", "1", "5", "1", "5", "5"]], "a polygon that is no list of numbers"),
        ("segmentation", [[[1, 1], [5, 1], [5, 5]]], "a polygon that is no list of numbers"),
        ("segmentation", "PYHk0", "a segmentation that is neither polygons nor run lengths"),
        ("segmentation", {"size": 8, "counts": [AREA]}, "run lengths of [height, width] 8 for"),
        ("segmentation", {"size": ["8", "10"], "counts": [AREA]}, "run lengths of [height, width] ['8', '10'] for"),
        ("segmentation", {"counts": [AREA]}, "run lengths of [height, width] None for"),
        ("segmentation", {"size": [*SIZE], "counts": [AREA - 1]}, "run lengths of 79 pixels for an image of 80"),
        ("segmentation", {"size": [*SIZE], "counts": [AREA + 5, -5]}, "negative or longer than the 80 pixels"),
        ("segmentation", {"size": [*SIZE], "counts": [2**61] * 8 + [AREA]}, "negative or longer than the 80 pixels"),
        ("segmentation", {"size": [*SIZE], "counts": [2**64 + AREA]}, "too large for one"),
        ("segmentation", {"size": [*SIZE], "counts": [float("nan")]}, "counts holds what is no number"),
        ("segmentation", {"size": [*SIZE], "counts": [39.5, 40.5]}, "counts holds fractions"),
        ("segmentation", {"size": [*SIZE], "counts": None}, "counts is neither a text nor a list"),
        ("segmentation", {"size": [*SIZE], "counts": []}, "counts is neither a text nor a list"),
        ("segmentation", {"size": [*SIZE], "counts": ""}, "the compressed counts are cut off"),
        ("segmentation", {"size": [*SIZE], "counts": "é5"}, "the compressed counts are cut off"),
        ("segmentation", {"size": [*SIZE], "counts": "\ud8005"}, "run lengths that cannot be read"),
        ("segmentation", {"size": [*SIZE], "counts": "oooooooooo0"}, "a number beyond 30 bits"),
    ],
)  # fmt: skip
def test_a_field_of_an_annotation_that_cannot_be_read_is_told_with_its_place(
    tmp_path: Path, field: str, value: Any, told: str
) -> None:
    records = six()
    records[2] |= {field: value}
    text = message(written(tmp_path, annotations=records))
    assert told in text
    assert "all.json: 3" in text


def test_compressed_counts_that_are_cut_anywhere_are_refused() -> None:
    counts = rle.encode(square(1, 1, 4), SIZE).decode()
    for length in range(len(counts)):
        try:
            found = rle.lengths(counts[:length].encode())
        except ValueError:
            continue
        assert found.sum() != AREA


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"width": 0}, "width or height that is no whole number of pixels"),
        ({"width": -10}, "width or height that is no whole number"),
        ({"height": "eight"}, "width or height that is no whole number"),
        ({"height": float("nan")}, "width or height that is no whole number"),
        ({"width": 10.5}, "width or height that is no whole number"),
        ({"width": [10]}, "width or height that is no whole number"),
        ({"width": True}, "width or height that is no whole number"),
        ({"width": "11"}, "image of another size (height x width) than its file (1): i3.png: 8x11 and 8x10"),
        ({"width": 11, "height": None}, "i3.png: ?x11 and 8x10"),
        ({"id": None}, "image without an id or a file_name"),
        ({"id": float("nan")}, "image without an id or a file_name"),
        ({"id": 2}, "id of several images"),
        ({"file_name": 7}, "image without an id or a file_name"),
        ({"file_name": "../../i3.png"}, "it leads out of dataset.root"),
        ({"file_name": "a/../../../../i3.png"}, "it leads out of dataset.root"),
        ({"file_name": "..\\..\\i3.png"}, "it leads out of dataset.root"),
        ({"file_name": "/etc/i3.png"}, "it is an absolute path"),
        ({"file_name": "\\\\server\\share\\i3.png"}, "it is an absolute path"),
        ({"file_name": "C:\\images\\i3.png"}, "it is an absolute path"),
        ({"file_name": "c:i3.png"}, "it is an absolute path"),
        ({"file_name": "https://example.org/i3.png?sign=" + "a" * 400}, "it is an address in the web"),
        ({"file_name": "file:///etc/i3.png"}, "it is an address in the web"),
        ({"file_name": "\ud800.png"}, "it is no text"),
        ({"file_name": "i3.png\0"}, "it holds a zero byte"),
        ({"file_name": "a" * 300 + ".png"}, "image that is not there"),
        ({"file_name": "a/" * 3000 + "b.png"}, "image that is not there"),
        ({"file_name": "."}, "image that is not there"),
    ],
)
def test_a_field_of_an_image_that_cannot_be_read_is_told_with_its_place(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    text = message(with_image(tmp_path / "data", **fields))
    assert told in text
    assert "3" in text
    assert len(text) < 1000


def test_an_image_outside_is_not_read_though_it_is_there(tmp_path: Path) -> None:
    root = with_image(tmp_path / "data", file_name="../../secret.png")
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(tmp_path / "secret.png")
    assert "all.json: image 3: ../../secret.png (it leads out of dataset.root; move the image below it)" in message(
        root
    )
    with_image(root, file_name=str(tmp_path / "secret.png"))
    assert "it is an absolute path" in message(root)


def test_a_path_may_go_up_within_the_root_and_a_link_is_followed(tmp_path: Path) -> None:
    root = with_image(tmp_path / "data", file_name="../more/x.png")
    (root / "more").mkdir()
    Image.fromarray(np.full((*SIZE, 3), 77, dtype=np.uint8)).save(tmp_path / "elsewhere.png")
    (root / "more" / "x.png").symlink_to(tmp_path / "elsewhere.png")
    assert (read(root).image("x") == 77).all()


def test_an_image_that_is_found_by_its_base_name_alone_is_told(tmp_path: Path, caplog: Any) -> None:
    for file in ("b2/i3.png", "b2\\i3.png"):
        caplog.clear()
        assert (read(with_image(tmp_path, file_name=file)).image("i3") == 30).all()
        assert "image that is not at its path: the one of the same name in dataset.images is taken (1)" in caplog.text
        assert "all.json: image 3" in caplog.text


def test_two_records_never_end_at_one_file(tmp_path: Path) -> None:
    text = message(with_image(tmp_path, file_name="b2/i1.png"))
    assert "pictures/i1.png" in text
    assert "image in two splits" not in text
    assert "file of several images" in text
    assert "file of several images" in message(with_image(tmp_path, file_name="./i1.png"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[: len(text) // 2].encode(), "all.json is no JSON file"),
        (lambda text: text[:-1].encode(), "it is empty, or was cut off"),
        (lambda text: b"", "it is empty, or was cut off"),
        (lambda text: text.replace("i1", "\xe9").encode("latin-1"), "all.json is not in UTF-8"),
        (lambda text: text.encode("utf-16"), "all.json is not in UTF-8"),
        (lambda text: b"[" * 200_000, "all.json is nested too deep"),
        (lambda text: b'{"a":' * 200_000, "all.json is nested too deep"),
        (lambda text: b"[1]", "has no list 'images' of objects"),
        (lambda text: b"null", "has no list 'images' of objects"),
        (lambda text: b"NaN", "has no list 'images' of objects"),
        (lambda text: b'{"images": {}}', "has no list 'images' of objects"),
        (lambda text: b'{"images": [1]}', "has no list 'images' of objects"),
        (lambda text: b'{"images": ' + b"9" * 5000 + b"}", "all.json holds a whole number of thousands of digits"),
        (lambda text: b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "all.json is not in UTF-8"),
    ],
)
def test_a_damaged_json_is_one_sentence_that_names_it(tmp_path: Path, change: Any, told: str) -> None:
    root = written(tmp_path)
    (root / "all.json").write_bytes(change((root / "all.json").read_text()))
    assert told in message(root)


def test_a_byte_order_mark_is_passed_over_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    root = written(tmp_path)
    (root / "all.json").write_text("\ufeff" + (root / "all.json").read_text(), encoding="utf-8")
    assert len(read(root).pool) == 4
    (root / "all.json").unlink()
    os.mkfifo(root / "all.json")
    assert "all.json is no file" in message(root)
    (root / "all.json").unlink()
    (root / "all.json").mkdir()
    assert "all.json is no file" in message(root)


def test_boxes_without_masks_are_told_as_such_and_not_as_labels_that_are_held_back(tmp_path: Path) -> None:
    records = [annotation(n, n, []) for n in range(1, 7)]
    text = message(written(tmp_path, annotations=records))
    assert "6 annotations are boxes without masks" in text
    assert "give each annotation a segmentation" in text
    assert "held back" not in text
    crowds = [annotation(n, n, iscrowd=1) for n in range(1, 7)]
    assert "annotations are crowds (iscrowd 1)" in message(written(tmp_path, annotations=crowds))
    assert "held back" in message(written(tmp_path, annotations=[]))


def test_lists_name_images_with_blanks_and_hashes_exactly(tmp_path: Path) -> None:
    root = with_image(tmp_path, file_name="i1 (2).png")
    (root / "pictures" / "i3.png").rename(root / "pictures" / "i1 (2).png")
    content = json.loads((root / "all.json").read_text())
    (root / "pictures" / "i4.png").rename(root / "pictures" / "#4 a.png")
    content["images"][3]["file_name"] = "#4 a.png"
    (root / "all.json").write_text(json.dumps(content))
    (root / "val.txt").write_text("# a remark\ni1 (2).png\n")
    (root / "test.txt").write_text("#4 a.png\n")
    data = read(root, split="list", val="val.txt", test="test.txt")
    assert (data.val, data.tests["test"]) == (("i1 (2)",), ("#4 a",))
    assert data.pool == ("i1", "i2", "i5", "i6")
