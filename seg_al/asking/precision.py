"""Uses a cheaper number format for query passes where, as measured, it ranks like the format of the training."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seg_al.asking.given import painted_by
from seg_al.asking.round_view import RoundView
from seg_al.core import Heuristic
from seg_al.granularities.joining import join

log = logging.getLogger(__name__)

IMAGES = 2
"""Pool images on which the formats are compared, each round."""
TILE = 32  # pixels, the side of the units that are ranked
LEAST_TAU = 0.99


def ranks_alike(round_view: RoundView, heuristic: Heuristic[Any]) -> RoundView:
    """The view in the precision that the config asks for queries, if Kendall's tau of tile scores is at least 0.99.

    Both formats draw the same passes of the first images that are open. Logs the measurement; keeps the view as it is
    where the ranking differs, or where all scores are equal and there is nothing to rank.
    """
    wish = round_view.compute.scoring
    if wish == "same" or wish == round_view.compute.number_type or heuristic.min_passes == 0:
        return round_view
    from scipy.stats import kendalltau  # a second, which few runs need

    other = replace(round_view, compute=round_view.compute.scoring_in(wish))
    tau = float(kendalltau(_tile_scores(round_view, heuristic), _tile_scores(other, heuristic)).statistic)
    if tau >= LEAST_TAU:
        log.info(
            "queries run in %s: Kendall's tau of tile scores with %s is %.4f", wish, round_view.compute.number_type, tau
        )
        return other
    log.warning(
        "queries run in %s, not in %s as wished: Kendall's tau of tile scores is %.4f, below %g",
        round_view.compute.number_type, wish, tau, LEAST_TAU,
    )  # fmt: skip
    return round_view


def _tile_scores(round_view: RoundView, heuristic: Heuristic[Any]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    scores = []
    for name in round_view.pool.open[:IMAGES]:
        (evidence,) = round_view.evidence([name], [heuristic.reads])
        height, width = evidence.size
        columns = torch.arange(width) // TILE
        ids = torch.arange(height)[:, None] // TILE * (int(columns[-1]) + 1) + columns
        score_map = painted_by(round_view.task, heuristic, evidence, name).map.cpu()
        scores.append(join(score_map, ids, int(ids.max()) + 1, "mean", 1.0).numpy())
    return np.concatenate(scores)
