"""Drawing, writing and reading splits."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_al.datasets.glands import Amounts, write_glands
from seg_al.datasets.splits import Split, by_group, draw_split, drawn, read_split, stratified_val, write_split
from seg_al.randomness import numpy_rng

TRAIN = tuple(f"train_{n}" for n in range(1, 7))
TESTS = {"testA": ("testA_1", "testA_2"), "testB": ("testB_1",)}
GOOD = Split(TRAIN[:4], TRAIN[4:], TESTS, {"run": "3", "stratify": "grade", "group": "patient", "val": "2"})


@given(st.dictionaries(st.text(min_size=1), st.sampled_from("abc"), min_size=2), st.data())
def test_every_group_has_its_share_to_within_one_image(groups: dict[str, str], data: st.DataObject) -> None:
    val = data.draw(st.integers(1, len(groups) - 1))
    drawn = stratified_val(groups, val, numpy_rng(0, "split"))
    assert len(set(drawn)) == val
    for group, size in Counter(groups.values()).items():
        assert abs(sum(groups[name] == group for name in drawn) - val * size / len(groups)) < 1
    backwards = dict(reversed(groups.items()))
    assert stratified_val(backwards, val, numpy_rng(0, "split")) == drawn


def test_every_image_comes_to_val_equally_often() -> None:
    grades = {f"train_{n}": "benign" if n < 4 else "malignant" for n in range(12)}
    seen = Counter(
        name for run in range(600) for name in draw_split(run, 3, {"grade": grades}, ["grade"], None, {}).val
    )
    assert min(seen.values()) > 100  # 150 expected, standard deviation 11
    assert max(seen.values()) < 200


def test_same_run_same_split_and_other_run_other_split() -> None:
    grades = {f"train_{n}": "benign" if n % 2 else "malignant" for n in range(40)}
    first, again, other = (draw_split(run, 8, {"grade": grades}, ["grade"], None, TESTS) for run in (1, 1, 2))
    assert first == again
    assert first.val != other.val


def test_whole_patients_fill_val_with_both_grades() -> None:
    patients = {f"train_{n}": str(n // 4) for n in range(24)}
    grades = {name: "benign" if int(patient) < 3 else "malignant" for name, patient in patients.items()}
    for run in range(20):
        val = by_group(patients, grades, 8, numpy_rng(run, "split"))
        assert sorted(Counter(patients[name] for name in val).values()) == [4, 4]
        assert Counter(grades[name] for name in val) == {"benign": 4, "malignant": 4}


def test_patients_too_large_for_val_are_an_error() -> None:
    patients = {f"train_{n}": str(n // 10) for n in range(20)}
    with pytest.raises(ValueError, match="of 2 groups, and the smallest has 10 images"):
        by_group(patients, dict.fromkeys(patients, "benign"), 2, np.random.default_rng(0))


def test_a_written_split_reads_back_and_writes_the_same_bytes(tmp_path: Path) -> None:
    write_split(tmp_path / "a.csv", GOOD)
    read = read_split(tmp_path / "a.csv", TRAIN, TESTS)
    assert read == GOOD
    write_split(tmp_path / "b.csv", read)
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()
    assert (tmp_path / "a.csv").read_text().splitlines()[2:7] == [
        "# group: patient",
        "# val: 2",
        "image,split",
        "train_1,pool",
        "train_2,pool",
    ]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.csv", "b.csv"]


def test_all_that_is_wrong_in_a_file_is_listed_at_once(tmp_path: Path) -> None:
    rows = ["name,part", "train_1,pool", "train_1,val", "testA_1,pool", "train_2,testA", "testA_2,testB"]
    rows += ["train_77,pool", "train_3,valid", "train_4"]
    (tmp_path / "split.csv").write_text("\n".join(rows))
    with pytest.raises(ValueError, match="9 problems") as caught:
        read_split(tmp_path / "split.csv", TRAIN, TESTS)
    for part in (
        "the header is 'name,part'",
        "line 3: train_1 is there twice: in pool and in val",
        "line 4: testA_1 is a testA image and cannot be in 'pool'",
        "line 5: train_2 is a train image and cannot be in 'testA'",
        "line 6: testA_2 is a testA image and cannot be in 'testB'",
        "line 7: train_77 is not in the dataset",
        "line 8: train_3 is a train image and cannot be in 'valid', only in pool or val",
        "line 9: 'train_4' is not 'image,split'",
        "no image in val",
    ):
        assert part in str(caught.value)


def test_a_file_without_test_images_keeps_the_official_tests(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("image,split\ntrain_2,val\ntrain_1,pool\n")
    assert read_split(tmp_path / "split.csv", TRAIN, TESTS) == Split(("train_1",), ("train_2",), TESTS, {})


def test_the_predecessors_three_files_are_told_apart_by_name(tmp_path: Path) -> None:
    for file, names in (("val", ["train_5"]), ("test", ["testB_1", "testA_2"]), ("train", ["train_3", "train_1"])):
        lines = [f"data/GlaS/{name}.bmp,data/GlaS/{name}_anno.bmp,1" for name in names]
        (tmp_path / f"{file}.csv").write_text("\n".join(lines) + "\n")
    split = read_split(tmp_path, TRAIN, TESTS)
    assert split.pool == ("train_1", "train_3")
    assert split.val == ("train_5",)
    assert split.tests == {"testA": ("testA_2",), "testB": ("testB_1",)}


def test_all_that_is_wrong_in_the_three_files_is_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("testA_1.bmp,testA_1_anno.bmp,0\ntrain_1.bmp,train_2_anno.bmp,0\ntrain_2.bmp\n")
    (tmp_path / "test.csv").write_text("train_3.bmp,train_3_anno.bmp,0\n")
    with pytest.raises(ValueError, match="6 problems") as caught:
        read_split(tmp_path, TRAIN, TESTS)
    for part in (
        "val.csv is missing",
        "no image in val",
        "train.csv line 1: testA_1 is a testA image and cannot be in 'pool'",
        "train.csv line 2: the mask of train_1 is train_2_anno",
        "train.csv line 3: 'train_2.bmp' is not 'image,mask,label'",
        "test.csv line 1: train_3 is a train image and cannot be in 'test'",
    ):
        assert part in str(caught.value)


def _script() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "create_splits.py"
    spec = importlib.util.spec_from_file_location("create_splits", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_script_writes_one_readable_file_per_run_and_keeps_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = tmp_path / "glands", tmp_path / "out"
    write_glands(root, Amounts(8, 0, 2, 2, (32, 32)), seed=0)
    arguments = ["--root", str(root), "--runs", "0-1,5", "--val", "2", "--out", str(out)]
    assert _script().main(arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == ["run_0.csv", "run_1.csv", "run_5.csv"]
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 1 + 3 * 4
    assert table[1].split()[1:5] == ["pool", "6", "3", "3"]
    before = (out / "run_0.csv").read_bytes()
    assert b"# run: 0\n" in before
    assert _script().main(arguments) == 1
    assert "exists already" in capsys.readouterr().err
    assert (out / "run_0.csv").read_bytes() == before
    assert _script().main(["--root", str(tmp_path / "nowhere"), "--out", str(out)]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_groups_are_drawn_whole_from_numbers_and_too_few_are_an_error_with_numbers() -> None:
    names = [f"i{n:02}" for n in range(24)]
    groups, strata = {n: f"g{int(n[1:]) // 4}" for n in names}, {n: "ab"[int(n[1:]) // 12] for n in names}
    for run in range(10):
        val = drawn(8, strata, groups, numpy_rng(run, "split"))
        assert Counter(Counter(groups[name] for name in val).values()) == {4: 2}
        assert Counter(strata[name] for name in val) == {"a": 4, "b": 4}
        assert drawn(8, strata, groups, numpy_rng(run, "split")) == val
    with pytest.raises(ValueError, match="no whole groups come near to 2 of 24 images: they are of 1 groups"):
        drawn(2, strata, dict.fromkeys(names, "one"), numpy_rng(0, "split"))
