"""Sweeps in several processes: who gets which GPU and how many threads, and what is left of jobs that raise or die."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import run
from experiments import ROOT, TINY, Ended, built, command, composed, perform, record
from seg_al.core import AwaitingAnnotation
from seg_al.recording.files import write_json
from seg_al.running.command_line import repeated
from seg_al.running.identity import folder_of_run
from seg_al.running.sharing import free_gpu, take_gpu, threads_each, visible_gpus
from seg_al.running.spelling import misspelt, remedies, suggestions
from seg_al.running.sweep import Job, Sweep, note_refusal, split_run, succeeded, sweep_summary
from seg_al.tracking.signals import Signalled
from seg_al.tracking.stopped import STOP_FILE, noted, stop_of

QUICK = (*TINY, "rounds=3", "trainer.pace.steps=60")


def job(folder: Path, name: str) -> Job:
    return Job(("python", "run.py", f"name={name}", "sizes=[1,2]"), (f"name={name}",), folder / name, 2)


def attempt(job: Job, error: BaseException | None) -> None:
    """What a run leaves that ends by this error; None: in its end."""
    job.folder.mkdir(exist_ok=True)
    expected = nullcontext() if error is None else pytest.raises(type(error), match=str(error))
    with expected, FileLock(job.folder / ".lock"), noted(job.folder):
        if error is not None:
            raise error
        write_json(job.folder / "finished.json", {"rounds": 2})


def test_each_run_gets_its_share_of_the_cores() -> None:
    assert [threads_each(16, at_once) for at_once in (1, 2, 5, 16, 40)] == [16, 8, 3, 1, 1]


def test_runs_side_by_side_get_one_gpu_each_and_the_next_waits_for_one(tmp_path: Path) -> None:
    first, held = free_gpu(["4", "7"], tmp_path)
    second, _other = free_gpu(["4", "7"], tmp_path)
    assert (first, second) == ("4", "7")
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(free_gpu(["4", "7"], tmp_path)[0]))
    waiting.start()
    waiting.join(0.2)
    assert not found
    held.release()
    waiting.join(10)
    assert found == ["4"]


def test_a_process_sees_only_the_gpu_it_took_however_often_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus() == ("2", "5")
    _gpu, _other_process = free_gpu(["2"], tmp_path / f"seg_al_gpus_{getpass.getuser()}")
    try:
        for _ in range(2):
            taken = take_gpu()
            assert taken is not None
            assert taken[0] == os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    finally:
        take_gpu.cache_clear()


def test_where_there_is_no_gpu_none_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert take_gpu() is None
    take_gpu.cache_clear()


def test_a_gpu_of_its_own_is_refused_to_a_run_where_there_is_none(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ValueError, match="gpus=one_each, but this machine shows no GPU; use gpus=shared"):
        perform(data, tmp_path / "one", "gpus=one_each")
    assert not (tmp_path / "one").exists()


def test_the_summary_tells_from_the_folders_what_became_of_each_job(tmp_path: Path) -> None:
    names = ("before", "done", "failed", "killed", "signalled", "person", "busy", "never", "stale", "refused")
    jobs = {name: job(tmp_path, name) for name in names}
    attempt(jobs["before"], None)
    attempt(jobs["stale"], ValueError("of an earlier sweep"))
    note_refusal(tmp_path, jobs["never"].folder, ValueError("of an earlier sweep"))
    sweep = Sweep(list(jobs.values()), tmp_path)
    note_refusal(tmp_path, jobs["refused"].folder, ValueError("runs has 100 MiB of free disk"))
    attempt(jobs["done"], None)
    write_json(jobs["done"].folder / "rounds/00/saved.json", {"seconds": 12.5})
    attempt(jobs["failed"], ValueError("training has diverged; lower trainer.optimizer.lr"))
    attempt(jobs["signalled"], Signalled("SIGTERM", "INTERRUPTED"))
    attempt(jobs["person"], AwaitingAnnotation("3 answers are missing"))
    for name in ("killed", "busy"):
        jobs[name].folder.mkdir()
    (jobs["killed"].folder / ".lock").touch()
    killed = jobs["killed"].folder / "sacred/1/run.json"
    write_json(killed, {"status": "RUNNING", "heartbeat": "2026-01-01T00:00:00"})
    with FileLock(jobs["busy"].folder / ".lock"):
        outcomes = sweep.outcomes()
    states = {one.job.name[0].removeprefix("name="): one.state for one in outcomes}
    assert states == {
        "before": "skipped", "done": "done", "failed": "failed", "killed": "died", "signalled": "interrupted",
        "person": "awaiting", "busy": "running", "never": "not begun", "stale": "not begun", "refused": "not begun",
    }  # fmt: skip
    text = sweep_summary(outcomes)
    assert text.startswith(
        "1 of 10 jobs failed, 1 died, 1 interrupted, 1 still running in another process, 3 not begun"
    )
    assert "Shared first rounds saved 12.5 s" in text
    assert "failed: name=failed\n  training has diverged; lower trainer.optimizer.lr\n" in text
    assert "  again: python run.py name=failed 'sizes=[1,2]'" in text
    assert "interrupted: name=signalled\n  SIGTERM\n" in text
    assert "not begun: name=refused\n  runs has 100 MiB of free disk\n" in text
    assert "died: name=killed\n  killed, or memory or disk ran out" in text
    assert json.loads(killed.read_text())["status"] == "DIED"
    assert "of an earlier sweep" not in text
    assert not succeeded(outcomes)
    good = [one for one in outcomes if states[one.job.folder.name] in ("skipped", "done", "awaiting")]
    assert succeeded(good)
    assert sweep_summary(good).startswith("3 jobs, 1 finished, 1 finished before, 1 waiting for a person")


def test_what_stopped_a_run_stands_in_its_folder_until_it_begins_again(tmp_path: Path) -> None:
    one = job(tmp_path, "one")
    attempt(one, RuntimeError("the card fell off"))
    stop = stop_of(one.folder)
    assert stop is not None
    assert (stop.how, stop.reason) == ("failed", "RuntimeError: the card fell off")
    assert "in attempt" in stop.traceback
    attempt(one, None)
    assert not (one.folder / STOP_FILE).exists()


def test_a_job_is_repeated_by_its_own_words_from_the_study_of_its_sweep() -> None:
    argv = ["run.py", "-m", "-cd", "experiments", "--config-name=glas", "run=0,1", "heuristic=bald,random"]
    assert repeated(argv, ["hydra.mode=RUN"], ["run=1", "heuristic=bald"]) == (
        "python", "run.py", "-cd", "experiments", "-cn", "glas", "run=1", "heuristic=bald", "hydra.mode=RUN",
    )  # fmt: skip


def test_two_jobs_that_are_one_run_are_refused_before_they_meet(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'name=a' and 'name=b' are the same run, in .*leave out folder="):
        Sweep([job(tmp_path, "a"), Job((), ("name=b",), tmp_path / "a", 2)], tmp_path)


def test_words_that_are_no_keys_are_answered_by_the_nearest_key() -> None:
    assert list(suggestions(["buget=1", "run=2", "+rum=3"], [run.CONF])) == [
        "buget is not in the config; did you mean budget?"
    ]


def test_a_key_of_another_option_is_no_key_of_the_chosen_one() -> None:
    """`step` is a key of trainer.pace where trainer=mask_rcnn_maskal, which model=mask_rcnn_maskal brings."""
    meant = ["trainer.pace.step is not in the config; did you mean trainer.pace.steps?"]
    assert list(suggestions(["trainer.pace.step=3"], [run.CONF])) == meant
    assert list(suggestions(["trainer.pace.step=3", "trainer=sgd_predecessor"], [run.CONF])) == meant
    for words in (["trainer=quick,mask_rcnn_maskal"], ["-cn", "study"]):
        assert list(suggestions([*words, "trainer.pace.step=3"], [run.CONF])) == []
    assert list(suggestions(["model=mask_rcnn", "trainer.loss.mask=3"], [run.CONF])) == []


@pytest.mark.skipif(find_spec("hydra_plugins.hydra_ray_launcher") is not None, reason="Ray's launcher is installed")
def test_a_launcher_that_is_not_installed_names_its_extra() -> None:
    words = ["hydra/launcher=ray_local", "hydra/launcher=joblib"]
    assert list(remedies(words, [run.CONF])) == ['hydra/launcher=ray_local needs pip install -e ".[ray]"']


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("dataset:\n  size: [32,40\nrounds: 3\n", "line 2: while parsing a flow sequence, expected ',' or ']'"),
        ("dataset:\n  size: 3\n bad: 4\n", "line 1: while parsing a block mapping"),
        ("rounds: 3\ndataset:\n  size: 3\nrounds: 4\n", "line 4: rounds stands in line 1 already"),
        ("rounds: \x00\n", "is no YAML: unacceptable character"),
        ("rounds: 3\n", ""),
    ],
    ids=["unclosed", "indented", "twice", "no text", "right"],
)  # fmt: skip
def test_a_mistake_of_yaml_is_a_sentence_with_its_file_and_line(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "trainer/mine.yaml"
    path.parent.mkdir()
    path.write_text(content)
    for words, study in ((["trainer=quick,mine"], None), ([], "trainer/mine")):
        found = misspelt(words, [run.CONF, tmp_path], study)
        assert found.startswith(str(path) if told else "")
        assert told in found
        assert bool(found) == bool(told)
        assert "\n" not in found


def test_a_word_that_gives_the_run_is_told_apart_only_where_no_other_does() -> None:
    assert split_run(["a=1", "run=5", "runs=x"]) == (("a=1", "runs=x"), 5)
    for words in (["run=5", "++run=1"], ["run=5", "run=1"], ["++run=1"], ["run=five"], ["a=1"]):
        assert split_run(words) == (tuple(words), None)


def test_one_gpu_each_and_runs_on_several_gpus_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="gpus=one_each gives a run one GPU, but devices=2"):
        built(*composed(*TINY, "gpus=one_each", "devices=2"))


def launcher(name: str) -> dict[str, object]:
    with initialize_config_dir(version_base="1.3", config_dir=str(run.CONF)):
        cfg = compose("config", [f"hydra/launcher={name}"], return_hydra_config=True)
    found: dict[str, object] = OmegaConf.to_container(cfg.hydra.launcher)  # type: ignore[assignment]
    return found


def test_the_slurm_preset_asks_for_a_gpu_a_limit_and_to_be_queued_again() -> None:
    slurm = pytest.importorskip("submitit.slurm.slurm")
    preset = launcher("slurm")
    not_sbatch = {"_target_", "submitit_folder", "max_num_timeout", "mem_gb", "name", "timeout_min", "tasks_per_node"}
    words = {key: value for key, value in preset.items() if key not in not_sbatch}
    text = slurm._make_sbatch_string("true", Path("jobs"), time=preset["timeout_min"], map_count=40, **words)
    for flag in ("gpus-per-node=1", "cpus-per-task=8", "time=240", "requeue", "signal=USR2@120", "array=0-39%32"):
        assert f"#SBATCH --{flag}\n" in text
    assert preset["max_num_timeout"] == 20, "the plugin's 0 means that a job that met its limit is not queued again"


@contextmanager
def sweeping(place: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`python run.py -m WORDS` while it goes on; nothing of it is left behind."""
    program = [sys.executable, str(ROOT / "run.py"), "-m", *words]
    out = (place / "printed.txt").open("w")
    process = subprocess.Popen(
        program, cwd=place, stdout=out, stderr=out, text=True, start_new_session=True, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        out.close()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def awaited(find: Callable[[], bool], seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while not find():
        assert time.monotonic() < end
        time.sleep(0.01)


def child_of_the_job(runs: Path, folder: Path) -> int:
    """The process of submitit that runs the folder, found by its log."""
    (log,) = [path for path in runs.glob(".sweep/.submitit/*/*_log.out") if f"{folder.name} on" in path.read_text()]
    controller = log.name.partition("_")[0]
    return int(Path(f"/proc/{controller}/task/{controller}/children").read_text().split()[0])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_submitit_jobs_that_are_preempted_raise_or_die(data: Path, tmp_path: Path) -> None:
    """One is signalled as Slurm does before a time limit, one diverges, one is killed; then the sweep is repeated."""
    pytest.importorskip("submitit")
    alike = (*QUICK, "heuristic=random", "threads=1")
    words = (f"dataset.root={data}", *alike, "tracking=file")
    rates = {"0.001": "preempted", "1e30": "raised", "0.002": "killed"}
    folders = {}
    for rate, name in rates.items():
        cfg, choices = composed(*words, f"trainer.optimizer.lr={rate}")
        folders[name] = tmp_path / folder_of_run(run.plain(cfg), choices)[0]
    swept = (*words, f"trainer.optimizer.lr={','.join(rates)}")
    with sweeping(tmp_path, *swept, "hydra/launcher=local_processes") as process:
        signals = {"preempted": signal.SIGUSR2, "killed": signal.SIGKILL}

        def all_sent() -> bool:
            for name in [name for name in signals if (folders[name] / "rounds/00/weights.pt").exists()]:
                os.kill(child_of_the_job(tmp_path / "runs", folders[name]), signals.pop(name))
            return not signals

        awaited(all_sent)
        awaited(lambda: process.poll() is not None)
    text = (tmp_path / "printed.txt").read_text()
    assert process.returncode == 1, text
    summary = text[text.index("\nerror: ") :]
    assert summary.startswith("\nerror: 1 of 3 jobs failed, 1 died")
    assert "training has diverged" in summary
    assert "  again: python" in summary
    awaited((folders["preempted"] / "finished.json").exists, 60)
    for name in ("preempted", "killed"):
        rate = next(rate for rate, named in rates.items() if named == name)
        perform(data, tmp_path / f"alone-{name}", *alike, f"trainer.optimizer.lr={rate}")
    assert record(folders["preempted"]) == record(tmp_path / "alone-preempted")
    attempts = [json.loads(path.read_text())["status"] for path in folders["preempted"].glob("sacred/[0-9]*/run.json")]
    assert sorted(attempts) == ["COMPLETED", "TIMEOUT"]
    ended: Ended = command(tmp_path, "-m", *words, "trainer.optimizer.lr=0.001,0.002")
    assert ended.code == 0, ended.text
    assert "2 jobs, all finished (1 finished, 1 finished before)" in ended.text
    assert record(folders["killed"]) == record(tmp_path / "alone-killed")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_worker_of_joblib_ends_the_sweep_which_says_so_and_is_repeated(data: Path, tmp_path: Path) -> None:
    words = (f"dataset.root={data}", *QUICK, "heuristic=random", "run=0,1,2,3", "gpus=one_each")
    beside = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    machine = {"CUDA_VISIBLE_DEVICES": "5,6", "TMPDIR": str(tmp_path)}
    with sweeping(tmp_path, *words, *beside, **machine) as process:
        printed = tmp_path / "printed.txt"
        awaited(lambda: printed.read_text().count("takes GPU") == 2 or process.poll() is not None)
        awaited(lambda: any(tmp_path.glob("runs/*/rounds/00/weights.pt")) or process.poll() is not None)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (worker, *_) = [pid for pid in children if b"LokyProcess" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(int(worker), signal.SIGKILL)
        awaited(lambda: process.poll() is not None)
    text = printed.read_text()
    assert process.returncode == 1, text
    assert "takes GPU 5" in text
    assert "takes GPU 6" in text
    assert "TerminatedWorkerError" in text
    summary = text[text.index("\nerror: ") :]
    assert "died" in summary.splitlines()[1]
    assert "not begun" in summary.splitlines()[1]
    ended = command(tmp_path, "-m", *words, environment={"CUDA_VISIBLE_DEVICES": "5,6"})
    assert ended.code == 0, ended.text
    assert "4 jobs, all finished" in ended.text
