"""A task that seg_al does not have: one number per image, how many dots it shows, asked by an ensemble's variance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor, nn

from seg_al.core import (
    Answer,
    AskedImage,
    ByteImage,
    Compute,
    Dataset,
    Draw,
    DrawsPasses,
    EvidenceSet,
    Gallery,
    Heuristic,
    Metric,
    Painted,
    PixelSet,
    Region,
    Viewing,
)  # fmt: skip
from seg_al.training.examples import Labelled

SIZE = (24, 24)
ERROR = Metric("error", better="lower", lowest=0, unit="dots", judges=True, column="error")


@dataclass(frozen=True)
class Dots:
    """Black images with 0 to 8 white dots, made from their names; the darker half is harder to count in."""

    pool: tuple[str, ...] = tuple(f"p{number:02d}" for number in range(12))
    val: tuple[str, ...] = ("v0", "v1", "v2")
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"test": ("t0", "t1", "t2", "t3")})
    classes: ClassVar[tuple[str, ...]] = ("dot",)

    def count(self, name: str) -> int:
        return sum(map(ord, name)) % 9

    def image(self, name: str) -> ByteImage:
        image = np.zeros((*SIZE, 3), dtype=np.uint8)
        places = np.random.default_rng([*map(ord, name)]).choice(SIZE[0] * SIZE[1], self.count(name), replace=False)
        image.reshape(-1, 3)[places] = 255
        return image

    def size(self, name: str) -> tuple[int, int]:
        return SIZE

    def askable(self, name: str) -> PixelSet | None:
        return None

    def column(self, key: str) -> Mapping[str, str]:
        raise ValueError(f"these images have no column {key}")


class Counter(nn.Module):
    """The brightness of an image, times a weight, plus another: decode holds all that learns."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.line = nn.Linear(1, classes)

    def encode(self, images: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, 1]
        return images.mean(1).sum((1, 2))[:, None]

    def decode(self, state: Tensor) -> Tensor:  # -> [B, 1]
        count: Tensor = self.line(state)
        return count

    def repeat(self, state: Tensor, times: int) -> Tensor:
        return state.repeat_interleave(times, 0)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


@dataclass(frozen=True)
class Counts:
    """The evidence: mean and variance of the numbers that the passes give."""

    size: tuple[int, int]
    mean: float
    variance: float
    passes: int
    called: ClassVar[str] = "counts"


@dataclass
class CountSums:
    size: tuple[int, int]
    numbers: list[Tensor] = field(default_factory=list)
    """Of each pass [B]."""

    @property
    def passes(self) -> int:
        return len(self.numbers)

    def add(self, passed: Tensor) -> None:
        self.numbers.append(passed.flatten())

    def evidence(self) -> list[EvidenceSet]:
        own = torch.stack(self.numbers).double().T.tolist()
        counts = (Counts(self.size, float(np.mean(one)), float(np.var(one)), self.passes) for one in own)
        return [EvidenceSet(self.size, (one,)) for one in counts]


class ReadsNumbers:
    def passes(self, decoded: Tensor, views: Sequence[Viewing] | None, size: tuple[int, int]) -> Tensor:  # [rows, 1]
        return decoded

    def sums(self, first: Tensor, size: tuple[int, int], device: torch.device) -> CountSums:
        return CountSums(size)


@dataclass(frozen=True)
class CountVariance:
    """How much the members of the ensemble disagree about the number."""

    reads: ClassVar[type[Counts]] = Counts
    min_passes: ClassVar[int] = 2

    def __call__(self, counts: Counts) -> Tensor:  # [H, W]
        return torch.full(counts.size, counts.variance)


@dataclass(frozen=True)
class Counting:
    """Its truth is the number itself; the error is the mean distance from it."""

    name: ClassVar[str] = "counting"
    metrics: ClassVar[tuple[Metric, ...]] = (ERROR,)
    kinds: ClassVar[tuple[type[Counts], ...]] = (Counts,)
    reading: ClassVar[ReadsNumbers] = ReadsNumbers()

    def problems(self, dataset: Dataset) -> list[str]:
        return [] if isinstance(dataset, Dots) else ["task=counting counts dots; take dataset=dots"]

    def problems_of_answers(self, dataset: Dataset, gives: str) -> list[str]:
        return []

    def answers(self, dataset: Any, name: str, regions: Sequence[Region], known: PixelSet, gives: str) -> list[Answer]:
        return [Answer(name, region, dataset.count(name), 0) for region in regions]  # a click for each dot

    def reveal(self, dataset: Any, name: str, regions: Sequence[Region], gives: str) -> int:
        return int(dataset.count(name)) if regions else 0

    def classes_in(self, dataset: Any, name: str, region: PixelSet) -> list[int]:
        return [0] if dataset.count(name) else []

    def amounts(self, truth: int, classes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([truth])

    def paint(self, heuristic: Heuristic[Any], evidence: EvidenceSet) -> Painted:
        return Painted(heuristic(evidence.of(heuristic.reads)))

    def seen(self, models: Sequence[Any], image: Tensor, compute: Compute) -> EvidenceSet:
        sums = CountSums((image.shape[2], image.shape[3]))
        with torch.inference_mode():
            for model in models:
                sums.add(model(image))
        return sums.evidence()[0]

    def draw(self, asked: Iterable[AskedImage[int]], gallery: Gallery) -> Draw:
        rows = list(asked)
        figure = Figure(figsize=(3, 2 * len(rows)))
        FigureCanvasAgg(figure)
        for place, one in enumerate(rows, start=1):
            axes = figure.add_subplot(len(rows), 1, place)
            axes.imshow(one.image)
            axes.set_title(f"{one.queries[0].image}: {one.evidence.of(Counts).mean:.1f} seen, {one.truth} there")
        return figure.savefig

    def judge(
        self,
        models: Sequence[Any],
        dataset: Any,
        names: Sequence[str],
        compute: Compute,
        known: Callable[[str], int] | None = None,
    ) -> Mapping[str, float]:
        return {"error": self._error(models, dataset, names, compute, known or dataset.count)}

    def constants(self, dataset: Any, names: Sequence[str], metric: str) -> Mapping[str, float]:
        counts = np.array([dataset.count(name) for name in names])
        return {f"always {guess}": float(np.abs(counts - guess).mean()) for guess in range(9)}

    def evaluate(
        self, models: Sequence[Any], dataset: Any, predictor: DrawsPasses, compute: Compute, run: int
    ) -> dict[str, float]:
        splits = {"val": dataset.val, **dataset.tests}
        return {
            f"{split}/error": self._error(models, dataset, names, compute, dataset.count)
            for split, names in splits.items()
        }

    def _error(
        self, models: Sequence[Any], dataset: Any, names: Sequence[str], compute: Compute, true: Callable[[str], int]
    ) -> float:
        seen = {name: self.seen(models, compute.tensor(dataset.image(name)), compute).of(Counts) for name in names}
        return float(np.mean([abs(seen[name].mean - true(name)) for name in names]))


@dataclass(frozen=True)
class AsItIs:
    """No augmentation: the image and its number."""

    def example(self, labelled: Labelled[int], name: str, seed: int) -> tuple[Tensor, float]:
        image, count = labelled.example(name)
        return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255, float(count)


@dataclass(frozen=True)
class Distance:
    """The mean distance of the predicted from the true numbers."""

    def weights(self, counts: Callable[[], Sequence[int]]) -> None: ...

    def collate(self, examples: Sequence[tuple[Tensor, float]]) -> tuple[Tensor, Tensor]:
        return torch.stack([image for image, _ in examples]), torch.tensor([count for _, count in examples])

    def known(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return torch.tensor(len(batch[1]))

    def of_batch(self, model: nn.Module, batch: tuple[Tensor, Tensor], weights: Tensor | None) -> Tensor:
        return (model(batch[0])[:, 0] - batch[1]).abs().mean()
