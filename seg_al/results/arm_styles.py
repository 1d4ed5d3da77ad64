"""How an arm is drawn, and what a figure of arms is called."""

from __future__ import annotations

import pandas as pd

from seg_al.recording.pictures.print_style import Style, style_of
from seg_al.results.curves import arms_of, is_random
from seg_al.results.metrics import constructed

GREYS = ("#000000", "#888888", "#bbbbbb")


def styles_of(table: pd.DataFrame) -> dict[str, Style]:
    """A style for every arm of the table, the same in all its figures: random black, then greys, the rest coloured."""
    arms = arms_of(table)
    styles: dict[str, Style] = {}
    randoms = coloured = 0
    for label, chance in zip(arms["label"], is_random(arms), strict=True):
        if chance:
            styles[str(label)] = Style(GREYS[randoms % len(GREYS)], "o", "--")
            randoms += 1
        else:
            styles[str(label)] = style_of(coloured)
            coloured += 1
    return styles


def figure_title(table: pd.DataFrame, metric: str) -> str:
    """Dataset, model and metric; and that a program has made the images, where one has."""
    parts = [", ".join(sorted(set(table[name].dropna().astype(str)))) for name in ("dataset", "model")]
    return " · ".join([*filter(None, parts), metric, *(["constructed data"] if constructed(table) else [])])
