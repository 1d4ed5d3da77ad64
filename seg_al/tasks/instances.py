"""Instance segmentation: the single objects of an image, matched over passes, measured by average precision."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.core import (
    Answer,
    AskedImage,
    Compute,
    Dataset,
    Draw,
    DrawsPasses,
    Evidence,
    EvidenceSet,
    Gallery,
    Heuristic,
    Metric,
    Painted,
    PixelSet,
    Region,
    Viewing,
)
from seg_al.measuring.coco_ap import COCO_METRICS, coco_metrics, perfect_ap, precision_metric
from seg_al.measuring.objects import OBJECT_METRICS, instance_metrics
from seg_al.predictors.class_maps import ClassMaps, ClassMapSums, NotFinite, class_maps_of
from seg_al.predictors.predictor import refuse_not_finite
from seg_al.recording.pictures.gallery import gallery_of
from seg_al.recording.pictures.objects import SeenObjects
from seg_al.recording.pictures.panel import Panel
from seg_al.tasks.evaluation import Predict, each_image, tests_of
from seg_al.tasks.objects.certainty import PaintedObjects, object_scores
from seg_al.tasks.objects.matching import Matcher, Matching
from seg_al.tasks.objects.merging import certainty_of, merged
from seg_al.tasks.objects.objects import Detections, Instances, instances_of
from seg_al.tasks.objects.painting import painted
from seg_al.tasks.objects.partial import KnownObjects, where_known
from seg_al.tasks.objects.passes import Objects, Passed, PlacedPass
from seg_al.tasks.objects.placement import detections_of, placed, selected, undone
from seg_al.tasks.objects.reported import OperatingPoint
from seg_al.tasks.pixels.class_labels import (
    LabelledPixels,
    class_answers,
    class_labels,
    classes_within,
    labelled_pixels,
    pixels_of_classes,
    problems_of_answers,
)
from seg_al.tasks.semantic import class_panel

log = logging.getLogger(__name__)

INSTANCE_METRICS = (*COCO_METRICS, *OBJECT_METRICS)
REPORTED = ("ap", "ap50", "ap75")
"""A metric that a predecessor reported, measured too."""
LEAST_PROBABILITY = 1e-30
"""Takes the place of a probability of 0, which has no logarithm; its entropy is 7e-29 nats."""


class ObjectSums:
    """Takes passes: paints each for the moments of its pixels, and matches its objects with those before."""

    def __init__(
        self, moments: ClassMapSums, matchers: Sequence[Matcher], sighting: float, device: torch.device
    ) -> None:
        self.moments = moments
        self.matchers = matchers
        """One for each image."""
        self.sighting = sighting
        self.device = device

    @property
    def passes(self) -> int:
        return self.moments.passes

    def add(self, found: Sequence[PlacedPass]) -> None:
        classes = self.moments.classes
        maps = torch.stack([painted(one, classes, self.device) for one in found])
        self.moments.add(maps.clamp_min(LEAST_PROBABILITY).log())
        for matcher, one in zip(self.matchers, found, strict=True):
            matcher.add(selected(one, np.flatnonzero(one.scores >= self.sighting).tolist()))

    def evidence(self) -> list[EvidenceSet]:
        pairs = zip(self.moments.evidence(), self.matchers, strict=True)
        return [evidence.also(matcher.objects()) for evidence, matcher in pairs]


@dataclass(frozen=True)
class ObjectReading:
    """Reads the detections of each pass; a pass without one is all background."""

    matching: Matching
    sighting: float
    """Certainty from which a detection is a sighting of an object; all are painted."""

    def passes(
        self, decoded: Sequence[Passed], views: Sequence[Viewing] | None, size: tuple[int, int]
    ) -> list[PlacedPass]:
        """Raises NotFinite where a pass holds NaN or infinity."""
        every = [placed(passed) for passed in decoded]
        if views is None:
            return every
        return [undone(passed, view, size) for passed, view in zip(every, views, strict=True)]

    def sums(self, first: Sequence[PlacedPass], size: tuple[int, int], device: torch.device) -> ObjectSums:
        moments = ClassMapSums(first[0].probabilities.shape[1], len(first), size, device)
        return ObjectSums(moments, [self.matching.begin(size) for _ in first], self.sighting, device)


@dataclass(frozen=True)
class InstanceSegmentation:
    """Measures masks and boxes by COCO's average precision and nuclei by AJI and panoptic quality."""

    matching: Matching
    sighting: float
    """Certainty from which a detection of a pass is a sighting of an object, where queries score objects. A model tells
    many possible objects in many places; as objects that few passes saw they would outnumber all others."""
    most: int
    """Detections of an image, the most certain ones, that AP counts."""
    least_score: float
    """Detections below it are left out of AJI, panoptic quality and object F1."""
    bayesian: bool
    """Whether the tests are also reported with the objects that the predictor's passes agree on."""
    reported: OperatingPoint | None
    """A predecessor's AP that is measured beside COCO's; None: only COCO's."""
    _warned: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """Splits for which the log has a line that AP counts too few detections."""
    name: ClassVar[str] = "instances"
    kinds: ClassVar[tuple[type[Evidence], ...]] = (ClassMaps, Objects)

    def __post_init__(self) -> None:
        for name, share in (("sighting", self.sighting), ("least_score", self.least_score)):
            if not 0 <= share <= 1:
                raise ValueError(f"task.{name}={share:g} is a certainty, 0 to 1")
        if self.most < 1:
            raise ValueError(f"task.most={self.most}: AP counts at least 1 detection of an image")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        if self.reported is None:
            return INSTANCE_METRICS
        return (*INSTANCE_METRICS, *(precision_metric(f"{self.reported.name}_{name}") for name in REPORTED))

    @property
    def reading(self) -> ObjectReading:
        return ObjectReading(self.matching, self.sighting)

    def problems(self, dataset: Dataset) -> list[str]:
        try:
            pixels = labelled_pixels(dataset)
            instances_of(pixels, dataset.pool[0])
        except ValueError as error:
            return [str(error)]
        return [
            f"none of the {len(names)} images of {split} holds an object, so AP means nothing there; choose other "
            "images for it"
            for split, names in (("val", dataset.val), ("the tests", tests_of(dataset)["test"]))
            if names and all(instances_of(pixels, name).crowd.all() for name in names)
        ]

    def problems_of_answers(self, dataset: Dataset, gives: str) -> list[str]:
        if gives == "dominant":
            return [
                "annotator=oracle_dominant gives one class per region and no objects; take annotator=oracle or "
                "oracle_instances, or a semantic model"
            ]
        return problems_of_answers(labelled_pixels(dataset), gives, ("true", "instances"))

    def answers(
        self, dataset: Dataset, name: str, regions: Sequence[Region], known: PixelSet, gives: str
    ) -> list[Answer]:
        return class_answers(labelled_pixels(dataset), name, regions, known, gives)

    def reveal(self, dataset: Dataset, name: str, regions: Sequence[Region], gives: str) -> KnownObjects:
        pixels = labelled_pixels(dataset)
        asked = np.zeros(pixels.size(name), dtype=np.bool_)
        for region in regions:
            region.fill(asked, True)
        return KnownObjects(class_labels(pixels, name, regions, gives), instances_of(pixels, name), asked)

    def classes_in(self, dataset: Dataset, name: str, region: PixelSet) -> list[int]:
        return classes_within(labelled_pixels(dataset), name, region)

    def amounts(self, truth: KnownObjects, classes: int) -> npt.NDArray[np.int64]:  # [C]
        return pixels_of_classes(truth.labels, classes)

    def paint(self, heuristic: Heuristic[Any], evidence: EvidenceSet) -> Painted:
        if not evidence.holds(Objects):  # no pass was drawn
            return Painted(heuristic(evidence.of(heuristic.reads)))
        objects, device = evidence.of(Objects), evidence.of(ClassMaps).mean.device
        score_map = heuristic(evidence.of(heuristic.reads)).to(device)
        return PaintedObjects(score_map, object_scores(heuristic, objects, score_map).to(device), objects)

    def seen(self, models: Sequence[Any], image: Tensor, compute: Compute) -> EvidenceSet:
        """The mean of the painted objects of the models, and the objects that they agree on, each model as one pass."""
        (found,) = self._found(models, image, compute)
        classes = found[0].probabilities.shape[1]
        maps = class_maps_of(torch.stack([painted(one, classes, image.device) for one in found]))
        return EvidenceSet(maps.size, (maps, self._agreed(found)))

    def draw(self, asked: Iterable[AskedImage[KnownObjects]], gallery: Gallery) -> Draw:
        panels = (object_panel(one) for one in asked)
        texts = gallery.heuristic, gallery.images, gallery.colours, gallery.warning
        return gallery_of(panels, gallery.classes, *texts)

    def judge(
        self,
        models: Sequence[Any],
        dataset: Dataset,
        names: Sequence[str],
        compute: Compute,
        known: Callable[[str], KnownObjects] | None = None,
    ) -> dict[str, float]:
        """Of what is known in part, objects count of which at least half is, and detections that lie there."""

        def predict(batch: Sequence[str]) -> list[Detections]:
            found = self.detections(models, compute.tensor(*map(dataset.image, batch)), compute)
            if known is None:
                return found
            return [where_known(one, known(name).unknown) for one, name in zip(found, batch, strict=True)]

        if known is None:
            pixels = labelled_pixels(dataset)
            truths = {name: instances_of(pixels, name) for name in names}
        else:
            truths = {name: known(name).objects for name in names}
            if not any(map(len, truths.values())):
                return {}
        return self._precision(dataset, truths, dict(each_image(dataset, names, predict, compute)))

    def constants(self, dataset: Dataset, names: Sequence[str], metric: str) -> dict[str, float]:
        """The constant without an object, the only one for objects, which has an AP of 0."""
        return {"no objects": 0.0}

    def evaluate(
        self, models: Sequence[Any], dataset: Dataset, predictor: DrawsPasses, compute: Compute, run: int
    ) -> dict[str, float]:
        """AP of masks ("ap", "ap50", "ap_<class>") and boxes ("bbox_ap"), and of label images "aji", "pq", ...

        Where an image holds more objects than AP counts detections, "perfect_ap" is the AP of a perfect prediction.
        """

        def single(names: Sequence[str]) -> list[Detections]:
            return self.detections(models, compute.tensor(*map(dataset.image, names)), compute)

        def bayesian(names: Sequence[str]) -> list[Detections]:
            images, addresses = compute.tensor(*map(dataset.image, names)), [(run, "evaluate", name) for name in names]
            found = predictor(models, images, compute, addresses, ObjectReading(self.matching, sighting=0.0))
            return [merged(one.of(Objects)) for one in found]

        pixels = labelled_pixels(dataset)
        splits = {"val": dataset.val, **tests_of(dataset)}
        metrics = self._splits(pixels, splits, single, compute)
        if self.bayesian:
            found = self._splits(pixels, tests_of(dataset), bayesian, compute)
            metrics |= {key.replace("/", "_bayesian/"): value for key, value in found.items()}
        return metrics

    def detections(self, models: Sequence[Any], images: Tensor, compute: Compute) -> list[Detections]:
        """Of each image in [B, 3, H, W], those of one model with dropout off; of several, those they agree on."""
        every = self._found(models, images, compute)
        return [detections_of(own[0]) if len(own) == 1 else merged(self._matched(own)) for own in every]

    def _agreed(self, found: Sequence[PlacedPass]) -> Objects:
        """The detections of at least `least_score`, the mean over the models."""
        objects = self._matched(found)
        certain = (group for group in objects.groups if certainty_of(group, objects.passes) >= self.least_score)
        return replace(objects, groups=tuple(certain))

    def _matched(self, found: Sequence[PlacedPass]) -> Objects:
        matcher = self.matching.begin(found[0].size)
        for one in found:
            matcher.add(one)
        return matcher.objects()

    @torch.inference_mode()
    def _found(self, models: Sequence[Any], images: Tensor, compute: Compute) -> list[list[PlacedPass]]:
        """A pass of each model over each image; the outer list is of images."""
        by_model = []
        for model in models:
            with compute.autocast():
                decoded = model(images)
            try:
                by_model.append(self.reading.passes(decoded, None, (images.shape[2], images.shape[3])))
            except NotFinite:
                refuse_not_finite(models, images, compute)
        return [list(own) for own in zip(*by_model, strict=True)]

    def _splits(
        self,
        dataset: LabelledPixels,
        splits: Mapping[str, tuple[str, ...]],
        predict: Predict[Detections],
        compute: Compute,
    ) -> dict[str, float]:
        """Every metric of every split; an image in several splits is predicted once."""
        names = sorted({name for split in splits.values() for name in split})
        detections = dict(each_image(dataset, names, predict, compute))
        metrics: dict[str, float] = {}
        for split, own in splits.items():
            here = {name: detections[name] for name in own}
            truths = {name: instances_of(dataset, name) for name in own}
            found = self._precision(dataset, truths, here)
            if (best := perfect_ap(truths, self.most)) is not None:
                found["perfect_ap"] = best
                self._warn(split, truths, best)
            found |= instance_metrics(truths, here, dataset.classes, self.least_score)
            if self.reported is not None:
                shown = {name: self.reported(own) for name, own in here.items()}
                precision = self._precision(dataset, truths, shown)
                found |= {f"{self.reported.name}_{key}": precision[key] for key in REPORTED}
            metrics |= {f"{split}/{key}": value for key, value in found.items()}
        return metrics

    def _warn(self, split: str, truths: Mapping[str, Instances], best: float) -> None:
        """Logs once per split that AP counts too few detections."""
        if split not in self._warned:
            self._warned.add(split)
            counts = [int(np.bincount(truth.classes[~truth.crowd]).max(initial=0)) for truth in truths.values()]
            log.warning(
                "%s: %d of %d images hold more objects of a class than task.most=%d, so that the AP of a perfect "
                "prediction is %.4f, not 1; task.most=%d would count all",
                split, sum(count > self.most for count in counts), len(counts), self.most, best, max(counts),
            )  # fmt: skip

    def _precision(
        self, dataset: Dataset, truths: Mapping[str, Instances], detections: Mapping[str, Detections]
    ) -> dict[str, float]:
        """COCO's metrics; those of masks have plain names, those of boxes begin with bbox_."""
        found = coco_metrics(truths, detections, dataset.classes, self.most)
        return {key.removeprefix("segm_"): value for key, value in found.items()}


def object_panel(asked: AskedImage[KnownObjects]) -> Panel:
    """An asked image with its classes, and with the objects that were found and that are known."""
    return class_panel(asked, asked.truth.labels, _seen_in(asked.painted, asked.evidence), asked.truth.objects)


def _seen_in(painted: Painted | None, evidence: EvidenceSet) -> SeenObjects:
    """The objects of the passes, with their scores if the heuristic has any."""
    if isinstance(painted, PaintedObjects):
        return SeenObjects(painted.objects, painted.scores.double().cpu().numpy())
    return SeenObjects(evidence.of(Objects), None)
