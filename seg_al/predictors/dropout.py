"""Dropout whose masks have an address: pass k of image i in round r has one mask, wherever and whenever drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seg_al.core import Network
from seg_al.predictors.extension import BUILT, compiled_sums
from seg_al.randomness import Address, seed_of

S = TypeVar("S")
T = TypeVar("T")
DropoutKind = Literal["element", "channel"]
"""What is dropped: single elements, or whole feature maps."""


class CountedDropout(nn.Module):
    """Plain dropout in training; off in evaluation, but for the passes drawn inside `drawing`.

    While passes are drawn, the mask of each row of the batch comes from that row's seed. Where rows are regions of
    one image (`regions`), a pass is the whole tensor: it has one mask, and is decoded inside `alone`. On a CPU the keep
    probability is rounded to a multiple of 2**-16, which lets one 64-bit draw decide four elements; kept values are
    divided by the rounded probability, so that the expectation is exact.
    """

    def __init__(self, p: float, channels: bool = False, regions: bool = False) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"a dropout probability lies in [0, 1), not {p}")
        self.p = p
        self.channels = channels
        """Whether whole feature maps are dropped (spatial dropout, arXiv 1411.4280) rather than single elements; of
        vectors these are the same."""
        self.regions = regions
        """Whether the rows of its input are the regions of one pass rather than passes."""
        self.seeds: tuple[int, ...] | None = None

    def forward(self, x: Tensor) -> Tensor:  # [B, D, ...]
        if self.seeds is not None:
            return self._drawn(x, self.seeds)
        if self.channels and x.dim() > 2:
            return nn.functional.dropout2d(x, self.p, self.training)
        return nn.functional.dropout(x, self.p, self.training)

    def _drawn(self, x: Tensor, seeds: tuple[int, ...]) -> Tensor:
        if self.p == 0:
            return x
        if self.regions and len(seeds) != 1:
            raise ValueError(f"{len(seeds)} mask seeds for the regions of one pass; decode each pass inside `alone`")
        if not self.regions and len(seeds) != len(x):
            raise ValueError(f"{len(seeds)} mask seeds for a batch of {len(x)} rows")
        if BUILT and x.device.type == "cpu" and x.dtype == torch.float32 and not (self.channels or self.regions):
            return _dropped(x, seeds, 1 - self.p)
        shape = (x.shape[1], *([1] * (x.dim() - 2))) if self.channels else tuple(x.shape[1:])
        mask = _masks_on_cuda if x.is_cuda else _masks_on_cpu
        rows = (len(x),) if self.regions else ()
        keep, probability = mask(seeds, (*rows, *shape[1:], shape[0]), 1 - self.p, x.device)
        keep = (keep[0] if self.regions else keep).movedim(-1, 1)  # drawn with channels last, as they lie in memory
        return (x * keep).mul_(1 / probability)  # in a third of the time of torch.where

    def extra_repr(self) -> str:
        return f"p={self.p}, channels={self.channels}, regions={self.regions}"


def kept_level(keep: float) -> tuple[int, float]:
    """What is kept on a CPU of elements that are to be kept with this probability: of 65536, and the probability."""
    level = max(1, round(keep * 65536))
    return level, level / 65536


def stream_of(seed: int) -> npt.NDArray[np.uint64]:  # [4]
    """The state of the generator of a mask on a CPU before its first draw."""
    words: npt.NDArray[np.uint64] = np.random.SFC64(seed).state["state"]["state"]
    return words


def _dropped(x: Tensor, seeds: Sequence[int], keep: float) -> Tensor:  # [B, D, ...] float32
    """The same as by masks of single elements on a CPU, bit by bit, without writing these out."""
    level, probability = kept_level(keep)
    last = x.detach().movedim(1, -1).contiguous()  # drawn with channels last, as they lie in memory
    out = torch.empty_like(last)
    streams = np.stack([stream_of(seed) for seed in seeds])
    arrays = (one.flatten(1).numpy() for one in (last, out))
    compiled_sums.drop(next(arrays), streams, level, 1 / probability, next(arrays), torch.get_num_threads())
    return out.movedim(-1, 1)


def _masks_on_cpu(
    seeds: Sequence[int], shape: tuple[int, ...], keep: float, device: torch.device
) -> tuple[Tensor, float]:
    level, probability = kept_level(keep)
    count = int(np.prod(shape))
    masks = np.empty((len(seeds), count), dtype=np.bool_)
    for row, seed in zip(masks, seeds, strict=True):
        draws = np.random.SFC64(seed).random_raw((count + 3) // 4).view(np.uint16)
        np.less(draws[:count], level, out=row)
    return torch.from_numpy(masks.reshape(len(seeds), *shape)).to(device), probability


def _masks_on_cuda(
    seeds: Sequence[int], shape: tuple[int, ...], keep: float, device: torch.device
) -> tuple[Tensor, float]:
    masks = torch.empty((len(seeds), *shape), dtype=torch.bool, device=device)
    generator = torch.Generator(device)
    for row, seed in zip(masks, seeds, strict=True):
        row.bernoulli_(keep, generator=generator.manual_seed(seed))
    return masks, keep


def dropouts(model: Network) -> dict[str, CountedDropout]:
    """The model's counted dropout layers with a probability above 0, by qualified name."""
    return {
        name: module for name, module in model.named_modules() if isinstance(module, CountedDropout) and module.p > 0
    }


@contextmanager
def drawing(model: Network, rows: Sequence[tuple[Address, ...]]) -> Iterator[None]:
    """Inside, dropout is on, and row b of a batch is the pass with the address rows[b]."""
    layers = dropouts(model)
    try:
        for name, layer in layers.items():
            layer.seeds = tuple(seed_of(*row, name) for row in rows)
        yield
    finally:
        for layer in layers.values():
            layer.seeds = None


@contextmanager
def alone(model: Network, row: int) -> Iterator[None]:
    """Inside, layers whose rows are regions have the masks of that row of the batch; idle outside of `drawing`."""
    seeds = {layer: layer.seeds for layer in dropouts(model).values() if layer.regions and layer.seeds is not None}
    try:
        for layer, rows in seeds.items():
            layer.seeds = (rows[row],)
        yield
    finally:
        for layer, rows in seeds.items():
            layer.seeds = rows


def by_row(model: Network, state: Sequence[S], decode: Callable[[S], T]) -> list[T]:
    """Decodes each row of a state alone, so that its numbers do not depend on the other rows."""
    decoded = []
    for row, one in enumerate(state):
        with alone(model, row):
            decoded.append(decode(one))
    return decoded
