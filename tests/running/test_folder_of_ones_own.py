"""A folder of the user's own, named once: its Python files and configs make parts of every group, in any process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import run
from experiments import ROOT, TINY, command, queries
from seg_al.running.command_line import importable, repeated, studies, study_of, with_own_folder

EXAMPLE = ROOT / "docs" / "examples" / "mine"
DATASET = """
from seg_al.core import Dataset
from seg_al.datasets.glands import read_glands


def read_mine(root: str, run: int) -> Dataset:
    return read_glands(root, run, val=2, train=8, rare=0, test_a=2, test_b=2, size=(32, 40), constructed=True)
"""
OWN = tuple(word for word in TINY if not word.startswith("dataset."))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The worked example of docs/, with a data set as one Python file and one yaml, and a study."""
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "painted.py").write_text(DATASET)
    (folder / "conf/dataset/painted.yaml").write_text("_target_: painted.read_mine\nroot: data\nrun: ${run}\n")
    (folder / "conf/experiment").mkdir()
    study = {"defaults": [{"override /heuristic": "tsallis"}], "budget": 2, "rounds": 2}
    (folder / "conf/experiment/two.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(study)}")
    return folder


def config_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "config.json").read_text())
    return found


def test_heuristic_selector_data_set_and_granularity_come_from_outside(mine: Path, tmp_path: Path) -> None:
    chosen = ("heuristic=tsallis", "selector=one_per_image", "dataset=painted", "granularity=stripes", "cost=regions")
    ended = command(tmp_path, "-cd", "mine", *OWN, *chosen, "budget=3", "rounds=2", "folder=one", "heuristic.order=3")
    assert ended.code == 0, ended.text
    config = config_of(tmp_path / "one")
    assert config["heuristic"] == {"_target_": "tsallis.Tsallis", "order": 3}
    assert config["choices"]["granularity"] == "stripes"  # type: ignore[index]
    asked = queries(tmp_path / "one", 1)
    assert len(asked) == 3
    assert len({query["image"] for query in asked}) == 3
    for query in asked:  # 16 of 32 rows, over the whole width of 40
        assert sum(stop - start for start, stop in query["region"]["runs"]) == 16 * 40


def test_a_schedule_names_own_options_and_a_slip_in_their_code_is_told_before_anything_is_trained(
    mine: Path, tmp_path: Path
) -> None:
    code = (mine / "tsallis.py").read_text()
    (mine / "tsallis.py").write_text(code.replace("maps.mean", "maps.maen"))
    words = ("-cd", "mine", *TINY, "schedule={1: random+one_per_image, 2: tsallis}", "folder=one")
    ended = command(tmp_path, *words)
    assert ended.code == 1
    assert "heuristic=tsallis fails on a small made-up image: AttributeError" in ended.text
    assert not (tmp_path / "one").exists()
    (mine / "tsallis.py").write_text(code)
    ended = command(tmp_path, *words)
    assert ended.code == 0, ended.text
    assert config_of(tmp_path / "one")["schedule"] == "random+one_per_image>tsallis@2"
    assert [query["why"].split(" = ")[0] for query in queries(tmp_path / "one", 2)] == [
        "choice 1 of 3 by the selector Top, tsallis"
    ]


def test_a_misspelt_key_is_corrected_towards_those_of_the_own_option(mine: Path, tmp_path: Path) -> None:
    for words in (["heuristic.ordr=3"], ["experiment=two", "heuristic.ordr=3"], ["-m", "heuristic.ordr=3,4"]):
        ended = command(tmp_path, "-cd", "mine", *words, *TINY, "heuristic=tsallis")
        assert ended.code == 1
        assert "heuristic.ordr is not in the config; did you mean heuristic.order?" in ended.text
        assert "append" not in ended.text
        assert "Could not override" not in ended.text
    ended = command(tmp_path, "-cd", "mine", *TINY, "heuristic=tsallis", "+heuristic.ordr=3")
    assert "heuristic.ordr is not an option of tsallis.Tsallis; did you mean order?" in ended.text


@pytest.mark.parametrize("names", [["tsalis"], ["-m", "tsalis,bald"]], ids=["alone", "in a sweep"])
def test_a_misspelt_option_is_corrected_and_a_broken_file_beside_it_is_named(
    names: list[str], mine: Path, tmp_path: Path
) -> None:
    (mine / "conf/heuristic/torn.yaml").write_text("order: [1\n")
    *mode, heuristics = names
    ended = command(tmp_path, "-cd", "mine", *mode, *TINY, f"heuristic={heuristics}")
    assert ended.code == 1
    assert "heuristic=tsalis is no option; did you mean tsallis?\nheuristic has axon_myelin, " in ended.text
    assert "mine/conf/heuristic/torn.yaml, line 1: " in ended.text
    assert "search path" not in ended.text
    assert "Traceback" not in ended.text


def test_a_target_that_cannot_be_imported_is_answered_by_what_the_own_folder_has(mine: Path, tmp_path: Path) -> None:
    told = {
        "tsallis.Tsalis": "tsallis has no Tsalis; did you mean Tsallis?",
        "tsalis.Tsallis": f"No module named 'tsalis' in {mine}; did you mean tsallis?",
        "xyz.Tsallis": f"No module named 'xyz' in {mine}; there are check, one_per_image, painted, ",
        "tsallis": "it has to be FILE.CLASS, such as tsallis.Tsallis",
    }
    targets = f"heuristic._target_={','.join(told)}"
    ended = command(tmp_path, "-cd", "mine", "-m", *TINY, "heuristic=tsallis", targets)
    for target, why in told.items():
        assert f"heuristic._target_={target} cannot be imported: {why}" in ended.text


@pytest.mark.slow
def test_processes_beside_each_other_import_it_together_with_a_study_and_its_command_repeats_a_job(
    mine: Path, tmp_path: Path
) -> None:
    program = [sys.executable, str(ROOT / "run.py"), "-m", "-cd", "mine", *TINY, "experiment=two"]
    beside = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "run=0,1", "trainer.optimizer.lr=0.001,1e30"]
    ended = subprocess.run([*program, *beside], cwd=tmp_path, capture_output=True, text=True, check=False)
    text = ended.stdout + ended.stderr
    assert "2 of 4 jobs failed, the others are finished" in text, text
    assert "again: python" in text
    assert "-cd mine/conf" in text
    done = [config_of(path.parent) for path in tmp_path.glob("runs/*/finished.json")]
    assert sorted((one["run"], one["budget"], one["choices"]["heuristic"]) for one in done) == [  # type: ignore[index]
        (0, 1, "tsallis"), (1, 1, "tsallis"),
    ]  # fmt: skip


def test_configs_lie_in_conf_below_the_folder_or_in_the_folder(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for typed in (["-cd", str(mine)], [f"--config-dir={mine}"], [f"-cd{mine}"], ["-cd", str(mine / "conf")]):
        argv = with_own_folder(["run.py", "-m", *typed, "-cn", "two", "run=1"])
        assert argv == ["run.py", "-m", "-cd", str(mine / "conf"), "-cn", "two", "run=1"]
        assert study_of(argv) == (str(mine / "conf"), "two")
        assert sys.path[-1] == str(mine) or str(mine) in sys.path
    assert with_own_folder(["run.py", "-cd", str(mine / "conf/dataset")])[2] == str(mine / "conf/dataset")
    assert with_own_folder(["run.py", "-c", "job"]) == ["run.py", "-c", "job"]


def test_what_is_installed_is_found_before_a_file_of_the_same_name(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    importable(mine)
    importable(mine)
    assert sys.path[-1] == str(mine)
    assert sys.path.count(str(mine)) == 1


def test_studies_and_what_they_choose_from_have_groups_of_their_own() -> None:
    folder = run.CONF.parent / "experiments"
    found = {(group, path.stem) for group, path in studies(folder, None)}
    assert {("experiment", "demo"), ("experiment", "glas_cpu"), ("dsb2018_cpu/arm", "maskal")} <= found
    assert {group for group, _ in studies(folder, str(folder))} == {"experiment"}


@pytest.mark.parametrize("name", ["demo", "dsb2018_cpu", "cityscapes_drn_superpixels"])
def test_a_study_is_the_same_as_a_file_and_as_a_group(name: str, tmp_path: Path) -> None:
    as_file = command(tmp_path, "-cd", str(ROOT / "experiments"), "-cn", name, "--cfg", "job")
    as_group = command(tmp_path, f"experiment={name}", "--cfg", "job")
    assert as_file.code == as_group.code == 0, as_group.text
    assert as_file.text == as_group.text
    assert f"runs: runs/{name}" in as_file.text


def test_the_command_that_repeats_a_job_names_the_own_folder() -> None:
    argv = ["run.py", "-m", "-cd", "mine/conf", "experiment=two", "run=0,1"]
    assert repeated(argv, [], ["experiment=two", "run=1"]) == (
        "python", "run.py", "-cd", "mine/conf", "experiment=two", "run=1",
    )  # fmt: skip
