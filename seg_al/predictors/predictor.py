"""Draws passes by dropout masks, views of test-time augmentation, members and snapshots, in any combination."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from seg_al.core import Compute, Decoded, EvidenceSet, Model, ModelState, Reading, Sums, Viewing
from seg_al.predictors.class_maps import ClassMapSums, NotFinite
from seg_al.predictors.dropout import drawing
from seg_al.predictors.layer_calls import where_not_finite
from seg_al.predictors.views import View, Views
from seg_al.randomness import Address, numpy_rng


class Logits:
    """Reads class maps: a pass is the logits [1, C, H, W] of its pixels."""

    def passes(self, decoded: Tensor, view: Viewing | None, size: tuple[int, int]) -> list[Tensor]:
        return list(torch.split(decoded if view is None else view.undo(decoded, size), 1))

    def sums(self, first: Tensor, size: tuple[int, int], device: torch.device) -> ClassMapSums:
        return ClassMapSums(first.shape[1], size, device)


LOGITS = Logits()


@dataclass(frozen=True)
class Predictor:
    """K = models times passes; each pass is one view, one set of dropout masks, or both."""

    passes: int
    """Per model."""
    dropout: bool
    """Whether dropout is on while passes are drawn (MC dropout, arXiv 1506.02142)."""
    views: Views | None
    """Test-time augmentation: pass k sees its own view of the image; None: all see the image as it is."""
    members: int
    """Models trained from different weights and data orders (deep ensemble, arXiv 1612.01474)."""
    snapshots: int
    """Models kept along each training, evenly spaced, the last included (snapshot ensemble, arXiv 1704.00109)."""
    chunk: int
    """Most passes to decode at once on a GPU; as many as fit into its free memory. A CPU decodes one by one."""

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise ValueError(
                f"predictor.passes={self.passes}, which mc_iters sets: at least 1 pass is needed; "
                "for one pass with dropout off use predictor=single"
            )
        if self.passes > 1 and not self.dropout and self.views is None:
            raise ValueError(f"predictor.passes={self.passes} would repeat one pass: turn on dropout or views")
        for name in ("members", "snapshots", "chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"predictor.{name}={getattr(self, name)}: choose at least 1")

    @property
    def total(self) -> int:
        """K, the passes that evidence is made of."""
        return self.passes * self.members * self.snapshots

    @torch.inference_mode()
    def __call__(
        self,
        models: Sequence[Model],
        image: Tensor,
        compute: Compute,
        address: tuple[Address, ...],
        reading: Reading = LOGITS,
        watch: Callable[[EvidenceSet], None] | None = None,
    ) -> EvidenceSet:
        """The evidence of the passes over one image [1, 3, H, W], bytes or floats in 0..1.

        `watch` gets it after 2, 4, 8, ... passes, before the last; it is valid until `watch` returns.
        Raises NotFinite where a model puts out NaN or infinity.
        """
        try:
            return self._added(models, image, compute, address, reading, watch)
        except NotFinite:
            refuse_not_finite(models, image, compute)

    def _added(
        self,
        models: Sequence[Model],
        image: Tensor,
        compute: Compute,
        address: tuple[Address, ...],
        reading: Reading,
        watch: Callable[[EvidenceSet], None] | None,
    ) -> EvidenceSet:
        sums: Sums | None = None
        size = image.shape[2], image.shape[3]
        for number, model in enumerate(models):
            with compute.autocast():
                for held in self._decoded(model, image, (*address, number)):
                    chunk = reading.passes(*held.pop(), size)
                    while chunk:  # added passes are released: one may be the largest thing in memory
                        sums = sums or reading.sums(chunk[0], size, image.device)
                        sums.add(chunk.pop(0))
                        if watch is not None and 1 < sums.passes < self.total and sums.passes.bit_count() == 1:
                            watch(sums.evidence())
        assert sums is not None
        return sums.evidence()

    def _decoded(
        self, model: Model[ModelState, Decoded], image: Tensor, address: tuple[Address, ...]
    ) -> Iterator[list[tuple[Decoded, View | None]]]:
        """Chunks of passes in order, with the view that they saw; each alone in a list, to be taken out."""
        if self.views is not None:
            for number in range(self.passes):
                view = self.views.draw(numpy_rng(*address, number, "view"))
                state = model.encode(view.show(scaled(image)))
                yield [(self._decode(model, state, [(*address, number)]), view)]
            return
        state = model.encode(scaled(image))
        passes = [(*address, number) for number in range(self.passes)]
        size = 1
        while passes:
            before = _bytes_asked_for(image)
            try:
                held: list[tuple[Decoded, View | None]] = [(self._decode(model, state, passes[:size]), None)]
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise
                size //= 2
                torch.cuda.empty_cache()
                continue
            passes = passes[size:]
            if image.is_cuda and size == 1:  # the first pass alone tells what one takes
                size = _fitting(_bytes_asked_for(image) - before, image.device, self.chunk)
            yield held

    def _decode(self, model: Model[ModelState, Decoded], state: ModelState, rows: list[tuple[Address, ...]]) -> Decoded:
        state = model.repeat(state, len(rows)) if len(rows) > 1 else state
        if not self.dropout:
            return model.decode(state)
        with drawing(model, rows):
            return model.decode(state)


def _bytes_asked_for(image: Tensor) -> int:
    """All bytes ever allocated on the image's GPU; their growth over a pass is at least what it held at once."""
    if not image.is_cuda:
        return 0
    return int(torch.cuda.memory_stats(image.device).get("allocated_bytes.all.allocated", 0))


def _fitting(one: int, device: torch.device, most: int) -> int:
    """Passes of `one` byte count each that fit into the GPU's free memory, with half of it kept in reserve."""
    free = torch.cuda.mem_get_info(device)[0]
    return max(1, min(most, free // 2 // max(one, 1)))


@torch.inference_mode()
def mean_probabilities(models: Sequence[Model[Any, Tensor]], image: Tensor, compute: Compute) -> Tensor:
    """The mean over models of one pass with dropout off: [C, H, W] float32. Raises NotFinite."""
    total: Tensor | None = None
    for model in models:
        with compute.autocast():
            logits = model(image)
        p = logits[0].float().softmax(0)
        total = p if total is None else total + p
    assert total is not None
    if not bool(torch.isfinite(total).all()):
        refuse_not_finite(models, image, compute)
    return total / len(models)


def refuse_not_finite(models: Sequence[Model], image: Tensor, compute: Compute) -> NoReturn:
    """Raises NotFinite that names the layer."""
    where = where_not_finite(models, scaled(image), compute)
    raise NotFinite(f"the model's logits hold NaN or infinity, first in the output of {where}")


def scaled(picture: Tensor) -> Tensor:
    """Bytes as floats in 0..1; floats as they are."""
    return picture if picture.is_floating_point() else picture.float().div_(255)
