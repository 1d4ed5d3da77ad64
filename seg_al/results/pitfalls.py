"""The known pitfalls of active-learning studies, checked against what a study's configs and results say.

The list follows Kottke et al. 2017, realistic-al (arXiv 2301.10625), nnActive (arXiv 2511.19183), Mittal et al.
(arXiv 1912.05361) and what went wrong in published code. A check that the records cannot answer says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from seg_al.core import COST_UNITS, CostUnit
from seg_al.results.arms import amount, missing, shown
from seg_al.results.curves import baseline_of, curves_of, points_of
from seg_al.results.records import Record, Study
from seg_al.results.statistics import pairs_for_a_star

Verdict = Literal["yes", "no", "unknown"]
COLLAPSE = 0.5
"""A run whose last score is below this share of its arm's median has collapsed."""
TURNED_OFF = (0, 0.0, False, None, "none")


@dataclass(frozen=True)
class Check:
    """One pitfall."""

    claim: str
    """What a sound study can say."""
    verdict: Verdict
    """Whether this one can; "unknown": its records do not tell."""
    because: str
    """One sentence with the figures."""


def checklist(study: Study, metric: str, cost: CostUnit) -> list[Check]:
    """All checks, in the order in which a reader should worry."""
    asking = [record for record in study.records if not record.ceiling]
    return [
        *_baselines(study, metric),
        _enough_runs(study),
        _same_runs(study, cost, metric),
        _same_start(study, metric),
        _honest_labels(study),
        _val_is_small(study, asking),
        Check(
            "No test image chose a checkpoint, a query or a setting inside a run",
            "yes" if all(_told(r, "trainer.validation.keep") in ("val", "last") for r in asking) else "unknown",
            "Checkpoints are chosen by " + _values(asking, "trainer.validation.keep") + "; the harness scores no test "
            "image for a query. Whether a person tuned on the test set, no record tells.",
        ),
        _steps(asking),
        _restarts(asking),
        _collapsed(study, metric, cost),
        *_breadth(asking),
        _augmented(asking),
        _costs(study, asking),
    ]


def _baselines(study: Study, metric: str) -> Iterator[Check]:
    lacking = [label for label in study.arms if baseline_of(study.table, label) is None and not _chance(study, label)]
    claim = "Every arm has a random arm to be compared with"
    if lacking:
        yield Check(claim, "no", f"No random arm for {', '.join(lacking)}. Run: {random_command(study, lacking[0])}")
    else:
        yield Check(claim, "yes", "The table of arms names the random arm of each.")
    claim = "The score of a network trained on the whole pool is known"
    bare = [label for label in study.arms if study.ceiling_score(label, metric) is None]
    if bare:
        who = "any arm" if len(bare) == len(study.arms) else ", ".join(bare)
        yield Check(claim, "no", f"No full-data run for {who}. Run: {ceiling_command(study, bare[0])}")
        return
    weak = [label for label in study.arms if _last(study, label, metric) > (study.ceiling_score(label, metric) or 0)]
    note = f" {', '.join(weak)} end above it: the ceiling is weak, train it longer or repeat it." if weak else ""
    count = len({record.identity for label in study.arms for record in study.ceiling(label)})
    yield Check(claim, "no" if weak else "yes", f"{count} full-data runs (initial=all rounds=1).{note}")


def _chance(study: Study, label: str) -> bool:
    settings = study.of(label)[0].settings
    return settings["heuristic"] == "random" and settings.get("selector") in (None, "top")


def _last(study: Study, label: str, metric: str) -> float:
    rows = study.table[(study.table["label"] == label) & (study.table["metric"] == metric)]
    return float(rows.loc[rows["round"] == rows["round"].max(), "value"].mean())


def random_command(study: Study, label: str) -> str:
    """What makes the random arm of an arm."""
    return command(study, label, {"heuristic": "random", "selector": "top"})


def ceiling_command(study: Study, label: str) -> str:
    """What makes the full-data runs of an arm's setup."""
    return command(study, label, {"heuristic": "random", "selector": "top", "initial": "all", "rounds": "1"})


GROUPS = ("dataset", "model", "heuristic", "predictor", "granularity", "selector", "annotator", "trainer", "task")
VALUES = ("mc_iters", "rounds", "initial", "budget", "cost", "subset", "objects", "bayesian", "precision")


def command(study: Study, label: str, changed: dict[str, str]) -> str:
    """The command of an arm's runs with some values changed; details inside a group are its experiment file's."""
    runs = study.of(label)
    settings = {key: shown(runs[0].settings[key]) for key in (*GROUPS, *VALUES) if key in runs[0].settings}
    numbers = ",".join(str(number) for number in sorted({record.settings["run"] for record in runs}))
    words = [f"{key}={value}" for key, value in {**settings, **changed}.items()]
    return " ".join(["python run.py -m", *words, f"run={numbers}"])


def _enough_runs(study: Study) -> Check:
    counts = {label: len({record.settings["run"] for record in study.of(label)}) for label in study.arms}
    least = min(counts, key=lambda label: counts[label])
    others = max(1, len(counts) - 1)
    needed = pairs_for_a_star(others)
    text = (
        f"{least} has {counts[least]} runs. One Wilcoxon test needs 6, {others} with Holm's correction need {needed}."
    )
    return Check("Enough repetitions for a significance test", "yes" if counts[least] >= needed else "no", text)


def _same_runs(study: Study, cost: CostUnit, metric: str) -> Check:
    notes = missing(study.table, cost, metric)
    claim = "All arms have the same runs, finished, read, and evaluated at the same costs"
    if not notes:
        return Check(claim, "yes", "Nothing is missing or unequal.")
    return Check(claim, "no", f"{len(notes)} gaps, listed under “Missing or unequal”; the first: {notes[0]}.")


def _same_start(study: Study, metric: str) -> Check:
    points = points_of(study.table, metric, "images")
    first = points[points["point"] == 0].groupby("run")["value"].agg(["min", "max", "size"])
    claim = "Within a run, all arms begin with the same labels and the same weights"
    shared = first[first["size"] > 1]
    if shared.empty:
        return Check(claim, "unknown", "No run number is common to two arms.")
    differ = shared[(shared["max"] - shared["min"]) > 1e-9]
    if differ.empty:
        return Check(claim, "yes", f"In all {len(shared)} shared runs the first score is the same for every arm.")
    setups = {record.setup for record in study.records if not record.ceiling}
    if len(setups) > 1:
        return Check(claim, "unknown", "Arms differ in dataset, model or trainer, so their first scores must differ.")
    return Check(claim, "no", f"The first scores of {len(differ)} of {len(shared)} shared runs differ between arms.")


def _honest_labels(study: Study) -> Check:
    rows = study.table[(study.table["metric"] == "oracle/truths_read") & (study.table["value"] > 0)]
    oracles = {label for label in study.arms if "oracle" in str(study.of(label)[0].settings.get("selector"))}
    oracles |= {str(label) for label in rows["label"]}
    claim = "No arm reads labels that it did not pay for"
    if oracles:
        return Check(
            claim, "no", f"{', '.join(sorted(oracles))} read true labels of the pool: upper bounds, not methods."
        )
    return Check(claim, "yes", "No selector is an oracle, and no unpaid label was read.")


def _val_is_small(study: Study, asking: Sequence[Record]) -> Check:
    claim = "The validation set is not larger than the labelled set that it judges"
    sizes = {value for record in asking if isinstance(value := record.settings.get("dataset.val"), int)}
    if all(_told(record, "trainer.validation.keep") == "last" for record in asking):
        return Check(claim, "yes", "No checkpoint is chosen: the last state of each training is kept.")
    if not sizes:
        return Check(claim, "unknown", "The configs state no number of validation images.")
    least = float(study.table.loc[~study.table["ceiling"], "images"].min())
    text = f"{max(sizes)} validation images choose checkpoints; the first labelled set has {amount(least)}."
    hint = "" if max(sizes) <= least else " Count them among the labels, or lower dataset.val."
    return Check(claim, "yes" if max(sizes) <= least else "no", text + hint)


def _steps(asking: Sequence[Record]) -> Check:
    claim = "Rounds train for a fixed number of steps, however much is labelled"
    epochs = {_told(record, "trainer.pace.epochs") for record in asking}
    if None in epochs:
        return Check(claim, "unknown", "The configs state no trainer.pace.epochs.")
    text = (
        f"trainer.pace.steps={_values(asking, 'trainer.pace.steps')}, epochs={_values(asking, 'trainer.pace.epochs')}."
    )
    if epochs == {0}:
        return Check(claim, "yes", text)
    return Check(claim, "no", text + " Later rounds train longer, so gains mix more labels with more training.")


def _restarts(asking: Sequence[Record]) -> Check:
    starts = {_told(record, "trainer.start") for record in asking}
    text = f"trainer.start={_values(asking, 'trainer.start')}; optimizer and schedule restart each round in any case."
    verdict: Verdict = "unknown" if None in starts else "yes" if starts == {"fresh"} else "no"
    return Check("Every round trains from fresh weights", verdict, text)


def _collapsed(study: Study, metric: str, cost: CostUnit) -> Check:
    claim = "No run has collapsed and is averaged in"
    fallen = []
    for label, runs in curves_of(study.table, metric, cost).items():
        ends = pd.Series({run: float(curve.values[-1]) for run, curve in runs.items()})
        fallen += [f"{label} run {run} ({ends[run]:.4f})" for run in ends[ends < COLLAPSE * ends.median()].index]
    if fallen:
        return Check(
            claim, "no", f"Below half of its arm's median at the end: {', '.join(fallen)}. They are averaged in."
        )
    return Check(claim, "yes", "Every run ends above half of its arm's median.")


def _breadth(asking: Sequence[Record]) -> Iterator[Check]:
    axes = (("datasets", "dataset", 3), ("starting sets", "initial", 2), ("query sizes", "budget", 2))
    for name, key, least in axes:
        found = {shown(record.settings.get(key)) for record in asking}
        text = f"{key}={', '.join(sorted(found))}: conclusions hold for {'this' if len(found) == 1 else 'these'} alone."
        yield Check(f"Several {name} ({least} or more)", "yes" if len(found) >= least else "no", text)


def _augmented(asking: Sequence[Record]) -> Check:
    settings = asking[0].settings
    stem = "trainer.augmentation."
    on = [key.removeprefix(stem) for key, value in settings.items() if key.startswith(stem) and not _off(key, value)]
    claim = "Training augments its images, as gains over random tend to vanish with augmentation"
    if not any(key.startswith(stem) for key in settings):
        return Check(claim, "unknown", "The configs state no augmentation.")
    if not on:
        return Check(claim, "no", "All augmentation is off.")
    return Check(claim, "yes", f"On: {', '.join(on)}. Self- and semi-supervised training is not part of this harness.")


def _off(key: str, value: Any) -> bool:
    return value in TURNED_OFF or key.rpartition(".")[2] in ("_target_", "crop")


def _costs(study: Study, asking: Sequence[Record]) -> Check:
    claim = "Costs are stated in what an annotator spends (clicks or corners), not in images or pixels alone"
    rows = study.table.loc[~study.table["ceiling"], list(COST_UNITS)]
    there = [unit for unit in COST_UNITS if rows[unit].notna().any()]
    spent = bool({"clicks", "vertices"} & set(there)) and not math.isnan(rows[there[-1]].max())
    units = _values(asking, "cost")
    return Check(claim, "yes" if spent else "no", f"Recorded: {', '.join(there)}; budgets are in {units}.")


def _told(record: Record, key: str) -> Any:
    return record.settings.get(key)


def _values(records: Sequence[Record], key: str) -> str:
    return " and ".join(sorted({shown(record.settings.get(key, "not stated")) for record in records}))
