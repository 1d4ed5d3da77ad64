"""Small experiments on tiny synthetic glands, composed from conf/ as run.py composes them, but in this process."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

import run
from seg_al.core import Region
from seg_al.loop import Experiment
from seg_al.running import one_run
from seg_al.running.building import build_experiment
from seg_al.running.config_check import require_right
from seg_al.running.groups import chosen_options

ROOT = Path(__file__).parents[1]

SMALLEST = (
    "dataset.size=[32,40]", "dataset.train=8", "dataset.rare=0", "dataset.val=2", "dataset.test_a=2",
    "dataset.test_b=2",
    "mc_iters=2", "rounds=3", "initial=2", "budget=1", "objects=false", "gallery=0",
    "trainer.augmentation.crop=[32,32]", "trainer.pace.steps=2", "trainer.batch_size=2", "trainer.validation.times=1",
    "trainer.optimizer.lr=0.001", "tracking=none", "device=cpu", "share=false",
)  # fmt: skip
"""Six images in the pool; a round takes a fraction of a second."""
NARROW = "model.width=2"
TINY = (*SMALLEST, NARROW)
"""With the U-Net as narrow as can be."""


def _on(data: Path, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The tiny experiment with the narrow U-Net, unless another model is chosen."""
    own = any(one.startswith("model=") for one in overrides)
    return (f"dataset.root={data}", *(SMALLEST if own else TINY), *overrides)


@cache
def composed(*overrides: str) -> tuple[DictConfig, dict[str, str]]:
    """What run.py's main gets of Hydra: the config and the option of each group."""
    with initialize_config_dir(version_base="1.3", config_dir=str(run.CONF)):
        cfg = compose("config", list(overrides), return_hydra_config=True)
    choices = chosen_options(cfg.hydra.runtime.choices)
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]), choices


def settings_of(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    return run.composition(cfg, choices).settings


def built(cfg: DictConfig, choices: Mapping[str, str]) -> Experiment:
    settings = settings_of(cfg, choices)
    require_right(settings)
    return build_experiment(settings, choices, run.made, run.CONF)


def performed(cfg: DictConfig, choices: Mapping[str, str]) -> float | None:
    return one_run.perform(settings_of(cfg, choices), choices, run.made, run.CONF, alone=False)


def tiny(data: Path, *overrides: str) -> Experiment:
    """A tiny experiment on glands under `data`; later overrides win."""
    return built(*composed(*_on(data, overrides)))


def perform(data: Path, folder: Path, *overrides: str) -> float | None:
    """The tiny experiment as `python run.py folder=...` runs it."""
    return performed(*composed(*_on(data, (f"folder={folder}", *overrides))))


@dataclass
class Notes:
    """A tracker that keeps what it is told."""

    told: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)
    noted: dict[str, Any] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)

    def scalars(self, values: Mapping[str, float], step: float) -> None:
        self.told.append((step, values))

    def artifact(self, path: Path, name: str) -> None:
        self.artifacts.append(name)

    def note(self, key: str, value: Any) -> None:
        self.noted[key] = value


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    text: str
    """What it printed, errors included."""


def command(place: Path, *words: str, environment: Mapping[str, str] | None = None) -> Ended:
    """`python run.py WORDS` in the folder `place`, in a process forked from one that has the imports behind it."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["hydra", "seg_al.loop", "seg_al.running.signatures"])
    out = place / "printed.txt"
    process = forks.Process(target=_main, args=(words, place, out, dict(environment or {})))
    process.start()
    process.join(600)
    assert process.exitcode is not None
    return Ended(process.exitcode, out.read_text())


def _main(words: tuple[str, ...], place: Path, out: Path, environment: dict[str, str]) -> None:
    with out.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.chdir(place)
    os.environ.update(environment)
    sys.argv = [str(ROOT / "run.py"), *words]
    runpy.run_path(sys.argv[0], run_name="__main__")


def queries(folder: Path, number: int) -> list[dict[str, Any]]:
    text = (folder / "rounds" / f"{number:02d}" / "queries.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def metrics(folder: Path, number: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads((folder / "rounds" / f"{number:02d}" / "metrics.json").read_text())
    return found


def scores(folder: Path, number: int) -> pd.DataFrame:
    return pd.read_parquet(folder / "rounds" / f"{number:02d}" / "scores.parquet")


def masks(folder: Path, number: int) -> list[tuple[str, np.ndarray]]:
    """Image and region [H, W] of each query of a round."""
    rows = ((query["image"], query["region"]) for query in queries(folder, number))
    return [(name, Region(tuple(region["size"]), region["runs"]).pixels()) for name, region in rows]


def record(folder: Path) -> dict[str, bytes | str]:
    """All that decides or reports the numbers, by path: bytes of queries and metrics, values of scores."""
    found: dict[str, bytes | str] = {}
    for path in sorted((folder / "rounds").rglob("*")):
        name = str(path.relative_to(folder))
        if path.name in ("queries.jsonl", "metrics.json"):
            found[name] = path.read_bytes()
        if path.name == "scores.parquet":
            found[name] = pd.read_parquet(path).to_csv(float_format="%.17g")
    return found
