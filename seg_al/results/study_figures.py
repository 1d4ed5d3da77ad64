"""All figures of a study with their captions, in the order of a paper."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from seg_al.core import CostUnit
from seg_al.recording.pictures.plain_text import without_formulas
from seg_al.recording.pictures.print_style import caption, save
from seg_al.results.arm_statistics import areas
from seg_al.results.arm_styles import styles_of
from seg_al.results.arms import missing
from seg_al.results.comparison_figures import (
    agreement_over_rounds_figure,
    gains_figure,
    penalties_figure,
    ranks_figure,
    savings_figure,
    sentence_figure,
)
from seg_al.results.figures import curves_figure
from seg_al.results.learned_rounds import NoComparison, said_beside
from seg_al.results.mean_lines import BANDED
from seg_al.results.metrics import constructed
from seg_al.results.panel_figures import cost_axes_figure, effort_figure, passes_figure, per_class_figure, shares_figure
from seg_al.results.ranks import aligned_arms, mean_ranks, penalties, rank_rounds
from seg_al.results.savings import savings
from seg_al.results.study import Study
from seg_al.results.tables import against_random, every_pair

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyFigure:
    """One figure, ready for print."""

    name: str
    figure: Figure
    caption: str

    def inline(self) -> str:
        """The picture as a data URI, for a page that is one file."""
        FigureCanvasAgg(self.figure)
        buffer = io.BytesIO()
        without_formulas(self.figure).savefig(buffer, format="png", dpi=200, metadata={"Software": None})
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Writes <name>.png and <name>.pdf."""
        return save(self.figure, folder / self.name)


def study_figures(study: Study, metric: str, cost: CostUnit) -> Iterator[StudyFigure]:
    """Every figure that the study has the numbers for; the log says which could not be drawn and why."""
    notes = missing(study.table, cost, metric)
    table, styles, lower = study.table, styles_of(study.table), study.metric(metric).better == "lower"

    val = max(study.val_images, default=0)
    besides = f" Val holds {val:g} labelled images besides those of the axis." if val else ""
    beside, painted = said_beside(table, metric, cost), constructed(table)

    def gains() -> Figure | None:
        scores = areas(table, metric, cost)
        found = against_random(study, scores)
        return gains_figure(found if len(found) else every_pair(scores), styles, f"mean {metric} of the curve")

    def ranked() -> Figure | None:
        rounds = rank_rounds(aligned_arms(table, metric, cost), lower)
        return ranks_figure(rounds, mean_ranks(areas(table, metric, cost), lower), styles, cost)

    def saved() -> Figure | None:
        found = savings(study, metric, cost)
        figure = savings_figure(found, styles, cost)
        if figure is None and len(found):
            raise ValueError("nowhere is a share to draw: see the savings table for what each arm reaches, and when")
        return figure

    drawn: dict[str, tuple[Callable[[], Figure | None], str]] = {
        "learning_curves": (lambda: curves_figure(table, metric, cost, notes), CURVES_CAPTION + besides),
        "label_saving": (saved, SAVING_CAPTION),
        "differences": (gains, GAINS_CAPTION),
        "penalty_matrix": (
            lambda: penalties_figure(penalties(aligned_arms(table, metric, cost), lower)),
            PENALTY_CAPTION,
        ),
        "ranks": (ranked, RANKS_CAPTION),
        "per_class": (lambda: per_class_figure(table, metric, cost), CLASSES_CAPTION),
        "cost_axes": (lambda: cost_axes_figure(table, metric), COSTS_CAPTION),
        "effort": (lambda: effort_figure(table), EFFORT_CAPTION),
        "agreement": (lambda: agreement_over_rounds_figure(table), AGREEMENT_CAPTION),
        "passes": (lambda: passes_figure(table, metric, cost), PASSES_CAPTION),
        "class_shares": (lambda: shares_figure(table), SHARES_CAPTION),
    }
    for name, (make, words) in tqdm(drawn.items(), desc="figures", unit="figure", leave=False, disable=None):
        if name in PAIRED and len(study.arms) < 2:
            continue
        figure = _made(name, make)
        if figure is not None:
            if name != "learning_curves":  # whose own title and notes say it
                caption(figure, beside if name in COMPARED else [painted] if painted else [])
            yield StudyFigure(name, figure, words)


def _made(name: str, make: Callable[[], Figure | None]) -> Figure | None:
    """The figure, or the sentence in the place of a comparison; the log says why there is none."""
    try:
        return make()
    except NoComparison as error:
        return sentence_figure(str(error))
    except ValueError as error:
        log.warning("no figure %s: %s", name, error)
        return None


PAIRED = ("label_saving", "differences", "penalty_matrix", "ranks")
"""The figures of two arms or more."""
COMPARED = (*PAIRED, "passes")
"""The figures of what may be compared alone."""
CURVES_CAPTION = (
    f"Learning curves: the mean over the runs, with its 95 % t interval where there are at least {BANDED}; thin lines "
    "are single runs. Arms with one curve share a line, in pieces of their colours. Rings: networks that have not "
    "learned, as they do not go a tenth of the way from the constant predictor to a perfect one."
)
SAVING_CAPTION = (
    "Label saving: the share of random's labels that an arm needs to reach 90, 95 and 100 % of the reference score, on "
    "mean curves joined by straight lines; bars are 95 % bootstrap intervals over paired runs. Open arrows are bounds, "
    "where one of the two does not reach the goal."
)
GAINS_CAPTION = (
    "The paired difference in the mean height of the learning curve (area by width), with 95 % t intervals where there "
    f"are at least {BANDED} pairs; * marks what is significant by Wilcoxon's exact test after Holm's correction."
)
PENALTY_CAPTION = (
    "Pairwise penalty matrix (BADGE): the share of rounds in which the row is significantly better than the column, by "
    "paired t-tests without correction for their number."
)
RANKS_CAPTION = (
    "Mean ranks over the runs, at every cost and of the whole curve, with 95 % bootstrap intervals where there are at "
    f"least {BANDED} runs."
)
CLASSES_CAPTION = (
    f"The same per class: means, with 95 % t intervals from {BANDED} runs on, cut where they hide the means."
)
COSTS_CAPTION = "The same over every recorded cost of the labels."
EFFORT_CAPTION = "Effort of a round: mean seconds and peak memory."
AGREEMENT_CAPTION = (
    "What the other heuristics would have asked, had they scored the same units: the share of the asked units that is "
    "also among their best. Light grey: the arm's own heuristic, or one that had no scores in that round."
)
PASSES_CAPTION = "Sensitivity to the number of passes; lines join arms that differ in mc_iters alone."
SHARES_CAPTION = "The share of each class among the pixels that each round asked about."
