"""Gathers what is wrong with annotations: repaired defects are counted in a warning, others end in one error."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from seg_al.datasets.folder_checks import EXAMPLES, first_few

log = logging.getLogger(__name__)


@dataclass
class Notes:
    """Where each kind of defect was seen: the count and some examples."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, *places: str) -> None:
        if not places:
            return
        self.counts[kind] += len(places)
        free = max(EXAMPLES - len(self.examples[kind]), 0)
        self.examples[kind] += places[:free]

    def extend(self, kind: str, places: Iterable[str]) -> None:
        self.add(kind, *places)

    def __str__(self) -> str:
        rows = []
        for kind, count in self.counts.items():
            named = first_few(self.examples[kind])
            more = f"; and {count - EXAMPLES:,} more" if count > EXAMPLES else ""
            if count:
                rows.append(f"  - {kind} ({count:,}): {named}{more}")
        return "\n".join(rows)


@dataclass
class Findings:
    """Both kinds."""

    kept: Notes = field(default_factory=Notes)
    """Defects that were repaired or left out."""
    stop: Notes = field(default_factory=Notes)
    """Defects whose meaning could only be guessed."""

    def settle(self, root: Path, what: str = "COCO") -> None:
        """Raises ValueError with all defects that cannot be repaired; else one warning lists the repaired ones."""
        kept = str(self.kept)
        if stop := str(self.stop):
            also = f"\nThese would be repaired or left out:\n{kept}" if kept else ""
            raise ValueError(
                f"the {what} annotations of {root} cannot be used:\n{stop}\nRepair the files, or the values of "
                f"dataset.* that describe them (see docs/datasets.md){also}"
            )
        if kept:
            log.warning("defects in the %s annotations of %s:\n%s", what, root, kept)
