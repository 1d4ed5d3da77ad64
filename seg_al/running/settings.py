"""The values at the root of the config, with their types; conf/config.yaml says what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from seg_al.core import BudgetUnit

RANGES = {
    "run": (0, 2**32 - 1),  # a seed of Sacred
    "rounds": (1, 10_000),
    "subset": (1, inf),
    "new_images": (1, inf),
    "shortlist": (1, inf),
    "gallery": (0, inf),
    "devices": (1, 1024),
    "workers": (0, 1024),
    "threads": (1, 1024),  # with too few, PyTorch is killed
    "images_at_once": (1, 65_536),
    "cache": (0, inf),
}
"""The least and the largest value of settings that are numbers."""


@dataclass(frozen=True)
class Settings:
    run: int
    mc_iters: int
    rounds: int
    initial: int | Literal["all", "budget"]
    budget: float | list[float]
    schedule: str | None
    cost: BudgetUnit
    per: Literal["pool", "image"]
    subset: int | None
    new_images: int | None
    shortlist: int
    objects: bool | Literal["auto"]
    bayesian: bool
    evaluate: str | None
    runs: str
    folder: str | None
    share: bool
    keep_weights: Literal["last", "all"]
    gallery: int
    tags: list[str]
    notes: str | None
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    scoring: Literal["same", "bfloat16"]
    devices: int
    workers: int | Literal["auto"]
    threads: int | Literal["auto"]
    images_at_once: int | Literal["auto"]
    gpus: Literal["shared", "one_each"]
    cache: float

    @property
    def budgets(self) -> Sequence[float]:
        """The budget of each later round, the last one for all that follow."""
        return self.budget if isinstance(self.budget, list) else [self.budget]

    def __post_init__(self) -> None:
        for name, (lowest, highest) in RANGES.items():
            value = getattr(self, name)
            if isinstance(value, int | float) and value < lowest:
                raise ValueError(f"{name}={value}: at least {lowest}")
            if isinstance(value, int | float) and value > highest:
                raise ValueError(f"{name}={value}: at most {highest}")
        entries, asks = len(self.budgets), self.rounds - 1
        if not entries or (isinstance(self.budget, list) and asks > 0 and entries != asks):
            raise ValueError(
                f"budget={self.budget} has {entries} entries, but {asks} rounds ask (rounds={self.rounds}, without the "
                "first); give one to each, or one number for all"
            )
        if self.new_images is not None and self.per != "image":
            raise ValueError(f"new_images={self.new_images} is about a budget for each image; set per=image")
        if self.gpus == "one_each" and self.devices > 1:
            raise ValueError(f"gpus=one_each gives a run one GPU, but devices={self.devices}; use gpus=shared")
