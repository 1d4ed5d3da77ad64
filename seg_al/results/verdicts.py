"""What a reader takes away from learning curves: a row per arm, and one sentence for each arm against random."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from seg_al.core import CostUnit
from seg_al.measuring.learned import NOT_LEARNED
from seg_al.results.arms import A_THOUSANDTH, readable_cost, shown
from seg_al.results.curves import arms_of, with_random
from seg_al.results.learned_rounds import Comparable, NoComparison, comparable
from seg_al.results.savings import saving_interval, savings
from seg_al.results.study import Study
from seg_al.results.tables import curve_cells

GAIN = "last, less random's [95 %]"


def as_text(means: pd.DataFrame, gains: pd.DataFrame, cost: str) -> str:
    """Means and gains over random for a terminal: a row per arm, a column per cost, "mean ± sd" in each cell.

    Costs that differ a little between arms share a column, which shows their range.
    """
    columns = means.groupby("label", sort=False).cumcount()
    spans = means.groupby(columns)["cost"].agg(["min", "max"])
    if (spans["max"].shift() >= spans["min"]).any():  # the arms' steps differ: only equal costs share a column
        columns, spans = means["cost"], means.groupby("cost")["cost"].agg(["min", "max"])
    arms = list(dict.fromkeys(means["label"]))
    wide = pd.DataFrame({"column": columns, "label": means["label"], "cell": curve_cells(means)})
    wide = wide.pivot(index="label", columns="column", values="cell").reindex(arms)
    wide.columns = pd.Index([_span(low, high) for low, high in zip(spans["min"], spans["max"], strict=True)])
    counts = means.groupby("label", sort=False)["n"].agg(["min", "max"])
    wide.insert(0, "runs", [_span(low, high) for low, high in zip(counts["min"], counts["max"], strict=True)])
    by_label = {str(row["label"]): _gain(row) for row in gains.to_dict("records")}
    if by_label:
        wide[GAIN] = wide.index.map(by_label)
    return wide.rename(index=shown).rename_axis(index=None, columns=cost).to_string(na_rep="", line_width=118)


def _span(low: float, high: float) -> str:
    one, other = readable_cost(low), readable_cost(high)
    return one if one == other else f"{one} to {other}"


def _gain(row: Mapping[Any, Any]) -> str:
    interval = "" if math.isnan(row["low"]) else f" [{row['low']:+.4f}, {row['high']:+.4f}]"
    return f"{row['difference']:+.4f}{interval}".replace("-", "−")


def last_savings(study: Study, metric: str, cost: CostUnit) -> pd.DataFrame:
    """What each arm needs of its random arm's labels for random's last score; empty where nothing is compared."""
    try:
        return savings(study, metric, cost, targets=[1.0], by_last=True)
    except NoComparison:
        return pd.DataFrame()


def verdicts(study: Study, saved: pd.DataFrame, metric: str, cost: CostUnit) -> list[str]:
    """One sentence for each arm against its random arm, of its row of `last_savings` where it has one."""
    rows = {str(row["label"]): row for row in saved.to_dict("records")}
    compared = comparable(study.table, metric, cost)
    found = []
    for label, baseline in with_random(study.table, arms_of(study.table)["label"]):
        if label in rows:
            found.append(_verdict(rows[label], compared, metric, cost))
        else:
            who = " and ".join(shown(arm) for arm in (label, baseline) if arm in compared.never)
            found.append(
                f"{shown(label)}: no comparison with {shown(baseline)}, the networks of {who} have {NOT_LEARNED}"
            )
    return found


def in_short(study: Study, saved: pd.DataFrame, metric: str, cost: CostUnit) -> str:
    """What a newcomer sees in the picture, of `last_savings`: the question, and the arm that answers it best."""
    if not with_random(study.table, arms_of(study.table)["label"]):
        return ""
    question = "What should be labelled next?\n"
    if saved.empty:
        return f"{question}No comparison: networks have {NOT_LEARNED}."
    rows = saved[np.isfinite(saved["share"]) & (saved["at_start"] != 1)].sort_values("share").to_dict("records")
    if not rows:
        return f"{question}No arm reaches random's last score with fewer {cost}."
    share = _share(rows[0], comparable(study.table, metric, cost))
    return f"{question}{shown(rows[0]['label'])} reaches random's last score with {share} of its {cost}."


def _verdict(row: Mapping[Any, Any], compared: Comparable, metric: str, cost: CostUnit) -> str:
    label, baseline = shown(row["label"]), shown(row["baseline"])
    goal = f"{baseline}'s last {metric} ({row['goal']:.3f})"
    if row["n"] == 0:
        return f"{label}: no run in common with {baseline}, so nothing can be said"
    if row["at_start"]:
        return f"{label}: the first compared labels reach {goal} already, nothing could be saved"
    if not math.isfinite(row["cost"]):
        return f"{label} never reaches {goal}"
    return f"{label} reaches {goal} with {_share(row, compared)} of its {cost}"


def _share(row: Mapping[Any, Any], compared: Comparable) -> str:
    """In per cent; of an arm that was there in its first compared round, perhaps less, in rounds that are left out."""
    start = compared.starts.get(row["label"], 0.0)
    most = "at most " if 0 < start >= row["cost"] * (1 - A_THOUSANDTH) else ""
    return f"{most}{100 * row['share']:.0f} %{saving_interval(row)}"
