"""The simulated annotator, which knows all labels and bills every answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

from seg_al.core import CLASSES, Answer, Dataset, PixelSet, Query, Region, Task, Truth

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Oracle(Generic[Truth]):
    """Answers at once from the dataset's labels. Labels of the pool are reached only through it."""

    dataset: Dataset
    task: Task[Truth]
    gives: str
    """How it answers: one of what the task allows, such as "true" (for pixels: tasks/pixels/class_labels.py)."""
    truths_read: dict[str, set[str]] = field(default_factory=dict, init=False)
    """By the name of a fact: images of which it was read without a query, the cost of an oracle selector."""

    def __post_init__(self) -> None:
        if problems := self.task.problems_of_answers(self.dataset, self.gives):
            raise ValueError("; ".join(problems))

    def answer(self, queries: Sequence[Query], known: Callable[[str], PixelSet], folder: Path) -> list[Answer]:
        log.info("the oracle answers %d queries", len(queries))
        by_image: dict[str, list[int]] = {}
        for position, query in enumerate(queries):
            by_image.setdefault(query.image, []).append(position)
        answers: dict[int, Answer] = {}
        for name, positions in by_image.items():
            regions = [queries[position].region for position in positions]
            own = self.task.answers(self.dataset, name, regions, known(name), self.gives)
            answers |= dict(zip(positions, own, strict=True))
        return [answers[position] for position in range(len(queries))]

    def reveal(self, name: str, regions: Sequence[Region]) -> Truth:
        return self.task.reveal(self.dataset, name, regions, self.gives)

    def fact(self, key: str, name: str, region: PixelSet) -> str:
        self.truths_read.setdefault(key, set()).add(name)
        if key == CLASSES:
            return ",".join(str(one) for one in self.task.classes_in(self.dataset, name, region))
        return self.dataset.column(key)[name]
