"""Training losses on partly labelled masks: pixels with the class IGNORE count for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import default_collate
from typing_extensions import TypeVar

from seg_al.core import IGNORE

Batch = TypeVar("Batch", default=Any)
"""The examples of one step."""


class Loss(Protocol[Batch]):
    """The loss of a training; its batches are of its own type, so that the trainer serves every task."""

    def weights(self, counts: Callable[[], Sequence[int]]) -> Tensor | None:
        """The weight of each class id in this training, [C] or [256]; None: all alike, or of no meaning here.

        `counts` gives the labelled pixels of each class id, [256]; it reads every label, so call it only if needed.
        """
        ...

    def collate(self, examples: Sequence[Any]) -> Batch: ...  # examples as the augmentation of the same task makes them
    def known(self, batch: Batch) -> Tensor: ...  # [], how many labels there are to learn from; 0: no step is made
    def of_batch(self, model: nn.Module, batch: Batch, weights: Tensor | None) -> Tensor:
        """The loss [] of a batch, by which gradients are taken; the model is in training mode, as Fabric wraps it."""
        ...


@dataclass(frozen=True)
class SegmentationLoss:
    """A weighted sum of cross-entropy and Dice loss over the labelled pixels of a batch; 0 where there are none.

    Cross-entropy is the mean over the labelled pixels, however few they are, so that a step is as long for ten
    pixels as for a whole image; with class weights the mean is weighted by those of the pixels' classes.
    Dice is 1 - 2 sum(p t) / (sum(p) + sum(t)) of each class over the batch, averaged over the classes that occur in
    it (arXiv 1606.04797, without the squares). With `pooled` the sums also run over the classes, as in the GlaS
    baselines; for a softmax that is one less the mean probability of the true class.
    """

    cross_entropy: float
    dice: float
    pooled: bool
    class_weights: Literal["inverse_log"] | tuple[float, ...] | None = None
    """Weights of the classes in the cross-entropy, one number each; "inverse_log": 1 / ln(1.02 + f) for a class that
    has the share f of the labelled pixels (arXiv 1606.02147); None: all alike."""
    task: ClassVar[str] = "semantic"

    def __post_init__(self) -> None:
        if min(self.cross_entropy, self.dice) < 0 or self.cross_entropy + self.dice == 0:
            raise ValueError("the loss weights cross_entropy and dice are not negative, and one is above 0")
        if self.class_weights is None:
            return
        if not self.cross_entropy:
            raise ValueError(
                "trainer.loss.class_weights weighs the cross-entropy, which trainer.loss.cross_entropy=0 leaves out; "
                "raise the latter or set class_weights=null"
            )
        if self.class_weights != "inverse_log" and not all(weight > 0 for weight in self.class_weights):
            raise ValueError(f"trainer.loss.class_weights={[*self.class_weights]}: every weight is above 0")

    def weights(self, counts: Callable[[], Sequence[int]]) -> Tensor | None:  # [C]
        """The weight of each class id in a training; `counts` gives the labelled pixels by class id, where asked."""
        if self.class_weights is None:
            return None
        if self.class_weights != "inverse_log":
            return torch.tensor(self.class_weights, dtype=torch.float32)
        pixels = torch.tensor(counts(), dtype=torch.float64)
        return 1 / (1.02 + pixels / pixels.sum().clamp_min(1)).log().float()

    def collate(self, examples: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:  # -> [B, 3, H, W], [B, H, W]
        batch: list[Tensor] = default_collate(list(examples))
        return batch

    def known(self, batch: Sequence[Tensor]) -> Tensor:
        """Labelled pixels."""
        return (batch[1] != IGNORE).sum()

    def of_batch(self, model: nn.Module, batch: Sequence[Tensor], weights: Tensor | None) -> Tensor:
        images, target = batch
        return self(model(images.contiguous(memory_format=torch.channels_last)), target, weights)

    def __call__(self, logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        # [B, C, H, W], [B, H, W] long, [C] or more -> []
        labelled = target != IGNORE
        if not bool(labelled.any()):
            return logits.float().sum() * 0
        logs = logits.float().log_softmax(1)
        loss = logs.new_zeros(())
        if self.cross_entropy:
            weight = None if weights is None else self._fitting(weights, logs)
            loss = loss + self.cross_entropy * functional.nll_loss(logs, target, weight, ignore_index=IGNORE)
        if self.dice:
            loss = loss + self.dice * self._dice(logs.exp(), target, labelled)
        return loss

    def _fitting(self, weights: Tensor, logits: Tensor) -> Tensor:  # [C]
        classes = logits.shape[1]
        if self.class_weights != "inverse_log" and len(weights) != classes:
            raise ValueError(
                f"trainer.loss.class_weights has {len(weights)} numbers, but the dataset has {classes} classes; "
                "give one for each, in the order of their ids"
            )
        return weights[:classes].to(logits)

    def _dice(self, p: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        # [B, C, H, W], [B, H, W] both; masked by products, as picking the labelled pixels costs several times as much
        ids = torch.arange(p.shape[1], device=p.device)[:, None, None]
        truth = (target[:, None] == ids).to(p.dtype)
        axes = (0, 1, 2, 3) if self.pooled else (0, 2, 3)
        overlap, total = (p * truth).sum(axes), (p * labelled[:, None]).sum(axes) + truth.sum(axes)
        score = 2 * overlap / total.clamp_min(torch.finfo(p.dtype).tiny)
        if self.pooled:
            return 1 - score
        present = truth.sum((0, 2, 3)) > 0
        return 1 - score[present].mean()
