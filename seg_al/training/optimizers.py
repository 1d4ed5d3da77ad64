"""Makes the optimizer of a network, with a learning rate of its own for the encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch.optim import Optimizer

from seg_al.core import HasEncoder, Network

MakeOptimizer = Callable[[Iterator[Any]], Optimizer]
"""Given weights, or groups of them as torch's optimizers take them."""


def optimizer_of(model: Network, make: MakeOptimizer, encoder_lr: float | None) -> Optimizer:
    """An optimizer of all weights; with a factor `encoder_lr` those of the encoder learn at that share of the rate.

    Raises ValueError for a factor where the model does not say which weights are its encoder's.
    """
    if encoder_lr is None:
        return make(model.parameters())
    if not isinstance(model, HasEncoder):
        raise ValueError(
            f"trainer.encoder_lr={encoder_lr:g}, but the model {type(model).__name__} does not say which weights are "
            "its encoder's (encoder_parameters()); set trainer.encoder_lr=null or choose another model"
        )
    encoder = list(model.encoder_parameters())
    inside = {id(one) for one in encoder}
    rest = [one for one in model.parameters() if id(one) not in inside]
    optimizer = make(iter([{"params": rest}, {"params": encoder}]))
    optimizer.param_groups[1]["lr"] *= encoder_lr
    return optimizer
