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
from seg_al.predictors.last_dropout import UnwrittenPasses, dropped_last, unwritten
from seg_al.predictors.layer_calls import where_not_finite
from seg_al.predictors.views import Views
from seg_al.randomness import Address, numpy_rng


class Logits:
    """Reads class maps: a pass is the logits [C, H, W] of an image's pixels."""

    def passes(self, decoded: Tensor, views: Sequence[Viewing] | None, size: tuple[int, int]) -> Tensor:
        if views is None:
            return decoded
        return torch.cat([view.undo(row[None], size) for view, row in zip(views, decoded, strict=True)])

    def sums(self, first: Tensor | UnwrittenPasses, size: tuple[int, int], device: torch.device) -> ClassMapSums:
        return ClassMapSums(first.shape[1], len(first), size, device)


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
    """Most passes of an image to decode at once on a GPU; as many as fit into its free memory. A CPU decodes one by
    one."""

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
        images: Tensor,
        compute: Compute,
        addresses: Sequence[tuple[Address, ...]],
        reading: Reading = LOGITS,
        watch: Callable[[list[EvidenceSet]], None] | None = None,
    ) -> list[EvidenceSet]:
        """The evidence of the passes over images [B, 3, H, W], bytes or floats in 0..1, with an address for each.

        `watch` gets it after 2, 4, 8, ... passes, before the last; it is valid until `watch` returns.
        Raises NotFinite where a model puts out NaN or infinity.
        """
        try:
            return self._added(models, images, compute, addresses, reading, watch)
        except NotFinite:
            refuse_not_finite(models, images, compute)

    def _added(
        self,
        models: Sequence[Model],
        images: Tensor,
        compute: Compute,
        addresses: Sequence[tuple[Address, ...]],
        reading: Reading,
        watch: Callable[[list[EvidenceSet]], None] | None,
    ) -> list[EvidenceSet]:
        sums: Sums | None = None
        for number, model in enumerate(models):
            with compute.autocast():
                own = [(*address, number) for address in addresses]
                for held in self._passes(model, images, own, reading, number * self.passes, compute):
                    drawn = _of_each(held.pop(), len(images))
                    while drawn:
                        one = drawn.pop(0)
                        sums = sums or reading.sums(one, _size(images), images.device)
                        sums.add(one)
                        del one  # before anything else is made: one pass may be the largest thing in memory
                        if watch is not None and 1 < sums.passes < self.total and sums.passes.bit_count() == 1:
                            watch(sums.evidence())
        assert sums is not None
        return sums.evidence()

    def _passes(
        self,
        model: Model[ModelState, Decoded],
        images: Tensor,
        addresses: Sequence[tuple[Address, ...]],
        reading: Reading,
        before: int,
        compute: Compute,
    ) -> Iterator[list[Any]]:
        """Passes in order, of the first image, then of the second, ...; each time alone in a list, to be taken out."""
        if self.views is not None:
            for number in range(self.passes):
                yield [self._seen_by(self.views, model, images, [(*one, number) for one in addresses], reading)]
            return
        state = model.encode(scaled(images))
        if self.dropout and isinstance(reading, Logits) and (dropped := dropped_last(model, state, compute)):
            yield from ([one] for one in unwritten(model, dropped, addresses, self.passes, before))
            return
        done, size = 0, 1
        while done < self.passes:
            before = _bytes_asked_for(images)
            size = min(size, self.passes - done)
            try:
                rows = [(*one, number) for one in addresses for number in range(done, done + size)]
                held = [reading.passes(self._decode(model, state, rows, size), None, _size(images))]
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise
                size //= 2
                torch.cuda.empty_cache()
                continue
            done += size
            if images.is_cuda and size == 1:  # the first pass alone tells what one takes
                size = _fitting(_bytes_asked_for(images) - before, images.device, self.chunk)
            yield held

    def _seen_by(
        self,
        views: Views,
        model: Model[ModelState, Decoded],
        images: Tensor,
        rows: Sequence[tuple[Address, ...]],
        reading: Reading,
    ) -> Any:
        """One pass of each image through a view of its own; those that have one size then go together."""
        own = [views.draw(numpy_rng(*row, "view")) for row in rows]
        shown = [view.show(scaled(image[None])) for view, image in zip(own, images, strict=True)]
        by_size: dict[tuple[int, int], list[int]] = {}
        for place, picture in enumerate(shown):
            by_size.setdefault(_size(picture), []).append(place)
        found: dict[int, Any] = {}
        for places in by_size.values():
            state = model.encode(torch.cat([shown[place] for place in places]))
            decoded = self._decode(model, state, [rows[place] for place in places], 1)
            passes = reading.passes(decoded, [own[place] for place in places], _size(images))
            found |= {place: passes[at : at + 1] for at, place in enumerate(places)}
        return _joined([found[place] for place in range(len(rows))])

    def _decode(
        self, model: Model[ModelState, Decoded], state: ModelState, rows: Sequence[tuple[Address, ...]], times: int
    ) -> Decoded:
        """The rows of each image in the state, of which there are `times` for each."""
        state = model.repeat(state, times) if times > 1 else state
        if not self.dropout:
            return model.decode(state)
        with drawing(model, rows):
            return model.decode(state)


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


def _of_each(rows: Any, images: int) -> list[Any]:
    """One pass of each image after the other, of rows in which all passes of an image follow each other."""
    if isinstance(rows, UnwrittenPasses):
        return [rows]
    times = len(rows) // images
    return [rows[number::times] for number in range(times)]


def _joined(parts: Sequence[Any]) -> Any:
    """The rows of all parts, which are tensors or lists."""
    return torch.cat([*parts]) if isinstance(parts[0], Tensor) else [row for part in parts for row in part]


def _bytes_asked_for(images: Tensor) -> int:
    """All bytes ever allocated on the images' GPU; their growth over a pass is at least what it held at once."""
    if not images.is_cuda:
        return 0
    return int(torch.cuda.memory_stats(images.device).get("allocated_bytes.all.allocated", 0))


def _fitting(one: int, device: torch.device, most: int) -> int:
    """Passes of `one` byte count each that fit into the GPU's free memory, with half of it kept in reserve."""
    free = torch.cuda.mem_get_info(device)[0]
    return max(1, min(most, free // 2 // max(one, 1)))


@torch.inference_mode()
def mean_probabilities(models: Sequence[Model[Any, Tensor]], images: Tensor, compute: Compute) -> Tensor:
    """The mean over models of one pass with dropout off: [B, C, H, W] float32 for B images. Raises NotFinite."""
    total: Tensor | None = None
    for model in models:
        with compute.autocast():
            logits = model(images)
        p = logits.float().softmax(1)
        total = p if total is None else total + p
    assert total is not None
    if not bool(torch.isfinite(total).all()):
        refuse_not_finite(models, images, compute)
    return total / len(models)


def refuse_not_finite(models: Sequence[Model], images: Tensor, compute: Compute) -> NoReturn:
    """Raises NotFinite that names the layer."""
    where = where_not_finite(models, scaled(images), compute)
    raise NotFinite(f"the model's logits hold NaN or infinity, first in the output of {where}")


def scaled(picture: Tensor) -> Tensor:
    """Bytes as floats in 0..1; floats as they are."""
    return picture if picture.is_floating_point() else picture.float().div_(255)
