"""Draws names in figures as they are written."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.text import Text


def without_formulas(figure: Figure) -> Figure:
    """The figure, with every "$" of a name as itself; matplotlib would read the text between two as a formula.

    The numbers on logarithmic axes, which matplotlib makes, stay formulas.
    """
    for text in figure.findobj(Text):
        if "$" in text.get_text() and not text.get_text().startswith(r"$\mathdefault"):
            text.set_parse_math(False)
    return figure
