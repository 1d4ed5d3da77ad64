"""The GlaS reader: official layout, the real images, splits, and every way in which a folder can be wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seg_al.datasets.glas import GlaS, read_glas
from seg_al.datasets.splits import write_split

REAL = Path(__file__).parents[3] / "shared" / "datasets" / "glas"
HEADER = "name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"
NAMES = [f"train_{n}" for n in range(1, 13)] + ["testA_1", "testA_2", "testB_1"]

needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real GlaS images are not at {REAL}")


def read(root: Path, **changes: Any) -> GlaS:
    arguments = {
        "run": 0,
        "val": 4,
        "stratify": ["grade"],
        "group": None,
        "split_file": None,
        "test": "both",
        "scale": 1.0,
    }
    return read_glas(**({"root": str(root)} | arguments | changes))


def pixels(name: str) -> np.ndarray:
    return np.random.default_rng(NAMES.index(name)).integers(0, 256, (10, 14, 3), dtype=np.uint8)


def ids() -> np.ndarray:
    glands = np.zeros((10, 14), dtype=np.uint8)
    glands[1:5, 2:6], glands[6:9, 8:14] = 1, 7
    return glands


def official(folder: Path, order: list[str] = NAMES, suffix: str = ".bmp") -> Path:
    """Writes the official layout; patients of three images each, every third image benign."""
    folder.mkdir(parents=True)
    rows = [HEADER]
    for name in order:
        Image.fromarray(pixels(name)).save(folder / f"{name}{suffix}")
        Image.fromarray(ids()).save(folder / f"{name}_anno.bmp")
        number = NAMES.index(name)
        rows.append(f"{name},{number // 3}, {'benign' if number % 3 == 0 else 'malignant'}, healthy")
    (folder / "Grade.csv").write_text("\r\n".join(rows) + "\r\n", newline="")
    return folder


def renumbered(glands: np.ndarray) -> np.ndarray:
    """The same glands, numbered from 1 in the order of their first pixels."""
    numbers = {gland: number for number, gland in enumerate(dict.fromkeys(glands[glands > 0].tolist()), start=1)}
    return np.vectorize(lambda gland: numbers.get(gland, 0), otypes=[np.int32])(glands)


def message(root: Path, **changes: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(root, **changes)
    return str(caught.value)


def test_glands_of_one_id_that_do_not_touch_are_glands_of_their_own(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    annotation = np.zeros((10, 14), dtype=np.uint8)
    annotation[1:3, 1:3] = annotation[5:8, 6:9] = annotation[3, 3] = 4
    Image.fromarray(annotation).save(folder / "train_1_anno.bmp")
    found = read(folder).objects("train_1")
    assert found.max() == 2
    assert found[1, 1] == found[3, 3] != found[6, 7]


def test_official_bitmaps_give_their_very_pixels_and_gland_ids(tmp_path: Path) -> None:
    glas = read(official(tmp_path / "glas"))
    for name in ("train_3", "testB_1"):
        np.testing.assert_array_equal(glas.image(name), pixels(name))
        np.testing.assert_array_equal(glas.objects(name), renumbered(ids()))
        np.testing.assert_array_equal(glas.target(name), ids() > 0)
        assert glas.image(name).dtype == np.uint8
        assert glas.target(name).dtype == np.uint8
        assert glas.objects(name).dtype == np.int32
        assert glas.size(name) == (10, 14)
    assert glas.classes[glas.background or 0] == "background"
    assert glas.tests == {"testA": ("testA_1", "testA_2"), "testB": ("testB_1",)}
    assert (*glas.pool, *glas.val) != ()
    assert sorted(glas.pool + glas.val) == sorted(name for name in NAMES if name.startswith("train"))


def test_columns_of_grade_csv_are_stripped_and_cover_the_pool_only(tmp_path: Path) -> None:
    glas = read(official(tmp_path / "glas"))
    assert set(glas.column("grade")) == set(glas.pool)
    assert set(glas.column("grade").values()) == {"benign", "malignant"}
    assert set(glas.column("grade_detailed").values()) == {"healthy"}
    assert all(glas.column("patient")[name] == str((int(name[6:]) - 1) // 3) for name in glas.pool)
    with pytest.raises(ValueError, match="'age'"):
        glas.column("age")


def test_scaled_sizes_are_known_without_decoding_and_labels_stay_ids(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    half, double = read(folder, scale=0.5), read(folder, scale=2.0)
    assert half.size("train_1") == half.image("train_1").shape[:2] == half.target("train_1").shape == (5, 7)
    np.testing.assert_array_equal(half.objects("train_1"), renumbered(ids()[1::2, 1::2]))
    enlarged = ids().repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(double.objects("train_1"), renumbered(enlarged))
    flat = np.full((10, 14, 3), 77, dtype=np.uint8)
    Image.fromarray(flat).save(folder / "train_1.bmp")
    np.testing.assert_array_equal(half.image("train_1"), flat[:5, :7])


def test_official_sub_folder_is_found_and_two_copies_are_refused(tmp_path: Path) -> None:
    official(tmp_path / "glas" / "Warwick QU Dataset (Released 2016_07_08)")
    assert len(read(tmp_path / "glas").val) == 4
    official(tmp_path / "glas" / "Warwick_QU_Dataset")
    assert "several copies" in message(tmp_path / "glas")


def test_the_order_of_the_file_system_and_the_format_change_nothing(tmp_path: Path) -> None:
    here, there = official(tmp_path / "a"), official(tmp_path / "b", NAMES[::-1], suffix=".PNG")
    one, other = read(here), read(there)
    assert (one.pool, one.val, one.tests) == (other.pool, other.val, other.tests)
    assert list(one.frames) == list(other.frames) == sorted(NAMES)
    assert one.pool == tuple(sorted(one.pool))
    np.testing.assert_array_equal(one.image("train_10"), other.image("train_10"))


@pytest.mark.parametrize(("test", "parts"), [("A", ["testA"]), ("B", ["testB"]), ("both", ["testA", "testB"])])
def test_option_picks_the_test_sets(tmp_path: Path, test: str, parts: list[str]) -> None:
    assert list(read(official(tmp_path / "glas"), test=test).tests) == parts


def test_everything_that_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    (folder / "train_1_anno.bmp").unlink()
    (folder / "train_2.bmp").unlink()
    for path in folder.glob("train_3*"):
        path.unlink()
    Image.fromarray(ids()[:9]).save(folder / "train_4_anno.bmp")
    Image.fromarray(pixels("train_5")).save(folder / "train_5.png")
    (folder / "train_6.bmp").write_bytes(b"BM no bitmap")
    (folder / "train_7_anno.bmp").write_bytes(b"")
    rows = (folder / "Grade.csv").read_text().splitlines()
    rows = [row for row in rows if not row.startswith("train_8,")]
    rows[rows.index("train_9,2, malignant, healthy")] = "train_9,2, doubtful, healthy"
    rows += ["train_10,3, benign, healthy", "train_99,3, benign, healthy", "nonsense,1, benign, healthy", "testA_1"]
    (folder / "Grade.csv").write_text("\n".join(rows))
    text = message(folder)
    for part in (
        "train_1: image without annotation",
        "train_2: annotation without image",
        "train_3: unknown row in Grade.csv, neither image nor annotation",
        "train_4: sizes differ, the image has 10x14 pixels, the annotation 9x14",
        "train_5: 2 files of this name",
        "train_6.bmp is unreadable",
        "train_7_anno.bmp is unreadable",
        "train_8: no row in Grade.csv",
        "unknown grade 'doubtful' of train_9",
        "a second row for train_10",
        "train_99: unknown row",
        "nonsense: unknown row",
        "1 cells, the header has 4",
        "13 problems",
    ):
        assert part in text
    assert text.count("\n  - ") == 13


def test_a_folder_that_is_not_there_says_where_to_get_the_images(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "nowhere", tmp_path / "empty"):
        text = message(root)
        assert str(root) in text
        assert "Warwick" in text
        assert "docs/datasets.md" in text
        assert "dataset.root" in text


def test_a_missing_or_foreign_grade_file_is_named(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    (folder / "Grade.csv").write_text("image;grade\n")
    assert "grade (GlaS)" in message(folder)
    (folder / "Grade.csv").unlink()
    assert "Grade.csv is missing" in message(folder)


def test_a_truncated_image_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    for file in ("train_1.bmp", "train_2_anno.bmp"):
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: len(data) - 60])
    glas = read(folder)
    with pytest.raises(ValueError, match=r"train_1\.bmp is corrupt"):
        glas.image("train_1")
    with pytest.raises(ValueError, match=r"train_2_anno\.bmp is corrupt"):
        glas.target("train_2")


def test_annotations_in_a_lossy_format_are_refused_and_images_in_one_read(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas", suffix=".jpg")
    np.testing.assert_array_equal(read(folder).target("train_1"), ids() != 0)
    (folder / "train_1_anno.bmp").unlink()
    Image.fromarray(ids() * 30).save(folder / "train_1_anno.jpg")
    text = message(folder)
    assert "train_1_anno.jpg (JPEG, 1 channel of 8 bits) is an annotation in a lossy format" in text
    assert "save it as PNG" in text


def test_an_orientation_turns_an_image_and_refuses_an_annotation(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    exif = Image.Exif()
    exif[0x0112] = 3
    (folder / "train_1.bmp").unlink()
    Image.fromarray(pixels("train_1")[::-1, ::-1]).save(folder / "train_1.png", exif=exif)
    np.testing.assert_array_equal(read(folder).image("train_1"), pixels("train_1"))
    (folder / "train_2_anno.bmp").unlink()
    Image.fromarray(ids()).save(folder / "train_2_anno.png", exif=exif)
    assert "train_2_anno.png (PNG, 1 channel of 8 bits, orientation 3) is an annotation with an EXIF" in message(folder)


def test_a_grade_file_of_another_encoding_is_named_with_the_remedy(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    text = (folder / "Grade.csv").read_text().replace("healthy", "diff\u00e9renci\u00e9", 1)
    (folder / "Grade.csv").write_bytes(text.encode("latin-1"))
    assert "Grade.csv is not in UTF-8 (invalid continuation byte at byte " in message(folder)
    assert "save it again in UTF-8" in message(folder)
    (folder / "Grade.csv").write_text(text, encoding="utf-8-sig")
    assert len(read(folder).pool) == 8


def test_a_grey_annotation_with_three_channels_is_read_and_a_coloured_one_refused(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    grey = np.stack([ids()] * 3, axis=-1)
    Image.fromarray(grey).save(folder / "train_1_anno.bmp")
    coloured = grey.copy()
    coloured[1, 2, 2] = 9
    Image.fromarray(coloured).save(folder / "train_2_anno.bmp")
    glas = read(folder)
    np.testing.assert_array_equal(glas.objects("train_1"), renumbered(ids()))
    with pytest.raises(ValueError, match=r"train_2_anno\.bmp is coloured"):
        glas.objects("train_2")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"val": 0}, "dataset.val=0"),
        ({"val": 12}, "dataset.val=12"),
        ({"scale": 0.0}, "dataset.scale"),
        ({"scale": float("nan")}, "dataset.scale"),
        ({"stratify": ["age"]}, "dataset.stratify"),
        ({"stratify": "grade"}, "as in [grade]"),
        ({"group": "age"}, "dataset.group"),
        ({"test": "C"}, "dataset.test"),
        ({"split_file": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    assert named in message(official(tmp_path / "glas"), **changes)


def test_a_split_file_replaces_the_draw(tmp_path: Path) -> None:
    folder = official(tmp_path / "glas")
    drawn = read(folder, run=3)
    split = replace(_split_of(drawn), pool=drawn.pool[1:])
    write_split(tmp_path / "split.csv", split)
    again = read(folder, run=0, val=1, split_file=str(tmp_path / "split.csv"))
    assert (again.pool, again.val, again.tests) == (drawn.pool[1:], drawn.val, drawn.tests)


def _split_of(glas: GlaS) -> Any:
    from seg_al.datasets.splits import Split

    return Split(glas.pool, glas.val, glas.tests, {})


@needs_real
def test_real_images_split_85_60_20_with_17_val_by_grade() -> None:
    splits = [read(REAL, run=run, val=17) for run in (0, 0, 1)]
    for glas in splits:
        assert (len(glas.pool), len(glas.val)) == (68, 17)
        assert {part: len(names) for part, names in glas.tests.items()} == {"testA": 60, "testB": 20}
        grades = [glas.frames[name].grade for name in glas.val]
        assert (grades.count("benign"), grades.count("malignant")) == (7, 10)  # 37 and 48 of 85, times 17
    assert splits[0].val == splits[1].val != splits[2].val


@needs_real
@pytest.mark.parametrize("run", range(6))
def test_real_patients_are_on_one_side_only(run: int) -> None:
    glas = read(REAL, run=run, val=17, group="patient")
    patients = [{glas.frames[name].patient for name in names} for names in (glas.pool, glas.val)]
    assert not patients[0] & patients[1]
    assert abs(len(glas.val) - 17) <= 2
    assert {glas.frames[name].grade for name in glas.val} == {"benign", "malignant"}


@needs_real
def test_real_images_hold_1530_ids_on_1553_separate_glands_and_sizes_agree_with_headers() -> None:
    glas = read(REAL, val=17)
    glands = sum(len(np.unique(glas.objects(name))) - 1 for name in glas.frames)
    assert glands == 1553  # 27 of them share four ids, in four images
    sizes = {glas.size(name) for name in glas.frames}
    assert (522, 775) in sizes
    assert all(glas.target(name).shape == glas.size(name) for name in glas.pool[:3])
    assert glas.image("train_1").shape == (522, 775, 3)
