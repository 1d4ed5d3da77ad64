"""`python run.py` as a person meets it: what is refused and in which words, what a sweep tells, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import free_port
from PIL import Image

from experiments import ROOT, TINY, Ended, command, composed, record
from seg_al.running.groups import GROUPS
from seg_al.tracking.storable import URL_VARIABLE

QUICK = (*TINY, "rounds=1")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A current directory with painted glands in data/ and nothing else."""
    folder = tmp_path_factory.mktemp("place")
    assert command(folder, *QUICK, "folder=painted").code == 0
    return folder


@pytest.fixture(scope="module")
def swept(place: Path) -> Ended:
    """Four jobs, two of which diverge."""
    return command(place, "-m", *QUICK, "runs=swept", "run=0,1", "trainer.optimizer.lr=1e30,0.001")


def glands(place: Path, copy: Path) -> Path:
    """A copy of the painted images, in GlaS's layout."""
    (source,) = (place / "data").glob("glands-*")
    copy.mkdir()
    for path in source.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["heuristic=bold,bald"], ["heuristic=bold is no option; did you mean bald?", "variation_ratio"]),
        (["buget=3"], ["buget is not in the config; did you mean budget?"]),
        (["trainer.loss.dise=3"], ["trainer.loss.dise is not in the config; did you mean trainer.loss.dice?"]),
        (
            ["+buget=3", "+trainer.loss.dise=3", "rounds=abc,2", "cost=euros", "device=tpu,cpu", "trainer.loss.dice=x",
             "model.sites=nowhere"],
            ["buget is not an option", "did you mean budget?", "rounds=abc: a whole number is needed",
             "trainer.loss.dise is not an option", "did you mean dice?", "trainer.loss.dice=x: a number is needed",
             "cost=euros: images or pixels or regions is needed", "device=tpu: auto or cpu or cuda is needed",
             "model.sites=nowhere: all or encoder or"],
        ),
        (["mc_iters=0,2"], ["mc_iters sets: at least 1 pass", "predictor=single"]),
        (
            ["budget=0,1000", "initial=2,0,1000", "rounds=2", "heuristic=bald", "predictor=single"],
            ["budget=0: a round", "budget=1000 images a round, but only 4 are left of the pool after initial=2",
             "initial=0: choose 1 to 6", "initial=1000: choose 1 to 6 images (the pool has 6)",
             "heuristic=bald compares at least 2", "use predictor=mc_dropout"],
        ),
        (["model.sites=none,all"], ["model.sites=none", "give the model dropout or use predictor=single"]),
        (["precision=float16"], ["precision=float16 needs a GPU"]),
        (["runs=file/below"], ["file/below cannot be written: Not a directory; choose another place with runs=FOLDER"]),
    ],
    ids=lambda value: value[0] if "=" in value[0] else "",
)  # fmt: skip
def test_a_mistake_anywhere_in_a_sweep_stops_it_before_the_first_job(
    words: list[str], told: list[str], place: Path
) -> None:
    (place / "file").write_text("")
    before = set(place.rglob("*.jsonl"))
    ended = command(place, "-m", *QUICK, "run=5,6", *words)
    assert ended.code == 1
    assert all(sentence in ended.text for sentence in told), ended.text
    assert "Traceback" not in ended.text
    assert "Launching" not in ended.text
    assert set(place.rglob("*.jsonl")) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mc_iters=0"], "error: predictor.passes=0, which mc_iters sets: at least 1 pass is needed"),
        (["budget=9", "rounds=2"], "error: this experiment cannot run:\n  - budget=9 images a round"),
        (["runs=file/below"], "cannot be written: Not a directory"),
        (["folder=data"], "error: data is not the folder of a run"),
        (["folder=painted", "model.width=3"], "painted belongs to a run with other settings:\n  - model.width: 2 "),
        (["trainer.optimizer.lr=1e30"], "training has diverged; lower"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_in_one_run_is_one_sentence_and_a_failure(words: list[str], told: str, place: Path) -> None:
    (place / "file").write_text("")
    ended = command(place, *QUICK, *words)
    assert ended.code == 1
    assert told in ended.text
    assert "Traceback" not in ended.text
    assert "HYDRA_FULL_ERROR" not in ended.text


def test_a_dataset_that_is_not_there_says_where_to_get_it(place: Path) -> None:
    for words in (["dataset=glas", "dataset.root=nowhere"], ["-m", "dataset=glas", "dataset.root=nowhere", "run=0,1"]):
        ended = command(place, *words)
        assert ended.code == 1
        assert "there is no folder nowhere" in ended.text
        assert "Warwick" in ended.text
        assert "set dataset.root=<folder>" in ended.text
        assert "Traceback" not in ended.text


def of_glas(folder: Path) -> list[str]:
    kept = [word for word in QUICK if not word.startswith("dataset.")]
    return ["dataset=glas", f"dataset.root={folder}", "dataset.val=2", *kept]


def test_a_mask_of_another_size_is_told_before_anything_runs(place: Path, tmp_path: Path) -> None:
    folder = glands(place, tmp_path / "glas")
    Image.new("L", (40, 31)).save(folder / "train_3_anno.bmp")
    ended = command(place, *of_glas(folder))
    assert ended.code == 1
    assert "train_3: sizes differ, the image has 32x40 pixels, the annotation 31x40" in ended.text
    assert "Traceback" not in ended.text


def test_a_corrupt_image_in_the_pool_is_named_and_the_run_goes_on_when_it_is_repaired(
    place: Path, tmp_path: Path
) -> None:
    """Its header is whole, so only decoding can tell; what was done before stays."""
    folder = glands(place, tmp_path / "glas")
    whole = command(place, *of_glas(folder), "rounds=3", "folder=whole")
    assert whole.code == 0
    last = (place / "whole/rounds/02/queries.jsonl").read_text().split('"')[3]
    broken = folder / f"{last}.bmp"
    image = broken.read_bytes()
    broken.write_bytes(image[:500])
    ended = command(place, *of_glas(folder), "rounds=3", "folder=broken")
    assert ended.code == 1
    assert f"{broken} is corrupt" in ended.text
    assert "Traceback" not in ended.text
    broken.write_bytes(image)
    assert command(place, *of_glas(folder), "rounds=3", "folder=broken").code == 0
    assert record(place / "broken") == record(place / "whole")


def test_a_server_that_is_away_stops_a_sweep_before_the_first_job(place: Path) -> None:
    url = f"mongodb://127.0.0.1:{free_port()}"
    words = ("tracking=mongo", "tracking.timeout=0.1")
    ended = command(place, "-m", *QUICK, *words, "run=7,8", environment={URL_VARIABLE: url})
    assert ended.code == 1
    assert "no job of this sweep was started" in ended.text
    assert f"MongoDB at {url} does not answer" in ended.text
    assert "python scripts/mongo.py up" in ended.text
    assert not list(place.glob("runs/*run7*"))


def test_a_sweep_goes_on_past_failed_jobs_and_ends_with_their_names(swept: Ended, place: Path) -> None:
    assert swept.code == 1
    summary = swept.text[swept.text.index("\nerror: ") :]
    assert summary.startswith("\nerror: 2 of 4 jobs failed, the others are finished.")
    assert summary.count("training has diverged") == 2
    assert all(f"run={number}" in summary for number in (0, 1))
    assert "Traceback" not in swept.text
    assert len(list((place / "swept").glob("*/finished.json"))) == 2


def test_a_sweep_that_is_repeated_skips_what_is_finished(swept: Ended, place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (place / "swept").glob("*/rounds/**/*")}
    ended = command(place, "-m", *QUICK, "runs=swept", "run=0,1", "trainer.optimizer.lr=0.001")
    assert ended.code == 0
    assert ended.text.count("is finished already") == 2
    assert "2 jobs, all finished" in ended.text
    assert {path: path.stat().st_mtime_ns for path in (place / "swept").glob("*/rounds/**/*")} == before


def test_a_sweep_leaves_no_folder_but_those_of_runs(swept: Ended, place: Path) -> None:
    names = {path.name for path in (place / "swept").iterdir() if not path.name.startswith(".")}
    assert all(name.startswith("glands-unet_small-bald-run") for name in names)
    assert len(names) == 4


def test_help_is_a_page_that_names_every_group_and_shows_how_to_begin(place: Path) -> None:
    ended = command(place, "--help")
    assert ended.code == 0
    for group in GROUPS:
        options = sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
        (line,) = [line for line in ended.text.splitlines() if line.startswith(f"{group}: ")]
        assert line == f"{group}: {', '.join(options)}"
    assert "python run.py -m heuristic=bald,entropy run=0,1,2,3,4" in ended.text
    assert "The same command resumes a run that was stopped" in ended.text
    assert "mc_iters: 10" in ended.text


def test_run_py_works_as_a_program_from_any_folder_and_leaves_its_folder_of_runs_only(
    place: Path, tmp_path: Path
) -> None:
    words = [f"dataset.root={place / 'data'}", *QUICK]
    found = subprocess.run(
        [sys.executable, ROOT / "run.py", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    (folder,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "config.json", "finished.json", "images_at_once.json", "learning_curve.png",
        "metric_declarations.json", "rounds", "run.log", "threads.json",
    }  # fmt: skip


def test_the_composed_config_is_what_the_embedded_defaults_say() -> None:
    cfg, choices = composed()
    assert choices["dataset"] == "glands"
    assert (cfg.run, cfg.predictor.passes, cfg.dataset.run) == (0, cfg.mc_iters, 0)


def test_a_job_that_fails_in_a_process_beside_the_others_fails_the_sweep(place: Path) -> None:
    words = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "runs=beside", "run=0,1", "trainer.optimizer.lr=1e30")
    program = [sys.executable, str(ROOT / "run.py"), "-m", *QUICK, *words]
    ended = subprocess.run(program, cwd=place, capture_output=True, text=True)
    told = ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert "2 jobs, all checked" in told
    assert "training has diverged" in told
    assert "all finished" not in told


def test_a_job_that_gives_its_run_twice_is_checked_and_told_as_the_one_that_it_is(place: Path) -> None:
    ended = command(place, "-m", *QUICK, "runs=twice", "run=5", "++run=1")
    assert ended.code == 0, ended.text
    assert "1 jobs, all finished (1 finished)" in ended.text
    assert [path.name.split("-")[3] for path in place.glob("twice/[!.]*")] == ["run1"]


def test_a_job_that_was_refused_its_folder_says_so_at_the_end_of_its_sweep(place: Path) -> None:
    ended = command(place, "-m", *QUICK, "folder=painted", "model.width=3")
    assert ended.code == 1
    summary = ended.text[ended.text.index("\nerror: ") :]
    assert summary.startswith("\nerror: 1 of 1 jobs not begun.")
    assert "  painted belongs to a run with other settings:\n" in summary


def test_a_mistake_of_yaml_in_a_study_is_one_sentence(place: Path) -> None:
    (place / "study.yaml").write_text("defaults:\n  - config\n  - _self_\ndataset:\n  size: [32,40\nrounds: 3\n")
    ended = command(place, "-cd", ".", "-cn", "study")
    assert ended.code == 1
    assert "error: study.yaml, line 5: while parsing a flow sequence, expected ',' or ']'" in ended.text
    assert "Traceback" not in ended.text


def test_weights_that_cannot_be_read_leave_no_folder(place: Path) -> None:
    (place / "bad.pt").write_text("no weights")
    for words in (["folder=measured"], ["-m", "folder=measured"], ["-m", "folder=measured/below"]):
        ended = command(place, *words, *QUICK, "evaluate=bad.pt")
        assert ended.code == 1
        assert "evaluate=bad.pt: bad.pt cannot be read" in ended.text
        assert not (place / "measured").exists() or not any((place / "measured").iterdir())
