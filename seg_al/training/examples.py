"""The examples of a training: labelled images in a planned order, where each position has its own seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm
from typing_extensions import TypeVar

from seg_al.core import Annotator, ByteImage, Images, Region, Truth
from seg_al.randomness import Address, numpy_rng, seed_of

KEPT = 256 * 2**20
"""Most bytes of truths that are kept during a training; one has at most three bytes for each pixel of its image."""


@dataclass(frozen=True)
class Labelled(Generic[Truth]):
    """The images with known labels, and no others."""

    images: Images
    annotator: Annotator[Truth]
    known: dict[str, tuple[Region, ...]]
    """The answered regions of each image."""
    classes: tuple[str, ...]
    """Names of the classes in the order of their ids."""
    amounts_of: Callable[[Truth, int], npt.NDArray[np.int64]]
    """How much of each of so many classes a truth holds [C], as the task counts it."""
    _truths: dict[str, Truth] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was told last, the oldest first, so that an image that is shown often is revealed once."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.known))

    def example(self, name: str) -> tuple[ByteImage, Truth]:  # [H, W, 3]
        return self.images.image(name), self.truth(name)

    def truth(self, name: str) -> Truth:
        """What is known of the image. It is kept, and nobody writes into it."""
        kept = self._truths
        told = kept.pop(name) if name in kept else self.annotator.reveal(name, self.known[name])
        kept[name] = told
        height, width = self.images.size(name)
        while len(kept) > max(1, KEPT // (3 * height * width)):
            del kept[next(iter(kept))]
        return told

    def amounts(self, name: str) -> npt.NDArray[np.int64]:  # [C]
        """How much of each class is known of the image."""
        return self.amounts_of(self.truth(name), len(self.classes))

    def counts(self) -> list[int]:  # [C]
        """How much of each class is known, over all images."""
        counts = np.zeros(len(self.classes), dtype=np.int64)
        for name in tqdm(self.names, "count labels", unit="image", leave=False, disable=None, delay=1):
            counts += self.amounts(name)
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


class MakeExample(Protocol[Truth, Example]):
    """Augments one labelled image, with all that is known of it; the labels move exactly with their pixels."""

    def example(self, labelled: Labelled[Truth], name: str, seed: int) -> Example:
        """The named image, which is one of `labelled.names`; every draw comes from the seed."""
        ...


class PlannedExamples(TorchDataset[Example], Generic[Truth, Example]):
    """Position j of the plan is an image augmented with the seed of (address, j), in whatever process it is loaded."""

    def __init__(
        self,
        labelled: Labelled[Truth],
        order: Sequence[str],
        augmentation: MakeExample[Truth, Example],
        address: tuple[Address, ...],
    ) -> None:
        self.labelled = labelled
        self.order = tuple(order)
        self.augmentation = augmentation
        self.address = address

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> Example:
        return self.augmentation.example(self.labelled, self.order[place], seed_of(*self.address, place))
