"""Some rounds of a run that other parts ask in than the composed ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seg_al.core import Heuristic, Selector


@dataclass(frozen=True)
class Phase:
    """What asks instead of the composed parts, from a round on and until the next phase begins."""

    begins: int
    """The first round, from 1."""
    heuristic: Heuristic[Any]
    name: str
    """The heuristic's name, for the record."""
    selector: Selector
