"""The evidence of class maps: running moments of each pixel over the passes, whose memory does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from seg_al.core import EvidenceSet
from seg_al.predictors.last_dropout import UnwrittenPasses
from seg_al.predictors.moments import Accumulate, Moments, accumulator


class NotFinite(ValueError):
    """The output of a model holds NaN or infinity."""


@dataclass(frozen=True)
class ClassMaps:
    """Moments over K passes for one image; float32 whatever the precision of the passes, on their device."""

    passes: int
    mean: Tensor  # [C, H, W], mean probability
    squares: Tensor  # [C, H, W], sum over the passes of the squared deviation of the probability from its mean
    expected_entropy: Tensor  # [H, W], mean over the passes of each pass's entropy, nats
    votes: Tensor  # [C, H, W], how many passes have the class as their most probable one
    called: ClassVar[str] = "class maps"

    @property
    def size(self) -> tuple[int, int]:
        return self.mean.shape[1], self.mean.shape[2]

    @property
    def variance(self) -> Tensor:  # [C, H, W]
        """Population variance of the probability over the passes."""
        return self.squares.clamp_min(0).div_(self.passes)

    def rows(self, rows: slice) -> ClassMaps:
        """The moments of some rows of the image."""
        votes, entropy = self.votes[:, rows], self.expected_entropy[rows]
        return ClassMaps(self.passes, self.mean[:, rows], self.squares[:, rows], entropy, votes)

    def above(self, others: Sequence[ClassMaps]) -> ClassMaps:
        """These and others of the same size and number of passes as one image, one above the other."""
        every = (self, *others)
        mean, squares, votes = (
            torch.cat(maps, 1) for maps in zip(*((one.mean, one.squares, one.votes) for one in every), strict=True)
        )
        return ClassMaps(self.passes, mean, squares, torch.cat([one.expected_entropy for one in every]), votes)

    @property
    def vote_shares(self) -> Tensor:  # [C, H, W]
        return self.votes.to(torch.float32) / self.passes


class ClassMapSums:
    """Takes passes over B images of one size, one pass of all of them at a time, and computes their moments.

    Moments are updated by Welford's rule rather than as plain sums, so that equal passes have a variance of exactly
    zero. Passes are taken in order, one at a time: how they were chunked cannot change the result.
    """

    def __init__(
        self,
        classes: int,
        images: int,
        size: tuple[int, int],
        device: torch.device,
        accumulate: Accumulate | None = None,
    ) -> None:
        """`accumulate`: how a pass is added; None: in the fastest way of the device."""
        self.classes = classes
        self.passes = 0
        self.accumulate = accumulate or accumulator(device)
        self.moments = Moments(
            torch.zeros(classes, images, *size, device=device),
            torch.zeros(classes, images, *size, device=device),
            torch.zeros(images, *size, device=device),
            torch.zeros(classes, images, *size, device=device, dtype=torch.uint8),
        )
        self.finite = torch.ones((), dtype=torch.bool, device=device)

    def add(self, one: Tensor | UnwrittenPasses) -> None:  # [B, C, H, W], any floating type
        """One pass of each image; or several, which are drawn only now."""
        count = one.passes if isinstance(one, UnwrittenPasses) else 1
        if self.passes < 256 <= self.passes + count:  # more than a byte counts
            self.moments = self.moments._replace(votes=self.moments.votes.to(torch.int16))
        if isinstance(one, UnwrittenPasses):
            self.finite &= one.add_to(self.moments, self.passes)
        else:
            self.finite &= self.accumulate(self.moments, one, self.passes + 1)
        self.passes += count

    def evidence(self) -> list[EvidenceSet]:
        """Of each image. Raises as `class_maps` does."""
        return [EvidenceSet(maps.size, (maps,)) for maps in self.class_maps()]

    def class_maps(self) -> list[ClassMaps]:
        """Of each image. Raises NotFinite where any logit was NaN or infinite, and ValueError without a pass."""
        if self.passes == 0:
            raise ValueError("class maps need at least one pass")
        if not bool(self.finite):
            raise NotFinite("the model's logits hold NaN or infinity")
        mean, squares, expected_entropy, votes = self.moments
        entropy = expected_entropy.clamp_min(0)
        return [
            ClassMaps(self.passes, mean[:, one], squares[:, one], entropy[one], votes[:, one])
            for one in range(len(entropy))
        ]


def class_maps_of(probabilities: Tensor) -> ClassMaps:
    """The class maps of K stacked probability maps [K, C, H, W]; zeros and ones are allowed. For tests and outside use.

    Raises ValueError where a pixel's classes do not add up to 1.
    """
    p = probabilities.float()
    sums = p.sum(1)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-2):
        raise ValueError("probabilities do not add up to 1 over the class axis [K, C, H, W]")
    votes = torch.nn.functional.one_hot(p.argmax(1), p.shape[1]).sum(0).permute(2, 0, 1)
    votes = votes.to(torch.uint8 if len(p) < 256 else torch.int16)
    mean = p.mean(0)
    squares = (p - mean).square().sum(0)
    return ClassMaps(len(p), mean, squares, torch.special.entr(p).sum(1).mean(0), votes)
