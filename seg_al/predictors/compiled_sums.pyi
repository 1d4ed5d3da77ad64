"""The compiled extension, where it was built; see compiled_sums.c. `moments`: mean, squares, entropy and votes."""

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

INTERFACE: int  # the number that extension.py has when it calls what this source makes

def add(
    logits: Array,  # [B, C, pixels], float32, or int16 that holds the bits of bfloat16; any strides
    moments: tuple[Array, Array, Array, Array],  # [C, B pixels] twice, [B pixels], [C, B pixels] uint8 or int16
    passes: int,  # this one included
    threads: int,
    /,
) -> bool: ...
def add_dropped(
    features: Array,  # [B, pixels, D] float32, divided by the probability that they are kept
    weight: Array,  # [C, D] float32
    bias: Array,  # [C] float32
    streams: Array,  # [B, K, 4] uint64, the state of SFC64 of each pass
    level: int,  # what is kept, of 65536
    moments: tuple[Array, Array, Array, Array],
    passes: int,  # before these
    threads: int,
    /,
) -> bool: ...
def drop(
    values: Array,  # [B, n] float32, the elements of each row of a batch in the order in which masks are drawn
    streams: Array,  # [B, 4] uint64, the state of SFC64 of each row
    level: int,  # what is kept, of 65536
    factor: float,  # by which it is multiplied
    out: Array,  # [B, n] float32
    threads: int,
    /,
) -> None: ...
