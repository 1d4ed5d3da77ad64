"""Commands of README.md and docs/ are understood as they stand; those on built-in data run, with short trainings."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from pages import PAGES, Command, commands
from PIL import Image

import run
from experiments import ROOT, command
from seg_al.running.config_check import require_right

RUNS = commands("python run.py")
SCRIPTS = commands("python scripts/")
OWN_FOLDERS = {
    "mine": ROOT / "docs" / "examples" / "mine", "experiments/controls": ROOT / "experiments" / "controls"
}  # fmt: skip
"""Folders that a page names by -cd, and where they lie here."""
ELSEWHERE = (
    "FOLDER", "experiment=", "stage1_train", "splits/", "RUN/", "glas", "detectron2", "start=typiclust",
    "features=frozen", "=joblib", "=slurm", "=local_processes", "=mongo",
)  # fmt: skip
"""What a line names that is not here: data, weights, a server, a cluster, or processes that tests of launchers start.

Such lines are composed, and not run."""


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    known = ("python run.py", "python scripts/", "make ", "source .venv/bin/activate", ".venv/bin/")
    assert [str(one) for one in commands() if not one.text.startswith(known)] == []
    assert len(RUNS) > 25


def test_every_target_of_make_in_the_pages_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {one.words[1] for one in commands("make ")} <= targets


def jobs(words: tuple[str, ...]) -> Iterator[list[str]]:
    """Overrides of a job for each value of a sweep but numbers: first the first of all, then each further one."""
    parsed = OverridesParser.create().parse_overrides([word for word in words if not word.startswith("-")])
    values = [list(one.sweep_string_iterator()) if one.is_sweep_override() else [] for one in parsed]
    keys = [one.get_key_element() for one in parsed]
    first = [
        f"{key}={own[0]}" if own else str(one.input_line) for one, key, own in zip(parsed, keys, values, strict=True)
    ]
    yield first
    for place, own in enumerate(values):
        for value in (value for value in own[1:] if not value.isdigit()):
            yield [*first[:place], f"{keys[place]}={value}", *first[place + 1 :]]


def split_options(words: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Options that take a value, and the words that choose and change."""
    options, rest, left = {}, [], list(words)
    while left:
        word = left.pop(0)
        if word == "-cd":
            options[word] = left.pop(0)
        elif word not in ("-m", "--cfg", "job", "--help"):
            rest.append(word)
    return options, tuple(rest)


@pytest.mark.parametrize("line", RUNS, ids=str)
def test_a_line_of_run_py_composes_and_its_values_fit(line: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    options, words = split_options(line.words[2:])
    search = []
    if "-cd" in options:
        own = OWN_FOLDERS[options["-cd"]]
        monkeypatch.syspath_prepend(own)
        search = [f"hydra.searchpath=[file://{own / 'conf'}]"]
    monkeypatch.setattr(sys, "argv", ["run.py"])
    run.store_studies()
    with initialize_config_dir(version_base="1.3", config_dir=str(run.CONF)):
        for job in jobs(words):
            cfg = compose("config", [*search, *job], return_hydra_config=True)
            ours = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
            require_right(run.composition(ours, cfg.hydra.runtime.choices).settings)


@pytest.mark.parametrize("line", SCRIPTS, ids=str)
def test_a_line_of_a_script_names_options_that_it_has(
    line: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = ROOT / line.words[1]
    subcommand = [word for word in line.words[2:3] if script.name == "tracking.py"]
    monkeypatch.setattr(sys, "argv", [str(script), *subcommand, "--help"])
    monkeypatch.syspath_prepend(str(script.parent))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert [word for word in line.words if word.startswith("--") and word not in told] == []


TRULY = [one for one in RUNS if not any(word in one.text for word in (*ELSEWHERE, "--help", "--cfg"))]
SHORT = {"rounds": "2", "trainer.pace.steps": "6", "dataset.test_a": "2", "dataset.test_b": "2", "mc_iters": "2"}
"""A short training in place of a long one; what a line states itself but `run` stays as it is."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A current directory with the folder `mine` of the pages, and the images that its data set reads."""
    shutil.copytree(OWN_FOLDERS["mine"], tmp_path / "mine")
    rng = np.random.default_rng(0)
    for part, channels in (("images", 3), ("masks", 1)):
        (tmp_path / "data" / "mine" / part).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (96, 96, channels), dtype=np.uint8)
            picture = pixels if channels == 3 else np.where(pixels[:, :, 0] > 127, np.uint8(255), np.uint8(0))
            Image.fromarray(picture).save(tmp_path / "data" / "mine" / part / f"{number}.png")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("line", TRULY, ids=str)
def test_a_line_on_built_in_data_runs_to_its_end(line: Command, place: Path) -> None:
    words = ["run=0" if word.startswith("run=") and "," in word else word for word in line.words[2:]]
    given = {word.split("=")[0] for word in words}
    own_data = bool({"dataset=mine", "dataset=squares"}.intersection(words))
    added = [f"{key}={value}" for key, value in SHORT.items() if key not in given]
    added = [word for word in added if not (own_data and word.startswith("dataset."))]
    ended = command(place, *words, *added)
    assert ended.code == 0, ended.text


def test_every_link_between_files_of_the_repository_leads_somewhere() -> None:
    lost = [
        f"{page.name}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert lost == []
