"""The colours of a data set reach the pictures of a run on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread
from PIL import Image

from experiments import TINY, Notes, built, composed
from seg_al.core import Coloured
from seg_al.recording.pictures.palette import palette

SKY, ROAD = (70, 130, 180), (128, 64, 128)


def street(folder: Path, count: int) -> None:
    """Pictures of noise; of each mask the upper half is sky and the lower half is road."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    mask = np.repeat(np.array([0, 1], np.uint8), 16)[:, None].repeat(32, axis=1)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")


def test_the_colours_of_a_data_set_reach_the_pictures_of_its_run(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 1), ("test", 1)):
        street(tmp_path / "street" / split, count)
    own = ("dataset=folder", f"dataset.root={tmp_path / 'street'}", "dataset.classes=[[sky,0],[road,1]]")
    own += (f"dataset.palette={{sky:{list(SKY)},road:{list(ROAD)}}}", "dataset.background=null")
    quick = [one for one in TINY if not one.startswith("dataset.") and not one.startswith("gallery")]
    experiment = built(*composed(*own, *quick, "rounds=2", "initial=1", "gallery=1", "heuristic=random"))
    assert isinstance(experiment.dataset, Coloured)
    experiment(Notes(), tmp_path / "run")
    place = tmp_path / "run" / "rounds" / "01"
    for name in ("gallery.png", "asked.png"):
        shown = np.rint(imread(place / name)[..., :3] * 255)
        sky, road, ours = ((shown == colour).all(axis=2).sum() for colour in (SKY, ROAD, palette(2)[1]))
        assert min(sky, road) > 1_000, name
        assert ours == 0, name
