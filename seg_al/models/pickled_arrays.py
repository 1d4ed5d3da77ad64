"""Files of pickled arrays, as detectron2's model zoo has them, read without running code from them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

HARMLESS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}
"""What arrays and plain containers are made of."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it would call {module}.{name}")
        return super().find_class(module, name)


def read_arrays(path: Path) -> dict[str, Any]:
    """The mapping in a .pkl file. Raises ValueError for a file that holds more than arrays and plain containers."""
    with path.open("rb") as file:
        try:
            found = _Arrays(file, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"model.weights: {path} is no pickled file of arrays alone: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"model.weights: {path} holds a {type(found).__name__} instead of arrays by name")
    return found
