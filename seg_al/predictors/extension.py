"""The compiled extension, which is there where seg_al was installed with a C compiler at hand."""

from __future__ import annotations

INTERFACE = 2
"""That of the calls which this code makes; an extension built from another state of the source is left aside."""

try:
    from seg_al.predictors import compiled_sums
    from seg_al.predictors.compiled_sums import INTERFACE as FOUND
except ImportError:
    BUILT = False
    compiled_sums = None  # type: ignore[assignment]
else:
    BUILT = FOUND == INTERFACE

__all__ = ["BUILT", "compiled_sums"]
