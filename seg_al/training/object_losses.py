"""The training loss of instance models, on batches of images with their objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from seg_al.training.object_targets import Target

ObjectBatch = tuple[Tensor, list[Target]]
"""Images [B, 3, h, w] in 0..1, and the target of each."""


@dataclass(frozen=True)
class InstanceLoss:
    """A weighted sum of the five losses of Mask R-CNN (arXiv 1703.06870), which the model computes.

    Each is a mean over what it judges, so that unknown areas, which the model leaves out, do not thin the rest.
    """

    classification: float
    """Cross-entropy of the classes of proposals."""
    box: float
    """Of the boxes of proposals that lie on an object."""
    mask: float
    """Binary cross-entropy of the mask of the true class."""
    objectness: float
    """Binary cross-entropy of anchors: object or background."""
    rpn_box: float
    """Of the anchors that lie on an object."""
    task: ClassVar[str] = "instances"

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if not all(math.isfinite(value) and value >= 0 for value in values.values()) or not any(values.values()):
            told = ", ".join(f"{name}={value:g}" for name, value in values.items())
            raise ValueError(f"trainer.loss: the weights {told} are not negative, and one is above 0")

    @property
    def parts(self) -> dict[str, float]:
        """The weights by the names that torchvision gives the losses."""
        return {
            "loss_classifier": self.classification,
            "loss_box_reg": self.box,
            "loss_mask": self.mask,
            "loss_objectness": self.objectness,
            "loss_rpn_box_reg": self.rpn_box,
        }

    def weights(self, counts: Callable[[], Sequence[int]]) -> None:
        """None: all classes have one weight; trainer.sampling shows images of rare ones more often."""

    def collate(self, examples: Sequence[tuple[Tensor, Target]]) -> ObjectBatch:
        """Images of several sizes are padded to the right and below, black and unknown."""
        height, width = (max(image.shape[axis] for image, _ in examples) for axis in (1, 2))
        images = [pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image, _ in examples]
        return torch.stack(images), [_padded(target, height, width) for _, target in examples]

    def known(self, batch: ObjectBatch) -> Tensor:
        """Number of known pixels."""
        return torch.stack([(~target["unknown"]).sum() for target in batch[1]]).sum()

    def of_batch(self, model: nn.Module, batch: ObjectBatch, weights: Tensor | None) -> Tensor:
        """The sum; `model` is in training mode, and gives its losses by name."""
        images, targets = batch
        losses: dict[str, Tensor] = model(images.contiguous(memory_format=torch.channels_last), targets)
        assert losses.keys() == self.parts.keys(), f"the model's losses are {sorted(losses)}"
        terms = [weight * losses[name].float() for name, weight in self.parts.items() if weight]
        return torch.stack(terms).sum()


def _padded(target: Target, height: int, width: int) -> Target:
    unknown = target["unknown"]
    right, below = width - unknown.shape[1], height - unknown.shape[0]
    if not right and not below:
        return target
    return {
        **target,
        "masks": pad(target["masks"], (0, right, 0, below)),
        "unknown": pad(unknown, (0, right, 0, below), value=True),
    }
