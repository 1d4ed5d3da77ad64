"""The tables of a paper: numbers with all digits, and the same for a reader, a row per arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from seg_al.core import CostUnit, Metric
from seg_al.measuring.learned import NOT_LEARNED
from seg_al.results.arm_statistics import all_pairs, areas, comparisons, finals, summary
from seg_al.results.curves import with_random
from seg_al.results.ranks import Ranks
from seg_al.results.savings import saving_interval
from seg_al.results.study import Study

MAIN = ("arm", "n", "area", "area (log cost)", "final", "% of full", "asking (s)", "peak (MiB)")


def main_table(study: Study, metric: str, cost: CostUnit = "images") -> pd.DataFrame:
    """A row per arm: label, n, area, area_log, final (each with _sd), full_share, query_seconds, query_peak_mib.

    Areas and finals are over the costs that all arms cover; full_share is final by the full-data score, NaN without
    one and where lower is better; area_log is NaN where the costs begin at 0; effort is the mean seconds and the
    worst peak of the rounds that a heuristic asked in.
    """
    area, final = summary(areas(study.table, metric, cost)), summary(finals(study.table, metric, cost))
    try:
        log_area = summary(areas(study.table, metric, cost, "log"))
    except ValueError:  # a cost of 0 has no logarithm
        log_area = area.assign(mean=math.nan, sd=math.nan)
    table = pd.DataFrame({"label": area["label"], "n": area["n"]})
    for name, found in (("area", area), ("area_log", log_area), ("final", final)):
        table[name], table[f"{name}_sd"] = found["mean"], found["sd"]
    lower = study.metric(metric).better == "lower"
    full = [None if lower else study.ceiling_score(label, metric) for label in table["label"]]
    table["full_share"] = [
        math.nan if score is None else value / score for score, value in zip(full, table["final"], strict=True)
    ]
    rows = study.table[~study.table["ceiling"] & (study.table["round"] > 0)]
    for name, reduction in (("query_seconds", "mean"), ("query_peak_mib", "max")):
        own = rows[rows["metric"] == f"effort/{name}"].groupby("label")["value"].agg(reduction)
        table[name] = table["label"].map(own)
    return table


def against_random(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Each arm against its random arm: the family of tests that a study is made for. Empty without a random arm."""
    there = set(scores["label"])
    return comparisons(scores, with_random(study.table, [label for label in study.arms if label in there]))


def every_pair(scores: pd.DataFrame) -> pd.DataFrame:
    """Every two arms, one family: needs more runs for a star than `against_random`."""
    return comparisons(scores, all_pairs(list(scores["label"])))


def star_of(row: Mapping[Any, Any], alpha: float = 0.05) -> str:
    """What may be printed of a comparison: "*", "not significant", or why no star can be given, with the remedy."""
    n = int(row["n"])
    if n < 2:
        return f"no test with {n} common {'run' if n == 1 else 'runs'}; {int(row['more_runs'])} more for a star"
    if row["star"]:
        return "*"
    if row["attainable"] > alpha:
        return (
            f"no star possible: {n} pairs give p ≥ {row['attainable']:.3g} after Holm; "
            f"{int(row['more_runs'])} more runs at least"
        )
    return "not significant"


def curve_cells(means: pd.DataFrame) -> list[str]:
    """Each row of `table_of` for a reader, "mean ± sd", and which rounds have not learned."""
    learned = means["learned"] if "learned" in means else [None] * len(means)
    cells = zip(means["mean"], means["sd"], learned, strict=True)
    return [with_sd(mean, sd) + f" ({NOT_LEARNED})" * (pd.notna(there) and not there) for mean, sd, there in cells]


def curves_wide(means: pd.DataFrame) -> pd.DataFrame:
    """`table_of` with a row per arm and a column per cost, as "mean ± sd"."""
    cells = curve_cells(means)
    columns = [f"{cost:.6g}" for cost in means["cost"]]
    wide = pd.DataFrame({"arm": means["label"], "cost": columns, "cell": cells})
    order = sorted(set(columns), key=float)
    return wide.pivot(index="arm", columns="cost", values="cell")[order].reindex(list(dict.fromkeys(means["label"])))


def main_shown(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """`main_table` of the metric for a reader: ** marks the best of a column, __ the second, for LaTeX and report."""
    shown = pd.DataFrame({"arm": table["label"], "n": [str(n) for n in table["n"]]})
    for title, name in zip(MAIN[2:5], ("area", "area_log", "final"), strict=True):
        texts = [with_sd(mean, sd) for mean, sd in zip(table[name], table[f"{name}_sd"], strict=True)]
        shown[title] = _ranked(texts, list(metric.sign * table[name]))
    shown[MAIN[5]] = [_number(100 * value, 1) for value in table["full_share"]]
    shown[MAIN[6]] = [_number(value, 2) for value in table["query_seconds"]]
    shown[MAIN[7]] = [_number(value, 0) for value in table["query_peak_mib"]]
    return shown


def savings_shown(savings: pd.DataFrame) -> pd.DataFrame:
    """`savings` for a reader: a row per arm, a column per target, in % of random's labels."""
    cells = []
    for row in savings.to_dict("records"):
        if row["at_start"] == 1:
            cells.append("at start")
        elif math.isfinite(row["share"]):
            cells.append(f"{100 * row['share']:.0f}{saving_interval(row)}")
        elif math.isfinite(row["bound"]):
            cells.append(f"{'>' if math.isinf(row['share']) else '<'} {100 * row['bound']:.0f}{saving_interval(row)}")
        else:
            cells.append("not reached by both" if row["n"] else "no common run")
    wide = savings.assign(cell=cells, column=[f"{target:.0%}".replace("%", " %") for target in savings["target"]])
    columns = list(dict.fromkeys(wide["column"]))
    order = list(dict.fromkeys(wide["label"]))
    return (
        wide.pivot(index="label", columns="column", values="cell")[columns]
        .reindex(order)
        .rename_axis("arm")
        .reset_index()
    )


def comparisons_shown(compared: pd.DataFrame) -> pd.DataFrame:
    """`comparisons` for a reader."""
    rows = []
    for row in compared.to_dict("records"):
        rows.append(
            {
                "arm": row["label"],
                "against": row["baseline"],
                "pairs": str(row["n"]),
                "difference": _between(row, "difference", "low", "high", signed=True),
                "effect g": _between(row, "effect", "effect_low", "effect_high", signed=True, digits=2),
                "Wilcoxon p": _p(row["wilcoxon"]),
                "after Holm": _p(row["wilcoxon_holm"]),
                "t-test after Holm": _p(row["t_holm"]),
                "star": star_of(row),
                "runs for 80 % power": _number(row["runs_needed"], 0),
            }
        )
    return pd.DataFrame(rows)


def _ranked(texts: list[str], values: list[float]) -> list[str]:
    order = sorted((i for i in range(len(values)) if not math.isnan(values[i])), key=lambda i: -values[i])
    marks = dict(zip(order, ("**", "__"), strict=False)) if len(order) > 1 else {}
    return [f"{marks.get(i, '')}{text}{marks.get(i, '')}" for i, text in enumerate(texts)]


def with_sd(mean: float, sd: float) -> str:
    """The mean and its standard deviation for a reader; "–" for none."""
    if math.isnan(mean):
        return "–"
    return f"{mean:.4f}" if math.isnan(sd) else f"{mean:.4f} ± {sd:.4f}"


def _between(row: Mapping[Any, Any], value: str, low: str, high: str, signed: bool, digits: int = 4) -> str:
    form = f"{'+' if signed else ''}.{digits}f"
    if math.isnan(row[value]):
        return "–"
    text = f"{row[value]:{form}}"
    text += "" if math.isnan(row[low]) else f" [{row[low]:{form}}, {row[high]:{form}}]"
    return text.replace("-", "−")


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def penalties_shown(penalties: pd.DataFrame) -> pd.DataFrame:
    """`penalties` for a reader: a row and a column per arm, in % of the rounds."""
    cells = penalties.assign(cell=[_number(100 * share, 0) for share in penalties["share"]])
    order = list(dict.fromkeys(penalties["label"]))
    wide = cells.pivot(index="label", columns="other", values="cell").reindex(index=order, columns=order)
    return wide.fillna("").rename_axis("better than", axis=0).rename_axis(None, axis=1).reset_index()


def ranks_shown(ranks: Ranks) -> pd.DataFrame:
    """`mean_ranks` for a reader."""
    rows = ranks.table.to_dict("records")
    cells = [_between(row, "rank", "low", "high", signed=False, digits=2) for row in rows]
    return pd.DataFrame({"arm": ranks.table["label"], "mean rank (1: best)": cells})
