"""Judges networks for a task: on val while they train, on what they were trained on, and before they learn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seg_al.core import Compute, Dataset, Metric, Model, Task
from seg_al.measuring.learned import CONSTANT, UNTRAINED
from seg_al.tasks.evaluation import tests_of

log = logging.getLogger(__name__)

FITTED = 100
"""Most labelled images on which the fit is measured."""
Baselines = dict[str, dict[str, Any]]
"""What is scored without learning: under "scores" the numbers "<split>/constant_<metric>" and
"<split>/untrained_<metric>"; under "constants", by "<split>/<metric>", which constant prediction is the best."""


@dataclass(frozen=True)
class Judge:
    """Scores a model on val, which alone chooses, by a metric of the task; a value, so that processes can have it."""

    task: Task[Any]
    dataset: Dataset
    compute: Compute
    metric: Metric

    def __call__(self, model: Model) -> float:
        """Higher = better."""
        found = self.task.judge([model], self.dataset, self.dataset.val, self.compute)
        return self.metric.sign * found[self.metric.name]

    @property
    def compared(self) -> tuple[Metric, ...]:
        """The metrics that show whether a network has learned: the task's first, and the one that judges."""
        return tuple(dict.fromkeys((self.task.metrics[0], self.metric)))

    def baselines(self, untrained: Model) -> Baselines:
        """Of val and test; a network whose untrained output is not finite has no score."""
        scores: dict[str, float] = {}
        best: dict[str, str] = {}
        for split, names in (("val", self.dataset.val), ("test", tests_of(self.dataset)["test"])):
            for metric in self.compared:
                found = self.task.constants(self.dataset, names, metric.name)
                constant = max(found, key=lambda name: metric.sign * found[name])
                scores[f"{split}/{CONSTANT}{metric.name}"] = found[constant]
                best[f"{split}/{metric.name}"] = constant
            try:
                told = self.task.judge([untrained], self.dataset, names, self.compute)
            except ValueError as error:
                log.info("the untrained network has no score on %s: %s", split, error)
                continue
            scores |= {f"{split}/{UNTRAINED}{one.name}": told[one.name] for one in self.compared if one.name in told}
        return {"scores": scores, "constants": best}

    def fit(self, models: Sequence[Model], names: Sequence[str], known: Callable[[str], Any]) -> dict[str, float]:
        """ "labelled/<metric>": how well models tell what is known of named images, at most 100, evenly spaced."""
        found = self.task.judge(models, self.dataset, evenly_spaced(names), self.compute, known)
        return {f"labelled/{metric.name}": found[metric.name] for metric in self.compared if metric.name in found}


def evenly_spaced(names: Sequence[str], most: int = FITTED) -> tuple[str, ...]:
    """At most so many of the names, at equal distances in their order, with the first and the last."""
    places = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    return tuple(names[place] for place in places.tolist())
