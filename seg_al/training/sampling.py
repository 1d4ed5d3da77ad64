"""Decides how often a training shows each labelled image: more often with rare classes, or by labelled pixels."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from seg_al.training.examples import Labelled

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]


class Sampling(Protocol):
    """How often each image is shown, in the mean, while the training goes once through all of them."""

    def __call__(self, labelled: Labelled[Any], names: Sequence[str]) -> Floats: ...  # [N], at least 0


@dataclass(frozen=True)
class RepeatFactor:
    """Images repeated for their rarest class c: max_c max(1, sqrt(threshold / f_c)) times (LVIS, arXiv 1908.03195).

    f_c is the share of the images that show the class. It is there where a known pixel has it, so that the rule holds
    for classes of pixels and of objects; a class in nearly every image, as a background is, repeats none.
    """

    threshold: float
    """Share of the images below which a class is rare, such as 0.001 for LVIS; a thousand images show it once."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"trainer.sampling.threshold={self.threshold:g} is a share of the images, 0 to 1")

    def __call__(self, labelled: Labelled[Any], names: Sequence[str]) -> Floats:
        return repeats(classes_shown(labelled, names), self.threshold)


@dataclass(frozen=True)
class MinorityRepeat:
    """As RepeatFactor, with the threshold that repeats the rarest of the named classes `factor` times: maskAL's rule.

    The threshold is factor² · min_c n_c / N, at most 1, where n_c of the N images show the minority class c. All rare
    classes share it, the named and the others. Where maskAL switched itself off for all as long as no image showed one
    of the named, such a class is left out here.
    """

    classes: tuple[str, ...]
    """Names of classes of the dataset."""
    factor: float
    """Appearances of an image that shows the rarest of them, per pass; the threshold's limit may hold it lower."""

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("trainer.sampling.classes=[]: name the minority classes, or set trainer.sampling=null")
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise ValueError(f"trainer.sampling.factor={self.factor:g} is the number of repeats, at least 1")

    def __call__(self, labelled: Labelled[Any], names: Sequence[str]) -> Floats:
        missing = [name for name in self.classes if name not in labelled.classes]
        if missing:
            raise ValueError(
                f"trainer.sampling.classes names {', '.join(missing)}, but the dataset's classes are "
                f"{', '.join(labelled.classes)}"
            )
        present = classes_shown(labelled, names)
        counts = {name: int(present[:, labelled.classes.index(name)].sum()) for name in self.classes}
        seen = [count for count in counts.values() if count]
        absent = [name for name, count in counts.items() if not count]
        if absent:
            log.info("no labelled image shows %s yet: left out of trainer.sampling", ", ".join(absent))
        return repeats(present, min(1.0, self.factor**2 * min(seen, default=0) / len(names)))


@dataclass(frozen=True)
class LabelledArea:
    """Images drawn in proportion to their labelled pixels, as often as the others in the mean over all.

    In a study of regions, a label then counts the same, whether its image has one label or many.
    """

    def __call__(self, labelled: Labelled[Any], names: Sequence[str]) -> Floats:
        areas = np.array([sum(region.area for region in labelled.known[name]) for name in names], dtype=np.float64)
        mean = areas.mean()
        return areas / mean if mean else np.ones(len(names))


def classes_shown(labelled: Labelled[Any], names: Sequence[str]) -> npt.NDArray[np.bool_]:  # [N, C]
    """Which classes the known part of each image holds."""
    present = np.zeros((len(names), len(labelled.classes)), dtype=np.bool_)
    progress = tqdm(names, "find classes", unit="image", leave=False, disable=None, delay=1)
    for row, name in zip(present, progress, strict=True):
        row[:] = labelled.amounts(name) > 0
    return present


def repeats(present: npt.NDArray[np.bool_], threshold: float) -> Floats:  # [N, C] -> [N]
    """The largest over the classes of each image of max(1, sqrt(threshold / share of the images))."""
    shares = np.maximum(present.mean(0), np.finfo(np.float64).tiny)
    factors = np.where(present.any(0), np.sqrt(threshold / shares), 1.0)
    factors = np.maximum(factors, 1.0)
    found: Floats = np.where(present, factors, 1.0).max(1, initial=1.0)
    return found
