"""The tables of a study as files: CSV with all digits, LaTeX with booktabs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from seg_al.core import CostUnit
from seg_al.results.arm_statistics import areas, finals, summary
from seg_al.results.curves import table_of
from seg_al.results.learned_rounds import NoComparison, no_comparison, said_beside
from seg_al.results.metrics import class_metrics, marked
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
    made: list[Table] = []
    for name, make in MAKERS.items():
        try:
            made += make(study, metric, cost)
        except NoComparison as error:
            made.append((name, no_comparison(error), no_comparison(error)))
    notes = said_beside(study.table, metric, cost)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, numbers, shown in made:
        paths += [folder / f"{name}.csv", folder / f"{name}.tex"]
        marked(numbers, study.table).to_csv(paths[-2], index=False)
        paths[-1].write_text(latex(shown, f"{metric}, cost in {cost}", notes), encoding="utf-8")
    return paths


def _scores(study: Study, metric: str, cost: CostUnit) -> Iterator[Table]:
    found = main_table(study, metric, cost)
    yield "main", found, main_shown(found, study.metric(metric))


def _curves(study: Study, metric: str, cost: CostUnit) -> Iterator[Table]:
    means = table_of(study.table, metric, cost)
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
    except NoComparison:
        raise
    except ValueError as error:
        log.warning("no tables of penalties and ranks: %s", error)
        return
    lower = study.metric(metric).better == "lower"
    beaten = penalties(grid, lower)
    yield "penalties", beaten, penalties_shown(beaten)
    ranks = mean_ranks(areas(study.table, metric, cost), lower)
    yield "ranks", ranks.table, ranks_shown(ranks)


MAKERS: Mapping[str, Callable[[Study, str, CostUnit], Iterator[Table]]] = {
    "main": _scores, "learning_curves": _curves, "per_class": _classes, "against_random": _tests, "savings": _savings,
    "ranks": _order,
}  # fmt: skip
"""By the name of the first table that it makes, in whose place a sentence stands where nothing can be compared."""


def latex(shown: pd.DataFrame, about: str, notes: Sequence[str] = ()) -> str:
    r"""A booktabs tabular: needs \usepackage{booktabs}. Text is escaped, ** is bold and __ underlined.

    Notes stand below the rows, over all columns.
    """
    columns = "l" + "r" * (len(shown.columns) - 1)
    lines = [f"% {about}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(list(shown.columns)), r"\midrule"]
    lines += [_row(row) for row in shown.to_numpy().tolist()]
    lines += [rf"\multicolumn{{{len(shown.columns)}}}{{l}}{{{_escaped(note)}}} \\" for note in notes]
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
