"""The single values at the root of the config, with their types; what they mean stands in conf/config.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seg_al.core import CostUnit


@dataclass(frozen=True)
class Settings:
    run: int
    mc_iters: int
    rounds: int
    initial: int | Literal["all"]
    budget: float
    cost: CostUnit
    subset: int | None
    objects: bool
    bayesian: bool
    runs: str
    folder: str | None
    keep_weights: Literal["last", "all"]
    gallery: int
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    scoring: Literal["same", "bfloat16"]
    devices: int
    workers: int | Literal["auto"]
    threads: int | Literal["auto"]
    cache: float

    def __post_init__(self) -> None:
        least = {"subset": 1, "gallery": 0, "workers": 0, "threads": 1, "cache": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if isinstance(value, int | float) and value < lowest:
                raise ValueError(f"{name}={value:g}: at least {lowest}")
