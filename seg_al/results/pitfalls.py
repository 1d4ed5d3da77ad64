"""The known pitfalls of active-learning studies, checked against what a study's configs and results say.

The list follows Kottke et al. 2017, realistic-al (arXiv 2301.10625), nnActive (arXiv 2511.19183), Mittal et al.
(arXiv 1912.05361, 2302.04075) and what went wrong in published code. Where the records do not say, the check says so,
and where to look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from seg_al.core import COST_UNITS, CostUnit
from seg_al.results.arm_statistics import pairs_for_a_star
from seg_al.results.arms import as_typed, missing
from seg_al.results.commands import ceiling_command, random_command
from seg_al.results.curves import LEVEL, arms_of, baseline_of, is_random, points_of, whole_curves
from seg_al.results.learning_pitfalls import every_network_learned, fit_checks
from seg_al.results.pitfall_check import Check, values
from seg_al.results.records import Record
from seg_al.results.study import Study
from seg_al.results.training_pitfalls import training_checks

TIED = "asked/all_scores_equal"
"""The metric that is 1 for a round whose scores all tie, so that the selector alone decided."""
COLLAPSE = 0.5
"""A run whose last score is below this share of its arm's median has collapsed; of an error, above its inverse."""


def checklist(study: Study, metric: str, cost: CostUnit) -> list[Check]:
    """All checks, in the order in which a reader should worry; behind the first lead those that come with a command."""
    asking = [record for record in study.records if not record.ceiling]
    return [
        every_network_learned(study, metric),
        _random_arm(study),
        _ceiling(study, metric),
        _strong_ceiling(study, metric),
        _one_dataset(asking),
        _enough_runs(study),
        _same_runs(study, cost, metric),
        _same_start(study, metric),
        _honest_labels(study),
        *fit_checks(study, metric),
        *training_checks(study),
        _collapsed(study, metric, cost),
        *_counts_all(study, metric),
        _random_for_foreground(study),
        *_breadth(asking),
        _redundancy(asking),
        _costs(study, asking),
    ]


def _random_arm(study: Study) -> Check:
    arms = arms_of(study.table)
    by_chance = set(arms.loc[is_random(arms), "label"])
    lacking = [label for label in study.arms if baseline_of(study.table, label) is None and label not in by_chance]
    claim = "Every arm has a random arm to be compared with"
    if not lacking:
        return Check(claim, "yes", "The table of arms names the random arm of each.")
    return Check(claim, "no", f"No random arm for {', '.join(lacking)}.", random_command(study, lacking[0]))


def _ceiling(study: Study, metric: str) -> Check:
    claim = "The score of a network trained on the whole pool is known"
    bare = [label for label in study.arms if study.ceiling_score(label, metric) is None]
    if bare:
        who = "any arm" if len(bare) == len(study.arms) else ", ".join(bare)
        return Check(claim, "no", f"No full-data run for {who}.", ceiling_command(study, bare[0]))
    count = len({record.identity for label in study.arms for record in study.ceiling(label)})
    scores = " or ".join(dict.fromkeys(f"{study.ceiling_score(label, metric):.4f}" for label in study.arms))
    return Check(claim, "yes", f"It is {scores} of {metric}, of {count} full-data runs (initial=all rounds=1).")


def _strong_ceiling(study: Study, metric: str) -> Check:
    """An arm that asks may end a little above the whole pool by chance, but not by more than that."""
    claim = "No arm ends above the network trained on the whole pool by more than chance"
    known = {label: full for label in study.arms if (full := study.ceiling_scores(label, metric))}
    if not known:
        return Check(claim, "unknown", "There is no full-data run to end above.")
    sign = study.metric(metric).sign
    found = {label: _excess(_lasts(study, label, metric), full) for label, full in known.items()}
    above = {label: (sign * gain, half) for label, (gain, half) in found.items() if sign * gain > 0}
    if not above:
        return Check(claim, "yes", "The full-data runs are the best.")
    text = ", ".join(
        f"{label} by {gain:.4f} ± {half:.4f}".replace(" ± nan", "") for label, (gain, half) in above.items()
    )
    if weak := [label for label, (gain, half) in above.items() if gain > half]:
        who = ", ".join(weak)
        return Check(claim, "no", f"Above it end {text} (95 %). For {who} it is weak: train it longer.")
    if any(math.isnan(half) for _, half in above.values()):
        return Check(claim, "unknown", f"Above it end {text}; single runs have no interval. Repeat the full-data run.")
    return Check(claim, "yes", f"Above it end {text} (95 %), which is within chance.")


def _lasts(study: Study, label: str, metric: str) -> list[float]:
    """The scores of the arm's runs in its last round."""
    rows = study.table[(study.table["label"] == label) & (study.table["metric"] == metric)]
    return [float(value) for value in rows.loc[rows["round"] == rows["round"].max(), "value"].dropna()]


def _excess(scores: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """The difference of the means and half its t interval, the spread being that of both; NaN of two single runs."""
    freedom = len(scores) + len(others) - 2
    gain = float(np.mean(scores) - np.mean(others)) if scores else math.nan
    if freedom < 1 or not scores:
        return gain, math.nan
    variance = sum(len(own) * float(np.var(own)) for own in (scores, others)) / freedom
    spread = math.sqrt(variance * (1 / len(scores) + 1 / len(others)))
    return gain, float(stdtrit(freedom, 0.5 + LEVEL / 2)) * spread


def _one_dataset(asking: Sequence[Record]) -> Check:
    names = sorted({as_typed(record.settings.get("dataset")) for record in asking})
    claim = "All arms are of one dataset, as scores of different test images do not compare"
    if len(names) == 1:
        return Check(claim, "yes", f"dataset={names[0]}.")
    return Check(claim, "no", f"{', '.join(names)}: report each for itself, such as --where dataset={names[0]}.")


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


def _collapsed(study: Study, metric: str, cost: CostUnit) -> Check:
    claim = "No run has collapsed and is averaged in"
    lower = study.metric(metric).better == "lower"
    far = "above twice" if lower else "below half of"
    tied = _tied(study)
    fallen = []
    for label, points in points_of(study.table, metric, cost).groupby("label", sort=False):
        ends = pd.Series({run: float(curve.values[-1]) for run, curve in whole_curves(points).items()})
        gone = COLLAPSE * ends > ends.median() if lower else ends < COLLAPSE * ends.median()
        fallen += [f"{label} run {run} ({ends[run]:.4f})" for run in ends[gone].index]
    if fallen:
        text = f"At the end {far} its arm's median: {', '.join(fallen)}. They are averaged in."
        return Check(claim, "no", f"{text} {tied}" if tied else text)
    if tied:
        return Check(claim, "no", tied)
    return Check(claim, "yes", f"No run ends {far} its arm's median.")


def _tied(study: Study) -> str:
    """A sentence with the rounds in which all scores of a heuristic were equal; empty where there are none."""
    rows = study.table[(study.table["metric"] == TIED) & (study.table["value"] > 0)]
    by_run = {
        (str(label), run): [f"{number:g}" for number in own["round"]]
        for (label, run), own in rows.groupby(["label", "run"], sort=False)
        if str(label) in study.arms and study.of(str(label))[0].settings["heuristic"] != "random"
    }
    if not by_run:
        return ""
    rounds = ", ".join(f"{label} run {run} (round {' and '.join(own)})" for (label, run), own in by_run.items())
    return f"All scores were equal, so that chance chose and not the heuristic, in {rounds}."


def _counts_all(study: Study, metric: str) -> Iterator[Check]:
    """A check only of a metric that may be out of reach, and only where it was."""
    split, own = metric.partition("/")[0], study.metric(metric)
    bound = f"{split}/{own.bound}"
    best = study.table.loc[study.table["metric"] == bound, "value"] * own.sign
    if own.bound and len(best):
        meaning = study.metric(bound).meaning
        text = f"{bound} is {own.sign * best.min():.4f}. It is {meaning}."
        yield Check(f"A perfect prediction would get the best value of {metric}", "no", text)


def _random_for_foreground(study: Study) -> Check:
    claim = "A random arm that looks for foreground is compared too"
    found = [label for label in study.arms if "foreground" in str(study.of(label)[0].settings.get("selector"))]
    if found:
        return Check(claim, "yes", f"{', '.join(found)}.")
    text = (
        "No arm has heuristic=random selector=oracle_foreground, an oracle to measure by. Where most of "
        "an image is background, plain random asks about that, and no method reliably beat this one (arXiv 2511.19183)."
    )
    return Check(claim, "no", text)


def _breadth(asking: Sequence[Record]) -> Iterator[Check]:
    axes = (("datasets", "dataset", 3), ("starting sets", "initial", 2), ("query sizes", "budget", 2))
    for name, key, least in axes:
        found = {as_typed(record.settings.get(key)) for record in asking}
        text = f"{key}={', '.join(sorted(found))}: conclusions hold for {'this' if len(found) == 1 else 'these'} alone."
        yield Check(f"Several {name} ({least} or more)", "yes" if len(found) >= least else "no", text)


def _redundancy(asking: Sequence[Record]) -> Check:
    text = (
        f"No record says this. Look how many images of dataset={values(asking, 'dataset')} are near-duplicates, as are "
        "frames of a video or patches of a slide: published pools are curated, and on redundant ones other methods win "
        "(arXiv 2302.04075)."
    )
    return Check("The pool is as redundant as what will be labelled in earnest", "unknown", text)


def _costs(study: Study, asking: Sequence[Record]) -> Check:
    claim = "Costs are stated in what an annotator spends (clicks or corners), not in images or pixels alone"
    rows = study.table.loc[~study.table["ceiling"], list(COST_UNITS)]
    there = [unit for unit in COST_UNITS if rows[unit].notna().any()]
    spent = bool({"clicks", "vertices"} & set(there)) and not math.isnan(rows[there[-1]].max())
    units = values(asking, "cost")
    return Check(claim, "yes" if spent else "no", f"Recorded: {', '.join(there)}; budgets are in {units}.")
