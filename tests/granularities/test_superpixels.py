"""What the superpixel algorithms give, and the files that keep it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Picture
from skimage.measure import label

from seg_al.core import ByteImage, EvidenceSet, Scene
from seg_al.granularities.superpixels import Seeds, Slic, Superpixel, Watershed

SIZE = (60, 90)
SLIC = Slic(cells=50, compactness=10.0, sigma=0.0)
CAMVID = Path(__file__).parents[3] / "shared" / "datasets" / "camvid" / "CamVid"
SEEDS_HERE = hasattr(cv2, "ximgproc")


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> ByteImage:
    """Two colours with a slanted border between them, and noise."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    right = columns > size[1] / 3 + rows / 2
    image = np.where(right[..., None], (220, 150, 90), (20, 60, 120))
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def scene(image: ByteImage, name: str = "town/a b.png") -> Scene:
    size = image.shape[:2]
    within = torch.ones(size, dtype=torch.bool)
    return Scene(name, lambda: image, within, EvidenceSet(size), None, np.random.default_rng(0))


def superpixel(folder: Path, algorithm: object = SLIC) -> Superpixel:
    return Superpixel("mean", 1.0, algorithm, str(folder))  # type: ignore[arg-type]


def seeds(cells: int) -> Seeds:
    return Seeds(cells, smoothness=3, levels=3, bins=10, iterations=10)


ALGORITHMS: dict[str, Callable[[int], object]] = {
    "slic": lambda cells: Slic(cells, 10.0, 0.0),
    "watershed": lambda cells: Watershed(cells, 0.001),
    "seeds": seeds,
}


def made(name: str, cells: int) -> object:
    if name == "seeds" and not SEEDS_HERE:
        pytest.skip("this OpenCV has no SEEDS")
    return ALGORITHMS[name](cells)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_cells_are_connected_as_many_as_asked_roughly_and_follow_colour(name, tmp_path):
    image = picture()
    ids = superpixel(tmp_path, made(name, 54)).units(scene(image))
    assert ids.shape == SIZE
    assert ids.dtype == torch.long
    assert ids.min() >= 0
    assert 27 <= len(ids.unique()) <= 81
    pieces = label(ids.numpy() + 1, connectivity=2)
    assert pieces.max() == len(ids.unique())
    blue = image[..., 2].astype(int) > image[..., 0]
    impure = sum(min(blue[ids.numpy() == cell].sum(), (~blue)[ids.numpy() == cell].sum()) for cell in ids.unique())
    tiles = (np.arange(60)[:, None] // 10) * 9 + np.arange(90) // 10
    of_tiles = sum(min(blue[tiles == cell].sum(), (~blue)[tiles == cell].sum()) for cell in np.unique(tiles))
    assert impure < of_tiles / 4, "squares as many as these cut across the border"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_same_image_is_cut_the_same_in_any_folder_and_from_its_file(name, tmp_path):
    algorithm = made(name, 40)
    first = superpixel(tmp_path / "one", algorithm).units(scene(picture()))
    assert torch.equal(superpixel(tmp_path / "two", algorithm).units(scene(picture())), first)
    assert torch.equal(superpixel(tmp_path / "one", algorithm).units(scene(picture())), first)


def test_the_predecessors_watershed_gives_98_of_100_cells_for_a_street_scene():
    """Its ids are 1 to 98: a lattice of 7 x 14 markers, at any image twice as wide as high."""
    rows, columns = np.mgrid[:256, :512]
    smooth = np.stack([np.sin(rows / 22) + np.cos(columns / 17), np.cos(rows / 10), np.sin(columns / 30)], axis=-1)
    ids = Watershed(100, 0.001)(((smooth + 2) * 60).astype(np.uint8))
    assert np.unique(ids).tolist() == list(range(1, 99))


@pytest.mark.skipif(SEEDS_HERE, reason="this OpenCV has SEEDS")
def test_seeds_without_opencvs_module_says_what_to_install():
    with pytest.raises(ValueError, match="opencv-contrib-python-headless"):
        seeds(50)


def test_a_file_is_made_once_and_read_from_then_on(tmp_path, caplog):
    cut = superpixel(tmp_path)
    first = cut.units(scene(picture()))
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("town_a_b.png-")
    then = path.stat().st_mtime_ns
    with np.load(path) as archive:
        assert archive["ids"].dtype == np.uint16
        planted = dict(archive)
    planted["ids"] = planted["ids"] + np.uint16(7)
    np.savez(path, **planted)
    os.utime(path, ns=(then, then))
    assert torch.equal(cut.units(scene(picture())), first + 7), "read, not cut again"
    assert path.stat().st_mtime_ns == then
    assert not caplog.records


def test_a_file_of_other_pixels_is_made_again_and_that_is_said(tmp_path, caplog):
    cut = superpixel(tmp_path)
    cut.units(scene(picture(0)))
    other = picture(0)[:, ::-1].copy()
    with caplog.at_level(logging.WARNING):
        found = cut.units(scene(other))
    assert "of another image or other parameters and made again" in caplog.text
    assert torch.equal(found, superpixel(tmp_path / "fresh").units(scene(other)))
    caplog.clear()
    assert torch.equal(cut.units(scene(other)), found)
    assert not caplog.records
    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 1


def test_a_file_of_other_parameters_is_made_again_and_that_is_said(tmp_path, caplog):
    superpixel(tmp_path).units(scene(picture()))
    (theirs,) = tmp_path.iterdir()
    content = theirs.read_bytes()
    fewer = superpixel(tmp_path, Slic(20, 10.0, 0.0))
    found = fewer.units(scene(picture()))
    assert not caplog.records, "sets of parameters have files of their own"
    (ours,) = set(tmp_path.iterdir()) - {theirs}
    ours.write_bytes(content)
    assert torch.equal(fewer.units(scene(picture())), found)
    assert "other parameters and made again" in caplog.text


def test_names_and_sizes_have_files_of_their_own(tmp_path, caplog):
    cut = superpixel(tmp_path)
    for name in ("a/b", "a_b", "a b"):
        for size in (SIZE, (30, 45)):
            cut.units(scene(picture(0, size), name))
    assert len(list(tmp_path.iterdir())) == 6
    assert not caplog.records


def test_a_damaged_file_is_made_again_and_that_is_said(tmp_path, caplog):
    cut = superpixel(tmp_path)
    first = cut.units(scene(picture()))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(80):
        if number % 2:
            damaged = whole[: int(rng.integers(0, len(whole)))]
        else:
            place = int(rng.integers(0, len(whole)))
            damaged = whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :]
        path.write_bytes(damaged)
        assert torch.equal(cut.units(scene(picture())), first), number
    assert caplog.text.count("damaged") > 40
    path.write_text("not an archive")
    assert torch.equal(cut.units(scene(picture())), first)
    assert path.read_bytes() == whole


def _cut_again_and_again(folder: Path) -> bool:
    """Whether all cuts agree, while others write the same files."""
    wanted = [SLIC(picture(seed)) for seed in range(2)]
    good = True
    for number in range(6):
        found = superpixel(folder).units(scene(picture(number % 2)))
        good &= bool((found.numpy() == wanted[number % 2]).all())
    return good


def test_runs_that_make_the_same_files_at_once_do_not_disturb_each_other(tmp_path):
    with ThreadPoolExecutor(4) as workers:
        assert all(workers.map(_cut_again_and_again, [tmp_path] * 4))
    assert len(list(tmp_path.iterdir())) == 1, "no leftovers"


def test_a_folder_that_cannot_be_written_is_refused_at_once_or_when_first_needed(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"granularity.folder=.*choose another folder"):
        superpixel(tmp_path / "file" / "below")
    cut = superpixel(tmp_path / "later")
    (tmp_path / "later").write_text("")
    with pytest.raises(ValueError, match=r"granularity.folder=.*choose another folder"):
        cut.units(scene(picture()))
    if Path("/proc").is_dir():
        with pytest.raises(ValueError, match=r"granularity.folder=/proc/here.*choose another folder"):
            superpixel(Path("/proc/here")).units(scene(picture()))


def test_more_cells_than_pixels_name_the_image_and_its_size(tmp_path):
    with pytest.raises(ValueError, match=r"image town/a b.png of 4 x 5 pixels cannot be cut into 50 cells"):
        superpixel(tmp_path).units(scene(picture(0, (4, 5))))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Slic(0, 10.0, 0.0), "cells is at least 1, not 0"),
        (lambda: Slic(5, 0.0, 0.0), "compactness is above 0"),
        (lambda: Slic(5, 1.0, -1.0), "sigma is at least 0"),
        (lambda: Watershed(-3, 0.0), "cells is at least 1, not -3"),
        (lambda: Watershed(3, -0.1), "compactness is at least 0"),
        (lambda: Seeds(3, 6, 4, 5, 10), "smoothness is 0 to 5"),
        (lambda: Seeds(3, 3, 0, 5, 10), "levels is at least 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not here")
@pytest.mark.parametrize("algorithm", [Slic(600, 10.0, 0.0), Watershed(600, 0.001)], ids=lambda one: type(one).__name__)
def test_superpixels_of_a_real_street_follow_its_classes_better_than_tiles(algorithm, tmp_path):
    image = np.array(Picture.open(CAMVID / "train" / "0001TP_006690.jpg").convert("RGB"))
    truth = np.array(Picture.open(CAMVID / "trainannot" / "0001TP_006690.png"))
    ids = superpixel(tmp_path, algorithm).units(scene(image)).numpy()
    tile = round((image.shape[0] * image.shape[1] / len(np.unique(ids))) ** 0.5)
    rows, columns = np.indices(truth.shape) // tile
    tiles = rows * 10_000 + columns
    assert abs(len(np.unique(tiles)) / len(np.unique(ids)) - 1) < 0.15
    assert wrong(ids, truth) < 0.85 * wrong(tiles, truth)


def wrong(ids: np.ndarray, truth: np.ndarray) -> float:
    """The share of pixels that are not of the most frequent class of their unit."""
    names, units = np.unique(ids, return_inverse=True)
    table = np.zeros((len(names), 256))
    np.add.at(table, (units.ravel(), truth.ravel()), 1)
    return float(1 - table.max(axis=1).sum() / truth.size)
