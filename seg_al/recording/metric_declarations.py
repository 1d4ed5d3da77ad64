"""Keeps the meaning of a run's metrics in its folder, so that they are read without the task that measured them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seg_al.core import Metric
from seg_al.measuring.learned import LEARNED
from seg_al.recording.files import write_json

NOTE = "metric_declarations"
"""The name of the note with which a tracker gets them."""
DECLARATIONS = f"{NOTE}.json"
RECORDED = (
    *(Metric(f"{part}_seconds", "lower", lowest=0, unit="s") for part in ("query", "train", "evaluate", "saved")),
    *(Metric(f"{part}_peak_mib", "lower", lowest=0, unit="MiB") for part in ("query", "train", "evaluate")),
    Metric("truths_read", "lower", lowest=0),
    Metric(LEARNED, lowest=0, highest=1),
    Metric("steps", "lower", lowest=0, unit="steps"),
    Metric("loss", "lower"),
    Metric("loss_slope", unit="per 100 steps"),
    Metric("share", lowest=0, highest=1, of_class="share"),
    Metric("kendall_at", lowest=-1, highest=1, of_class="kendall_at"),
)
"""Metrics that are recorded of every task: effort, labels read without asking, whether networks have learned
and how their training ended, classes asked about, stability."""


def declare(folder: Path, metrics: Sequence[Metric]) -> None:
    """Writes them into the run's folder, unless they are there."""
    told = [asdict(metric) for metric in metrics]
    path = folder / DECLARATIONS
    if not path.exists() or path.read_text() != json.dumps(told, indent=1, sort_keys=True) + "\n":
        write_json(path, told)


def declared_in(folder: Path) -> tuple[Metric, ...] | None:
    """The metrics that the run's task declared; None for an older run. Raises ValueError for a damaged file."""
    path = folder / DECLARATIONS
    if not path.exists():
        return None
    try:
        return metrics_of(json.loads(path.read_text()))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it, and run the same command again") from error


def metrics_of(entries: Any) -> tuple[Metric, ...]:
    """The metrics of their plain form. Raises ValueError where it is none; keys that came later are left out."""
    try:
        known = asdict(Metric("")).keys()
        return tuple(Metric(**{key: entry[key] for key in entry if key in known}) for entry in entries)
    except (TypeError, KeyError) as error:
        raise ValueError(f"it holds no declarations of metrics: {error}") from error
