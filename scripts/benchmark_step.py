"""Where the time of a training goes: processor milliseconds of each part of a step, for the trainings of the studies.

    python scripts/benchmark_step.py                              # constructed glands, the default training
    python scripts/benchmark_step.py --glas FOLDER                # and GlaS at a quarter
    python scripts/benchmark_step.py --camvid FOLDER              # and CamVid at two fifths, DeepLab
    python scripts/benchmark_step.py --dsb2018 FOLDER             # and DSB2018 at half, the small Mask R-CNN
    python scripts/benchmark_step.py --repeats 5 --steps 60

Each study is trained in several ways, one after the other, so many times over: as it is, with the weights stepped one
by one (fused=false), and in bfloat16. A line has the median over the repeats of each part. One thread; weights are
fresh. "val" is one judgement on val, whatever the study's own training does, and does not count in the sum.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from benchmark_training import GLANDS, GLAS, experiment
from torch import Tensor, nn
from torch.optim import Optimizer

from seg_al.asking.pool import Pool

SAME = (
    "rounds=1", "heuristic=random", "device=cpu", "threads=1", "workers=0", "share=false", "gallery=0",
    "tracking=none", "run=0", "trainer.validation.keep=last",
)  # fmt: skip
CAMVID = (
    "dataset=camvid", "model=deeplab", "model.encoder=tu-tf_efficientnet_lite0", "model.weights=null",
    "trainer=street_small", "dataset.scale=0.4", "trainer.augmentation.crop=[128,128]", "trainer.batch_size=4",
    "objects=false", "initial=20",
)  # fmt: skip
DSB2018 = (
    "dataset=dsb2018", "model=mask_rcnn_small", "model.weights=null", "model.detecting.most=100",
    "model.learning.regions.count=64", "trainer=mask_rcnn_small", "dataset.scale=0.5", "dataset.val=0.05",
    "dataset.test=0.15", "initial=16",
)  # fmt: skip
WAYS = {
    "as it is": (),
    "weights one by one": ("++trainer.optimizer.fused=false",),
    "bfloat16": ("precision=bfloat16",),
}
PARTS = ("examples", "forward", "loss", "backward", "optimizer", "rest")


@dataclass
class Clock:
    """Processor seconds by part."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    last: float = 0.0

    def start(self) -> None:
        self.last = time.process_time()

    def stop(self, part: str) -> None:
        now = time.process_time()
        self.seconds[part] += now - self.last
        self.last = now


@dataclass(frozen=True)
class TimedExamples:
    """An augmentation under the clock; decoding is inside."""

    inner: Any
    clock: Clock

    def example(self, labelled: Any, name: str, seed: int) -> Any:
        self.clock.start()
        made = self.inner.example(labelled, name, seed)
        self.clock.stop("examples")
        return made


@dataclass(frozen=True)
class TimedLoss:
    """A loss under the clock, beside the network's own time."""

    inner: Any
    clock: Clock

    def weights(self, counts: Callable[[], Sequence[int]]) -> Tensor | None:
        found: Tensor | None = self.inner.weights(counts)
        return found

    def collate(self, examples: Sequence[Any]) -> Any:
        self.clock.start()
        batch = self.inner.collate(examples)
        self.clock.stop("examples")
        return batch

    def known(self, batch: Any) -> Tensor:
        known: Tensor = self.inner.known(batch)
        return known

    def of_batch(self, model: nn.Module, batch: Any, weights: Tensor | None) -> Tensor:
        self.clock.start()
        loss: Tensor = self.inner.of_batch(model, batch, weights)
        self.clock.stop("loss")
        return loss


@dataclass(frozen=True)
class TimedOptimizer:
    """Makes an optimizer that tells the clock when it begins, at the end of the backward pass, and when it ends."""

    make: Callable[[Any], Optimizer]
    clock: Clock

    def __call__(self, weights: Any) -> Optimizer:
        optimizer = self.make(weights)
        optimizer.register_step_pre_hook(lambda *_: self.clock.stop("backward"))
        optimizer.register_step_post_hook(lambda *_: self.clock.stop("optimizer"))
        return optimizer


class Training:
    """A study's training of round 0, which may be repeated."""

    def __init__(self, words: Sequence[str], steps: int) -> None:
        made = experiment((*SAME, *words, f"trainer.pace.steps={steps}"))
        pool = Pool(made.dataset.pool, made.dataset)
        with tempfile.TemporaryDirectory() as place:
            queries = made.ask(made.round_view(0, pool, None), Path(place))
            pool.reveal(made.annotator.answer(queries, pool.known, Path(place)))
        self.made, self.labelled, self.steps = made, made._labelled(pool), steps

    def __call__(self) -> dict[str, float]:
        """Processor milliseconds of a step, by part, with the sum, and of one judgement on val."""
        made, clock = self.made, Clock()
        model: Any = made.fresh_model(0)
        model.register_forward_pre_hook(lambda *_: clock.stop("loss"))
        model.register_forward_hook(lambda *_: clock.stop("forward"))
        trainer = replace(
            made.trainer,
            augmentation=TimedExamples(made.trainer.augmentation, clock),
            loss=TimedLoss(made.trainer.loss, clock),
            optimizer=TimedOptimizer(made.trainer.optimizer, clock),
        )
        start = time.process_time()
        trainer.fit(model, self.labelled, made.judge, made.compute, (0, 0, 0))
        whole = time.process_time() - start
        parts = {**clock.seconds, "rest": whole - sum(clock.seconds.values()), "sum": whole}
        start = time.process_time()
        made.judge(model.eval())
        parts["val"] = (time.process_time() - start) * self.steps
        return {part: 1000 * seconds / self.steps for part, seconds in parts.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glas", type=Path, help="folder that holds Grade.csv")
    parser.add_argument("--camvid", type=Path, help="folder that holds train.txt")
    parser.add_argument("--dsb2018", type=Path, help="folder that holds annotations/")
    parser.add_argument("--repeats", type=int, default=5, help="default: 5")
    parser.add_argument("--steps", type=int, default=60, help="steps of one training (default: 60)")
    parser.add_argument("--only", choices=list(WAYS), nargs="+", default=list(WAYS), help="ways (default: all)")
    parser.add_argument("--short", action="store_true", help="constructed glands alone, 40 steps")
    parser.add_argument("--rows", type=Path, help="where scripts/benchmarks.py reads the figures")
    options = parser.parse_args(arguments)
    if options.short:
        options.steps, options.glas, options.camvid, options.dsb2018 = 40, None, None, None
    torch.set_num_threads(1)
    studies: dict[str, tuple[str, ...]] = {"glands": (*GLANDS, "objects=false", "initial=8")}
    for name, folder, words in (
        ("GlaS", options.glas, (*(word for word in GLAS if "pace" not in word), "objects=false", "initial=32")),
        ("CamVid", options.camvid, CAMVID),
        ("DSB2018", options.dsb2018, DSB2018),
    ):
        if folder:
            studies[name] = (*words, f"dataset.root={folder}")
    print("processor milliseconds per step\n" + " " * 28 + "".join(f"{part:>10}" for part in (*PARTS, "sum", "val")))
    rows = []
    for study, words in studies.items():
        trainings = {way: Training((*words, *WAYS[way]), options.steps) for way in options.only}
        for training in trainings.values():
            training()  # what happens once does not count
        found = [{way: training() for way, training in trainings.items()} for _ in range(options.repeats)]
        sums = {way: statistics.median(one[way]["sum"] for one in found) for way in trainings}
        for way in trainings:
            cells = (statistics.median(one[way][part] for one in found) for part in (*PARTS, "sum", "val"))
            print(f"{study:8} {way:19}" + "".join(f"{cell:10.2f}" for cell in cells), flush=True)
        now = sums.pop(options.only[0])
        rows += [
            {
                "what": f"a training step of {study}", "ours": now / 1000, "unit": "s", "alternative": way,
                "theirs": theirs / 1000, "ratio": theirs / now,
            }
            for way, theirs in sums.items()
        ]  # fmt: skip
    if options.rows:
        options.rows.write_text(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
