"""One training: fresh or warm weights, a stated number of steps, checkpoints by val or the last state."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from tqdm import tqdm

from seg_al.core import Compute, Fabric, Model
from seg_al.randomness import Address, torch_seeded
from seg_al.ranges import BatchSize, Count
from seg_al.training.examples import Labelled, MakeExample, PlannedExamples, plan
from seg_al.training.losses import Loss
from seg_al.training.networks import Weights, weights_of
from seg_al.training.optimizers import MakeOptimizer, optimizer_of
from seg_al.training.pace import Schedule, Steps
from seg_al.training.sampling import Sampling
from seg_al.training.trained import Trained, end_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validation:
    """When weights are judged on val, and which are kept."""

    keep: Literal["val", "last"]
    """"val": the state with the best val score (in a tie the later); "last": the last, without judging."""
    times: Count
    """Judgements per training, evenly spaced, the last step included."""
    metric: str = "miou"
    """The metric of val that judges, of those that the task can compute: "miou" (IoU over the pooled pixels, mean over
    all classes: a network that beats the best constant prediction on every class scores above it) or "dice" (mean over
    images with foreground and over foreground classes, by which the best constant may win); "ap" of masks for objects,
    where a constant has 0."""


@dataclass(frozen=True)
class Trainer:
    """Trains one model per member; optimizer, schedule and data order start again with the weights."""

    optimizer: MakeOptimizer
    schedule: Schedule
    loss: Loss
    augmentation: MakeExample[Any]
    pace: Steps
    batch_size: BatchSize
    """Images per step, over all devices together."""
    validation: Validation
    start: Literal["fresh", "warm"]
    """"fresh": each round begins with the weights that `run` gives; "warm": with those of the last round."""
    clip: float | None = None
    """Largest norm of the gradient of all weights together; None: not limited."""
    encoder_lr: float | None = None
    """Factor of the learning rate for the weights in the model's `encoder_parameters()`; None: 1, and none needed."""
    sampling: Sampling | None = None
    """How often each labelled image is shown; None: all equally often."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"trainer.batch_size is at least 1, not {self.batch_size}")
        for name, value in (("clip", self.clip), ("encoder_lr", self.encoder_lr)):
            if value is not None and not value > 0:
                raise ValueError(f"trainer.{name}={value:g}: choose a number above 0, or null")

    def fit(
        self,
        model: Model,
        labelled: Labelled[Any],
        judge: Callable[[Model], float],
        compute: Compute,
        address: tuple[Address, ...],
        snapshots: int = 1,
    ) -> Trained:
        """Trains the model on the labelled images.

        `judge` scores a model on val, higher = better. Raises ValueError where the loss becomes NaN or infinite.
        A step whose batch has no labelled pixel changes nothing; how many there were is a warning in the log.
        """
        if self.batch_size % compute.devices:
            raise ValueError(f"trainer.batch_size={self.batch_size} does not divide among devices={compute.devices}")
        session = _Session(self, model, labelled, judge, compute, address, snapshots)
        fabric = compute.fabric()
        result: _Result
        if compute.devices == 1:
            result = fabric.launch(session)
        else:
            with TemporaryDirectory() as folder:  # processes that have ended cannot hand over tensors in shared memory
                path = Path(folder) / "weights.pt"
                fabric.launch(partial(_save, session, path))
                result = torch.load(path, map_location="cpu", weights_only=True)
        weights, losses, steps, skipped = result
        if skipped:
            log.warning(
                "%d of %d steps had no labelled pixel and were skipped; "
                "trainer.augmentation.crop_on_label=true draws crops that hold one", skipped, steps,
            )  # fmt: skip
        return Trained(tuple(weights), steps, losses.numpy())


_Result = tuple[list[Weights], Tensor, int, int]
"""The weights, the losses at the end, the number of steps and how many of them were skipped."""


@dataclass(frozen=True)
class _Session:
    """One training as a value that can be sent to processes."""

    trainer: Trainer
    model: Model
    labelled: Labelled[Any]
    judge: Callable[[Model], float]
    compute: Compute
    address: tuple[Address, ...]
    snapshots: int

    def __call__(self, fabric: Fabric) -> _Result:
        trainer = self.trainer
        steps = trainer.pace(len(self.labelled.names), trainer.batch_size)
        if steps < self.snapshots:
            raise ValueError(
                f"trainer.pace gives {steps} steps for {len(self.labelled.names)} labelled images, and the training "
                f"needs at least {self.snapshots}, one per snapshot; raise trainer.pace.steps or epochs"
            )
        with torch_seeded(*self.address, "train", fabric.global_rank):
            self.compute.place(self.model)
            optimizer = optimizer_of(self.model, trainer.optimizer, trainer.encoder_lr)
            assert isinstance(self.model, nn.Module)
            model, optimizer = fabric.setup(self.model, optimizer)
            return self._steps(fabric, model, optimizer, steps)

    def _steps(self, fabric: Fabric, model: nn.Module, optimizer: Optimizer, steps: int) -> _Result:
        """Goes through the cycles, one per snapshot, and keeps the chosen state of each."""
        trainer, keep = self.trainer, self.trainer.validation.keep
        rates = [group["lr"] for group in optimizer.param_groups]
        weights = trainer.loss.weights(self.labelled.counts)
        loader, quiet = self._batches(fabric, steps), None if fabric.is_global_zero else True
        batches = iter(tqdm(loader, "train", steps, unit="step", leave=False, disable=quiet, delay=1))
        kept, skipped, done = [], 0, 0
        losses = torch.full((end_of(steps),), math.nan, device=fabric.device)  # no step waits for it
        model.train()
        for length in _cycles(steps, self.snapshots):
            judged = {math.ceil(length * n / trainer.validation.times) for n in range(1, trainer.validation.times + 1)}
            best, state, loss = -math.inf, None, None
            for step in range(1, length + 1):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * trainer.schedule((step - 1) / length)
                found = self._step(fabric, model, optimizer, next(batches), weights)
                loss, skipped = (loss, skipped + 1) if found is None else (found, skipped)
                done += 1
                if found is not None and done > steps - len(losses):
                    losses[done - 1 - steps] = found.detach()
                if step == length or (step in judged and keep == "val"):
                    self._check(loss, step)
                    score = self._judged(fabric, model) if keep == "val" else math.inf
                    if state is None or score >= best:
                        best, state = score, weights_of(self.model)
            assert state is not None
            kept.append(state)
        every: Any = fabric.all_reduce(losses, reduce_op="mean") if fabric.world_size > 1 else losses
        return kept, every.cpu(), steps, skipped

    def _step(
        self, fabric: Fabric, model: nn.Module, optimizer: Optimizer, batch: Any, weights: Tensor | None
    ) -> Tensor | None:
        """The loss, or None for a batch without any label, which is not even shown to batch norm.

        Several processes step on the mean of their losses, weighted by their labelled pixels: for cross-entropy
        without class weights that is the loss of the whole batch, otherwise near it.
        """
        mine = self.trainer.loss.known(batch)
        every: Any = fabric.all_reduce(mine.clone(), reduce_op="sum") if fabric.world_size > 1 else mine
        if not every:
            return None
        optimizer.zero_grad()
        loss = self.trainer.loss.of_batch(model, batch, weights)
        fabric.backward(loss if fabric.world_size == 1 else loss * (mine * fabric.world_size / every))
        if self.trainer.clip is not None:
            fabric.clip_gradients(model, optimizer, max_norm=self.trainer.clip, error_if_nonfinite=False)
        optimizer.step()
        return loss

    def _batches(self, fabric: Fabric, steps: int) -> DataLoader[Any]:
        size = self.trainer.batch_size
        names, sampling = self.labelled.names, self.trainer.sampling
        repeats = None if sampling is None else sampling(self.labelled, names).tolist()
        order = plan(names, steps * size, *self.address, "order", repeats=repeats)
        examples = PlannedExamples(self.labelled, order, self.trainer.augmentation, (*self.address, "augment"))
        mine = [place for place in range(len(order)) if place % fabric.world_size == fabric.global_rank]
        loader: DataLoader[Any] = DataLoader(
            examples,
            size // fabric.world_size,
            sampler=mine,
            num_workers=self.compute.loaders,
            multiprocessing_context=self.compute.loader_start,
            collate_fn=self.trainer.loss.collate,
        )
        prepared = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
        return prepared  # type: ignore[no-any-return]

    def _judged(self, fabric: Fabric, model: nn.Module) -> float:
        """The first process judges, and the others wait for the result."""
        self.model.eval()
        score = self.judge(self.model) if fabric.is_global_zero else 0.0
        model.train()
        return float(fabric.broadcast(score))

    def _check(self, loss: Tensor | None, step: int) -> None:
        if loss is not None and not math.isfinite(loss.item()):
            raise ValueError(
                f"the training loss is {loss.item()} at step {step}: training has diverged; "
                "lower trainer.optimizer.lr or use precision=float32"
            )


def _save(session: _Session, path: Path, fabric: Fabric) -> None:
    session.compute.claim_threads(session.compute.devices)
    own = copy.deepcopy(session.model)  # on a CPU, the received tensors lie in memory that all processes share
    result = replace(session, model=own)(fabric)
    if fabric.is_global_zero:
        torch.save(result, path)


def _cycles(steps: int, count: int) -> list[int]:
    """Steps divided into as many cycles, as evenly as can be."""
    ends = [steps * number // count for number in range(count + 1)]
    return [stop - start for start, stop in pairwise(ends)]
