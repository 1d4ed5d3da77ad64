"""Composes an experiment with Hydra, runs it in its folder and tracks it with Sacred: `python run.py --help`.

The only module that knows Hydra. Slow imports stand where a run begins, so that a config that does not
compose, or is only shown, need not wait for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import RangeSweep
from hydra.errors import HydraException, InstantiationException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seg_al.running.command_line import repeated, study_of
from seg_al.running.groups import GROUPS, Composition, chosen_options
from seg_al.running.launching import Launching, Word
from seg_al.running.spelling import mistakes, remedies, words_of_hydra

CONF = Path(__file__).parent / "conf"
TRACES = "HYDRA_FULL_ERROR"
"""With the value 1, Hydra raises its exceptions instead of printing them and ending."""


def made(node: Mapping[str, Any]) -> Any:
    """The object that the node's `_target_` makes; a ValueError is raised as it is, without Hydra's wrapping."""
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError):
            raise error.__cause__ from None
        raise


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as plain values. Raises ValueError naming every key whose value does not fit."""
    from seg_al.running.config_check import require_right

    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        if missing:
            raise ValueError("\n".join(f"{key} has no value; give it one, as in {key}=VALUE" for key in missing))
        settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ValueError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ValueError("a value of the config refers to itself by ${...}; give one of them a value") from None
    require_right(settings)
    return settings


def composition(cfg: DictConfig, choices: Mapping[str, Any]) -> Composition:
    return Composition(chosen_options(choices), lambda values: plain(OmegaConf.merge(cfg, values)))  # type: ignore[arg-type]


def composed(config: DictConfig, loader: ConfigLoader, words: Sequence[str]) -> Composition:
    """The job of a sweep that has these words. Raises ValueError where they do not compose."""
    try:
        cfg = loader.load_sweep_config(config, list(words))
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(str(error)) from error
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

    def __init__(self) -> None:
        from seg_al.running.sweep_process import SweepProcess

        self.process = SweepProcess()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        from seg_al.running.sweep_start import SweepStart

        loader, how = GlobalHydra.instance().config_loader(), launching(config.hydra)
        single = [] if "hydra.mode=MULTIRUN" in config.hydra.overrides.hydra else ["hydra.mode=RUN"]  # a study's file
        compose, repeat = partial(composed, config, loader), partial(repeated, sys.argv, single)
        words = [*words_of(config, loader)] if how.by_product else []
        at_once = self.process.begin(how, words, SweepStart(compose, repeat, made, CONF, how.notes))
        if "n_jobs" in config.hydra.launcher:  # a process of joblib that never gets a job would not know of signals
            config.hydra.launcher.n_jobs = at_once

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.process.job_begins(config.gpus)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self.process.end()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(cfg: DictConfig) -> float | None:
    from seg_al.running.one_run import run_job

    hydra_config = HydraConfig.get()
    return run_job(composition(cfg, hydra_config.runtime.choices), made, CONF, launching(hydra_config))


def program() -> None:
    """Runs `python run.py WORDS`, or ends with an error in a few words."""
    if wrong := mistakes(sys.argv[1:], CONF, GROUPS, *study_of(sys.argv)):
        sys.exit(f"\nerror: {wrong}")
    whole = os.environ.setdefault(TRACES, "kept") == "1"  # a person who wants to see the traceback
    os.environ[TRACES] = "1"  # else Hydra shows tracebacks of its own, and ends
    try:
        main()
    except (ValueError, HydraException, OmegaConfBaseException, RecursionError) as error:  # of composing
        if whole:
            raise
        unread = error.override if isinstance(error, OverrideParseException) else None
        sys.exit("\n".join([f"\nerror: {words_of_hydra(error, unread)}", *remedies(sys.argv[1:], CONF, GROUPS)]))
    except KeyboardInterrupt as stop:  # the end of the process reports on the sweep
        from seg_al.running.stopping import number_of

        sys.exit(128 + number_of(stop))


if __name__ == "__main__":
    program()
