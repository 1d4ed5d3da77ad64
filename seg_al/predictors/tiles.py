"""Adds passes to the moments of class maps by compiled_sums.c, where it was built: in tiles that stay in the cache.

It was chosen over numba, whose import takes longer than a small query, and over torch.compile, which needs a compiler
when the run begins and seconds for each new shape.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

try:
    from seg_al.predictors import compiled_sums
except ImportError:  # there was no compiler when seg_al was installed
    BUILT = False
else:
    BUILT = True


class Moments(NamedTuple):
    """Running sums over passes of B images, changed in place; each tensor lies in memory in the order of its axes."""

    mean: Tensor  # [C, B, H, W] float32
    squares: Tensor  # [C, B, H, W] float32
    entropy: Tensor  # [B, H, W] float32
    votes: Tensor  # [C, B, H, W] uint8, or int16 from 256 passes


def add_in_tiles(moments: Moments, logits: Tensor, passes: int) -> bool:  # [B, C, H, W], any floating type and strides
    """Adds pass number `passes`, counted from 1, on a CPU; says whether all logits are finite.

    The result does not depend on the number of threads, which are PyTorch's own, nor on the processor.
    """
    pixels = logits.detach().flatten(2)
    bits = pixels.view(torch.int16) if pixels.dtype == torch.bfloat16 else pixels.float()
    mean, squares, votes = (one.flatten(1).numpy() for one in (moments.mean, moments.squares, moments.votes))
    entropy = moments.entropy.flatten().numpy()
    return compiled_sums.add(bits.numpy(), mean, squares, entropy, votes, passes, torch.get_num_threads())
