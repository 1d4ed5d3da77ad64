"""Training losses on partly labelled masks: pixels with the class IGNORE count for nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from seg_al.core import IGNORE


@dataclass(frozen=True)
class SegmentationLoss:
    """A weighted sum of cross-entropy and Dice loss over the labelled pixels of a batch; 0 where there are none.

    Dice is 1 - 2 sum(p t) / (sum(p) + sum(t)) of each class over the batch, averaged over the classes that occur in
    it (arXiv 1606.04797, without the squares). With `pooled` the sums also run over the classes, as in the GlaS
    baselines; for a softmax that is one less the mean probability of the true class.
    """

    cross_entropy: float
    dice: float
    pooled: bool

    def __post_init__(self) -> None:
        if min(self.cross_entropy, self.dice) < 0 or self.cross_entropy + self.dice == 0:
            raise ValueError("the loss weights cross_entropy and dice are not negative, and one is above 0")

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:  # [B, C, H, W], [B, H, W] long -> []
        logits = logits.float()
        labelled = target != IGNORE
        if not bool(labelled.any()):
            return logits.sum() * 0
        loss = logits.new_zeros(())
        if self.cross_entropy:
            loss = loss + self.cross_entropy * functional.cross_entropy(logits, target, ignore_index=IGNORE)
        if self.dice:
            loss = loss + self.dice * self._dice(logits, target, labelled)
        return loss

    def _dice(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        p = logits.softmax(1).movedim(1, -1)[labelled]  # [N, C]
        truth = functional.one_hot(target[labelled], logits.shape[1]).to(p.dtype)
        axes = (0, 1) if self.pooled else (0,)
        overlap, total = (p * truth).sum(axes), (p + truth).sum(axes)
        score = 2 * overlap / total.clamp_min(torch.finfo(p.dtype).tiny)
        if self.pooled:
            return 1 - score
        present = truth.sum(0) > 0
        return 1 - score[present].mean()
