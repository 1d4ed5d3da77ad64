"""Reports how the jobs of a sweep ended, from their folders, since they may have died in other processes."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seg_al.recording.first_round import saved_seconds
from seg_al.recording.stages import finished
from seg_al.tracking.attempts import is_running, mark_dead
from seg_al.tracking.secrets import without_secrets
from seg_al.tracking.stopped import STOP_FILE, stop_of

State = Literal["done", "skipped", "awaiting", "failed", "died", "interrupted", "running", "not begun"]

STATE_WORDS: dict[State, str] = {
    "done": "finished",
    "skipped": "finished before",
    "awaiting": "waiting for a person",
    "failed": "failed",
    "died": "died",
    "interrupted": "interrupted",
    "running": "still running in another process",
    "not begun": "not begun",
}
GOOD: tuple[State, ...] = ("done", "skipped", "awaiting")
RUN = re.compile(r"run=(0|[1-9]\d*)")
"""A word of a sweep that gives a job its run."""


@dataclass(frozen=True)
class Job:
    command: tuple[str, ...]
    """Words that repeat it alone."""
    name: tuple[str, ...]
    """The words in which the jobs of the sweep differ."""
    folder: Path
    rounds: int


@dataclass(frozen=True)
class Outcome:
    job: Job
    state: State
    reason: str = ""


def refusal_summary(wrong: Mapping[str, str]) -> str:
    """The message where jobs cannot run; `wrong` has for each error the words of the first job."""
    rows = "\n\n".join(f"{without_secrets(words)}\n{error}".lstrip() for error, words in wrong.items())
    return f"no job of this sweep was started.\n\n{rows}"


def split_run(words: Sequence[str]) -> tuple[tuple[str, ...], int | None]:
    """The words of a job without the one that gives its run, and that run; nothing is taken out where several do."""
    runs = tuple(word for word in words if word.lstrip("+~").partition("=")[0] == "run")
    found = RUN.fullmatch(runs[0]) if len(runs) == 1 else None
    if found is None:
        return tuple(words), None
    return tuple(word for word in words if word not in runs), int(found[1])


def note_refusal(notes: Path, folder: Path, error: Exception) -> None:
    """Writes for the summary why a job has failed: a job that was refused its folder cannot write there."""
    with suppress(OSError):  # a full disk must not hide the error
        _refusal(notes, folder).write_text(str(error))


def _refusal(notes: Path, folder: Path) -> Path:
    return notes / f"{folder.name}.refused"


class Sweep:
    """The jobs of a sweep, made when it begins; raises ValueError for two jobs that are one run.

    `notes` is a folder for notes of the jobs, which may run in any process.
    """

    def __init__(self, jobs: Sequence[Job], notes: Path) -> None:
        self.jobs = tuple(jobs)
        self._notes = notes
        first: dict[Path, Job] = {}
        for job in jobs:
            other = first.setdefault(job.folder, job)
            if other is not job:
                raise ValueError(
                    f"'{' '.join(other.name)}' and '{' '.join(job.name)}' are the same run, in {job.folder}: "
                    "sweep over something that decides its numbers, and leave out folder="
                )
        self._skipped = {job.folder for job in jobs if finished(job.folder, job.rounds)}
        self._touched = {job.folder: _touched(job.folder) for job in jobs}
        for job in jobs:
            _refusal(notes, job.folder).unlink(missing_ok=True)

    def outcomes(self) -> list[Outcome]:
        return [self._outcome_or_damage(job) for job in self.jobs]

    def _outcome_or_damage(self, job: Job) -> Outcome:
        """The outcome of each job; a damaged file of one run does not hide the others."""
        try:
            return self._outcome(job)
        except ValueError as error:
            return Outcome(job, "failed", str(error))

    def _outcome(self, job: Job) -> Outcome:
        folder = job.folder
        refusal = _refusal(self._notes, folder)
        if finished(folder, job.rounds) and not (refusal.exists() and folder in self._skipped):  # as another run
            return Outcome(job, "skipped" if folder in self._skipped else "done")
        begun = _touched(folder) != self._touched[folder]
        if is_running(folder):
            return Outcome(job, "running")
        if not begun:
            return Outcome(job, "not begun", refusal.read_text() if refusal.exists() else "")
        stop = stop_of(folder)
        if stop is None:
            with suppress(ValueError, OSError):
                mark_dead(folder)
            return Outcome(job, "died", f"killed, or memory or disk ran out; {folder}/run.log has its last lines")
        return Outcome(job, stop.how, stop.reason.removeprefix("Signalled: "))


def _touched(folder: Path) -> tuple[int, ...]:
    """Changes with each attempt at the run."""
    paths = (folder / ".lock", folder / "run.log", folder / STOP_FILE)
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


def succeeded(outcomes: Sequence[Outcome]) -> bool:
    return all(outcome.state in GOOD for outcome in outcomes)


def sweep_summary(outcomes: Sequence[Outcome]) -> str:
    """The summary of a sweep: how many jobs ended how, then the reason and the command of each to be repeated."""
    counts = Counter(outcome.state for outcome in outcomes)
    parts = [f"{counts[state]} {words}" for state, words in STATE_WORDS.items() if counts[state]]
    seconds = sum(saved_seconds(one.job.folder / "rounds/00") or 0 for one in outcomes if one.state == "done")
    saved = f". Shared first rounds saved {seconds:.1f} s of training" if seconds else ""
    bad = [outcome for outcome in outcomes if outcome.state not in GOOD]
    if not bad:
        whole = f"all finished ({', '.join(parts)})" if not counts["awaiting"] else ", ".join(parts)
        return f"{len(outcomes)} jobs, {whole}{saved}"
    how = [f"{counts[state]} {words}" for state, words in STATE_WORDS.items() if counts[state] and state not in GOOD]
    how[0] = how[0].replace(" ", f" of {len(outcomes)} jobs ", 1)
    rest = ", the others are finished" if counts["done"] + counts["skipped"] else ""
    again = "\n\nThe same command again skips what is finished and does the rest."
    return f"{', '.join(how)}{rest}{saved}.{''.join(map(_block, bad))}{again}"


def _block(outcome: Outcome) -> str:
    if not outcome.reason:
        return ""
    words = "\n".join(f"  {line}" for line in outcome.reason.splitlines())
    return f"\n\n{outcome.state}: {' '.join(outcome.job.name)}\n{words}\n  again: {shlex.join(outcome.job.command)}"
