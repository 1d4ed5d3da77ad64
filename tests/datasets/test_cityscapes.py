"""conf/dataset/cityscapes.yaml on a small tree in the official layout, and its classes against the official table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cityscapesscripts.helpers.labels import labels
from PIL import Image

from seg_al.core import IGNORE
from seg_al.datasets.folder import FolderDataset, read_folder

CONF = Path(__file__).parents[2] / "conf" / "dataset"
SIZE = (40, 80)
IMAGES = {
    "train": {"aachen": 6, "bochum": 4},
    "val": {"frankfurt": 2, "lindau": 1},
    "test": {"berlin": 1, "bonn": 1},
}
IDS = [label.id for label in labels if label.id >= 0]
TRAIN_IDS = np.array([next(label.trainId for label in labels if label.id == identity) for identity in IDS])


@pytest.fixture(autouse=True)
def _memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "memory"))


def names_of(split: str) -> list[str]:
    return [f"{city}_{n:06d}_000019" for city, count in IMAGES[split].items() for n in range(count)]


def drawn(name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Label ids and instance ids: cars as 26000, 26001 and a group of them as 26; the test's masks are held back."""
    rng = np.random.default_rng(sum(name.encode()))
    ids = rng.choice(np.array(IDS, dtype=np.uint8), SIZE)
    if split == "test":
        ids = rng.choice(np.array([1, 2, 3], dtype=np.uint8), SIZE)
    instances = ids.astype(np.uint16)
    for label in labels:
        if label.hasInstances:
            instances[:30][ids[:30] == label.id] = label.id * 1000 + rng.integers(0, 2)
    return ids, instances


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """leftImg8bit/ and gtFine/ as they are unpacked, with the files that the reader must pass over."""
    root = tmp_path_factory.mktemp("cityscapes")
    for split in IMAGES:
        for name in names_of(split):
            images, masks = (root / part / split / name.split("_")[0] for part in ("leftImg8bit", "gtFine"))
            for place in (images, masks):
                place.mkdir(parents=True, exist_ok=True)
            ids, instances = drawn(name, split)
            rgb = np.stack([ids * 7, ids * 3, 255 - ids], axis=-1).astype(np.uint8)
            Image.fromarray(rgb).save(images / f"{name}_leftImg8bit.png")
            Image.fromarray(ids).save(masks / f"{name}_gtFine_labelIds.png")
            Image.fromarray(TRAIN_IDS.astype(np.uint8)[ids]).save(masks / f"{name}_gtFine_labelTrainIds.png")
            Image.fromarray(instances).save(masks / f"{name}_gtFine_instanceIds.png")
            Image.fromarray(rgb).save(masks / f"{name}_gtFine_color.png")
            (masks / f"{name}_gtFine_polygons.json").write_text("{}")
    (root / "README").write_text("official")
    return root


def values_of(option: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONF / f"{option}.yaml").read_text())
    del values["_target_"]
    return values


def read(root: Path, option: str = "cityscapes", **changes: Any) -> FolderDataset:
    return read_folder(**(values_of(option) | {"root": str(root), "run": 0} | changes))


def test_classes_ids_and_void_are_those_of_the_official_table() -> None:
    trained = sorted((label for label in labels if not label.ignoreInEval), key=lambda label: label.trainId)
    by_id, by_train_id = values_of("cityscapes"), values_of("cityscapes_train_ids")
    assert by_id["classes"] == [[label.name, label.id] for label in trained]
    assert by_id["void"] == sorted(label.id for label in labels if label.ignoreInEval and label.id >= 0)
    assert by_train_id["classes"] == [[label.name, label.trainId] for label in trained]
    assert by_train_id["void"] == [255]
    assert len(trained) == 19
    assert list(range(34)) == IDS


def test_val_is_drawn_of_train_and_the_official_val_is_the_test(tree: Path) -> None:
    drawn_val = [read(tree, run=run, val=0.3) for run in (0, 0, 1)]
    for data in drawn_val:
        assert len(data.val) == 3
        assert sorted(data.pool + data.val) == sorted(names_of("train"))
        assert data.tests == {"test": tuple(sorted(names_of("val")))}
    assert drawn_val[0].val == drawn_val[1].val != drawn_val[2].val
    assert len(read(tree).val) == 1  # the yaml's tenth


def test_targets_are_train_ids_whichever_masks_are_read(tree: Path) -> None:
    one, other = read(tree), read(tree, "cityscapes_train_ids")
    assert (one.classes, one.pool, one.background) == (other.classes, other.pool, None)
    for split in ("train", "val"):
        for name in names_of(split):
            ids, _ = drawn(name, split)
            np.testing.assert_array_equal(one.target(name), TRAIN_IDS[ids])
            np.testing.assert_array_equal(other.target(name), TRAIN_IDS[ids])
            askable = one.askable(name)
            assert askable is not None
            np.testing.assert_array_equal(askable, TRAIN_IDS[ids] != IGNORE)
    assert {label.trainId for label in labels if label.id >= 0} == set(np.unique(one.target(name)).tolist())


def test_objects_are_instance_ids_without_void_and_none_where_the_pattern_is_null(tree: Path) -> None:
    data = read(tree)
    name = data.pool[0]
    ids, instances = drawn(name, "train")
    objects = data.objects(name)
    assert objects is not None
    assert objects.dtype == np.int32
    np.testing.assert_array_equal(objects, np.where(TRAIN_IDS[ids] == 255, 0, instances))
    assert objects.max() >= 33000  # 16 bits and more than a byte
    assert read(tree, objects=None).objects(name) is None


@pytest.mark.parametrize("changes", [{"scale": 0.25}, {"size": [10, 20]}])
def test_any_resolution_is_a_value_of_the_config(tree: Path, changes: dict[str, Any]) -> None:
    data = read(tree, **changes)
    name = data.pool[0]
    ids, instances = drawn(name, "train")
    objects, askable = data.objects(name), data.askable(name)
    assert objects is not None
    assert askable is not None
    assert data.size(name) == data.image(name).shape[:2] == (10, 20)
    target = TRAIN_IDS[ids[2::4, 2::4]]
    np.testing.assert_array_equal(data.target(name), target)
    np.testing.assert_array_equal(askable, target != IGNORE)
    np.testing.assert_array_equal(objects, np.where(target == IGNORE, 0, instances[2::4, 2::4]))


def test_the_city_is_a_column(tree: Path) -> None:
    data = read(tree)
    assert data.column("city") == {name: name.split("_")[0] for name in data.pool}
    with pytest.raises(ValueError, match="no column 'weather'; choose city, split"):
        data.column("weather")


def test_the_official_test_has_no_labels_and_is_refused(tree: Path) -> None:
    with pytest.raises(ValueError, match=r"no pixel of the 2 test images has a class.*held back"):
        read(tree, test="test")


def test_train_ids_under_the_table_of_label_ids_are_told_with_all_their_pixels(tree: Path) -> None:
    masks = values_of("cityscapes_train_ids")["masks"]
    void = sum(np.count_nonzero(TRAIN_IDS[drawn(n, s)[0]] == 255) for s in ("train", "val") for n in names_of(s))
    with pytest.raises(ValueError, match=rf"dataset\.void \(1\):\s+255: {void:,} pixels in 13 images"):
        read(tree, masks=masks)


def test_a_tree_without_labels_names_the_missing_files_and_their_pattern(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "leftImg8bit").symlink_to(tree / "leftImg8bit", target_is_directory=True)
    with pytest.raises(
        ValueError, match=r"image without mask \(13\):\s.*no gtFine/train/aachen/aachen_000000_000019_gtFine"
    ):
        read(tmp_path / "half")


@pytest.mark.parametrize("option", ["cityscapes", "cityscapes_train_ids"])
def test_pictures_are_in_the_official_colours(option: str) -> None:
    palette = yaml.safe_load((CONF / f"{option}.yaml").read_text())["palette"]
    assert palette == {label.name: list(label.color) for label in labels if 0 <= label.trainId < 19}
