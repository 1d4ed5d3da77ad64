"""Composes an experiment with Hydra, runs it in its folder and lets Sacred watch: `python run.py --help`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException, InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from seg_al.acquire import Asking
from seg_al.compute import Compute
from seg_al.core import Heuristic, Tracker
from seg_al.datasets.cached import Cached
from seg_al.environment import environment
from seg_al.evaluate import Evaluator
from seg_al.folder import claimed, finished, flat, identity_of, writable
from seg_al.loop import Experiment
from seg_al.memory import keep_freed_memory
from seg_al.settings import Settings
from seg_al.signatures import problems

log = logging.getLogger("seg_al")

CONF = Path(__file__).parent / "conf"
GROUPS = (
    "dataset", "model", "heuristic", "predictor", "granularity", "selector", "annotator", "trainer", "tracking",
)  # fmt: skip
FREE = (
    "rounds", "runs", "folder", "tracking", "device", "workers", "threads", "cache", "gallery",
    "keep_weights",
)  # fmt: skip
"""Settings that do not decide the numbers of a round: a run keeps its folder when they change."""


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
    )
    experiment = Experiment(
        run=root.run,
        rounds=root.rounds,
        initial=root.initial,
        budget=root.budget,
        cost=root.cost,
        dataset=dataset,
        model=part["model"],
        asking=asking,
        annotator=part["annotator"](dataset=dataset),
        trainer=part["trainer"],
        evaluator=Evaluator(root.objects, root.bayesian),
        compute=Compute(root.device, root.precision, root.devices, root.workers, root.threads, root.scoring),
        keep_weights=root.keep_weights,
        gallery=root.gallery,
    )
    experiment.check()
    return experiment


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Copies the log into a file."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def perform(cfg: DictConfig, choices: Mapping[str, str]) -> float | None:
    """Runs or resumes the experiment in its folder, unless it is finished."""
    settings = plain(cfg)
    decides = {key: value for key, value in settings.items() if key not in FREE}
    name = "-".join((*(choices[group] for group in ("dataset", "model", "heuristic")), f"run{settings['run']}"))
    folder = Path(settings["folder"] or Path(settings["runs"]) / f"{name}-{identity_of(decides)[:8]}")
    config = {"choices": dict(choices), **settings, "tracking": choices["tracking"]}
    with claimed(folder, config, decides):
        if finished(folder, settings["rounds"]):
            log.info("%s is finished already", folder)
            return None
        experiment = build(cfg, choices)
        keep_freed_memory()
        experiment.compute.claim_threads()
        log.info("%s on %s", folder, experiment.compute.describe())

        def main(tracker: Tracker) -> float | None:
            tracker.note("environment", {**environment(), "device": experiment.compute.describe()})
            tracker.note("folder", str(folder.resolve()))
            with logged(folder / "run.log"):
                return experiment(tracker, folder)

        options = {f"{group}_options": settings[group] for group in GROUPS if group != "tracking"}
        columns = {**{key: settings[key] for key in settings if key not in GROUPS}, **choices, **options}
        tracked = {**columns, "identity": identity_of(decides), "tags": [], "seed": settings["run"] % 2**32}
        return made(cfg.tracking).record(main, tracked, folder, "seg_al")


def choices_of(chosen: Mapping[str, Any]) -> dict[str, str]:
    """The option of each of our groups, without Hydra's own."""
    return {group: str(chosen[group]) for group in GROUPS}


class CheckSweep(Callback):
    """Composes and builds every job of a sweep before the first one starts; tells at its end which ones failed."""

    def __init__(self) -> None:
        self.jobs = 0
        self.failed: list[str] = []
        self.process = os.getpid()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if not config.hydra.sweeper._target_.endswith("BasicSweeper"):
            return  # other sweepers choose their jobs as they go
        loader = GlobalHydra.instance().config_loader()
        swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
        overrides = OverridesParser.create(loader).parse_overrides([*swept, *config.hydra.overrides.task])
        jobs = BasicSweeper.split_arguments(overrides, None)[0]
        wrong: dict[str, str] = {}
        checked: set[str] = set()
        for job in jobs:
            try:
                self._check(loader.load_sweep_config(config, job), checked)
            except (ValueError, HydraException) as error:
                wrong.setdefault(str(error), " ".join(job))
        if wrong:  # Hydra turns exceptions of a callback into warnings, but not an exit
            rows = "\n\n".join(f"{job}\n{error}" for error, job in wrong.items())
            sys.exit(f"\nerror: no job of this sweep was started.\n\n{rows}")
        self.jobs = len(jobs)
        log.info("%d jobs, all checked", self.jobs)

    def _check(self, cfg: DictConfig, checked: set[str]) -> None:
        """Builds each distinct experiment once; runs differ in nothing but the seed."""
        choices = choices_of(cfg.hydra.runtime.choices)
        cfg = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        plain(cfg)
        alike = plain(OmegaConf.merge(cfg, {"run": 0, "folder": None}))
        if (key := repr((choices, alike))) not in checked:
            writable(Path(cfg.folder or cfg.runs))
            made(cfg.tracking).check()
            build(cfg, choices)
            checked.add(key)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if os.getpid() != self.process:
            return  # another process cannot tell the sweep's: Hydra hands the failure over and raises it in the end
        if job_return.status == JobStatus.FAILED and config.hydra.mode == RunMode.MULTIRUN:
            error = job_return._return_value
            if isinstance(error, ValueError):  # its cause was told when it came up; others deserve Hydra's traceback
                self.failed.append(f"{config.hydra.job.override_dirname}\n{error}")
                job_return.status, job_return.return_value = JobStatus.COMPLETED, None

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if self.failed:
            rows = "\n\n".join(self.failed)
            sys.exit(f"\nerror: {len(self.failed)} of {self.jobs} jobs failed, the others are finished.\n\n{rows}")
        log.info("%d jobs, all finished", self.jobs)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float | None:
    job = HydraConfig.get()
    try:
        return perform(cfg, choices_of(job.runtime.choices))
    except ValueError as error:
        if job.mode == RunMode.RUN:
            sys.exit(f"\nerror: {error}")
        log.error("failed: %s", error)  # the sweep goes on, and ends with a summary
        raise


def suggestions(words: Sequence[str]) -> Iterator[str]:
    """What was meant by the keys on the command line that conf/ does not have; Hydra only says how to add them."""
    known = set(flat(yaml.safe_load((CONF / "config.yaml").read_text()))) | {*GROUPS}
    for group in GROUPS:
        options = (yaml.safe_load(path.read_text()) for path in (CONF / group).glob("*.yaml"))
        known |= {f"{group}.{key}" for option in options for key in flat(option)}
    for key in (
        word.partition("=")[0] for word in words if "=" in word and not word.startswith(("+", "~", "hydra", "-"))
    ):
        parents = (name.startswith(f"{key}.") for name in known)
        if key not in known and not any(parents) and (close := get_close_matches(key, sorted(known), n=1)):
            yield f"{key} is not in the config; did you mean {close[0]}?"


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if end.code == 1:  # Hydra could not compose the config
            print(*suggestions(sys.argv[1:]), sep="\n", file=sys.stderr)
        raise
