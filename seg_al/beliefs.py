"""What the passes say about one image, kept as running moments: memory does not grow with the number of passes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK_BYTES = 2 << 20
"""Rows of an image are accumulated in blocks of about this size on a CPU, so that temporaries stay in its cache."""


class NotFinite(ValueError):
    """A model put out NaN or infinity."""


@dataclass(frozen=True)
class Beliefs:
    """Moments over K passes for one image; float32 whatever the precision of the passes, on their device."""

    passes: int
    mean: Tensor  # [C, H, W], mean probability
    variance: Tensor  # [C, H, W], population variance of the probability over the passes
    expected_entropy: Tensor  # [H, W], mean over the passes of each pass's entropy, nats
    votes: Tensor  # [C, H, W], how many passes have the class as their most probable one
    features: Tensor | None = None  # [D, h, w], the deepest deterministic feature map; None unless asked for
    penultimate: Tensor | None = None  # [D, H, W], the input of the classifier; None unless asked for

    @property
    def size(self) -> tuple[int, int]:
        return self.mean.shape[1], self.mean.shape[2]

    @property
    def vote_shares(self) -> Tensor:  # [C, H, W]
        return self.votes.to(torch.float32) / self.passes


def unlooked(size: tuple[int, int]) -> Beliefs:
    """The beliefs of no pass and no class: all that a heuristic that looks at nothing may have."""
    none = torch.zeros(0, *size)
    return Beliefs(0, none, none, torch.zeros(size), none.to(torch.int16))


class BeliefSums:
    """Takes passes one by one and gives their Beliefs.

    Moments are updated by Welford's rule rather than as plain sums, so that equal passes have a variance of exactly
    zero. Passes are taken in order, one at a time: how they were chunked cannot change the result.
    """

    def __init__(self, classes: int, size: tuple[int, int], device: torch.device) -> None:
        self.passes = 0
        self.mean = torch.zeros(classes, *size, device=device)
        self.squares = torch.zeros(classes, *size, device=device)
        self.entropy = torch.zeros(size, device=device)
        self.votes = torch.zeros(classes, *size, device=device, dtype=torch.int16)
        self.finite = torch.ones((), dtype=torch.bool, device=device)

    def add(self, logits: Tensor) -> None:  # [k, C, H, W], any floating type
        for one in logits:
            self.passes += 1
            for rows in self._blocks():
                self._add_rows(one[:, rows], rows)

    def _blocks(self) -> list[slice]:
        classes, height, width = self.mean.shape
        step = height if self.mean.is_cuda else max(1, BLOCK_BYTES // (4 * classes * width))
        return [slice(start, start + step) for start in range(0, height, step)]

    def _add_rows(self, logits: Tensor, rows: slice) -> None:  # [C, h, W]
        log_p = torch.log_softmax(logits.float().contiguous(), dim=0)
        self.finite &= torch.isfinite(log_p.amin())  # NaN passes through; a sum could overflow
        p = log_p.exp()
        _vote(p, self.votes[:, rows])
        entropy = self.entropy[rows]
        entropy += (log_p.mul_(p).sum(0).neg_() - entropy) / self.passes
        mean = self.mean[:, rows]
        deviation = torch.sub(p, mean, out=log_p)
        mean.add_(deviation, alpha=1 / self.passes)
        self.squares[:, rows].addcmul_(deviation, p.sub_(mean))

    def beliefs(self) -> Beliefs:
        """Raises NotFinite where any logit was NaN or infinite, and ValueError without a pass."""
        if self.passes == 0:
            raise ValueError("beliefs need at least one pass")
        if not bool(self.finite):
            raise NotFinite("the model's logits hold NaN or infinity")
        variance = self.squares.clamp_min(0).div_(self.passes)
        return Beliefs(self.passes, self.mean, variance, self.entropy.clamp_min(0), self.votes)


def _vote(p: Tensor, votes: Tensor) -> None:  # [C, h, W], [C, h, W]
    """Adds a vote for each pixel's most probable class; the first of equals. On a CPU argmax over planes is slow."""
    if p.is_cuda:
        votes.scatter_add_(0, p.argmax(0, keepdim=True), votes.new_ones(()).expand(1, *p.shape[1:]))
        return
    best = p.amax(0)
    free = torch.ones_like(best, dtype=torch.bool)
    for one, count in zip(p, votes, strict=True):
        hit = (one == best).logical_and_(free)
        count += hit
        free ^= hit


def beliefs_of(probabilities: Tensor) -> Beliefs:
    """The Beliefs of K stacked probability maps [K, C, H, W]; zeros and ones are allowed. For tests and outside use.

    Raises ValueError where a pixel's classes do not add up to 1.
    """
    p = probabilities.float()
    sums = p.sum(1)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-2):
        raise ValueError("probabilities do not add up to 1 over the class axis [K, C, H, W]")
    votes = torch.nn.functional.one_hot(p.argmax(1), p.shape[1]).sum(0).permute(2, 0, 1).to(torch.int16)
    mean = p.mean(0)
    variance = (p - mean).square().mean(0)
    return Beliefs(len(p), mean, variance, torch.special.entr(p).sum(1).mean(0), votes)
