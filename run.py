"""Composes an experiment with Hydra, runs it in its folder and lets Sacred watch: `python run.py --help`."""

from __future__ import annotations

import gc

PROGRAM = __name__ in ("__main__", "__mp_main__")  # or the same in a worker of it; else somebody imports a function
if PROGRAM:
    gc.disable()  # a fifth of a start is the search for garbage among the half million objects of imports, which stay

import atexit
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from joblib import cpu_count, effective_n_jobs
from omegaconf import DictConfig, OmegaConf

from seg_al.acquire import Asking
from seg_al.beside import take_gpu, threads_each
from seg_al.compute import Compute
from seg_al.core import Budget, Heuristic, Tracker
from seg_al.datasets.cached import Cached
from seg_al.deciding import GROUPS, first_round, place_of
from seg_al.environment import environment
from seg_al.folder import claimed, finished, identity_of, writable
from seg_al.loop import Experiment
from seg_al.memory import keep_freed_memory
from seg_al.settings import Settings
from seg_al.signatures import problems
from seg_al.spelling import suggestions
from seg_al.sweep import Job, Sweep, repeated, succeeded, told
from seg_al.tracking.stopped import noted
from seg_al.tracking.tracked import columns_of

if PROGRAM:
    gc.freeze()  # nor are they searched later, or at the end, which would take a second
    gc.enable()
    atexit.register(gc.freeze)

log = logging.getLogger("seg_al")

CONF = Path(__file__).parent / "conf"
RUN = re.compile(r"run=(0|[1-9]\d*)")
"""A word of a sweep that gives a job its run."""


def made(node: DictConfig) -> Any:
    """What the node's `_target_` makes; a ValueError of its own comes out as it is, without Hydra's wrapping."""
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError):
            raise error.__cause__ from None
        raise


def recorded_heuristics() -> dict[str, Heuristic]:
    """Every heuristic in conf/ with its defaults: their scores are recorded beside those of the chosen one."""
    paths = sorted((CONF / "heuristic").glob("*.yaml"))
    return {path.stem: instantiate(OmegaConf.load(path)) for path in paths}


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as plain values. Raises ValueError naming every key whose value does not fit."""
    settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    values = {key: value for key, value in settings.items() if key not in GROUPS}
    wrong = [*problems({key: settings[key] for key in GROUPS})]
    wrong += problems({**values, "_target_": "seg_al.settings.Settings"})
    if wrong:
        raise ValueError("the config is wrong:\n" + "\n".join(f"  - {problem}" for problem in wrong))
    return settings


def build(cfg: DictConfig, choices: Mapping[str, str]) -> Experiment:
    """The last function that knows Hydra's config. Raises ValueError for an experiment that cannot run."""
    settings = plain(cfg)
    root = Settings(**{field.name: settings[field.name] for field in fields(Settings)})
    part = {group: made(cfg[group]) for group in GROUPS if group != "tracking"}
    dataset = Cached(part["dataset"], root.cache)
    asking = Asking(
        part["heuristic"],
        choices["heuristic"],
        recorded_heuristics(),
        part["granularity"],
        part["selector"],
        part["predictor"],
        root.subset,
        root.shortlist,
    )
    compute = Compute(root.device, root.precision, root.devices, root.workers, root.threads, root.scoring)
    experiment = Experiment(
        run=root.run,
        rounds=root.rounds,
        initial=root.initial,
        budget=Budget(root.budget, root.cost, root.per),
        dataset=dataset,
        model=part["model"],
        asking=asking,
        annotator=part["annotator"](dataset=dataset),
        trainer=part["trainer"],
        task=part["task"],
        compute=compute,
        first_round=first_round(settings, compute),
        keep_weights=root.keep_weights,
        gallery=root.gallery,
    )
    experiment.check()
    return experiment


def perform(cfg: DictConfig, choices: Mapping[str, str], alone: bool = False) -> float | None:
    """Runs or resumes the experiment in its folder, unless it is finished.

    `alone`: no sweep has asked the tracking's server, so ask it; later it may be away without harm.
    """
    settings = plain(cfg)
    folder, decides = place_of(settings, choices)
    config = {"choices": dict(choices), **settings, "tracking": choices["tracking"]}
    with claimed(folder, config, decides):
        if finished(folder, settings["rounds"]):
            log.info("%s is finished already", folder)
            return None
        with noted(folder):
            if alone:
                made(cfg.tracking).check()
            experiment = build(cfg, choices)
            keep_freed_memory()
            experiment.compute.claim_threads()
            log.info("%s on %s", folder, experiment.compute.describe())
            if settings["evaluate"] is not None:
                return experiment.measure(Path(settings["evaluate"]), folder)

            def main(tracker: Tracker) -> float | None:
                tracker.note("environment", {**environment(), "device": experiment.compute.describe()})
                tracker.note("folder", str(folder.resolve()))
                return experiment(tracker, folder)

            tracked = columns_of({**config, "identity": identity_of(decides)})
            return made(cfg.tracking).record(main, tracked, folder, "seg_al")


def choices_of(chosen: Mapping[str, Any]) -> dict[str, str]:
    """The option of each of our groups, without Hydra's own."""
    return {group: str(chosen[group]) for group in GROUPS}


class CheckSweep(Callback):
    """Composes and builds every job of a sweep before the first one starts; tells at its end what became of each."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.sweep: Sweep | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        jobs = 0  # other sweepers choose them as they go
        if by_product(config.hydra):
            loader = GlobalHydra.instance().config_loader()
            swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
            overrides = OverridesParser.create(loader).parse_overrides([*swept, *config.hydra.overrides.task])
            words = BasicSweeper.split_arguments(overrides, None)[0]
            self.sweep = self._checked(words, config, loader)
            jobs = len(words)
            log.info("%d jobs, all checked", jobs)
            atexit.register(self._tell_after_a_launcher_failed)
        share_machine(config.hydra, jobs)

    def _checked(self, jobs: Sequence[Sequence[str]], config: DictConfig, loader: ConfigLoader) -> Sweep:
        """Exits where a job cannot run: of a callback's other exceptions Hydra makes warnings."""
        single = [] if "hydra.mode=MULTIRUN" in config.hydra.overrides.hydra else ["hydra.mode=RUN"]  # a study's file
        wrong: dict[str, str] = {}
        composed: dict[tuple[str, ...], DictConfig] = {}
        checked: set[str] = set()
        made_of: list[Job] = []
        for words in jobs:
            try:
                rest = tuple(word for word in words if not RUN.fullmatch(word))
                if rest not in composed:  # once for all its runs
                    composed[rest] = loader.load_sweep_config(config, list(rest))
                settings, choices = self._check(composed[rest], set(words).difference(rest), checked)
                name = tuple(word for word in words if any(word not in other for other in jobs))
                folder, _ = place_of(settings, choices)
                made_of.append(
                    Job(repeated(sys.argv, [*words, *single]), name or tuple(words), folder, settings["rounds"])
                )
            except (ValueError, HydraException) as error:
                wrong.setdefault(str(error), " ".join(words))
        if not wrong:
            try:
                return Sweep(made_of)
            except ValueError as error:
                wrong[str(error)] = ""
        rows = "\n\n".join(f"{words}\n{error}".lstrip() for error, words in wrong.items())
        sys.exit(f"\nerror: no job of this sweep was started.\n\n{rows}")

    def _check(
        self, cfg: DictConfig, number: Iterable[str], checked: set[str]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Builds each distinct experiment once; runs differ in nothing but the seed. `number`: "run=3", or nothing."""
        choices = choices_of(cfg.hydra.runtime.choices)
        ours = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        cfg = OmegaConf.merge(ours, OmegaConf.from_dotlist(list(number)))
        settings = plain(cfg)
        alike = plain(OmegaConf.merge(cfg, {"run": 0, "folder": None}))
        if (key := repr((choices, alike))) not in checked:
            writable(Path(cfg.folder or cfg.runs))
            made(cfg.tracking).check()
            build(cfg, choices)
            checked.add(key)
        return settings, choices

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.gpus == "one_each" and os.getpid() != self.process:
            take_gpu()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if self.sweep is not None:
            atexit.unregister(self._tell_after_a_launcher_failed)
            outcomes = self.sweep.outcomes()
            if not succeeded(outcomes):
                sys.exit(f"\nerror: {told(outcomes)}")
            log.info(told(outcomes))

    def _tell_after_a_launcher_failed(self) -> None:
        """Hydra does not call on_multirun_end then; the process has its exit code already, which is not 0."""
        if self.sweep is not None:
            print(f"\nerror: {told(self.sweep.outcomes())}", file=sys.stderr)


def by_product(hydra: DictConfig) -> bool:
    """Whether all jobs are known before the first; other sweepers choose as they go, and count failures themselves."""
    return str(hydra.sweeper._target_).endswith("BasicSweeper")


def share_machine(hydra: DictConfig, jobs: int) -> None:
    """Prepares the environment that processes of this one inherit, so that they find run.py and leave each other room.

    `jobs`: of the sweep; 0: unknown. Threads are shared out by OMP_NUM_THREADS, unless it is set already.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CONF.parent), os.environ.get("PYTHONPATH"))))
    launcher, at_once = hydra.launcher, 1
    if launcher._target_.endswith("JoblibLauncher"):
        at_once = min(effective_n_jobs(launcher.n_jobs), jobs or sys.maxsize)
    elif launcher._target_.endswith("LocalLauncher"):  # submitit starts all
        at_once = hydra.sweeper.get("max_batch_size") or jobs or 1
    threads = launcher.get("cpus_per_task") or (threads_each(cpu_count(), at_once) if at_once > 1 else None)
    if threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        log.info(
            "%d at once, %s CPU threads each unless threads=N says otherwise", at_once, os.environ["OMP_NUM_THREADS"]
        )


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float | None:
    job = HydraConfig.get()
    swept = job.mode == RunMode.MULTIRUN
    try:
        return perform(cfg, choices_of(job.runtime.choices), alone=not swept)
    except Exception as error:
        if not swept and isinstance(error, ValueError):
            sys.exit(f"\nerror: {error}")
        if not swept or not by_product(job):
            raise
        log.error("failed: %s", error, exc_info=not isinstance(error, ValueError))
        return None  # the sweep goes on, and ends with a summary from the disk


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if end.code == 1:  # Hydra could not compose the config
            print(*suggestions(sys.argv[1:], CONF, GROUPS), sep="\n", file=sys.stderr)
        raise
