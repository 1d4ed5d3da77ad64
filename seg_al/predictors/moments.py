"""The running moments of class maps, and how a pass is added to them: by compiled_sums.c, or by PyTorch.

The extension was chosen over numba, whose import takes longer than a small query, and over torch.compile, which needs a
compiler when the run begins and seconds for each new shape.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.predictors.extension import BUILT, compiled_sums

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
BLOCK_BYTES = 2 << 20
"""PyTorch works on an image in bands of about this size on a CPU, so that temporaries stay small and in its cache."""


class Moments(NamedTuple):
    """Running sums over passes of B images, changed in place; each tensor lies in memory in the order of its axes."""

    mean: Tensor  # [C, B, H, W] float32
    squares: Tensor  # [C, B, H, W] float32
    entropy: Tensor  # [B, H, W] float32
    votes: Tensor  # [C, B, H, W] uint8, or int16 from 256 passes


Accumulate = Callable[[Moments, Tensor, int], "Tensor | bool"]
"""Adds pass number n, counted from 1, whose logits are [B, C, H, W]; says whether all of them are finite."""


def accumulator(device: torch.device) -> Accumulate:
    """The fastest way to add passes there is on this device."""
    if device.type == "cuda":
        return _on_cuda(device)
    return add_in_tiles if BUILT and device.type == "cpu" else add_by_torch


def who_adds(device: torch.device) -> str:
    """Who adds the passes, in words; nothing is compiled to find out."""
    if device.type == "cuda":
        return "a kernel of torch.compile" if find_spec("triton") else "PyTorch"
    return "compiled code" if accumulator(device) is add_in_tiles else "PyTorch"


@cache
def _on_cuda(device: torch.device) -> Accumulate:
    """The compiled update, where it can be compiled: by triton, which comes with PyTorch for Linux."""
    if not find_spec("triton"):
        return add_by_torch
    compiled = compiled_update()
    maps, pixels = (2, 1, 4, 4), (1, 4, 4)
    moments = Moments(*(torch.zeros(shape, device=device) for shape in (maps, maps, pixels, maps)))
    try:
        compiled(moments._replace(votes=moments.votes.to(torch.uint8)), torch.zeros(1, 2, 4, 4, device=device), 1)
    except (ImportError, RuntimeError) as error:  # those of torch.compile are RuntimeErrors
        log.warning("passes are added by PyTorch, because torch.compile makes no kernel here: %s", error)
        return add_by_torch
    return compiled


def compiled_update() -> Accumulate:
    """The update as one function of torch.compile, for images of any size."""
    update = torch.compile(_update, dynamic=True)

    def add(moments: Moments, logits: Tensor, passes: int) -> Tensor:
        share = torch.full((), 1 / passes, device=logits.device)  # a number would be compiled in
        return update(*moments, logits, share)

    return add


def _update(mean: Tensor, squares: Tensor, entropy: Tensor, votes: Tensor, logits: Tensor, share: Tensor) -> Tensor:
    """What `add_by_torch` does, in plain steps that a compiler fuses."""
    by_class = logits.transpose(0, 1).float()  # [C, B, H, W]
    shifted = by_class - by_class.amax(0)
    p = shifted.exp()
    total = p.sum(0)
    one = total.log() - (shifted * p).sum(0) / total
    deviation = p / total - mean
    mean.add_(deviation * share)
    squares.add_(deviation * (p / total - mean))
    entropy.add_((one - entropy) * share)
    order = torch.arange(len(mean), device=mean.device)[:, None, None, None]
    votes.add_(torch.where(shifted == 0, order, len(mean)).amin(0) == order)  # the first in a tie
    return torch.isfinite(one).all()


def add_in_tiles(moments: Moments, logits: Tensor, passes: int) -> bool:  # [B, C, H, W], any floating type and strides
    """Adds a pass on a CPU, in tiles that stay in its cache, without a copy of logits in float32 or bfloat16.

    The result does not depend on the number of threads, which are PyTorch's own, nor on the processor.
    """
    pixels = logits.detach().flatten(2)
    bits = pixels.view(torch.int16) if pixels.dtype == torch.bfloat16 else pixels.float()
    return compiled_sums.add(bits.numpy(), arrays_of(moments), passes, torch.get_num_threads())


def arrays_of(moments: Moments) -> tuple[Array, Array, Array, Array]:
    """Mean and squares [C, B pixels], entropy [B pixels] and votes [C, B pixels], in the same memory."""
    mean, squares, votes = (one.flatten(1).numpy() for one in (moments.mean, moments.squares, moments.votes))
    return mean, squares, moments.entropy.flatten().numpy(), votes


def add_by_torch(moments: Moments, logits: Tensor, passes: int) -> Tensor:  # [B, C, H, W], any floating type
    """Adds a pass block by block, with several passes over the memory of each."""
    by_class = logits.transpose(0, 1)
    finite = [
        _add_block(
            Moments(
                moments.mean[:, images, rows],
                moments.squares[:, images, rows],
                moments.entropy[images, rows],
                moments.votes[:, images, rows],
            ),
            by_class[:, images, rows],
            passes,
        )
        for images, rows in blocks(moments.mean)
    ]
    return torch.stack(finite).all()


def _add_block(moments: Moments, logits: Tensor, passes: int) -> Tensor:  # [C, b, h, W]
    """One exponential and no division per class: p = exp(z - max) / s, entropy = ln s - sum p (z - max)."""
    shifted = logits.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    shifted -= shifted.amax(0)
    _vote(shifted == 0, moments.votes)
    p = shifted.exp()
    total = p.sum(0)
    shrink = total.reciprocal()
    entropy = shifted.mul_(p).sum(0).mul_(shrink).neg_().add_(total.log_())
    finite = torch.isfinite(entropy.sum())  # NaN and infinite logits both end here
    moments.entropy.add_(entropy.sub_(moments.entropy), alpha=1 / passes)
    deviation = torch.sub(p.mul_(shrink), moments.mean, out=shifted)
    moments.mean.add_(deviation, alpha=1 / passes)
    moments.squares.addcmul_(deviation, p.sub_(moments.mean))
    return finite


def _vote(best: Tensor, votes: Tensor) -> None:  # [C, ...] bool, [C, ...] counts, changed in place
    """Counts each pixel's most probable class; in a tie the first."""
    if best.is_cuda or int(best.sum()) > best[0].numel():  # asking a GPU would wait for it
        best = best & (best.cumsum(0, dtype=torch.uint8) == 1)
    votes += best


def bands(maps: Tensor) -> list[slice]:  # [C, H, W]
    """Bands of rows of about BLOCK_BYTES each; all rows in one on a GPU."""
    classes, height, width = maps.shape
    step = height if maps.is_cuda else max(1, BLOCK_BYTES // (4 * max(1, classes * width)))
    return [slice(start, start + step) for start in range(0, height, step)]


def blocks(maps: Tensor) -> list[tuple[slice, slice]]:  # [C, B, H, W]
    """Images and rows of blocks of about BLOCK_BYTES each: several small images, or a band of a large one."""
    rows = bands(maps[:, 0])
    one = 4 * max(1, maps[:, 0].numel())
    step = maps.shape[1] if maps.is_cuda else max(1, BLOCK_BYTES // one)
    starts = range(0, maps.shape[1], step)
    return [(slice(start, start + step), band) for start in starts for band in rows]
