"""A training in this process alone, on the CPU and in float32, which needs nothing of Lightning Fabric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

Value = TypeVar("Value")


@dataclass(frozen=True)
class OneProcess:
    """Does what Fabric does there. Its import takes 1.5 processor seconds and 100 MiB, most for torchmetrics."""

    world_size: int = 1
    global_rank: int = 0
    is_global_zero: bool = True

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def launch(self, function: Callable[[Any], Value], /) -> Value:
        return function(self)

    def setup(self, module: nn.Module, optimizer: Optimizer, /) -> tuple[nn.Module, Optimizer]:
        return module, optimizer

    def setup_dataloaders(self, loader: DataLoader[Any], /, *, use_distributed_sampler: bool) -> DataLoader[Any]:
        return loader

    def backward(self, loss: Tensor, /) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def clip_gradients(
        self, module: nn.Module, optimizer: Optimizer, *, max_norm: float, error_if_nonfinite: bool
    ) -> Tensor:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]  # in Fabric's order
        return nn.utils.clip_grad_norm_(weights, max_norm, error_if_nonfinite=error_if_nonfinite)

    def all_reduce(self, data: Tensor, *, reduce_op: str) -> Tensor:
        return data

    def broadcast(self, value: Value, /) -> Value:
        return value
