"""The compiled extension, which is there where seg_al was installed with a C compiler at hand."""

from __future__ import annotations

try:
    from seg_al.predictors import compiled_sums
except ImportError:
    compiled_sums = None  # type: ignore[assignment]

__all__ = ["BUILT", "compiled_sums"]

BUILT = compiled_sums is not None
