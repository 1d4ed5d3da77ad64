"""Which weights of a network learn, and at which rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn
from torch.optim import Optimizer

MakeOptimizer = Callable[[Iterator[Any]], Optimizer]
"""Given weights, or groups of them as torch's optimizers take them."""


def optimizer_of(model: nn.Module, make: MakeOptimizer, encoder_lr: float | None) -> Optimizer:
    """An optimizer of all weights; with a factor `encoder_lr` those of the encoder learn at that share of the rate.

    Raises ValueError for a factor where the model does not say which weights are its encoder's.
    """
    if encoder_lr is None:
        return make(model.parameters())
    if not hasattr(model, "encoder_parameters"):
        raise ValueError(
            f"trainer.encoder_lr={encoder_lr:g}, but the model {type(model).__name__} does not say which weights are "
            "its encoder's (encoder_parameters()); set trainer.encoder_lr=null or choose another model"
        )
    named: Any = model.encoder_parameters
    encoder = list(named())
    inside = {id(one) for one in encoder}
    rest = [one for one in model.parameters() if id(one) not in inside]
    optimizer = make(iter([{"params": rest}, {"params": encoder}]))
    optimizer.param_groups[1]["lr"] *= encoder_lr
    return optimizer
