"""What a training reads: the labelled images in a planned order, each place in the plan with a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm
from typing_extensions import TypeVar

from seg_al.core import IGNORE, Annotator, BoolMask, ByteImage, Images, Region
from seg_al.randomness import Address, numpy_rng, seed_of
from seg_al.tasks.objects.objects import Instances


@dataclass(frozen=True)
class Labelled:
    """The images with known pixels, and nothing else; pixels that are not known have no label."""

    images: Images
    annotator: Annotator
    known: dict[str, tuple[Region, ...]]
    """The answered regions of each image."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of their ids, for who asks for one by its name."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.known))

    def example(self, name: str) -> tuple[ByteImage, ByteImage]:  # [H, W, 3], [H, W]
        return self.images.image(name), self.annotator.labels(name, self.known[name])

    def instances(self, name: str) -> tuple[ByteImage, Instances, BoolMask]:  # [H, W, 3], objects, [H, W]
        """The image, the objects in it that are known, and where it is not known what is there."""
        return self.images.image(name), *self.annotator.instances(name, self.known[name])

    def counts(self) -> list[int]:  # [256]
        """Labelled pixels by class id, over all images."""
        counts = np.zeros(IGNORE + 1, dtype=np.int64)
        for name in tqdm(self.names, "count labels", unit="image", leave=False, disable=None, delay=1):
            counts += np.bincount(self.annotator.labels(name, self.known[name]).ravel(), minlength=IGNORE + 1)
        counts[IGNORE] = 0
        return [int(count) for count in counts]


def plan(names: Sequence[str], count: int, *address: Address, repeats: Sequence[float] | None = None) -> list[str]:
    """`count` names: shuffled passes over all of them, one after the other.

    With `repeats`, one number above or equal to 0 per name, a name appears that often in a pass, in the mean over
    passes: each rounds it up or down anew, with the probability of its fraction. ValueError where all are 0.
    """
    rng = numpy_rng(*address)
    if repeats is None:
        passes = [rng.permutation(np.array(names)) for _ in range(-(-count // len(names)))]
        return [str(name) for name in np.concatenate(passes)[:count]]
    often = np.asarray(repeats, dtype=np.float64)
    if not (np.isfinite(often).all() and (often >= 0).all() and often.any()):
        raise ValueError("trainer.sampling gives numbers of appearances that are not finite, below 0, or all 0")
    order: list[str] = []
    while len(order) < count:
        times = np.floor(often + rng.random(len(often))).astype(np.int64)
        order += rng.permutation(np.repeat(np.array(names), times)).tolist()
    return order[:count]


Example = TypeVar("Example", covariant=True, default=Any)
"""One image as it is trained on, with its labels: what an augmentation makes and a loss puts into a batch."""


class MakeExample(Protocol[Example]):
    """Augments one labelled image, with all that is known of it; the labels move exactly with their pixels."""

    def example(self, labelled: Labelled, name: str, seed: int) -> Example:
        """The named image, which is one of `labelled.names`; every draw comes from the seed."""
        ...


class PlannedExamples(TorchDataset[Example]):
    """Place j of the plan is its image, augmented with the seed of (address, j): whoever loads it, and when."""

    def __init__(
        self, labelled: Labelled, order: Sequence[str], augmentation: MakeExample[Example], address: tuple[Address, ...]
    ) -> None:
        self.labelled = labelled
        self.order = tuple(order)
        self.augmentation = augmentation
        self.address = address

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> Example:
        return self.augmentation.example(self.labelled, self.order[place], seed_of(*self.address, place))
