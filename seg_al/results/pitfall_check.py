"""A pitfall's answer, and what its sentence says of the settings of many runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from seg_al.results.arms import as_typed
from seg_al.results.records import Record

Verdict = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Check:
    """One pitfall."""

    claim: str
    """What a sound study can say."""
    verdict: Verdict
    """Whether this one can; "unknown": its records do not say."""
    because: str
    """One sentence with the figures; of the unknown, also where to look."""
    command: str | None = None
    """What makes the runs that it lacks, where a command does."""


def setting_of(record: Record, key: str) -> Any:
    """The setting; None where the config does not state it."""
    return record.settings.get(key)


def values(records: Sequence[Record], key: str) -> str:
    """All values of a setting, for a sentence."""
    return " and ".join(sorted({as_typed(record.settings.get(key, "not stated")) for record in records}))
