"""COCO files: their JSON, ids, paths, sizes, categories, shapes, splits, and damaged files."""

from __future__ import annotations

import numpy as np

from bad_inputs.damage import GONE, cut, encoded, folder, in_json, remove, write
from bad_inputs.goods import Bad, bad_coco
from bad_inputs.line import Damage

JSON, VAL, IMAGE = "data/instances_train.json", "data/instances_val.json", "data/train/train_1.png"
FIRST = ("annotations", 0)
SHAPE = (*FIRST, "segmentation")
DEEP = encoded(np.zeros((32, 40), np.uint16))
ONE = "dataset.annotations=instances_train.json dataset.images=train"


def refused(line: str, *words: str, damage: Damage | None = None) -> Bad:
    """The data is read before the folder of the run is made."""
    return bad_coco(line, *words, damage=damage)


def with_value(keys: tuple[str | int, ...], value: object, *words: str) -> Bad:
    """With this value at this place of the training file."""
    return refused("", *words, damage=in_json(JSON, (keys, value)))


def lengths(size: object, counts: object) -> dict[str, object]:
    return {"size": size, "counts": counts}


LINES = [
    # the file
    refused("", "instances_train.json is no JSON file", "copy or write it again", damage=cut(JSON)),
    refused("", "it is empty, or was cut off", damage=write(JSON, "")),
    refused("", "is not in UTF-8", damage=write(JSON, '{"images": "é"}'.encode("latin-1"))),
    refused("", "is nested too deep", damage=write(JSON, "[" * 200_000)),
    refused(
        "",
        "instances_train.json holds a whole number of thousands of digits",
        damage=write(JSON, '{"images": ' + "9" * 5000 + "}"),
    ),
    refused("", "has no list 'images' of objects", damage=write(JSON, "[]")),
    refused("", "has no list 'annotations' of objects", damage=in_json(JSON, (("annotations",), GONE))),
    refused("", "has no list 'categories' of objects", damage=in_json(JSON, (("categories",), None))),
    refused("", "there is no file data/instances_train.json", "instances_val.json", damage=remove(JSON)),
    refused("", "is no file", damage=folder(JSON)),
    # images
    with_value(("images",), [], "file without an image (1)"),
    with_value(("images", 0, "id"), GONE, "image without an id or a file_name (1)", "number 0 of the list"),
    with_value(("images", 0, "id"), 2, "id of several images (1)"),
    with_value(("images", 0, "file_name"), "train_2.png", "file of several images (1)"),
    with_value(("images", 0, "file_name"), "../../../../../../etc/passwd", "it leads out of dataset.root"),
    with_value(("images", 0, "file_name"), "/etc/passwd", "it is an absolute path"),
    with_value(("images", 0, "file_name"), "http://localhost/a.png", "download the image"),
    with_value(("images", 0, "file_name"), "a\0.png", "it holds a zero byte"),
    with_value(("images", 0, "file_name"), "\ud800.png", "it is no text"),
    with_value(("images", 0, "file_name"), "x" * 5000, "image that is not there (1)"),
    with_value(("images", 0, "width"), 41, "image of another size (height x width) than its file"),
    with_value(("images", 0, "width"), "wide", "width or height that is no whole number of pixels from 1 on"),
    with_value(("images", 0, "height"), float("nan"), "width or height that is no whole number"),
    refused("", "unreadable image (1)", damage=cut(IMAGE)),
    refused("", "image of more than 8 bits per channel", damage=write(IMAGE, DEEP)),
    # categories
    with_value(("categories", 0, "id"), None, "category without an id or a name (1)"),
    with_value(("categories", 0, "name"), "background", "set dataset.background to another name"),
    with_value(("categories",), [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "id of several categories (1)"),
    with_value(("categories",), [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}], "name of several categories (1)"),
    with_value(("categories",), [{"id": 1 + i, "name": f"c{i}"} for i in range(255)], "more than 254 categories"),
    refused(
        "", "category that the training images do not have", damage=in_json(VAL, (("categories", 0, "name"), "cell"))
    ),
    # annotations
    with_value((*FIRST, "category_id"), 9, "annotation of an unknown category (1)", "(category 9)"),
    with_value((*FIRST, "image_id"), GONE, "annotation without an image_id"),
    with_value((*FIRST, "iscrowd"), 2, "iscrowd that is neither 0 nor 1"),
    with_value((*FIRST, "bbox"), [1, 2, 3], "bbox that is not [x, y, width, height]"),
    with_value((*FIRST, "bbox"), "1 2 3 4", "bbox that is not [x, y, width, height]"),
    with_value(SHAPE, "a", "a segmentation that is neither polygons nor run lengths"),
    with_value(SHAPE, [[1, 1, 9, 1, 9]], "a polygon of 5 numbers, so that one x has no y"),
    with_value(SHAPE, [["a", 1, 9, 1, 9, 9]], "a polygon that is no list of numbers"),
    with_value(SHAPE, [[1, 1, 9, 1, 9, float("inf")]], "a corner that is no finite number"),
    with_value(SHAPE, lengths([40, 32], [1280]), "for an image of [32, 40]"),
    with_value(SHAPE, lengths([32, 40], [100]), "run lengths of 100 pixels for an image of 1,280"),
    with_value(SHAPE, lengths([32, 40], [-1, 1281]), "a run length that is negative or longer"),
    with_value(SHAPE, lengths([32, 40], [0.5, 1279.5]), "counts holds fractions"),
    with_value(SHAPE, lengths([32, 40], ["a"]), "counts holds what is no number"),
    with_value(SHAPE, lengths([32, 40], None), "counts is neither a text nor a list"),
    with_value(SHAPE, lengths([32, 40], "~~~"), "run lengths"),
    with_value(("annotations",), [], "there is no object in the 6 images of train"),
    refused(
        "",
        "there is no object in the 2 images of val",
        "give each annotation a segmentation",
        damage=in_json(VAL, *((("annotations", place, "segmentation"), []) for place in range(2))),
    ),
    refused(
        "",
        "give objects iscrowd 0",
        damage=in_json(VAL, *((("annotations", place, "iscrowd"), 1) for place in range(2))),
    ),
    # values
    refused("dataset.train=null", "name the value of {split}"),
    refused("dataset.annotations=instances_train.json", "has {split}, but dataset.annotations=instances_train.json"),
    refused("dataset.val=dev", "there is no file data/instances_dev.json"),
    refused("dataset.val=99", "dataset.val=99 draws 99 of the 6 images"),
    refused("dataset.stratify=[ward] dataset.val=1", "no column 'ward'; choose"),
    refused("'dataset.file_name=\"{patient}/{name}.png\"'", "file_name that does not fit dataset.file_name="),
    refused(f"{ONE} dataset.split=list dataset.train=null dataset.val=v.txt dataset.test=1", "list that is not there"),
    refused(
        f"{ONE} dataset.split=list dataset.train=null dataset.val=v.txt dataset.test=1",
        "v.txt line 1: nothing",
        damage=write("data/v.txt", "nothing\n"),
    ),
]
