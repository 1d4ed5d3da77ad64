"""Which rounds of a study's arms have learned more than a constant predictor, and what of them may be compared.

Every comparison takes its curves from `curves_of`, which asks here; whoever prints one prints `notes` beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from seg_al.core import CostUnit
from seg_al.measuring.declarations import meaning_of
from seg_al.measuring.learned import CONSTANT, LEARNED_MARGIN, NOT_LEARNED, bar, has_learned
from seg_al.results.arms import readable_cost
from seg_al.results.metrics import constructed, declared_metrics, metric_of

MOST_IN_WORDS = 4
"""Arms that a sentence names; more are counted."""


class NoComparison(ValueError):
    """Too few arms have learned; the message stands where the comparison would."""


@dataclass(frozen=True)
class Comparable:
    """From which cost on all arms of a dataset that are compared have learned until their ends."""

    starts: Mapping[str, float]
    """The cost by arm, 0: from the first one on; only those that are compared are among them."""
    notes: tuple[str, ...]
    """What is left out and why, a sentence each; empty where all is compared, or where no constant is recorded."""
    never: frozenset[str]
    """The arms that have not learned at their ends."""
    refused: tuple[str, ...]
    """The sentences of the datasets of which nothing is compared; they are among the notes."""


def with_split(number: str, prefix: str) -> str:
    """ "test/constant_error" of "test/error" and "constant_"."""
    split, _, name = number.rpartition("/")
    return f"{split}/{prefix}{name}"


def judged_by(table: pd.DataFrame, metric: str) -> str | None:
    """The number that tells whether a round has learned: the metric, or the first one of the task on test.

    The first of them whose constant is recorded; None where none is, as in older runs, and of what no task declares,
    such as seconds.
    """
    if meaning_of(metric, declared_metrics(table)) is None:
        return None
    there = set(table["metric"].unique())
    numbers = [metric, *(f"test/{one.name}" for one in declared_metrics(table))]
    return next((number for number in numbers if with_split(number, CONSTANT) in there), None)


def mean_by_arm(table: pd.DataFrame, number: str) -> dict[str, float]:
    """The mean over the runs of a number that a run records once, such as a constant; without ceilings."""
    rows = table[(table["metric"] == number) & ~table["ceiling"] & table["value"].notna()]
    runs = rows.groupby(["label", "run"], sort=False, as_index=False)["value"].mean()
    return {str(label): float(value) for label, value in runs.groupby("label", sort=False)["value"].mean().items()}


def means_of_rounds(table: pd.DataFrame, number: str) -> pd.DataFrame:
    """Label, point (its round) and value of each round of each arm: the mean over its runs."""
    rows = table[(table["metric"] == number) & ~table["ceiling"] & table["value"].notna()]
    means = rows.groupby(["label", "round"], sort=False)["value"].mean().reset_index()
    return means.rename(columns={"round": "point"}).astype({"point": int})


def learned_rounds(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Label, point (its round), value, constant, bar and learned of every arm whose constant is recorded.

    A round counts by the mean over its runs.
    """
    columns = ["label", "point", "value", "constant", "bar", "learned"]
    if (number := judged_by(table, metric)) is None:
        return pd.DataFrame(columns=columns)
    constants, judge = mean_by_arm(table, with_split(number, CONSTANT)), metric_of(table, number)
    found = []
    for label, point, value in means_of_rounds(table, number).itertuples(index=False):
        if (constant := constants.get(label)) is not None:
            found.append((label, point, value, constant, bar(judge, constant), has_learned(judge, value, constant)))
    return pd.DataFrame(found, columns=columns)


def comparable(table: pd.DataFrame, metric: str, cost: CostUnit) -> Comparable:
    """What may be compared: of each dataset the costs from which on all its arms that learn have learned."""
    rounds, number = learned_rounds(table, metric), judged_by(table, metric) or metric
    if rounds.empty:
        return Comparable({}, (), frozenset(), ())
    rows = table[(table["metric"] == metric) & ~table["ceiling"] & table[cost].notna()]
    costs = rows.groupby(["label", "round"], sort=True)[cost].mean()
    starts: dict[str, float] = {}
    out: set[str] = set()
    notes: list[str] = []
    refused: list[str] = []
    for _, own in rows.groupby("dataset", sort=False, dropna=False):
        labels = [str(label) for label in own["label"].unique()]
        late = rounds[rounds["label"].isin(labels) & ~rounds["learned"]].sort_values("point")
        lasts = rounds.groupby("label")["point"].max()
        never = late[late["point"] == late["label"].map(lasts)]
        out |= set(never["label"])
        kept = [label for label in labels if label not in out]
        if len(kept) < min(2, len(labels)):
            refused.append(f"No comparison: {why(never, table, number)}.")
            continue
        if len(never):
            notes.append(f"Not compared: {why(never, table, number)}.")
        late = late[late["label"].isin(kept)]
        firsts = [_cost_behind(costs[label], own["point"].max()) for label, own in late.groupby("label")]
        start = max(firsts, default=0.0)
        starts |= dict.fromkeys(kept, start)
        if firsts:
            notes.append(
                f"Compared from {readable_cost(start)} {cost} on: in earlier rounds networks have {NOT_LEARNED}, those "
                f"of {arms_with_rounds(late)}."
            )
    return Comparable(starts, (*refused, *notes), frozenset(out), tuple(refused))


def said_beside(table: pd.DataFrame, metric: str, cost: CostUnit) -> list[str]:
    """What stands beside every comparison that is made: that its data are constructed, and what it leaves out."""
    found = comparable(table, metric, cost)
    return [note for note in (constructed(table), *(() if found.refused else found.notes)) if note]


def no_comparison(error: NoComparison) -> pd.DataFrame:
    """The table that stands in the place of a comparison."""
    return pd.DataFrame({"no comparison": [str(error)]})


def _cost_behind(costs: pd.Series[float], point: int) -> float:
    """Of `costs` by round, that of the round behind `point`; the last one's where there is none with a cost."""
    behind = costs.loc[point + 1 :]
    return float(behind.iloc[0] if len(behind) else costs.iloc[-1])


def why(never: pd.DataFrame, table: pd.DataFrame, number: str) -> str:
    """Says of arms, by their rows of `learned_rounds`, by how much they miss the bar."""
    judge = metric_of(table, number)
    best = judge.highest if judge.better == "higher" else judge.lowest
    misses = "does not reach" if judge.better == "higher" else "does not fall to"
    bars, constants = (in_words(never[name].map("{:.4f}".format)) for name in ("bar", "constant"))
    share, constant = f"{100 * LEARNED_MARGIN:.0f} %", f"the constant predictor ({constants})"
    way = f"{share} better than {constant}" if best is None else f"{share} of the way from {constant} to a perfect one"
    return (
        f"the networks of {in_words(never['label'])} have {NOT_LEARNED}: their {number} of "
        f"{in_words(never['value'].map('{:.4f}'.format))} {misses} {bars}, {way}"
    )


def arms_with_rounds(rounds: pd.DataFrame) -> str:
    """Arms with their rounds, for a sentence."""
    return in_words(f"{label} (round {in_words(own['point'].map(str))})" for label, own in rounds.groupby("label"))


def in_words(words: Iterable[str]) -> str:
    """Words without repetition, for a sentence."""
    names = list(dict.fromkeys(words))
    if len(names) > MOST_IN_WORDS:
        return f"{', '.join(names[:MOST_IN_WORDS])} and {len(names) - MOST_IN_WORDS} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
