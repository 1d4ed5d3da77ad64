"""Composes an experiment with Hydra, runs it in its folder and lets Sacred watch: `python run.py --help`."""

from __future__ import annotations

import gc

PROGRAM = __name__ in ("__main__", "__mp_main__")  # the latter in what it spawns; else somebody imports a function
if PROGRAM:
    gc.disable()  # a fifth of a start is the search for garbage among the half million objects of imports, which stay

import atexit
import logging
import math
import multiprocessing
import os
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
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException, InstantiationException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seg_al.asking.asking import Asking
from seg_al.asking.memory import keep_freed_memory, keep_imports
from seg_al.core import Budget, Heuristic, Tracker
from seg_al.datasets.cached import Cached
from seg_al.loop import Experiment
from seg_al.recording.stages import finished
from seg_al.running.checks import check
from seg_al.running.compute import LocalCompute
from seg_al.running.environment import environment
from seg_al.running.folder import claimed, gone_if_refused, identity_of, writable
from seg_al.running.identity import GROUPS, first_round, place_of
from seg_al.running.kept_window import keep_window, kept_window
from seg_al.running.roles import ROLES
from seg_al.running.settings import Settings
from seg_al.running.sharing import launcher_problems, require_gpu, share_threads, take_gpu, wrong_values
from seg_al.running.signatures import problems
from seg_al.running.spelling import mistakes, remedies, words_of_hydra
from seg_al.running.stopping import WORKER, end_workers, job, listen, number_of, raised, words_of, work_for
from seg_al.running.sweep import Job, Sweep, none_started, note_refusal, repeated, split_run, study_of, succeeded, told
from seg_al.running.texts import text_problems
from seg_al.tracking.backends import URL_VARIABLE
from seg_al.tracking.run_document import config_columns
from seg_al.tracking.secrets import without_secrets
from seg_al.tracking.stopped import noted

if PROGRAM:
    keep_imports()
    gc.enable()

log = logging.getLogger("seg_al")

CONF = Path(__file__).parent / "conf"
TRACES = "HYDRA_FULL_ERROR"
"""Set to 1, Hydra raises what goes wrong, instead of showing it and ending."""


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
    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        if missing:
            raise ValueError("\n".join(f"{key} has no value; give it one, as in {key}=VALUE" for key in missing))
        settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ValueError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ValueError("a value of the config refers to itself by ${...}; give one of them a value") from None
    if absent := [group for group in GROUPS if group not in settings]:
        raise ValueError(f"{' and '.join(absent)} stands nowhere in the config; choose one, as in {absent[0]}=OPTION")
    values = {key: value for key, value in settings.items() if key not in GROUPS}
    wrong = [*problems({key: settings[key] for key in GROUPS}, roles=ROLES)]
    wrong += problems({**values, "_target_": "seg_al.running.settings.Settings"})
    wrong += text_problems(settings, URL_VARIABLE)
    if wrong:
        raise ValueError("the config is wrong:\n" + "\n".join(f"  - {without_secrets(problem)}" for problem in wrong))
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
    compute = LocalCompute(root.device, root.precision, root.devices, root.workers, root.threads, root.scoring)
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
    check(experiment)
    return experiment


def with_kept_window(cfg: DictConfig, folder: Path) -> DictConfig:
    """The config with the window that the run's folder keeps in place of percentiles, if it keeps one."""
    asked: Any = OmegaConf.to_container(cfg.dataset)
    kept = kept_window(asked.get("window"), folder)
    if kept is None:
        return cfg
    with_it = cfg.copy()
    OmegaConf.update(with_it, "dataset.window", kept, merge=False)
    return with_it


def perform(cfg: DictConfig, choices: Mapping[str, str], alone: bool = False) -> float | None:
    """Runs or resumes the experiment in its folder, unless it is finished.

    `alone`: no sweep has asked the tracking's server, so ask it; later it may be away without harm.
    """
    settings = plain(cfg)
    folder, decides = place_of(settings, choices)
    config = {"choices": dict(choices), **settings, "tracking": choices["tracking"]}
    new = not os.path.exists(folder)  # also where the name is too long for a file system
    with claimed(folder, config, decides), gone_if_refused(folder, new):
        if finished(folder, settings["rounds"]):
            log.info("%s is finished already", folder)
            return None
        with noted(folder):
            if settings["gpus"] == "one_each":
                require_gpu()
            if alone:
                made(cfg.tracking).check()
            experiment = build(with_kept_window(cfg, folder), choices)
            keep_window(experiment.dataset, folder)
            keep_freed_memory()
            experiment.compute.claim_threads()
            log.info("%s on %s", folder, experiment.compute.describe())
            if settings["evaluate"] is not None:
                return experiment.measure(Path(settings["evaluate"]), folder)

            def main(tracker: Tracker) -> float | None:
                tracker.note("environment", {**environment(), "device": experiment.compute.describe()})
                tracker.note("folder", str(folder.resolve()))
                return experiment(tracker, folder)

            tracked = config_columns({**config, "identity": identity_of(decides)})
            return made(cfg.tracking).record(main, tracked, folder, "seg_al")


def choices_of(chosen: Mapping[str, Any]) -> dict[str, str]:
    """The option of each of our groups, without Hydra's own."""
    return {group: str(chosen.get(group)) for group in GROUPS}


class CheckSweep(Callback):
    """Composes and builds every job of a sweep before the first one starts; tells at its end what became of each."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.sweep: Sweep | None = None
        self.rest = ""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        listen(self._stop)
        if wrong := launcher_problems(OmegaConf.to_container(config.hydra.launcher), config.hydra.sweeper):
            sys.exit(f"\nerror: no job of this sweep was started.\n\n{wrong}")
        jobs = 0  # other sweepers choose them as they go
        if by_product(config.hydra):
            loader = GlobalHydra.instance().config_loader()
            swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
            overrides = OverridesParser.create(loader).parse_overrides([*swept, *config.hydra.overrides.task])
            limited(overrides)
            words = BasicSweeper.split_arguments(overrides, None)[0]
            if not words:  # a glob that matches no option
                swept = [str(one.input_line) for one in overrides if one.is_sweep_override()]
                sys.exit(f"\nerror: this sweep has no job: {', '.join(swept)} matches no option of a group")
            self.sweep = self._checked(words, config, loader)
            jobs = len(words)
            log.info("%d jobs, all checked", jobs)
            if "submitit" in config.hydra.launcher._target_:
                self.rest = "\nWhat was given to submitit goes on by itself, or begins yet."
            atexit.register(self._tell_after_a_launcher_failed)
        launcher = config.hydra.launcher
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CONF.parent), os.environ.get("PYTHONPATH"))))
        together = share_threads(OmegaConf.to_container(launcher), config.hydra.sweeper.get("max_batch_size"), jobs)
        if "n_jobs" in launcher:
            launcher.n_jobs = together  # a process of joblib that never gets a job would know nothing of signals

    def _checked(self, jobs: Sequence[Sequence[str]], config: DictConfig, loader: ConfigLoader) -> Sweep:
        """Exits where a job cannot run: of a callback's other exceptions Hydra makes warnings."""
        single = [] if "hydra.mode=MULTIRUN" in config.hydra.overrides.hydra else ["hydra.mode=RUN"]  # a study's file
        wrong: dict[str, str] = {}
        composed: dict[tuple[str, ...], DictConfig] = {}
        checked: set[str] = set()
        made_of: list[Job] = []
        for words in jobs:
            try:
                rest, number = split_run(words)
                if rest not in composed:  # once for all its runs
                    composed[rest] = loader.load_sweep_config(config, list(rest))
                settings, choices = self._check(composed[rest], number, checked)
                command = repeated(sys.argv, [*words, *single])
                folder, _ = place_of(settings, choices)
                name = tuple(word for word in words if any(word not in other for other in jobs))
                made_of.append(Job(command, name or tuple(words), folder, settings["rounds"]))
            except (ValueError, HydraException, OmegaConfBaseException) as error:
                wrong.setdefault(str(error), " ".join(words))
        if not wrong:
            try:
                return Sweep(made_of, Path(config.hydra.sweep.dir))
            except ValueError as error:
                wrong[str(error)] = ""
        sys.exit(f"\nerror: {none_started(wrong)}")

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

    def _stop(self, number: int) -> None:
        """Of the sweep's process: what is raised ends the launcher, and with it joblib's workers."""
        end_workers(number, [] if self.sweep is None else [one.folder for one in self.sweep.jobs])
        raised(number)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if multiprocessing.current_process().name.startswith(WORKER):
            work_for(self.process)
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
            print(f"\nerror: {told(self.sweep.outcomes())}{self.rest}", file=sys.stderr)


MOST_JOBS = 10_000
"""Of one sweep: all are composed before the first starts, some hundreds in a minute."""


def limited(overrides: Sequence[Override]) -> None:
    """Exits where a sweep has no job, or more than MOST_JOBS; counted without making them."""
    values = [(one.input_line, one.value()) for one in overrides if one.is_sweep_override()]
    if still := [line for line, one in values if isinstance(one, RangeSweep) and one.step == 0]:
        sys.exit(f"\nerror: {still[0]} never ends: give it a step other than 0, as in range(0,3,1)")
    lists = [(line, one.list) for line, one in values if isinstance(one, ChoiceSweep)]
    counts = {line: len(one) for line, one in lists}
    counts |= {line: len(one.range()) for line, one in values if isinstance(one, RangeSweep) and whole(one)}
    empty = [line for line, count in counts.items() if not count]
    if empty:
        sys.exit(f"\nerror: this sweep has no job: {', '.join(map(str, empty))} holds no value")
    if (jobs := math.prod(counts.values())) > MOST_JOBS:
        many = ", ".join(f"{line} ({count})" for line, count in counts.items() if count > 1)
        sys.exit(f"\nerror: this sweep has {jobs} jobs, by {many}; one sweep has at most {MOST_JOBS}: make it several")


def whole(one: RangeSweep) -> bool:
    return all(isinstance(number, int) for number in (one.start, one.stop, one.step))


def by_product(hydra: DictConfig) -> bool:
    """Whether all jobs are known before the first; other sweepers choose as they go, and count failures themselves."""
    return str(hydra.sweeper._target_).endswith("BasicSweeper")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(cfg: DictConfig) -> float | None:
    composed = HydraConfig.get()
    choices, swept = choices_of(composed.runtime.choices), composed.mode == RunMode.MULTIRUN
    if not swept:
        if wrong := wrong_values(OmegaConf.to_container(composed.launcher), composed.sweeper):  # type: ignore[arg-type]
            sys.exit("\nerror: " + "\n".join(wrong))
        listen(raised)
    try:
        with job():
            return perform(cfg, choices, alone=not swept)
    except Exception as error:
        if not swept and isinstance(error, ValueError):
            sys.exit(f"\nerror: {error}")
        if not swept or not by_product(composed):
            raise
        log.error("failed: %s", error, exc_info=not isinstance(error, ValueError))
        note_refusal(Path(composed.sweep.dir), place_of(plain(cfg), choices)[0], error)
        return None  # the sweep goes on, and ends with a summary from the disk
    except KeyboardInterrupt as stop:
        if not swept:
            print(f"\n{words_of(stop, place_of(plain(cfg), choices)[0])}", file=sys.stderr)
        raise


def program() -> None:
    """What `python run.py WORDS` does: runs, or ends with an error in a few words."""
    if wrong := mistakes(sys.argv[1:], CONF, GROUPS, *study_of(sys.argv)):
        sys.exit(f"\nerror: {wrong}")
    whole = os.environ.setdefault(TRACES, "kept") == "1"  # a person who wants to see the traceback
    os.environ[TRACES] = "1"  # else Hydra shows tracebacks of its own, and ends
    try:
        main()
    except (ValueError, HydraException, OmegaConfBaseException) as error:  # of composing: main tells its own
        if whole:
            raise
        unread = error.override if isinstance(error, OverrideParseException) else None
        sys.exit("\n".join([f"\nerror: {words_of_hydra(error, unread)}", *remedies(sys.argv[1:], CONF, GROUPS)]))
    except RecursionError:
        if whole:
            raise
        sys.exit("\nerror: a config holds itself: look for a file that its own list of defaults names")
    except KeyboardInterrupt as stop:  # of a sweep `_tell_after_a_launcher_failed` tells
        sys.exit(128 + number_of(stop))


if __name__ == "__main__":
    program()
