"""Passes whose dropout stands right before a 1x1 classifier: drawn and added tile by tile, and never written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from seg_al.core import Compute, DroppedFeatures, DropsLast, Model
from seg_al.predictors.dropout import CountedDropout, dropouts, kept_level, stream_of
from seg_al.predictors.extension import BUILT, compiled_sums
from seg_al.predictors.moments import Moments, arrays_of
from seg_al.randomness import Address, seed_of


@dataclass(frozen=True)
class UnwrittenPasses:
    """Passes of B images that `add_to` draws, by the masks that CountedDropout would draw, on a CPU in float32."""

    dropped: DroppedFeatures
    dropout: CountedDropout
    rows: Sequence[Sequence[tuple[Address, ...]]]  # [B, K], the address of each pass

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, C, H and W of the logits of one pass of each image."""
        images, _, height, width = self.dropped.features.shape
        return images, len(self.dropped.weight), height, width

    def __len__(self) -> int:  # B, as that of the logits
        return len(self.rows)

    @property
    def passes(self) -> int:
        return len(self.rows[0])

    def add_to(self, moments: Moments, before: int) -> bool:
        """Adds them to moments that hold `before` passes; says whether all logits are finite."""
        dropped = self.dropped
        level, probability = kept_level(1 - self.dropout.p)
        features = dropped.features.detach().permute(0, 2, 3, 1).flatten(1, 2)  # [B, H W, D]
        streams = np.array([[stream_of(seed_of(*row, dropped.layer)) for row in image] for image in self.rows])
        return compiled_sums.add_dropped(
            features.mul(1 / probability).contiguous().numpy(),
            dropped.weight.detach().contiguous().numpy(),
            dropped.bias.detach().contiguous().numpy(),
            streams,  # [B, K, 4]
            level,
            arrays_of(moments),
            before,
            torch.get_num_threads(),
        )


def dropped_last(model: Model, state: Any, compute: Compute) -> DroppedFeatures | None:
    """What is left to do, where dropout of single elements before the classifier is all, on a CPU in float32."""
    if not BUILT or compute.torch_device.type != "cpu" or compute.number_type != "float32":
        return None
    dropped = model.dropped_features(state) if isinstance(model, DropsLast) else None
    layers = dropouts(model)
    if dropped is None or [*layers] != [dropped.layer] or layers[dropped.layer].channels:
        return None
    return dropped


def unwritten(
    model: Model, dropped: DroppedFeatures, addresses: Sequence[tuple[Address, ...]], passes: int, before: int
) -> Iterator[UnwrittenPasses]:
    """The passes of the images with these addresses, parted where 2, 4, 8, ... are done with those from before."""
    done, last = before, before + passes
    while done < last:
        stop = min(last, 1 << max(1, done.bit_length()))
        rows = [[(*address, number - before) for number in range(done, stop)] for address in addresses]
        yield UnwrittenPasses(dropped, dropouts(model)[dropped.layer], rows)
        done = stop
