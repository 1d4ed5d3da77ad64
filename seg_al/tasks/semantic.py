"""Semantic segmentation: a class for every pixel, scored by Dice and IoU. Read this task first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seg_al.core import (
    IGNORE,
    Answer,
    AskedImage,
    ByteImage,
    Compute,
    Dataset,
    Draw,
    DrawsPasses,
    Evidence,
    EvidenceSet,
    Gallery,
    Heuristic,
    Metric,
    Model,
    Painted,
    PixelSet,
    Region,
)
from seg_al.measuring.class_maps import CLASS_MAP_METRICS, LEAST_OBJECT, Evaluation
from seg_al.measuring.constants import constant_scores
from seg_al.predictors.class_maps import ClassMaps, class_maps_of
from seg_al.predictors.predictor import LOGITS, Logits, mean_probabilities
from seg_al.recording.pictures.gallery import gallery_of
from seg_al.recording.pictures.objects import SeenObjects
from seg_al.recording.pictures.panel import Panel
from seg_al.tasks.evaluation import each_image, tests_of
from seg_al.tasks.objects.objects import Instances
from seg_al.tasks.pixels.class_labels import (
    GIVES,
    LabelledPixels,
    class_answers,
    class_labels,
    classes_within,
    labelled_pixels,
    pixels_of_classes,
    problems_of_answers,
)


@dataclass(frozen=True)
class SemanticSegmentation:
    """Reports val and every test split; val alone may choose anything."""

    objects: bool | Literal["auto"]
    """Whether the tests also report the object F1, Dice and Hausdorff distance of the GlaS challenge; "auto": where the
    dataset has a background, one foreground class and object ids."""
    bayesian: bool
    """Whether the tests are also reported with the mean probability over the predictor's passes."""
    least_object: int = LEAST_OBJECT
    """Smallest objects that count, predicted or true, in pixels of the measured image; 0: all count."""
    name: ClassVar[str] = "semantic"
    metrics: ClassVar[tuple[Metric, ...]] = CLASS_MAP_METRICS
    kinds: ClassVar[tuple[type[Evidence], ...]] = (ClassMaps,)
    reading: ClassVar[Logits] = LOGITS

    def __post_init__(self) -> None:
        if self.least_object < 0:
            raise ValueError(f"task.least_object={self.least_object} is a number of pixels; 0 counts all objects")

    def problems(self, dataset: Dataset) -> list[str]:
        """Reads targets of val and of the tests until one has foreground."""
        pixels = labelled_pixels(dataset)
        problems = []
        if self.objects is True and not has_objects(pixels):
            problems.append(
                "objects=true compares whole objects of one foreground class with the dataset's object ids, which this "
                "dataset has not; use objects=auto"
            )
        for split, names in (("val", dataset.val), ("the tests", tests_of(dataset)["test"])):
            if names and not any(_has_foreground(pixels, name) for name in names):
                problems.append(
                    f"none of the {len(names)} images of {split} shows a class other than the background, so Dice "
                    "means nothing there; choose other images for it, or check dataset.background"
                )
        return problems

    def problems_of_answers(self, dataset: Dataset, gives: str) -> list[str]:
        return problems_of_answers(labelled_pixels(dataset), gives, GIVES)

    def answers(
        self, dataset: Dataset, name: str, regions: Sequence[Region], known: PixelSet, gives: str
    ) -> list[Answer]:
        return class_answers(labelled_pixels(dataset), name, regions, known, gives)

    def reveal(self, dataset: Dataset, name: str, regions: Sequence[Region], gives: str) -> ByteImage:  # [H, W]
        """Class ids in the regions; IGNORE elsewhere."""
        return class_labels(labelled_pixels(dataset), name, regions, gives)

    def classes_in(self, dataset: Dataset, name: str, region: PixelSet) -> list[int]:
        return classes_within(labelled_pixels(dataset), name, region)

    def amounts(self, truth: ByteImage, classes: int) -> npt.NDArray[np.int64]:  # [H, W] -> [C]
        return pixels_of_classes(truth, classes)

    def paint(self, heuristic: Heuristic[Any], evidence: EvidenceSet) -> Painted:
        return Painted(heuristic(evidence.of(heuristic.reads)))

    def seen(self, models: Sequence[Model], image: Tensor, compute: Compute) -> EvidenceSet:
        maps = class_maps_of(mean_probabilities(models, image, compute))
        return EvidenceSet(maps.size, (maps,))

    def draw(self, asked: Iterable[AskedImage[ByteImage]], gallery: Gallery) -> Draw:
        panels = (class_panel(one, one.truth) for one in asked)
        texts = gallery.heuristic, gallery.images, gallery.colours, gallery.warning
        return gallery_of(panels, gallery.classes, *texts)

    def constants(self, dataset: Dataset, names: Sequence[str], metric: str) -> dict[str, float]:
        pixels = labelled_pixels(dataset)
        every = range(len(pixels.classes))
        counts = np.stack([pixels_of_classes(pixels.target(name), len(every)) for name in names])
        foreground = [one for one in every if one != pixels.background]
        scores = constant_scores(counts, foreground, metric).tolist()
        return {f"{name} everywhere": score for name, score in zip(dataset.classes, scores, strict=True)}

    def judge(
        self,
        models: Sequence[Model],
        dataset: Dataset,
        names: Sequence[str],
        compute: Compute,
        known: Callable[[str], ByteImage] | None = None,
    ) -> dict[str, float]:
        single = MeanProbabilities(models, dataset, compute)
        if known is None:
            return measure(single, {"": names}, None)
        labelled = [name for name in names if (known(name) != IGNORE).any()]
        return measure(single, {"": labelled}, None, known) if labelled else {}

    def evaluate(
        self, models: Sequence[Model], dataset: Dataset, predictor: DrawsPasses, compute: Compute, run: int
    ) -> dict[str, float]:
        """Metrics as "<split>/<metric>"; "test" is the union of the tests, "..._bayesian" the mean over passes."""

        single = MeanProbabilities(models, dataset, compute)
        pixels, tests = single.pixels, tests_of(dataset)
        objects = self.least_object if self.objects is True or (self.objects and has_objects(pixels)) else None
        metrics = measure(single, {"val": dataset.val}, None)
        metrics |= measure(single, tests, objects)
        if self.bayesian:
            found = measure(MeanProbabilities(models, dataset, compute, predictor, run), tests, objects)
            metrics |= {f"{key.replace('/', '_bayesian/')}": value for key, value in found.items()}
        return metrics


@dataclass(frozen=True)
class MeanProbabilities:
    """Predicts images by the mean probability over the models, or over the predictor's passes, if there is one."""

    models: Sequence[Model]
    dataset: Dataset
    compute: Compute
    predictor: DrawsPasses | None = None
    run: int = 0

    @property
    def pixels(self) -> LabelledPixels:
        return labelled_pixels(self.dataset)

    def __call__(self, names: Sequence[str]) -> list[Tensor]:  # [C, H, W] each
        images = self.compute.tensor(*(self.dataset.image(name) for name in names))
        if self.predictor is None:
            return list(mean_probabilities(self.models, images, self.compute))
        addresses = [(self.run, "evaluate", name) for name in names]
        found = self.predictor(self.models, images, self.compute, addresses, LOGITS)
        return [one.of(ClassMaps).mean for one in found]


def class_panel(
    asked: AskedImage[Any], truth: ByteImage, seen: SeenObjects | None = None, true: Instances | None = None
) -> Panel:
    """An asked image with the classes that were predicted and that are known [H, W], and its objects, if any."""
    prediction = asked.evidence.of(ClassMaps).mean.argmax(0).cpu().numpy()
    score_map = None if asked.painted is None else asked.painted.map.cpu().numpy()
    return Panel(asked.image, prediction, truth, score_map, asked.queries, asked.whole, seen, true)


def has_objects(dataset: LabelledPixels) -> bool:
    """Whether whole objects of the first test image could be found by a network that tells classes apart."""
    first = next((name for names in dataset.tests.values() for name in names), None)
    if dataset.background is None or len(dataset.classes) != 2 or first is None:
        return False
    return dataset.objects(first) is not None


def _has_foreground(dataset: LabelledPixels, name: str) -> bool:
    target = dataset.target(name)
    return bool(((target != IGNORE) & (target != dataset.background)).any())


def measure(
    predict: MeanProbabilities,
    splits: Mapping[str, Sequence[str]],
    least_object: int | None,
    known: Callable[[str], ByteImage] | None = None,
) -> dict[str, float]:
    """Every metric of every split as "<split>/<metric>"; an image that stands in several splits is predicted once.

    A split without a name has metrics with theirs alone. Whole objects of at least `least_object` pixels are compared
    too; None: they are not. Predictions are compared with the classes that `known` tells; None: with the true ones.
    """
    objects, dataset = least_object is not None, predict.pixels
    evaluations = {
        split: Evaluation(dataset.classes, dataset.background, objects, least_object or 0) for split in splits
    }
    names = sorted({name for split in splits.values() for name in split})
    for name, found in each_image(dataset, names, predict, predict.compute):
        probabilities, target = found.cpu(), (known or dataset.target)(name)
        own = dataset.objects(name) if objects else None
        for split, evaluation in evaluations.items():
            if name in splits[split]:
                evaluation.add(name, probabilities, target, own)
    return {
        f"{split}/{metric}".removeprefix("/"): value
        for split, evaluation in evaluations.items()
        for metric, value in evaluation.result().items()
    }
