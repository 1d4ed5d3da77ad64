"""Lists the jobs of a sweep and checks whether each can run, before the first one starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from seg_al.running.building import build_experiment
from seg_al.running.config_check import require_right
from seg_al.running.folder import writable
from seg_al.running.groups import Composition, Make
from seg_al.running.identity import folder_of_run
from seg_al.running.launching import Word
from seg_al.running.sweep import Job, Sweep, refusal_summary, split_run

MOST_JOBS = 10_000
"""Most jobs of one sweep, which are all composed before the first starts, some hundreds in a minute."""


def jobs_of(words: Sequence[Word]) -> list[tuple[str, ...]]:
    """The words of each job, in the order of Hydra's own sweeper. Raises ValueError for none, and for too many."""
    swept = {word.typed: word.count for word in words if word.several}
    if still := [typed for typed, count in swept.items() if count == math.inf]:
        raise ValueError(f"{still[0]} never ends: give it an end, and a step other than 0, as in range(0,3,1)")
    if empty := [typed for typed, count in swept.items() if not count]:
        raise ValueError(f"this sweep has no job: {', '.join(empty)} holds no value, or matches no option of a group")
    if (jobs := math.prod(map(int, swept.values()))) > MOST_JOBS:
        many = ", ".join(f"{typed} ({count})" for typed, count in swept.items() if count > 1)
        raise ValueError(f"this sweep has {jobs} jobs, by {many}; one sweep has at most {MOST_JOBS}: make it several")
    by_key = {word.key: [f"{word.key}={value}" for value in word.values()] for word in words}
    return [*product(*by_key.values())]


@dataclass(frozen=True)
class SweepStart:
    """Builds each distinct experiment once; the runs of one differ in nothing but the seed."""

    compose: Callable[[Sequence[str]], Composition]
    """The composed config of a job's words. Raises ValueError where they do not compose."""
    repeat: Callable[[Sequence[str]], tuple[str, ...]]
    """The command that runs a job with these words alone."""
    make: Make
    conf: Path
    notes: Path
    """A folder for what the jobs leave for the summary."""

    def __call__(self, jobs: Sequence[tuple[str, ...]]) -> Sweep:
        """Raises ValueError where a job cannot run, with the words of the first for each reason."""
        wrong: dict[str, str] = {}
        composed: dict[tuple[str, ...], Composition] = {}
        checked: set[str] = set()
        made: list[Job] = []
        for words in jobs:
            try:
                rest, run = split_run(words)
                if rest not in composed:  # once for all its runs
                    composed[rest] = self.compose(rest)
                made.append(self._job(words, jobs, composed[rest], {} if run is None else {"run": run}, checked))
            except ValueError as error:
                wrong.setdefault(str(error), " ".join(words))
        if not wrong:
            try:
                return Sweep(made, self.notes)
            except ValueError as error:
                wrong[str(error)] = ""
        raise ValueError(refusal_summary(wrong))

    def _job(
        self, words: tuple[str, ...], jobs: Sequence[tuple[str, ...]], composition: Composition,
        run: Mapping[str, int], checked: set[str],
    ) -> Job:  # fmt: skip

        settings, choices = composition.with_values(run), composition.choices
        alike = composition.with_values({"run": 0, "folder": None}) if run else settings  # else run may be no number
        if (key := repr((choices, alike))) not in checked:
            require_right(settings)
            writable(Path(settings["folder"]).parent if settings["folder"] else Path(settings["runs"]))
            self.make(settings["tracking"]).check()
            build_experiment(settings, choices, self.make, self.conf)
            checked.add(key)
        folder, _ = folder_of_run(settings, choices)
        name = tuple(word for word in words if any(word not in other for other in jobs))
        return Job(self.repeat(words), name or words, folder, settings["rounds"])
