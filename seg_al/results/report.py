"""One self-contained page about a study: its findings, whether its runs can carry them, and how to repeat it."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from seg_al.core import CostUnit
from seg_al.results.arm_statistics import ALPHA, areas, detectable, finals
from seg_al.results.arm_styles import figure_title
from seg_al.results.arms import as_typed, missing
from seg_al.results.commands import command
from seg_al.results.curves import arms_of, baseline_of, is_random
from seg_al.results.curves import table_of as means_of
from seg_al.results.learned_rounds import NoComparison, comparable, no_comparison, said_beside
from seg_al.results.metrics import constructed
from seg_al.results.pitfall_check import Check
from seg_al.results.pitfalls import checklist
from seg_al.results.savings import saving_as_text, savings
from seg_al.results.study import Study
from seg_al.results.study_figures import study_figures
from seg_al.results.table_files import latex
from seg_al.results.tables import (
    against_random,
    comparisons_shown,
    curves_wide,
    every_pair,
    main_shown,
    main_table,
    savings_shown,
)

TEMPLATE = Path(__file__).with_name("report.html.jinja")
FEW = 12
"""Different values of a setting that are listed; more are counted."""


@dataclass(frozen=True)
class Section:
    """A table with its LaTeX."""

    title: str
    note: str
    shown: pd.DataFrame
    latex: str


def write_report(study: Study, metric: str, cost: CostUnit, path: Path) -> list[str]:
    """Writes the page, whole or not at all, and gives its findings for a terminal.

    Raises ValueError where the study has no such metric or cost, or its arms are not comparable.
    """
    study.require_comparable()
    findings = findings_of(study, metric, cost)
    checks = checklist(study, metric, cost)
    page = (
        _environment()
        .from_string(TEMPLATE.read_text(encoding="utf-8"))
        .render(
            title=figure_title(study.table, metric),
            lead=" ".join([lead_of(study, metric, cost), constructed(study.table)]).strip(),
            place=study.place,
            metric=metric,
            cost=cost,
            facts=_facts(study, metric, cost),
            findings=findings,
            guards=[check for check in checks[:3] if check.verdict == "no"],
            checks=checks,
            passed=sum(check.verdict == "yes" for check in checks),
            figures=list(study_figures(study, metric, cost)),
            sections=list(_sections(study, metric, cost)),
            missing=missing(study.table, cost, metric),
            arms=_arms(study),
            commands=[(label, command(study, label, {})) for label in study.arms],
            settings=_settings(study),
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
    return findings


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = _cell
    environment.filters["mark"] = _mark
    return environment


def _cell(text: object) -> Markup:
    """Cells of `main_shown` mark the best and the second; a number stays on the line of the sign before it."""
    value = re.sub("(?<=[±<>]) ", "\u00a0", str(text))
    for mark, tag in (("**", "strong"), ("__", "u")):
        if value.startswith(mark) and value.endswith(mark) and len(value) > 4:
            return Markup(f"<{tag}>{{}}</{tag}>").format(value[2:-2])
    return escape(value)


def _mark(check: Check) -> str:
    return {"yes": "✓", "no": "✗", "unknown": "?"}[check.verdict]


def dataset_and_model(study: Study) -> list[str]:
    return [", ".join(sorted({as_typed(r.settings.get(key)) for r in study.records})) for key in ("dataset", "model")]


def lead_of(study: Study, metric: str, cost: CostUnit) -> str:
    """What was compared, in a sentence."""
    dataset, model = dataset_and_model(study)
    runs = len([record for record in study.records if not record.ceiling])
    arms = "; ".join(study.arms[:FEW]) + (f" and {len(study.arms) - FEW} more" if len(study.arms) > FEW else "")
    what = f"Compares {arms}" if len(study.arms) > 1 else f"One arm, {arms}"
    how = f"{runs} {'run' if runs == 1 else 'runs'} of {model} on {dataset}"
    return f"{what}: {how}, scored by {metric} over the labelled {cost}."


def findings_of(study: Study, metric: str, cost: CostUnit) -> list[str]:
    """What the numbers say, a sentence each, and what they cannot carry."""
    lines = list(comparable(study.table, metric, cost).notes)
    try:
        scores = areas(study.table, metric, cost)
    except NoComparison:
        return lines
    found = against_random(study, scores)
    lower = study.metric(metric).better == "lower"
    lines += (
        [f"Of {metric}, less is better: a difference below 0 is a gain, and 90 % of a score is 1 / 0.9 of it."]
        if lower
        else []
    )
    lines += [_difference(row, metric) for row in found.to_dict("records")] or [_nothing_compared(study, metric)]
    lines += [saving_as_text(row, cost) + "." for row in savings(study, metric, cost).to_dict("records")]
    pairs = int(found["n"].min()) if len(found) else 0
    if pairs >= 2:
        lines.append(
            f"With {pairs} pairs a t-test finds differences of {detectable(pairs):.1f} standard deviations of the "
            "paired differences with 80 % power; smaller ones go unseen more often."
        )
    return lines


def _nothing_compared(study: Study, metric: str) -> str:
    """Why no arm stands against a random one."""
    arms = arms_of(study.table)
    randoms = list(arms.loc[is_random(arms), "label"])
    if not randoms:
        return "There is no random arm: nothing here shows whether asking beats chance."
    if set(study.arms) <= set(randoms):
        return f"{', '.join(randoms)}: there is no other arm to compare with it."
    return f"No arm and its random arm both have {metric}: nothing here shows whether asking beats chance."


def _difference(row: dict[Any, Any], metric: str) -> str:
    who = f"{row['label']} against {row['baseline']}"
    if row["n"] == 0:
        return f"{who}: no run in common, so nothing can be said."
    size = f"{row['difference']:+.4f} mean {metric} over the curve".replace("-", "−")
    if row["n"] == 1:
        return f"{who}: {size}, of one pair: no interval, no test."
    size += f" [{row['low']:+.4f}, {row['high']:+.4f}], {row['n']} pairs".replace("-", "−")
    if row["star"]:
        verdict = f"significant (Wilcoxon, Holm: p = {row['wilcoxon_holm']:.3g})"
    elif row["attainable"] > ALPHA:
        verdict = f"no star: {row['n']} pairs cannot be significant, {int(row['more_runs'])} more runs at least"
    else:
        verdict = f"not significant (Wilcoxon, Holm: p = {row['wilcoxon_holm']:.3g})"
        needed = row["runs_needed"]
        verdict += f"; were it true, {needed:.0f} pairs would show it" if not math.isnan(needed) else ""
    return f"{who}: {size}; {verdict}."


def _facts(study: Study, metric: str, cost: CostUnit) -> list[tuple[str, str]]:
    means = means_of(study.table, metric, cost)
    runs = {record.settings["run"] for record in study.records if not record.ceiling}
    full = sum(record.ceiling for record in study.records)
    val = study.val_images
    return [
        ("arms", str(len(study.arms))),
        ("runs per arm", str(int(means["n"].max()))),
        ("run numbers", str(len(runs))),
        ("evaluations per run", str(int(means.groupby("label").size().max()))),
        (cost, f"{means['cost'].min():,.6g} to {means['cost'].max():,.6g}"),
        *([("images of val, labelled besides", f"{max(val):g}")] if val else []),
        ("full-data runs", str(full)),
    ]


def _sections(study: Study, metric: str, cost: CostUnit) -> list[Section]:
    about, beside = f"{metric}, cost in {cost}", said_beside(study.table, metric, cost)
    try:
        made = _compared(study, metric, cost)
    except NoComparison as error:
        made = [("Scores of the arms", "", no_comparison(error))]
    wide = curves_wide(means_of(study.table, metric, cost)).reset_index()
    if len(wide.columns) <= FEW:
        made.append((f"Learning curves: {metric} by {cost}", "Mean ± sd over the runs.", wide))
    return [
        Section(title, " ".join([note, *beside]).strip(), shown, latex(shown, about, beside))
        for title, note, shown in made
    ]


def _compared(study: Study, metric: str, cost: CostUnit) -> list[tuple[str, str, pd.DataFrame]]:
    """Title, note and table of each comparison of the arms."""
    scores, ends = areas(study.table, metric, cost), finals(study.table, metric, cost)
    saved = savings(study, metric, cost)
    made = [("Scores of the arms", MAIN_NOTE, main_shown(main_table(study, metric, cost), study.metric(metric)))]
    if len(saved):
        made.append((f"Label saving: {cost} needed, in % of random's", SAVING_NOTE, savings_shown(saved)))
    if len(random := against_random(study, scores)):
        made.append(("Against random: area under the curve", TEST_NOTE, comparisons_shown(random)))
        made.append(("Against random: last score", TEST_NOTE, comparisons_shown(against_random(study, ends))))
    if len(study.arms) > 1:
        made.append(("All pairs: area under the curve", TEST_NOTE, comparisons_shown(every_pair(scores))))
    return made


MAIN_NOTE = (
    "Area: the mean height of the learning curve over the costs that all arms cover, over a linear and a logarithmic "
    "cost axis; mean ± sd (n − 1) over the runs. Bold: best, underlined: second; neither says significant."
)
SAVING_NOTE = (
    "On mean curves, with 95 % bootstrap intervals over paired runs, widened for few runs. > and <: one of the two "
    "never reaches the goal. In simulations these intervals hold the truth in 0.92 to 0.98 of studies with 5 or more "
    "pairs, but in only 0.78 to 0.89 of those with 3."
)
TEST_NOTE = (
    "Paired by run. Differences with 95 % t intervals; g: Hedges' effect size of the paired differences. The table is "
    "one family for Holm's correction; stars follow Wilcoxon's exact signed-rank test."
)


def _arms(study: Study) -> list[tuple[str, str, str, str]]:
    rows = []
    curves = {label: study.of(label) for label in study.arms}
    for label, records in curves.items():
        runs = ", ".join(str(r.settings["run"]) + ("" if r.complete else " (unfinished)") for r in records)
        baseline = baseline_of(study.table, label) or "–"
        rows.append((label, runs, baseline, str(len(study.ceiling(label)))))
    return rows


def _settings(study: Study) -> list[tuple[str, str]]:
    """Every setting with all its values over the arms' runs."""
    records = [record for record in study.records if not record.ceiling]
    rows = []
    for key in sorted({key for record in records for key in record.settings}, key=lambda key: ("." in key, key)):
        found = list(dict.fromkeys(as_typed(r.settings.get(key, "–")) for r in records))
        rows.append((key, ", ".join(found) if len(found) <= FEW else f"{len(found)} different values"))
    return rows
