"""The compiled extension, where it was built; see compiled_sums.c."""

from typing import Any

import numpy.typing as npt

def add(
    logits: npt.NDArray[Any],  # [B, C, pixels], float32, or int16 that holds the bits of bfloat16; any strides
    mean: npt.NDArray[Any],  # [C, B pixels]
    squares: npt.NDArray[Any],  # [C, B pixels]
    entropy: npt.NDArray[Any],  # [B pixels]
    votes: npt.NDArray[Any],  # [C, B pixels], uint8 or int16
    passes: int,
    threads: int,
    /,
) -> bool: ...
