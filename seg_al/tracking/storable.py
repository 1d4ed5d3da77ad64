"""Values as a tracker can hold them, and where its server is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Literal

import numpy as np

from seg_al.core import Tracker
from seg_al.tracking.secrets import without_secrets

Main = Callable[[Tracker], float | None]


Capture = Literal["fd", "sys", "no"]


URL_VARIABLE = "SEG_AL_MONGO_URL"


def plain_values(value: Any) -> Any:
    """The value in types that JSON and MongoDB both know; passwords and tokens are without_secrets out."""
    if isinstance(value, np.generic | np.ndarray):
        return plain_values(value.tolist())
    if isinstance(value, Enum):
        return plain_values(value.value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, Mapping):
        return {key_of(key): plain_values(entry) for key, entry in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain_values(entry) for entry in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain_values(entry) for entry in value]
    return without_secrets(str(value))


def key_of(key: object) -> str:
    """A key that MongoDB, jsonpickle and Sacred accept."""
    return re.sub(r"[.$=]|^(?:py|json:/)/", "_", str(plain_values(key))) or "_"
