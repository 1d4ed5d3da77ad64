"""LabelMe folders: shapes as LabelMe fills them, objects and classes out of them, and every way to be wrong."""

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from seg_al.annotators.formats.labelme import content_of, labelme_file
from seg_al.annotators.formats.shapes import Drawn, objects_of
from seg_al.core import IGNORE
from seg_al.datasets.labelme import read_labelme
from seg_al.datasets.object_dataset import ObjectDataset
from seg_al.tasks.objects import rle

RUN = Path(__file__).parents[2] / "run.py"
CONF = Path(__file__).parents[2] / "conf" / "dataset"
SIZE = (6, 8)
RING = "iVBORw0KGgoAAAANSUhEUgAAAAQAAAADCAAAAACRn/EaAAAAFElEQVR42mNgZGRkYGBkYAQhRgYAAFUACoLeNU8AAAAASUVORK5CYII="
"""Rows 1110, 1011, 1110, as LabelMe 5.8.3 writes a mask."""


def shape(kind: str = "rectangle", points: Any = ((2, 1), (5, 3)), label: Any = "cell", **more: Any) -> dict[str, Any]:
    own = {"label": label, "points": [[*one] for one in points], "shape_type": kind, "group_id": None, "flags": {}}
    return own | {"description": "", "mask": None} | more


def document(*shapes: Any, **more: Any) -> dict[str, Any]:
    own = {"version": "5.8.3", "flags": {}, "shapes": list(shapes), "imagePath": "a.png", "imageData": None}
    return own | {"imageHeight": SIZE[0], "imageWidth": SIZE[1]} | more


def drawn(*shapes: Any, size: rle.Size = SIZE) -> list[Drawn]:
    found = labelme_file(document(*shapes))
    assert found.problems == ()
    return objects_of(found.shapes, size)


def rows(one: Drawn, size: rle.Size = SIZE) -> list[str]:
    return ["".join("1" if pixel else "." for pixel in row) for row in rle.dense(one.code, size)]


def test_a_rectangle_has_both_of_its_corners_in_any_order() -> None:
    expected = ["........", "..1111..", "..1111..", "..1111..", "........", "........"]
    for points in (((2, 1), (5, 3)), ((5, 3), (2, 1)), ((2, 3), (5, 1))):
        assert rows(drawn(shape(points=points))[0]) == expected


def test_a_mask_keeps_its_hole_and_lies_at_its_upper_left_corner() -> None:
    expected = ["........", "..111...", "..1.11..", "..111...", "........", "........"]
    assert rows(drawn(shape("mask", mask=RING))[0]) == expected
    assert rows(drawn(shape("mask", ((2.4, 0.8), (5.4, 2.8)), mask=RING))[0]) == expected
    beyond = drawn(shape("mask", ((6, -1), (9, 1)), mask=RING))[0]
    assert rows(beyond) == ["......1.", "......11", *["........"] * 4]


def test_a_polygon_has_its_outline_and_a_circle_its_rim() -> None:
    triangle = drawn(shape("polygon", ((1, 1), (5, 1), (1, 5))))[0]
    assert rows(triangle) == ["........", ".11111..", ".1111...", ".111....", ".11.....", ".1......"]
    circle = rle.dense(drawn(shape("circle", ((20, 20), (30, 20))), size=(41, 41))[0].code, (41, 41))
    y, x = np.mgrid[:41, :41]
    distance = np.hypot(y - 20, x - 20)
    assert circle[distance <= 9.5].all()
    assert not circle[distance >= 10.8].any()
    np.testing.assert_array_equal(circle, circle[::-1, ::-1])


def test_pieces_of_one_label_and_group_are_one_object_and_all_others_are_their_own() -> None:
    one, other = ((0, 0), (1, 1)), ((4, 4), (5, 5))
    found = drawn(
        shape(points=one, group_id=7), shape(points=one, group_id=7, label="spot"), shape(points=other, group_id=7),
        shape(points=other), shape(points=other), shape("linestrip", ((0, 0), (5, 5))), shape("point", ((1, 1),)),
    )  # fmt: skip
    assert [(each.label, int(rle.mask_areas((each.code,), SIZE)[0])) for each in found] == [
        ("cell", 8), ("spot", 4), ("cell", 4), ("cell", 4),
    ]  # fmt: skip


def test_what_is_written_is_read_again() -> None:
    found = labelme_file(
        document(
            shape("mask", mask=RING, flags={"sure": True}, description="ring"), shape("circle", ((3, 3), (4, 3))),
            shape("polygon", ((0, 0), (1.5, 0), (1.5, 2)), group_id=7), flags={"blurred": False},
        )
    )  # fmt: skip
    again = labelme_file(json.loads(json.dumps(content_of(found))))
    assert [(one.label, one.kind, one.points, one.group, one.note, one.flags) for one in again.shapes] == [
        (one.label, one.kind, one.points, one.group, one.note, one.flags) for one in found.shapes
    ]
    assert objects_of(again.shapes, SIZE) == objects_of(found.shapes, SIZE)
    assert (again.image, again.size, again.flags) == ("a.png", SIZE, {"blurred": False})


def test_old_files_without_shape_types_or_sizes_and_windows_paths_are_read() -> None:
    old = document({"label": "cell", "points": [[1, 1], [5, 1], [1, 5]]}, imagePath="..\\pictures\\a.png")
    del old["imageHeight"], old["imageWidth"], old["imageData"]
    found = labelme_file(old)
    assert (found.shapes[0].kind, found.size, found.base_name, found.problems) == ("polygon", None, "a.png", ())


def png(values: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (shape("polygon", ((0, 0), (1, 1))), "a polygon has 3 points or more, not 2"),
        (shape("rectangle", ((0, 0),)), "a rectangle has 2 points, not 1"),
        (shape("ellipse"), "its shape_type 'ellipse' is unknown; known are polygon"),
        (shape(None), "its shape_type 'None' is unknown"),
        (shape(points=((0, float("nan")), (1, 1))), "a coordinate is no finite number"),
        (shape(points=((0, float("inf")), (1, 1))), "a coordinate is no finite number"),
        (shape(points=((0, 10**400), (1, 1))), "a coordinate is no finite number"),
        (shape(points=((0, True), (1, 1))), "a coordinate is no finite number"),
        (shape(points=(("0", 1), (1, 1))), "a coordinate is no finite number"),
        (shape(points=((0, 1, 2), (1, 1, 2))), "its points are no list of [x, y]"),
        (shape() | {"points": None}, "its points are no list of [x, y]"),
        (shape(label=""), "it has no label"),
        (shape(label=3), "it has no label"),
        ("cell", "it has no label"),
        (shape(group_id=True), "its group_id True is no whole number"),
        (shape(group_id=[1]), "its group_id [1] is no whole number"),
        (shape("mask"), "a mask without its picture"),
        (shape("mask", mask="?"), "its mask is no whole PNG in base64"),
        (shape("mask", mask=RING[:60]), "its mask is no whole PNG in base64"),
        (shape("mask", mask=base64.b64encode(b"%!PS-Adobe").decode()), "its mask is no whole PNG in base64"),
        (shape("mask", mask=png(np.zeros((3, 4, 3), dtype=np.uint8))), "its mask is a coloured picture"),
    ],
)  # fmt: skip
def test_a_shape_that_cannot_be_read_is_told_with_its_number_and_the_others_are_read(bad: Any, told: str) -> None:
    found = labelme_file(document(shape(), bad, shape()))
    assert len(found.shapes) == 2
    assert len(found.problems) == 1
    assert found.problems[0].startswith("shape 1: ")
    assert told in found.problems[0]


def folder(root: Path, count: int = 6, size: rle.Size = SIZE, shapes: Sequence[Any] = ()) -> Path:
    """Images i0, i1, ... whose objects are the given ones, or a rectangle."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.full((*size, 3), 20 * number, dtype=np.uint8)).save(root / f"i{number}.png")
        own = document(*(shapes or [shape()]), imagePath=f"i{number}.png", imageHeight=size[0], imageWidth=size[1])
        (root / f"i{number}.json").write_text(json.dumps(own))
    return root


def changed(root: Path, name: str = "i2", **fields: Any) -> Path:
    content = json.loads((root / f"{name}.json").read_text())
    (root / f"{name}.json").write_text(json.dumps(content | fields))
    return root


def read(root: Path, **changes: Any) -> ObjectDataset:
    values = yaml.safe_load((CONF / "labelme.yaml").read_text())
    del values["_target_"]
    return read_labelme(**(values | {"root": str(root), "run": 0, "val": 1, "test": 1} | changes))


def message(root: Path, **changes: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(root, **changes)
    return " ".join(str(caught.value).split())


def test_objects_class_maps_and_void_come_out_of_one_folder(tmp_path: Path, caplog: Any) -> None:
    shapes = [
        shape(label="spot", points=((0, 0), (1, 1))), shape(points=((0, 0), (3, 3))),
        shape(label="__ignore__", points=((6, 0), (7, 5))), shape(label="_background_", points=((0, 4), (3, 5))),
        shape("point", ((1, 1),), label="seed"),
    ]  # fmt: skip
    with caplog.at_level(logging.INFO):
        data = read(folder(tmp_path, shapes=shapes))
    assert data.classes == ("_background_", "cell", "spot")
    assert "classes by the labels that are drawn: cell, spot" in caplog.text
    assert "point or line, which covers no area: left out (6): i0.json (seed)" in caplog.text
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[:4, :4], expected[:2, :2], expected[:, 6:] = 1, 2, IGNORE
    np.testing.assert_array_equal(data.target("i0"), expected)
    assert data.instances("i0").classes.tolist() == [2, 1, 1, 2]
    assert data.instances("i0").crowd.tolist() == [False, False, True, True]
    assert data.objects("i0").max() == 2
    assert (data.image("i3") == 60).all()
    assert read(tmp_path, classes=["spot", "cell"]).target("i0")[0, 0] == 1
    assert read(tmp_path, scale=0.5).target("i0").shape == (3, 4)


def test_flags_and_fields_are_columns_and_groups_stay_whole(tmp_path: Path) -> None:
    root = folder(tmp_path, 8)
    for number in range(8):
        changed(root, f"i{number}", flags={"blurred": number % 2 == 0}, imagePath=f"i{number}.png")
        for ending in ("png", "json"):
            (root / f"i{number}.{ending}").rename(root / f"p{number // 2}_i{number}.{ending}")
        changed(root, f"p{number // 2}_i{number}", imagePath=f"p{number // 2}_i{number}.png")
    data = read(
        root, images="{patient}_{name}.png", annotations="{patient}_{name}.json", group="patient", val=2, test=2
    )
    sides = [data.pool, data.val, data.tests["test"]]
    patients = [set(data.values("patient", names).values()) for names in sides]
    assert [len(one) for one in patients] == [2, 1, 1]
    assert set.union(*patients) == {"p0", "p1", "p2", "p3"}
    assert set(data.column("blurred").values()) == {"true", "false"}


def test_an_image_without_a_json_is_named_or_empty_and_a_json_without_an_image_is_told(
    tmp_path: Path, caplog: Any
) -> None:
    root = folder(tmp_path)
    (root / "i2.json").rename(root / "x.json")
    (root / "x.json.tmp").write_text("{")
    text = message(root)
    assert "image without a JSON; label it, or set dataset.missing=empty where it has no object (1)" in text
    assert "i2 (no i2.json)" in text
    data = read(root, missing="empty")
    assert len(data.instances("i2")) == 0
    assert "JSON without an image: left out" in caplog.text
    assert "x.json" in caplog.text


def test_the_picture_is_turned_by_its_orientation_and_its_size_must_be_that_of_the_json(tmp_path: Path) -> None:
    root = folder(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((8, 6, 3), dtype=np.uint8)).save(root / "i2.png", exif=exif)
    assert read(root).image("i2").shape == (6, 8, 3)
    changed(root, imageHeight=8, imageWidth=6)
    assert "i2.png: 8x6 and 6x8 (turned by its EXIF orientation 6)" in message(root)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"imagePath": "i3.png"}, "JSON of another image than the one beside it (1): i2.png: imagePath i3.png"),
        ({"imagePath": None}, "it has no imagePath"),
        ({"shapes": None}, "it has no list of shapes"),
        ({"imageHeight": "6"}, "imageHeight or imageWidth is no whole number"),
        ({"imageHeight": 0}, "imageHeight or imageWidth is no whole number"),
        ({"imageWidth": 9}, "image of another size (height x width) than its JSON says (1): i2.png: 6x9 and 6x8"),
        ({"shapes": [shape("ellipse")]}, "shape that cannot be read (1): i2.json shape 0: its shape_type 'ellipse'"),
        ({"shapes": [shape(points=((0, 0), (9e8, 3)))]}, "shape that cannot be drawn (1): i2.json: it reaches"),
    ],
)
def test_a_json_that_does_not_fit_is_told_with_its_name(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    assert told in message(changed(folder(tmp_path), **fields))


@pytest.mark.parametrize("damage", [b"", b"{", b"[" * 200_000, b"null", b'{"shapes": [', b"\xff\xfe{", b"[1]"])
def test_a_damaged_json_is_told_with_its_name(tmp_path: Path, damage: bytes) -> None:
    (folder(tmp_path) / "i2.json").write_bytes(damage)
    text = message(tmp_path)
    assert "JSON that cannot be read (1)" in text
    assert "i2.json" in text


def test_values_that_do_not_fit_say_what_to_change(tmp_path: Path) -> None:
    root = folder(tmp_path)
    assert "there is no folder" in message(root / "none")
    assert "no image fits dataset.images={name}.bmp" in message(root, images="{name}.bmp")
    assert "dataset.missing='skip' is unknown; choose refuse or empty" in message(root, missing="skip")
    assert "label that is neither in dataset.classes nor in dataset.void (1): cell (6 shapes)" in (
        message(root, classes=["rod"])
    )
    assert "cell is there twice" in message(root, classes=["cell"], void=["cell"])
    assert "must name one file" in message(root, annotations="*.json")
    assert "has {plate}" in message(root, annotations="{plate}/{name}.json")
    assert "no shape with an area is drawn" in message(folder(tmp_path / "b", shapes=[shape("point", ((1, 1),))]))


TINY = [
    "mc_iters=2", "trainer.pace.steps=2", "trainer.batch_size=2", "trainer.validation.times=1", "device=cpu",
    "tracking=none", "gallery=0", "rounds=2", "initial=2", "budget=1",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["model=unet_small", "model.width=2", "objects=false", "trainer.augmentation.crop=[32,32]"],
        ["model=mask_rcnn_small", "model.weights=null", "trainer.augmentation.crop=[32,32]", "heuristic=maskal"],
    ],
)
def test_two_rounds_run_on_class_maps_and_on_objects(tmp_path: Path, words: list[str]) -> None:
    shapes = [shape(points=((4, 4), (16, 18))), shape("circle", ((30, 20), (36, 20)), label="spot")]
    root = folder(tmp_path / "data", 8, (40, 48), shapes)
    data = ["dataset=labelme", f"dataset.root={root}", "dataset.val=1", "dataset.test=1", f"runs={tmp_path}/runs"]
    done = subprocess.run([sys.executable, RUN, *data, *TINY, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = sorted(tmp_path.glob("runs/*/rounds/*/queries.jsonl"))
    assert [path.parent.name for path in asked] == ["00", "01"]
