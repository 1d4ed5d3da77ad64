"""Composes an experiment with Hydra, and alone knows it: `python run.py --help`. What is slow, a run itself imports."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import RangeSweep
from hydra.errors import HydraException, InstantiationException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seg_al.running.command_line import Shared, config_folders, repeated, studies, study_of, with_own_folder
from seg_al.running.finished_runs import run_unless_finished
from seg_al.running.groups import Composition, chosen_options
from seg_al.running.launching import Launching, Word
from seg_al.running.option_files import options_in
from seg_al.running.spelling import misspelt, why_not_composed
from seg_al.running.sweep_process import SweepProcess
from seg_al.tracking.signals import number_of

CONF = Path(__file__).parent / "conf"
TRACES = "HYDRA_FULL_ERROR"  # set to 1, Hydra raises what goes wrong, instead of showing it and ending


def made(node: Mapping[str, Any]) -> Any:
    """The object that the node's `_target_` makes; a ValueError is raised as it is, without Hydra's wrapping."""
    try:
        return hydra.utils.instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError):
            raise error.__cause__ from None
        raise


def plain(cfg: DictConfig, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The config as plain values, with these in place of some at its root. Raises ValueError where one is missing."""
    cfg = cfg.copy()
    for key, value in (values or {}).items():
        OmegaConf.update(cfg, key, value, merge=False)
    try:
        if missing := sorted(OmegaConf.missing_keys(cfg)):
            raise ValueError("\n".join(f"{key} has no value; give it one, as in {key}=VALUE" for key in missing))
        return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ValueError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ValueError("a value of the config refers to itself by ${...}; give one of them a value") from None


def composition(cfg: DictConfig, choices: Mapping[str, Any]) -> Composition:
    files = partial(options_in, config_folders(sys.argv, CONF))
    return Composition(chosen_options(choices), partial(plain, cfg), files)


def composed(config: DictConfig, loader: ConfigLoader, words: Sequence[str]) -> Composition:
    """The job of a sweep that has these words. Raises ValueError where they do not compose."""
    try:
        cfg = loader.load_sweep_config(config, list(words))
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(why_not_composed(error, None, words, config_folders(sys.argv, CONF))) from error
    ours = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return composition(ours, cfg.hydra.runtime.choices)


def launching(config: Any) -> Launching:  # Hydra's own part of a config, as it comes
    values: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    return Launching(values["launcher"], values["sweeper"], config.mode == RunMode.MULTIRUN, Path(config.sweep.dir))


def words_of(config: DictConfig, loader: ConfigLoader) -> Iterator[Word]:
    """The words that choose the jobs of a sweep, with the values of each as Hydra's own sweeper takes them."""
    swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    for one in OverridesParser.create(loader).parse_overrides([*swept, *config.hydra.overrides.task]):
        numbers, several = one.value(), one.is_sweep_override()
        bounds = (numbers.start, numbers.stop, numbers.step) if isinstance(numbers, RangeSweep) else None
        values: Any = one.sweep_string_iterator if several else partial(list, [one.get_value_element_as_str()])
        yield Word(str(one.input_line), one.get_key_element(), values, several, bounds)


class CheckSweep(Callback):
    """Passes Hydra's events on to seg_al.running.sweep_process."""

    process = SweepProcess()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        loader, how = GlobalHydra.instance().config_loader(), launching(config.hydra)
        single = [] if "hydra.mode=MULTIRUN" in config.hydra.overrides.hydra else ["hydra.mode=RUN"]  # a study's file
        compose, repeat = partial(composed, config, loader), partial(repeated, sys.argv, single)
        words = [*words_of(config, loader)] if how.by_product else []
        at_once = self.process.begin(how, words, compose, repeat, made, CONF)
        if "n_jobs" in config.hydra.launcher:  # a process of joblib that never gets a job would not know of signals
            config.hydra.launcher.n_jobs = at_once

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.process.job_begins(config.gpus)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self.process.end()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(cfg: DictConfig) -> float | None:
    config = HydraConfig.get()
    return run_unless_finished(composition(cfg, config.runtime.choices), made, CONF, launching(config))


def store_studies() -> None:
    """Makes experiment=NAME of the files that -cd experiments -cn NAME takes as they are."""
    ConfigStore.instance().repo = Shared(ConfigStore.instance().repo)  # else each group that --help lists copies it
    for group, path in studies(CONF.resolve().parent / "experiments", study_of(sys.argv)[0]):
        study: Any = OmegaConf.load(path)
        study.defaults = [entry for entry in study.defaults if entry != "config"]  # it is chosen within the config
        ConfigStore.instance().store(path.stem, study, group, package="_global_")


def program() -> None:
    """What `python run.py WORDS` does: runs, or ends with an error in a few words."""
    sys.argv = with_own_folder(sys.argv)
    store_studies()
    folders = config_folders(sys.argv, CONF)
    if wrong := misspelt(sys.argv[1:], folders, study_of(sys.argv)[1]):
        sys.exit(f"\nerror: {wrong}")
    whole = os.environ.setdefault(TRACES, "kept") == "1"  # a person who wants to see the traceback
    os.environ[TRACES] = "1"  # else Hydra shows tracebacks of its own, and ends
    try:
        main()
    except (ValueError, HydraException, OmegaConfBaseException, RecursionError) as error:  # of composing
        if whole:
            raise
        unread = error.override if isinstance(error, OverrideParseException) else None
        sys.exit(f"\nerror: {why_not_composed(error, unread, sys.argv[1:], folders)}")
    except KeyboardInterrupt as stop:  # what became of a sweep is told as its process ends
        sys.exit(128 + number_of(stop))


if __name__ == "__main__":
    program()
