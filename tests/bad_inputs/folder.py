"""Folders of images and masks: values, patterns, lists, tables, class lists, and damaged files."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from bad_inputs.damage import both, cut, folder, remove, rename, write
from bad_inputs.goods import Bad, bad_folder
from bad_inputs.line import Damage


def _png(values: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


SHADES = _png(np.arange(32 * 40).reshape(32, 40) % 256)
COLOURED = _png(np.arange(32 * 40 * 3).reshape(32, 40, 3) % 256)
LIST = "dataset.split=list dataset.train=train.txt dataset.val=1 dataset.test=1"
ALL = "dataset.split=list dataset.train=null"
IMAGE, MASK = "data/train/images/train_1.png", "data/train/masks/train_1.png"


def refused(line: str, *words: str, damage: Damage | None = None) -> Bad:
    """The data is read before the folder of the run is made."""
    return bad_folder(line, *words, damage=damage)


LINES = [
    refused("dataset.root=nowhere", "there is no folder nowhere"),
    bad_folder("dataset.images=null", "dataset.images=None: text is needed"),
    bad_folder("dataset.masks=[a]", "dataset.masks=['a']: text is needed"),
    bad_folder("dataset.objects=5", "dataset.objects=5: text or null is needed"),
    bad_folder("dataset.classes=5", "dataset.classes=5"),
    bad_folder("dataset.classes=[5,[a,1]]", "dataset.classes=[5, ['a', 1]]"),
    refused("dataset.classes=[[a,0],[b,0]]", "the value 0 of b is also that of a"),
    refused("'dataset.classes=[[background,0],[b,\">=70000\"]]'", "b: >=70000 is not an id from 0 to 65535"),
    refused("'dataset.classes=[[background,0],[b,\"9-1\"]]'", "b: 9-1 is not an id", "a range such as"),
    refused("dataset.void=[x]", "dataset.void: x is not an id"),
    refused("dataset.nearest=-1", "dataset.nearest=-1 is not a distance of mask values"),
    refused("dataset.smallest=0", "dataset.smallest=0 is not a number of pixels from 1 on"),
    refused("dataset.background=sea", "dataset.background='sea' is not a class"),
    bad_folder("dataset.coding=names", "dataset.coding=names: ids or colours is needed"),
    refused("dataset.scale=0", "is not a factor above 0"),
    refused("dataset.size=[3]", "dataset.size=[3] is not [height, width]"),
    refused("dataset.palette={background:[0,0,300],foreground:[0,0,0]}", "is not [red, green, blue]"),
    refused("dataset.palette={background:[0,0,0]}", "dataset.palette has no colour of foreground"),
    refused("dataset.val=99", "dataset.val=99 draws 99 of the 6 images"),
    refused("dataset.val=dev", "split without an image (1)", "dev (there are test, train, val)"),
    refused("dataset.group=ward dataset.val=1", "no column 'ward'", "choose split"),
    bad_folder("dataset.group=5", "dataset.group=5: text or null is needed"),
    refused("dataset.table=none.csv", "there is no file data/none.csv"),
    refused("dataset.table=table.csv dataset.group=patient", "groups of dataset.group=patient are in two splits"),
    refused(
        f"{ALL} dataset.table=table.csv dataset.group=all dataset.val=1 dataset.test=1",
        "no whole groups come near to 1 of 10 images: they are of 1 groups",
        damage=write(
            "data/table.csv",
            "name,all\n"
            + "".join(
                f"{split}_{number},a\n"
                for split, many in (("train", 6), ("val", 2), ("test", 2))
                for number in range(many)
            ),
        ),
    ),
    refused(
        "dataset.table=table.csv", "table.csv is not in UTF-8", damage=write("data/table.csv", b"name,ort\nx,K\xf6ln\n")
    ),
    refused(
        "dataset.table=table.csv",
        "line 3: a second row for train_1",
        damage=write("data/table.csv", "name,a\ntrain_1,x\ntrain_1,y\n"),
    ),
    refused("dataset.table=table.csv", "is not a header such as image,patient", damage=write("data/table.csv", "")),
    refused(LIST, "list that is not there (1)", "train.txt"),
    refused(LIST, "train.txt is not in UTF-8", damage=write("data/train.txt", b"caf\xe9.png\n")),
    refused(LIST, "train.txt line 2: train (2).png", damage=write("data/train.txt", "train_0.png\ntrain (2).png\n")),
    refused(
        LIST,
        "image that a list names twice (1)",
        "train.txt line 2: train_0.png",
        damage=write("data/train.txt", "train_0.png\ntrain_0.png\n"),
    ),
    refused("", "no train/masks/train_1.*", "but train/masks/train_1.txt", damage=rename(MASK, "train_1.txt")),
    refused("", "image without mask (1)", "train/images/train_1.png", damage=remove(MASK)),
    refused("", "train_1.png", "unreadable", damage=cut(MASK)),
    refused("", "train_1.png", "unreadable", damage=cut(IMAGE)),
    refused("", "it is empty", damage=write(MASK, b"")),
    refused("", "it is no file", damage=folder(MASK)),
    refused("", "values, such as 2: 5 pixels", "set dataset.nearest", damage=write(MASK, SHADES)),
    refused("", "mask that dataset.coding=ids cannot read", "is coloured", damage=write(MASK, COLOURED)),
    refused("dataset.void=[0,1]", "the value 0 of dataset.void is also that of background"),
    refused(
        "dataset.classes=[[background,0],[foreground,7]] dataset.void=[1]", "nothing to tell apart", "[foreground,1]]"
    ),
    refused("", "not in UTF-8", "convmv", damage=rename(IMAGE, "caf\udce9.png")),
    refused(
        "",
        "name of more than 200 bytes (1)",
        damage=both(rename(IMAGE, "x" * 210 + ".png"), rename(MASK, "x" * 210 + ".png")),
    ),
    bad_folder("scripts/create_splits.py --out out --runs 0-1000000000", "names more than 1,000 runs"),
]
