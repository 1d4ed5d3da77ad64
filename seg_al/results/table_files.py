"""The tables of a study as files: CSV with all digits, LaTeX with booktabs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from seg_al.core import CostUnit
from seg_al.results.arm_statistics import areas, finals, summary
from seg_al.results.curves import table_of
from seg_al.results.metrics import class_metrics
from seg_al.results.ranks import aligned_arms, mean_ranks, penalties
from seg_al.results.savings import savings
from seg_al.results.study import Study
from seg_al.results.tables import (
    against_random,
    comparisons_shown,
    curves_wide,
    every_pair,
    main_shown,
    main_table,
    penalties_shown,
    ranks_shown,
    savings_shown,
    with_sd,
)

log = logging.getLogger(__name__)

Table = tuple[str, pd.DataFrame, pd.DataFrame]
"""A file's name, all numbers, and what a reader sees of them."""


def write_tables(study: Study, metric: str, cost: CostUnit, folder: Path) -> list[Path]:
    """Writes every table that the study has the numbers for as .csv and .tex into the folder, and gives the paths.

    Raises ValueError where there is no such metric or cost, or the arms are not comparable.
    """
    study.require_comparable()
    makers = (_scores, _classes, _tests, _savings, _order)
    made = [table for make in makers for table in make(study, metric, cost)]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, numbers, shown in made:
        paths += [folder / f"{name}.csv", folder / f"{name}.tex"]
        numbers.to_csv(paths[-2], index=False)
        paths[-1].write_text(latex(shown, f"{metric}, cost in {cost}"), encoding="utf-8")
    return paths


def _scores(study: Study, metric: str, cost: CostUnit) -> Iterator[Table]:
    found, means = main_table(study, metric, cost), table_of(study.table, metric, cost)
    yield "main", found, main_shown(found, study.metric(metric))
    yield "learning_curves", means, curves_wide(means).reset_index()


def _classes(study: Study, metric: str, cost: CostUnit) -> Iterator[Table]:
    last = {
        name: summary(finals(study.table, own, cost)).set_index("label")
        for name, own in class_metrics(study.table, metric).items()
        if study.table.loc[study.table["metric"] == own, "value"].notna().any()
    }
    if last:
        numbers = pd.concat(last, names=["class", "label"]).reset_index()
        cells = {
            name: dict(zip(own.index, map(with_sd, own["mean"], own["sd"]), strict=True)) for name, own in last.items()
        }
        rows = [{"arm": label} | {name: own.get(label, "–") for name, own in cells.items()} for label in study.arms]
        yield "per_class", numbers, pd.DataFrame(rows)


def _tests(study: Study, metric: str, cost: CostUnit) -> Iterator[Table]:
    for name, scores in (("", areas(study.table, metric, cost)), ("_last", finals(study.table, metric, cost))):
        for family, found in (("against_random", against_random(study, scores)), ("all_pairs", every_pair(scores))):
            if len(found):
                yield family + name, found, comparisons_shown(found)


def _savings(study: Study, metric: str, cost: CostUnit) -> Iterator[Table]:
    found = savings(study, metric, cost)
    if len(found):
        yield "savings", found, savings_shown(found)


def _order(study: Study, metric: str, cost: CostUnit) -> Iterator[Table]:
    if len(study.arms) < 2:
        return
    try:
        grid = aligned_arms(study.table, metric, cost)
    except ValueError as error:
        log.warning("no tables of penalties and ranks: %s", error)
        return
    lower = study.metric(metric).better == "lower"
    beaten = penalties(grid, lower)
    yield "penalties", beaten, penalties_shown(beaten)
    ranks = mean_ranks(areas(study.table, metric, cost), lower)
    yield "ranks", ranks.table, ranks_shown(ranks)


def latex(shown: pd.DataFrame, about: str) -> str:
    r"""A booktabs tabular: needs \usepackage{booktabs}. Text is escaped, ** is bold and __ underlined."""
    columns = "l" + "r" * (len(shown.columns) - 1)
    lines = [f"% {about}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(list(shown.columns)), r"\midrule"]
    lines += [_row(row) for row in shown.to_numpy().tolist()]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _row(cells: Sequence[object]) -> str:
    return " & ".join(_escaped(str(cell)) for cell in cells) + r" \\"


def _escaped(text: str) -> str:
    for mark, command in (("**", "textbf"), ("__", "underline")):
        if text.startswith(mark) and text.endswith(mark):
            return rf"\{command}{{{_escaped(text[2:-2])}}}"
    text = text.replace("\\", r"\textbackslash ")
    for sign in "&%$#_{}":
        text = text.replace(sign, rf"\{sign}")
    for sign, command in (
        ("±", r"$\pm$"),
        ("−", "$-$"),
        ("≥", r"$\geq$"),
        (">", "$>$"),
        ("<", "$<$"),
        ("~", r"\textasciitilde "),
    ):
        text = text.replace(sign, command)
    return text
