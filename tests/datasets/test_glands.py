"""The synthetic glands: the same bytes always, in GlaS's layout, whoever writes them and however often."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from scipy.ndimage import label

from seg_al.datasets.glands import COMMON, CROWDED, TORN, TYPES, Amounts, read_glands, write_glands
from seg_al.datasets.glas import GlaS


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> GlaS:
    root = str(tmp_path_factory.mktemp("data"))
    return read_glands(root, run=0, val=8, train=40, rare=0, test_a=12, test_b=8, size=[128, 160], constructed=True)


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def write(folder: Path, seed: int = 0) -> None:
    write_glands(folder, Amounts(4, 0, 2, 2, (48, 64)), seed=seed)


def test_same_arguments_give_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    write(tmp_path / "c", seed=1)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert all(digest(tmp_path / "c")[name] != its for name, its in digest(tmp_path / "a").items())


def test_an_image_does_not_depend_on_how_many_are_painted(tmp_path: Path) -> None:
    write(tmp_path / "few")
    write_glands(tmp_path / "many", Amounts(5, 0, 3, 2, (48, 64)), seed=0)
    few, many = digest(tmp_path / "few"), digest(tmp_path / "many")
    assert {name: many[name] for name in few if name != "Grade.csv"} == {
        k: v for k, v in few.items() if k != "Grade.csv"
    }


def test_layout_is_that_of_glas_with_its_stray_spaces(tmp_path: Path) -> None:
    write(tmp_path / "glands")
    names = [f"train_{n}" for n in range(1, 5)] + ["testA_1", "testA_2", "testB_1", "testB_2"]
    files = [f"{name}{end}" for name in names for end in (".bmp", "_anno.bmp")]
    assert sorted(path.name for path in (tmp_path / "glands").iterdir()) == sorted([*files, "Grade.csv"])
    rows = (tmp_path / "glands" / "Grade.csv").read_text().splitlines()
    assert rows[0] == "name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"
    assert sum(", benign, " in row for row in rows) == sum(", malignant, " in row for row in rows) == 4


def test_default_images_are_split_readable_and_hold_whole_glands(default: GlaS) -> None:
    assert (len(default.pool), len(default.val)) == (32, 8)
    assert {part: len(names) for part, names in default.tests.items()} == {"testA": 12, "testB": 8}
    assert sorted(default.column("grade").values()) == ["benign"] * 16 + ["malignant"] * 16
    share = [default.target(name).mean() for name in default.frames]
    assert 0.3 < np.mean(share) < 0.55  # GlaS: 0.5
    assert min(share) > 0.1
    for name in default.pool[:8]:
        ids = default.objects(name)
        assert default.size(name) == ids.shape == (128, 160)
        assert set(np.unique(ids)) == set(range(ids.max() + 1))
        assert (
            label(ids > 0, structure=np.ones((3, 3)))[1] == ids.max()
        )  # no gland touches another, none is in two pieces


def test_a_dark_rim_and_a_pale_lumen_tell_a_gland_from_the_stroma(default: GlaS) -> None:
    for grade in ("benign", "malignant"):
        names = [name for name, its in default.column("grade").items() if its == grade]
        red = [np.array([default.image(n)[..., 0][default.target(n) == part].std() for part in (0, 1)]) for n in names]
        assert np.mean([inside > outside for outside, inside in red]) > 0.8


def test_images_are_painted_once_and_the_run_draws_only_the_split(tmp_path: Path) -> None:
    first = read_glands(
        str(tmp_path), run=0, val=2, train=8, rare=0, test_a=2, test_b=2, size=[32, 48], constructed=True
    )
    folder = first.frames["train_1"].image.parent
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    others = [
        read_glands(str(tmp_path), run=n, val=2, train=8, rare=0, test_a=2, test_b=2, size=[32, 48], constructed=True)
        for n in range(1, 5)
    ]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    assert len({glands.val for glands in (first, *others)}) > 1
    assert list(tmp_path.iterdir()) == [folder]
    read_glands(str(tmp_path), run=0, val=2, train=8, rare=0, test_a=2, test_b=2, size=[48, 32], constructed=True)
    assert len(list(tmp_path.iterdir())) == 2


def test_several_writers_that_start_at_once_agree(tmp_path: Path) -> None:
    write(tmp_path / "alone")
    start = Barrier(4)

    def together(_: int) -> None:
        start.wait(60)
        write(tmp_path / "together")

    with ThreadPoolExecutor(4) as writers:
        assert list(writers.map(together, range(4))) == [None] * 4
    assert digest(tmp_path / "together") == digest(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "together"]


def test_what_a_killed_process_leaves_behind_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "whole")
    part = tmp_path / ".glands.killed"
    part.mkdir()
    (part / "train_1.bmp").write_bytes(b"half")
    write(tmp_path / "glands")
    assert digest(tmp_path / "glands") == digest(tmp_path / "whole")


@pytest.mark.parametrize(
    ("size", "train", "named"),
    [([128], 8, "dataset.size"), ([16, 64], 8, "dataset.size"), ([32, 32], 1, "dataset.train")],
)
def test_bad_sizes_and_counts_are_named(tmp_path: Path, size: list[int], train: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        read_glands(str(tmp_path), run=0, val=2, train=train, rare=0, test_a=2, test_b=2, size=size, constructed=True)


def rare_types(root: Path, run: int = 0, val: int = 3) -> GlaS:
    return read_glands(str(root), run, val=val, train=4, rare=3, test_a=6, test_b=3, size=[64, 80], constructed=True)


@pytest.fixture(scope="module")
def with_rare_types(tmp_path_factory: pytest.TempPathFactory) -> GlaS:
    return rare_types(tmp_path_factory.mktemp("data"))


def types(glands: GlaS, names: tuple[str, ...]) -> Counter[str]:
    kinds = (glands.frames[name].grade_detailed for name in names)
    return Counter(kind if kind in (TORN, CROWDED) else COMMON for kind in kinds)


def test_a_pool_with_rare_types_has_tests_and_val_in_which_all_types_are_alike(with_rare_types: GlaS) -> None:
    assert types(with_rare_types, with_rare_types.pool) == {COMMON: 3, TORN: 2, CROWDED: 2}
    assert types(with_rare_types, with_rare_types.val) == dict.fromkeys(TYPES, 1)
    assert types(with_rare_types, with_rare_types.tests["testA"]) == dict.fromkeys(TYPES, 2)
    assert types(with_rare_types, with_rare_types.tests["testB"]) == dict.fromkeys(TYPES, 1)
    assert Counter(with_rare_types.column("grade_detailed").values())[TORN] == 2


def test_a_run_draws_another_val_of_the_same_types(tmp_path: Path) -> None:
    drawn = [rare_types(tmp_path, run) for run in range(6)]
    assert len({glands.val for glands in drawn}) > 1
    assert all(types(glands, glands.val) == dict.fromkeys(TYPES, 1) for glands in drawn)


def test_torn_stroma_is_white_and_crowded_stroma_is_full_of_dark_nuclei(with_rare_types: GlaS) -> None:
    names = sorted(with_rare_types.frames)
    bright: dict[str, list[float]] = {kind: [] for kind in TYPES}
    dark: dict[str, list[float]] = {kind: [] for kind in TYPES}
    for name in names:
        (kind,) = types(with_rare_types, (name,))
        stroma = with_rare_types.image(name)[with_rare_types.target(name) == 0]
        bright[kind].append(float(np.mean(stroma.min(axis=1) > 215)))
        dark[kind].append(float(np.mean(stroma[:, 0] < 0.75 * np.median(stroma[:, 0]))))
    assert np.mean(bright[TORN]) > 0.2 > 0.1 > np.mean(bright[COMMON])
    assert np.mean(dark[CROWDED]) > 2 * np.mean(dark[COMMON])


def test_a_val_that_takes_all_of_a_rare_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset\.val=9 leaves no torn image in the pool"):
        rare_types(tmp_path, val=9)
