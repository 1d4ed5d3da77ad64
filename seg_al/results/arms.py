"""How the arms of a comparison differ, and what makes them hard to compare.

An arm is every run that differs in nothing but `run`. Arms are named by `arm_names`, and `missing` names the runs
that an arm lacks or that are not like the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from seg_al.core import CostUnit
from seg_al.running.identity import FREE

CHOICES = ("dataset", "model", "heuristic", "predictor", "selector", "granularity", "trainer", "annotator")
A_THOUSANDTH = 0.001
"""Regions rarely add up to a budget exactly; costs that differ by less are the same."""
REPETITION = ("run", "seed")
"""Names, at any depth, that say which repetition a run is."""
CIRCUMSTANCE = (*FREE, "identity")
"""Top-level settings that do not decide the numbers of a round, so that two arms never differ in them alone."""


def as_typed(value: object) -> str:
    """A setting as a person would type it on the command line."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def readable_cost(value: float) -> str:
    """A cost for a reader: 4, 4.25, 1,234,568."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def asks_by(settings: Mapping[str, Any]) -> str:
    """The heuristic of a run, or its schedule, such as typiclust>bald@3."""
    return str(settings.get("schedule") or settings["heuristic"])


def arm_names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The name of each run's arm: its heuristic or schedule, and every other setting in which the arms differ.

    A detail ("model.width") counts only where it splits what the names before it leave together, so that the
    details that come with another choice, or repeat a top-level value, are not spelled out.
    """
    names = [asks_by(one) for one in settings]
    for key in sorted({key for one in settings for key in one} - {"schedule"}, key=_importance):
        top, leaf = key.partition(".")[0], key.rpartition(".")[2]
        if leaf in REPETITION or top in CIRCUMSTANCE or _follows_run(settings, key):
            continue
        values = [as_typed(one[key]) if key in one else None for one in settings]
        groups = list(names) if "." in key or key == "heuristic" else [""] * len(names)
        for group in dict.fromkeys(groups):
            members = [index for index, other in enumerate(groups) if other == group]
            if len({values[index] for index in members}) > 1:
                for index in members:
                    names[index] += f", {key}={values[index]}" if values[index] is not None else ""
    return names


def shown(label: str) -> str:
    """An arm's name in pictures and sentences: that the best scores are taken is said of no arm."""
    return label.replace(", selector=top", "")


def _importance(key: str) -> tuple[int, bool, str]:
    """Choices first, in their order, then top-level values, then details, the heuristic's last."""
    rank = CHOICES.index(key) if key in CHOICES else len(CHOICES) + ("." in key)
    return rank, key.startswith("heuristic."), key


def _follows_run(settings: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Whether a detail's text, such as a split file's path, changes with `run` alone, in every arm alike."""
    if "." not in key:
        return False
    pairs = {(one["run"], one.get(key)) for one in settings if isinstance(one.get(key), str)}
    runs = {one["run"] for one in settings}
    return len(runs) > 1 and len(pairs) == len(runs) == len({text for _, text in pairs})


def missing(table: pd.DataFrame, cost: CostUnit = "images", metric: str | None = None) -> list[str]:
    """What keeps the table from being a full grid of equal runs, one sentence each; empty if nothing does.

    With a metric, runs without it and values that are NaN are named for that one alone. Full-data ceilings are
    no part of the grid.
    """
    notes = [f"not read: {problem}" for problem in table.attrs.get("problems", [])]
    columns = ["dataset", "label", "run", "identity", "complete", cost]  # a table may have a million rows
    table = table.loc[~table["ceiling"], [*dict.fromkeys((*columns, "images", "round", "metric", "value"))]]
    evaluations = table.drop_duplicates(["identity", "round"]) if table["round"].notna().all() else table
    for _, arms in evaluations[columns].drop_duplicates().groupby("dataset", dropna=False):
        grids: dict[Arm, tuple[float, ...]] = {}
        for identity, rows in arms.groupby("identity", sort=False):
            costs = rows[cost].dropna().to_numpy(float)
            key = (str(rows["label"].iloc[0]), int(rows["run"].iloc[0]), str(identity))
            grids[key] = tuple(sorted(costs.tolist()))
        notes += _missing_runs(grids) + _unfinished(arms) + _early_ends(grids, cost) + _unequal(grids, cost)
    measured = table if metric is None else table[table["metric"] == metric]
    runs = table.drop_duplicates("identity")
    absent = runs[~runs["identity"].isin(measured["identity"])].groupby("label", sort=False)["run"]
    notes += [f"{label}: {_runs(set(own))} without {metric}" for label, own in absent]
    holes = measured.loc[measured["value"].isna(), ["label", "metric"]].value_counts(sort=False).reset_index()
    return notes + [
        f"{row['label']}: {row['metric']} is NaN in {row['count']} evaluations" for row in holes.to_dict("records")
    ]


Arm = tuple[str, int, str]  # label, run, identity
Grids = Mapping[Arm, tuple[float, ...]]
"""The costs at which each run was evaluated."""


def _missing_runs(grids: Grids) -> list[str]:
    everywhere = {run for _, run, _ in grids}
    notes = []
    for label in dict.fromkeys(label for label, _, _ in grids):
        own = [run for name, run, _ in grids if name == label]
        if lacking := everywhere.difference(own):
            notes.append(f"{label}: lacks {_runs(lacking)}, which others have")
        if twice := {run for run in own if own.count(run) > 1}:
            notes.append(f"{label}: {_runs(twice)} found more than once, averaged into one")
    return notes


def _unfinished(arms: pd.DataFrame) -> list[str]:
    runs = arms[~arms["complete"].astype(bool)].groupby("label", sort=False)["run"]
    return [f"{label}: {_runs(set(own))} unfinished" for label, own in runs]


def _early_ends(grids: Grids, cost: str) -> list[str]:
    longest = max(len(grid) for grid in grids.values())
    ends: dict[tuple[str, int, float], set[int]] = {}
    for (label, run, _), grid in grids.items():
        if 0 < len(grid) < longest:
            ends.setdefault((label, len(grid), grid[-1]), set()).add(run)
    return [
        f"{label}: {_runs(runs)} ended after {count} of {longest} evaluations, at {readable_cost(end)} {cost}"
        for (label, count, end), runs in ends.items()
    ]


def _unequal(grids: Grids, cost: str) -> list[str]:
    """Arms whose runs were evaluated at other costs than each other, or than the first arm."""
    longest: dict[str, tuple[float, ...]] = {}
    ragged: dict[str, None] = {}
    for (label, _, _), grid in grids.items():
        if _differ(longest.setdefault(label, grid), grid):
            ragged[label] = None
        longest[label] = max(longest[label], grid, key=len)
    drawn = f"{cost} of a round differ between runs; drawn at their mean"
    notes = [f"{label}: {drawn}" for label in ragged]
    if len(ragged) == len(longest) > 1:
        notes = [f"all arms: {drawn}"]
    first, reference = next(iter(longest.items()))
    return notes + [
        f"{label}: evaluated at {_steps(grid)} {cost}, but {first} at {_steps(reference)}"
        for label, grid in longest.items()
        if label not in ragged and first not in ragged and _differ(reference, grid)
    ]


def _differ(one: Sequence[float], other: Sequence[float]) -> bool:
    return any(not math.isclose(a, b, rel_tol=A_THOUSANDTH) for a, b in zip(one, other, strict=False))


def _runs(runs: Collection[int]) -> str:
    return ("run " if len(runs) == 1 else "runs ") + ", ".join(str(int(run)) for run in sorted(runs))


def _steps(grid: Sequence[float]) -> str:
    return ", ".join(readable_cost(value) for value in grid[:3]) + (", …" if len(grid) > 3 else "")
