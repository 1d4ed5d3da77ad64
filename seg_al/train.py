"""One training: fresh or warm weights, a stated number of steps, checkpoints by val or the last state."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from tqdm import tqdm

from seg_al.augmentation import Augmentation
from seg_al.compute import Compute
from seg_al.core import ModelFactory
from seg_al.examples import Labelled, PlannedExamples, plan
from seg_al.losses import SegmentationLoss
from seg_al.pace import Pace, Schedule
from seg_al.randomness import Address, torch_seeded

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Validation:
    """When the weights are judged, and which are kept."""

    keep: Literal["val", "last"]
    """"val": the state with the best val score (the later of equals); "last": the last, without judging."""
    times: int
    """Judgements per training, evenly spaced, the last step included."""


@dataclass(frozen=True)
class Trainer:
    """Trains one model per member; optimizer, schedule and data order begin anew with the weights."""

    optimizer: Callable[[Iterator[nn.Parameter]], Optimizer]
    schedule: Schedule
    loss: SegmentationLoss
    augmentation: Augmentation
    pace: Pace
    batch_size: int
    """Images per step, over all devices together."""
    validation: Validation
    start: Literal["fresh", "warm"]
    """"fresh": each round begins with the weights that `run` gives; "warm": with those of the last round."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"trainer.batch_size is at least 1, not {self.batch_size}")

    def fit(
        self,
        model: nn.Module,
        labelled: Labelled,
        judge: Callable[[nn.Module], float],
        compute: Compute,
        address: tuple[Address, ...],
        snapshots: int = 1,
    ) -> list[Weights]:
        """The weights after training on the labelled images, one set per snapshot, on the CPU.

        `judge` scores a model on val, higher = better. Raises ValueError where the loss becomes NaN or infinite.
        """
        if self.batch_size % compute.devices:
            raise ValueError(f"trainer.batch_size={self.batch_size} does not divide among devices={compute.devices}")
        session = _Session(self, model, labelled, judge, compute, address, snapshots)
        fabric = compute.fabric()
        if compute.devices == 1:
            weights: list[Weights] = fabric.launch(session)
            return weights
        with TemporaryDirectory() as folder:  # processes that have ended cannot hand over tensors in shared memory
            path = Path(folder) / "weights.pt"
            fabric.launch(partial(_save, session, path))
            weights = torch.load(path, map_location="cpu", weights_only=True)
        return weights


@dataclass(frozen=True)
class _Session:
    """One training as a value, so that processes can be started with it."""

    trainer: Trainer
    model: nn.Module
    labelled: Labelled
    judge: Callable[[nn.Module], float]
    compute: Compute
    address: tuple[Address, ...]
    snapshots: int

    def __call__(self, fabric: Fabric) -> list[Weights]:
        trainer = self.trainer
        steps = trainer.pace(len(self.labelled.names), trainer.batch_size)
        if steps < self.snapshots:
            raise ValueError(
                f"trainer.pace gives {steps} steps for {len(self.labelled.names)} labelled images, and the training "
                f"needs at least {self.snapshots}, one per snapshot; raise trainer.pace.steps or epochs"
            )
        with torch_seeded(*self.address, "train", fabric.global_rank):
            self.compute.place(self.model)
            model, optimizer = fabric.setup(self.model, trainer.optimizer(self.model.parameters()))
            return self._steps(fabric, model, optimizer, steps)

    def _steps(self, fabric: Fabric, model: Any, optimizer: Any, steps: int) -> list[Weights]:
        """Goes through the cycles, one per snapshot, and keeps the chosen state of each."""
        trainer, keep = self.trainer, self.trainer.validation.keep
        rates = [group["lr"] for group in optimizer.param_groups]
        loader, quiet = self._batches(fabric, steps), None if fabric.is_global_zero else True
        batches = iter(tqdm(loader, "train", steps, unit="step", leave=False, disable=quiet, delay=1))
        kept = []
        model.train()
        for length in _cycles(steps, self.snapshots):
            judged = {math.ceil(length * n / trainer.validation.times) for n in range(1, trainer.validation.times + 1)}
            best, state = -math.inf, None
            for step in range(1, length + 1):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * trainer.schedule((step - 1) / length)
                loss = self._step(fabric, model, optimizer, *next(batches))
                if step == length or (step in judged and keep == "val"):
                    self._check(loss, step)
                    score = self._judged(fabric, model) if keep == "val" else math.inf
                    if state is None or score >= best:
                        best, state = score, _on_cpu(self.model)
            assert state is not None
            kept.append(state)
        return kept

    def _step(self, fabric: Fabric, model: Any, optimizer: Any, images: Tensor, target: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = self.trainer.loss(model(images.contiguous(memory_format=torch.channels_last)), target)
        fabric.backward(loss)
        optimizer.step()
        return loss

    def _batches(self, fabric: Fabric, steps: int) -> DataLoader[tuple[Tensor, Tensor]]:
        size = self.trainer.batch_size
        order = plan(self.labelled.names, steps * size, *self.address, "order")
        examples = PlannedExamples(self.labelled, order, self.trainer.augmentation, (*self.address, "augment"))
        mine = [place for place in range(len(order)) if place % fabric.world_size == fabric.global_rank]
        loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            examples, size // fabric.world_size, sampler=mine, num_workers=self.compute.loaders
        )
        prepared = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
        return prepared  # type: ignore[return-value]

    def _judged(self, fabric: Fabric, model: Any) -> float:
        """The first process judges, the others wait and hear."""
        self.model.eval()
        score = self.judge(self.model) if fabric.is_global_zero else 0.0
        model.train()
        return float(fabric.broadcast(score))

    def _check(self, loss: Tensor, step: int) -> None:
        if not math.isfinite(loss.item()):
            raise ValueError(
                f"the training loss is {loss.item()} at step {step + 1}: training has diverged; "
                "lower trainer.optimizer.lr or use precision=float32"
            )


def _save(session: _Session, path: Path, fabric: Fabric) -> None:
    weights = session(fabric)
    if fabric.is_global_zero:
        torch.save(weights, path)


def _cycles(steps: int, count: int) -> list[int]:
    """Steps divided into as many cycles, as evenly as can be."""
    ends = [steps * number // count for number in range(count + 1)]
    return [stop - start for start, stop in pairwise(ends)]


def _on_cpu(model: nn.Module) -> Weights:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def build(factory: ModelFactory, classes: int, *address: Address) -> nn.Module:
    """A model with the fresh weights that the address gives."""
    with torch_seeded(*address, "weights"):
        return factory(classes=classes)


def load(model: nn.Module, weights: Sequence[Weights]) -> list[nn.Module]:
    """A copy of the model in evaluation mode for each set of weights."""
    models = [copy.deepcopy(model) for _ in weights]
    for one, state in zip(models, weights, strict=True):
        one.load_state_dict(state)
        one.eval()
    return models
