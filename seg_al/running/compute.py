"""The device of tensors and the precision of networks: chosen by the machine, unless the config states them."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from seg_al.core import AnyNetwork, ByteImage, Fabric, Precision
from seg_al.predictors.moments import who_adds
from seg_al.predictors.predictor import scaled
from seg_al.running.one_process import OneProcess


@dataclass(frozen=True)
class LocalCompute:
    """A device, a precision, and the number of devices that train together."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    devices: int
    """How many GPUs (or, on a CPU, processes) share each training batch."""
    workers: int | Literal["auto"]
    """Processes that load and augment training images; 0: the main process does it."""
    threads: int | Literal["auto"]
    """CPU threads of this process; "auto": as many as PyTorch takes; a run states a number (seg_al.running.threads)."""
    scoring: Literal["same", "bfloat16"] = "same"
    """The precision queries may take if it ranks alike and is faster (asking.precision); "same": as trained."""
    images_at_once: int | Literal["auto"] = "auto"
    """Images of one size that networks get together in queries and evaluation; "auto": as many as hold `pixels`."""
    pixels: int = 1
    """Pixels that go together where their images are not counted; each run finds out how many are fast."""

    def __post_init__(self) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device=cuda, but PyTorch sees no CUDA device here; use device=auto or device=cpu")
        if self.threads != "auto" and self.threads < 1:
            raise ValueError(f"threads is at least 1, not {self.threads}")
        if self.workers != "auto" and self.workers < 0:
            raise ValueError(f"workers={self.workers}: choose 0 (the main process loads images), more, or auto")
        if self.devices < 1:
            raise ValueError(f"devices={self.devices}: at least 1 is needed")
        if self.kind == "cuda" and self.devices > torch.cuda.device_count():
            raise ValueError(f"devices={self.devices}, but this machine has {torch.cuda.device_count()} CUDA device(s)")
        if self.kind == "cpu" and self.precision == "float16":
            raise ValueError("precision=float16 needs a GPU; on a CPU use float32 or bfloat16")

    @cached_property
    def kind(self) -> Literal["cpu", "cuda"]:
        return "cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu"

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.kind)

    @cached_property
    def number_type(self) -> Precision:
        if self.precision != "auto":
            return self.precision
        return "bfloat16" if self.kind == "cuda" and torch.cuda.is_bf16_supported() else "float32"

    @cached_property
    def loaders(self) -> int:
        """Loading processes per training process."""
        if self.workers == "auto":
            return min(8, torch.get_num_threads()) if self.kind == "cuda" else 0
        return self.workers

    @property
    def loader_start(self) -> Literal["fork", "spawn"] | None:
        """How loading processes begin; None: there are none.

        PyTorch would take multiprocessing's default, which inside joblib's workers is joblib's own and starts nothing
        but these. A forked loader touches no GPU; outside Linux, forking a process that has threads is not safe.
        """
        if not self.loaders:
            return None
        return "fork" if sys.platform == "linux" else "spawn"

    def scoring_in(self, precision: Precision) -> LocalCompute:
        return replace(self, precision=precision)

    def batch(self, size: tuple[int, int]) -> int:
        return max(1, self.pixels // (size[0] * size[1])) if self.images_at_once == "auto" else self.images_at_once

    def together(self, pixels: int) -> LocalCompute:
        return replace(self, pixels=pixels)

    def claim_threads(self, processes: int = 1) -> None:
        """Limits this process to its share of the processor: that of the run, divided by `processes`."""
        if self.threads != "auto":
            torch.set_num_threads(max(1, self.threads // processes))

    def fabric(self) -> Fabric:
        """For one training: this process, or Lightning Fabric, imported only where it is needed.

        It gets its environment stated: by its own guess, it would take the processes of a Slurm job, and warn of srun.
        """
        if self.kind == "cpu" and self.devices == 1 and self.number_type == "float32":
            return OneProcess()
        from lightning_fabric import Fabric as Lightning

        from seg_al.running.own_processes import OwnProcesses

        precision = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}[self.number_type]
        strategy = "auto" if self.devices == 1 else "ddp_spawn"
        return Lightning(
            accelerator=self.kind,
            devices=self.devices,
            strategy=strategy,
            precision=precision,  # type: ignore[arg-type]
            plugins=OwnProcesses(),
        )

    def autocast(self) -> AbstractContextManager[None]:
        dtype: torch.dtype = getattr(torch, self.number_type)
        return torch.autocast(self.kind, dtype=dtype, enabled=dtype != torch.float32)

    def tensor(self, *images: ByteImage) -> Tensor:  # B times [H, W, 3] -> [B, 3, H, W] in 0..1, channels last
        return scaled(self.picture(*images))

    def picture(self, *images: ByteImage) -> Tensor:  # B times [H, W, 3] -> [B, 3, H, W], bytes, channels last
        return torch.from_numpy(np.stack(images)).to(self.torch_device).permute(0, 3, 1, 2)

    def place(self, model: AnyNetwork) -> AnyNetwork:
        """The model on the device, with channels last in memory, which makes convolutions faster on CPU and GPU."""
        assert isinstance(model, nn.Module)
        return model.to(self.torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def describe(self) -> str:
        name = torch.cuda.get_device_name() if self.kind == "cuda" else f"CPU, {torch.get_num_threads()} threads"
        return f"{self.devices} x {name}, {self.number_type}, passes added by {who_adds(self.torch_device)}"
