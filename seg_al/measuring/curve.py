"""A learning curve: its height at a cost, and the area under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Scale = Literal["linear", "log"]


AREA = "_area"
"""The end of the name of a metric's area under the curve, which is tracked, and computed again in tables."""


@dataclass(frozen=True)
class Curve:
    """The evaluations of one run."""

    costs: npt.NDArray[np.float64]  # [P], increasing
    values: npt.NDArray[np.float64]  # [P]

    def at(self, cost: float) -> float:
        """The metric at a cost within the curve, linear between two evaluations."""
        return float(np.interp(cost, self.costs, self.values))

    def area(self, low: float, high: float, scale: Scale = "linear") -> float:
        """The mean height between two costs within the curve: the area of its trapezoids, divided by the width.

        With "log" both the width and the lines between evaluations are those of a logarithmic cost axis, so that
        the first labels weigh as much as a doubling later. Raises ValueError where a log has no meaning.
        """
        if scale == "log" and low <= 0:
            raise ValueError(f"a logarithmic cost axis begins above 0, not at {low:g}; use the linear one")
        costs = np.log(self.costs) if scale == "log" else self.costs
        ends = np.log([low, high]) if scale == "log" else np.array([low, high], dtype=np.float64)
        grid = np.concatenate(([ends[0]], costs[(costs > ends[0]) & (costs < ends[1])], [ends[1]]))
        if grid[-1] <= grid[0]:
            return float(np.interp(ends[0], costs, self.values))
        heights = np.interp(grid, costs, self.values)
        return float(np.sum(np.diff(grid) * (heights[1:] + heights[:-1]) / 2.0) / (ends[1] - ends[0]))
