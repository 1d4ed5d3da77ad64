"""What stands across the axes of learning curves: scores that no choice of labels moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from seg_al.measuring.learned import CONSTANT, UNTRAINED
from seg_al.recording.pictures.print_style import CEILING, Style
from seg_al.results.learned_rounds import mean_by_arm, with_split


@dataclass(frozen=True)
class Level:
    """One such score."""

    name: str
    value: float
    style: Style
    framed: bool = True
    """Whether the frame makes room for it; else it is seen only where it is among the curves."""


def levels_of(table: pd.DataFrame, metric: str) -> list[Level]:
    """What all of the pool reaches, the best constant prediction, and the untrained network, where they are known."""
    full = table[table["ceiling"] & (table["metric"] == metric) & table["value"].notna()]
    ceilings = full.groupby("label", sort=False)["value"]
    found = [
        Level(f"{label} (n = {len(own)})", float(own.mean()), Style(CEILING, "", (0, (8, 3, *[1, 3] * number))))
        for number, (label, own) in enumerate(ceilings)
    ]
    found += _by_dataset(table, with_split(metric, CONSTANT), Level("constant predictor", 0, Style("#000000", "", ":")))
    faint = Style("#bbbbbb", "", (0, (1, 3)))
    return [*found, *_by_dataset(table, with_split(metric, UNTRAINED), Level("untrained network", 0, faint, False))]


def _by_dataset(table: pd.DataFrame, number: str, like: Level) -> Iterator[Level]:
    """A level for each dataset, whose name stands in that of the level where there are several."""
    values = mean_by_arm(table, number)
    datasets = table[table["label"].isin(values)].groupby("dataset", sort=False)["label"].unique()
    for dataset, labels in datasets.items():
        mean = sum(values[label] for label in labels) / len(labels)
        yield replace(like, name=like.name if len(datasets) == 1 else f"{like.name}, {dataset}", value=mean)
