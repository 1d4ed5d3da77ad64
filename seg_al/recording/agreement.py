"""Computes per round how much the heuristics agree, and whether the passes were enough.

A heuristic that scores all units alike (random does) has no order: what compares it is None, never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

PLACE = ("image", "unit")
"""Columns that name a unit; of equal scores, the first by image name, then by unit id, ranks higher."""
FACTS = (*PLACE, "area", "asked", "drawn")
"""Columns of a score table that hold no heuristic's scores."""

ASKED_BY = "asked_by"

Floats = npt.NDArray[np.float64]


def agreement(scores: pd.DataFrame, chosen: str, passes: pd.DataFrame | None) -> dict[str, Any]:
    """Compares the heuristics of a round's score table, and the chosen one with itself after fewer passes.

    `scores` has one row per unit: image, unit, area, asked, and a column per heuristic. `passes` has columns image,
    unit, passes and score: the chosen heuristic's scores of the same units after the first k passes, for several k.
    Gives, ready for JSON:

    - asked_by: the chosen heuristic, which another round of a schedule may not have;
    - units, asked: how many were scored, and how many of these were asked (n);
    - spearman[a][b]: the heuristics' rank correlation over all units, -1 to 1;
    - overlap[a][b]: the share of the n best units that both have, 0 to 1;
    - stability: for each k its Kendall tau-b and its overlap of the n best with the largest k.

    Equal scores are ranked by image name, then unit id, so that row order plays no part. A comparison is None where
    a side scores all units alike, an overlap also where nothing was asked. Raises ValueError for a score that is not
    finite, naming the unit, and for `passes` whose units differ from those of `scores`.
    """
    names = [str(name) for name in scores.columns if name not in FACTS]
    if chosen not in names:
        raise ValueError(f"the score table has no heuristic {chosen!r}; it has {', '.join(names) or 'none'}")
    ordered = scores.sort_values(list(PLACE), ignore_index=True)
    _check_finite(ordered, names)
    values = ordered[names].to_numpy(np.float64).T  # [heuristics, M]
    asked = int(ordered["asked"].sum())
    return {
        ASKED_BY: chosen,
        "units": len(ordered),
        "asked": asked,
        "spearman": _named(_spearman(values), names),
        "overlap": _named(_overlap(values, asked), names),
        "stability": [] if passes is None else _stability(ordered, passes, asked),
    }


def asked_by(found: Mapping[str, Any], chosen: str) -> str:
    """The heuristic that asked in the round; `chosen`, the run's, where an older file does not say."""
    return str(found.get(ASKED_BY, chosen))


def agreement_scalars(found: Mapping[str, Any], chosen: str) -> dict[str, float]:
    """The chosen heuristic's part of `agreement` for a tracker; comparisons that are None are left out."""
    flat: dict[str, float | None] = {}
    chosen = asked_by(found, chosen)
    for measure in ("spearman", "overlap"):
        row = found[measure][chosen].items()
        flat |= {f"agreement/{other}_{measure}": value for other, value in row if other != chosen}
    flat |= {f"stability/kendall_at_{entry['passes']}": entry["kendall"] for entry in found["stability"]}
    return {name: value for name, value in flat.items() if value is not None}


def _check_finite(table: pd.DataFrame, columns: Sequence[str]) -> None:
    wrong = np.argwhere(~np.isfinite(table[list(columns)].to_numpy(np.float64)))
    if len(wrong):
        row, column = wrong[0]
        image, unit = table["image"].iloc[row], table["unit"].iloc[row]
        raise ValueError(
            f"image {image}, unit {unit}: {columns[column]} is NaN or infinite ({len(wrong)} such scores in all); "
            "only finite scores have ranks, so look for a diverged training or a faulty heuristic"
        )


def _spearman(values: Floats) -> Floats:  # [heuristics, M] -> [heuristics, heuristics], NaN: no order
    found = np.full((len(values), len(values)), np.nan)
    varied = np.flatnonzero(_varied(values))
    correlation = pd.DataFrame(values[varied].T).corr(method="spearman").to_numpy(np.float64)
    found[np.ix_(varied, varied)] = correlation.clip(-1.0, 1.0)
    return found


def _overlap(values: Floats, n: int) -> Floats:  # [heuristics, M] -> [heuristics, heuristics], NaN: no order, or n = 0
    """Shares of the n best in common; the units come in the order in which equal scores are ranked."""
    found = np.full((len(values), len(values)), np.nan)
    if n == 0:
        return found
    varied = np.flatnonzero(_varied(values))
    best = np.zeros(values[varied].shape)
    for row, score in zip(best, values[varied], strict=True):
        row[np.argsort(-score, kind="stable")[:n]] = 1.0
    found[np.ix_(varied, varied)] = best @ best.T / n
    return found


def _varied(values: Floats) -> npt.NDArray[np.bool_]:  # [rows, M] -> [rows]
    varied: npt.NDArray[np.bool_] = (values != values[:, :1]).any(axis=1)
    return varied


def _stability(ordered: pd.DataFrame, passes: pd.DataFrame, n: int) -> list[dict[str, float | None]]:
    """Compares every k with the largest, on the units of `ordered`, which is sorted by PLACE."""
    table = passes.sort_values(["passes", *PLACE], ignore_index=True)
    _check_finite(table, ["score"])
    counts = [int(count) for count in table["passes"].unique()]
    assert all(count >= 1 for count in counts)
    expected = [np.tile(ordered[key].to_numpy(), len(counts)) for key in PLACE]
    if any(not np.array_equal(table[key].to_numpy(), units) for key, units in zip(PLACE, expected, strict=True)):
        raise ValueError(
            f"the scores by passes (k = {counts}, {len(table)} rows) are not about the {len(ordered)} units of the "
            "score table; each k needs every unit of the table once"
        )
    values = table["score"].to_numpy(np.float64).reshape(len(counts), len(ordered))  # [k, M]
    shares = _overlap(values, n)
    return [
        {"passes": count, "kendall": _kendall(values[row], values[-1]), "overlap": _number(shares[row, -1])}
        for row, count in enumerate(counts)
    ]


def _kendall(first: Floats, second: Floats) -> float | None:  # [M], [M]
    if not _varied(np.stack([first, second])).all():
        return None
    from scipy.stats import kendalltau  # takes a second, which a run that is refused need not wait

    return float(kendalltau(first, second).statistic)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _named(matrix: Floats, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    rows = zip(names, matrix, strict=True)
    return {name: dict(zip(names, map(_number, row), strict=True)) for name, row in rows}
