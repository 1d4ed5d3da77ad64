"""Records the calls of a network's layers, to find which layer is random, or the first whose output is NaN."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seg_al.core import Compute, Model, Network


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer, noted when it ends; digests show whether two calls had the same input and output."""

    name: str
    module: nn.Module
    training: bool
    inputs: str
    output: str
    finite: bool

    @property
    def label(self) -> str:
        return layer_name(self.name, self.module)


@contextmanager
def noted_calls(model: Network, digests: bool) -> Iterator[list[LayerCall]]:
    """The calls of layers inside, in the order of their ends: what a layer calls comes before the layer itself."""
    names = {module: name or type(model).__name__ for name, module in model.named_modules()}
    calls: list[LayerCall] = []
    entered: list[tuple[bool, str]] = []

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        entered.append((module.training, digest_of((args, kwargs)) if digests else ""))

    def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        training, inputs = entered.pop()
        finite = not digests or all_finite(output)
        calls.append(LayerCall(names[module], module, training, inputs, digest_of(output) if digests else "", finite))

    handles = [module.register_forward_pre_hook(enter, with_kwargs=True) for module in names]
    handles += [module.register_forward_hook(leave, with_kwargs=True) for module in names]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def where_not_finite(models: Sequence[Model], images: Tensor, compute: Compute) -> str:
    """The first layer whose output for images [B, 3, H, W] holds NaN or infinity, dropout off."""
    for model in models:
        with compute.autocast(), noted_calls(model, digests=True) as calls:
            model(images)
        if labels := [call.label for call in calls if not call.finite]:
            return labels[0]
    return "a layer that is finite with dropout off"


def layer_name(name: str, module: nn.Module) -> str:
    return f"layer {name} ({type(module).__name__})"


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in nested sequences, mappings and objects with attributes, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [found for part in value.values() for found in tensors_in(part)]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [found for part in value for found in tensors_in(part)]
    return tensors_in(vars(value)) if hasattr(value, "__dict__") and not isinstance(value, nn.Module | type) else []


def all_finite(value: Any) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors_in(value))


def digest_of(value: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors_in(value):
        digest.update(repr((tensor.dtype, tensor.shape)).encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
