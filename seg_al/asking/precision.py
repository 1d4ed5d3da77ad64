"""Uses another number format for query passes where, as measured, it is faster and ranks like that of the training."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
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


def ranks_alike(
    round_view: RoundView, heuristic: Heuristic[Any], clock: Callable[[], float] | None = None
) -> RoundView:
    """The view in the precision that the config asks for queries, if it ranks alike and takes less time.

    It ranks alike if Kendall's tau of tile scores is at least 0.99. Both formats draw the same passes of the first
    images that are open, and then, one after the other, those of the first again, in seconds of `clock`; None: of the
    processor, or of the wall on a GPU. Logs the measurements; keeps the view as it is where the ranking differs, or
    where all scores are equal and there is nothing to rank.
    """
    compute = round_view.compute
    wish, usual = compute.scoring, compute.number_type
    if wish == "same" or wish == usual or heuristic.min_passes == 0:
        return round_view
    from scipy.stats import kendalltau  # a second, which few runs need

    other = replace(round_view, compute=compute.scoring_in(wish))
    tau = float(kendalltau(*(_tile_scores(view, heuristic, IMAGES) for view in (round_view, other))).statistic)
    if not tau >= LEAST_TAU:
        log.warning(
            "queries run in %s, not in %s as wished: Kendall's tau of tile scores is %.4f, below %g",
            usual, wish, tau, LEAST_TAU,
        )  # fmt: skip
        return round_view
    clock = clock or (time.perf_counter if compute.torch_device.type == "cuda" else time.process_time)
    before, after = (_seconds(view, heuristic, clock) for view in (round_view, other))
    log.info(
        "queries run in %s: an image takes %.3g s in %s and %.3g s in %s, and Kendall's tau of tile scores is %.4f",
        wish if after < before else usual, before, usual, after, wish, tau,
    )  # fmt: skip
    return other if after < before else round_view


def _seconds(round_view: RoundView, heuristic: Heuristic[Any], clock: Callable[[], float]) -> float:
    """The time of one image, whose passes were drawn before, so that nothing is made for the first time."""
    start = clock()
    _tile_scores(round_view, heuristic, 1)
    return clock() - start


def _tile_scores(round_view: RoundView, heuristic: Heuristic[Any], images: int) -> npt.NDArray[np.float64]:
    scores = []
    for name in round_view.pool.open[:images]:
        (evidence,) = round_view.evidence([name], [heuristic.reads])
        height, width = evidence.size
        columns = torch.arange(width) // TILE
        ids = torch.arange(height)[:, None] // TILE * (int(columns[-1]) + 1) + columns
        score_map = painted_by(round_view.task, heuristic, evidence, name).map.cpu()
        scores.append(join(score_map, ids, int(ids.max()) + 1, "mean", 1.0).numpy())
    return np.concatenate(scores)
