"""Makes networks with fresh or trained weights, and copies their weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor

from seg_al.core import Model, ModelFactory
from seg_al.randomness import Address, torch_seeded

Weights = dict[str, Tensor]
"""All that a network has learned, by the name of the layer; on the CPU."""


def build(factory: ModelFactory, classes: int, *address: Address) -> Model:
    """A model with the fresh weights that the address gives."""
    with torch_seeded(*address, "weights"):
        return factory(classes=classes)


def load(model: Model, weights: Sequence[Weights]) -> list[Model]:
    """A copy of the model in evaluation mode for each set of weights."""
    models = [copy.deepcopy(model) for _ in weights]
    for one, state in zip(models, weights, strict=True):
        one.load_state_dict(state)
        one.eval()
    return models


def weights_of(model: Model) -> Weights:
    """A copy of the model's weights as they are now."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
