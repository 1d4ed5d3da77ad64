"""Folders of LabelMe: their JSON, shapes, labels, sizes and names, and damaged files."""

from __future__ import annotations

import numpy as np

from bad_inputs.damage import GONE, cut, encoded, folder, in_json, remove, rename, write
from bad_inputs.goods import Bad, bad_labelme
from bad_inputs.line import Damage

JSON, IMAGE = "data/train/train_1.json", "data/train/train_1.png"
FIRST = ("shapes", 0)


def refused(line: str, *words: str, damage: Damage | None = None) -> Bad:
    """The data is read before the folder of the run is made."""
    return bad_labelme(line, *words, damage=damage)


def with_value(keys: tuple[str | int, ...], value: object, *words: str, line: str = "") -> Bad:
    """With this value at this place of the JSON of an image."""
    return refused(line, "train_1", *words, damage=in_json(JSON, (keys, value)))


def mask_of(text: object) -> dict[str, object]:
    return {"label": "block", "shape_type": "mask", "points": [[1, 1], [9, 9]], "mask": text}


LINES = [
    # the file
    refused("", "JSON that cannot be read (1)", "train_1.json is no JSON file", damage=cut(JSON)),
    refused("", "it is empty, or was cut off", damage=write(JSON, "")),
    refused("", "is not in UTF-8", damage=write(JSON, '{"shapes": "é"}'.encode("latin-1"))),
    refused("", "is nested too deep", damage=write(JSON, '{"shapes":' * 50_000)),
    refused(
        "",
        "train_1.json holds a whole number of thousands of digits",
        damage=write(JSON, '{"shapes": ' + "9" * 5000 + "}"),
    ),
    refused("", "train_1.json is no file", damage=folder(JSON)),
    refused("", "image without a JSON; label it, or set dataset.missing=empty", damage=remove(JSON)),
    with_value(("shapes",), {}, "it has no list of shapes, so it is no file of LabelMe"),
    with_value(("imagePath",), GONE, "it has no imagePath"),
    with_value(("imagePath",), "other.png", "JSON of another image than the one beside it"),
    with_value(("imageHeight",), 33, "image of another size (height x width) than its JSON says", "33x40 and 32x40"),
    with_value(("imageHeight",), "32", "imageHeight or imageWidth is no whole number"),
    # shapes
    with_value(FIRST, 5, "shape 0: it has no label"),
    with_value((*FIRST, "label"), "", "shape 0: it has no label"),
    with_value((*FIRST, "shape_type"), "star", "its shape_type 'star' is unknown; known are polygon"),
    with_value((*FIRST, "points"), [[1, 1], [2, 2]], "a polygon has 3 points or more, not 2"),
    with_value((*FIRST, "shape_type"), "circle", "a circle has 2 points, not 4"),
    with_value((*FIRST, "points"), [1, 2, 3, 4], "its points are no list of [x, y]"),
    with_value((*FIRST, "points"), [[1, 1], [2, 2], [3, float("nan")]], "a coordinate is no finite number"),
    with_value((*FIRST, "points"), [[1, 1], [9, 1], [9, 100_000]], "far outside the image of 32x40 pixels"),
    with_value((*FIRST, "group_id"), [1], "its group_id [1] is no whole number"),
    with_value(FIRST, mask_of(None), "a mask without its picture in the field mask"),
    with_value(FIRST, mask_of("%%%"), "its mask is no whole PNG in base64"),
    with_value(FIRST, mask_of("iVBORw0KGgo="), "its mask is no whole PNG in base64"),
    # labels
    refused("dataset.classes=[cell]", "label that is neither in dataset.classes nor in dataset.void", "block"),
    refused("dataset.classes=[]", "dataset.classes has 0 labels"),
    refused("dataset.void=[block]", "no shape with an area is drawn, so there are no classes"),
    # images
    refused("", "unreadable image (1)", "train_1.png", damage=cut(IMAGE)),
    refused("", "unreadable image (1)", "it is empty", damage=write(IMAGE, b"")),
    refused("", "image of more than 8 bits", damage=write(IMAGE, encoded(np.zeros((32, 40), np.uint16)))),
    refused("", "of another size", damage=write(IMAGE, encoded(np.zeros((33, 40), np.uint8)))),
    refused("'dataset.images=\"{split}/{name}.tif\"'", "no image fits dataset.images={split}/{name}.tif"),
    refused("dataset.images=*.png", "has no {name}, by which an image and its JSON find each other"),
    refused(
        "'dataset.annotations=\"{split}/{patient}.json\"'", "has {patient}; the fields of dataset.images: split, name"
    ),
    refused("'dataset.annotations=\"{split}/*.json\"'", "must name one file: with {name}, without *"),
    refused("dataset.stratify=[ward] dataset.val=1", "no column 'ward'"),
    refused("", "not in UTF-8", damage=rename(IMAGE, "caf\udce9.png")),
]
