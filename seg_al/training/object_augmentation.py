"""Training augmentation of images and their objects: the geometry drawn here, colours by albumentations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import albumentations as A
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.core import ByteImage, PixelSet
from seg_al.ranges import Hue, Weight
from seg_al.tasks.objects.objects import Instances
from seg_al.tasks.objects.partial import KnownObjects
from seg_al.training.augmentation import Placement
from seg_al.training.object_targets import Target, flipped, target_of

if TYPE_CHECKING:
    from seg_al.training.examples import Labelled


@dataclass(frozen=True)
class InstanceAugmentation:
    """Turn, scale, random crop, flips and colour jitter; what lies outside the image is black and unknown.

    Geometry is one resampling of the window that is seen, however large the image and however many its objects.
    """

    crop: tuple[int, int] | None
    """Height and width of the crop in pixels; smaller images are padded, the padding is unknown. None: all of the
    image, turned and resized."""
    flip: float
    """Probability of a horizontal flip."""
    flip_vertical: float
    """Probability of a vertical flip."""
    rotate: bool
    """Whether images are turned by 0, 90, 180 or 270 degrees."""
    angle: float
    """Largest further turn in degrees, drawn uniformly to either side; 0: none."""
    scale: tuple[float, float] | None
    """Smallest and largest factor by which an image is resized, drawn uniformly; None: not resized."""
    brightness: Weight
    """Largest relative change; likewise the next two."""
    contrast: Weight
    saturation: Weight
    hue: Hue
    """Largest change as a share of the colour circle, at most 0.5."""
    least: float = 0.25
    """Share of its area below which an object cut by the border of the crop is unknown, not a target: what little is
    left of it neither shows its shape nor is background."""
    crop_on_label: bool = False
    """Whether the crop is drawn among those that hold a pixel that is known, itself drawn uniformly."""
    task: ClassVar[str] = "instances"

    def __post_init__(self) -> None:
        where = "trainer.augmentation"
        if self.crop is not None and min(self.crop) < 1:
            raise ValueError(f"{where}.crop={[*self.crop]}: height and width are at least 1 pixel; null: no crop")
        if self.crop is None and self.crop_on_label:
            raise ValueError(f"{where}.crop_on_label=true places a crop, and crop=null takes none; set one of them")
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(
                f"{where}.scale={[*self.scale]}: give the smallest and the largest factor, both above 0, such as "
                "[0.5, 2.0], or null to leave the size"
            )
        if not 0 <= self.angle <= 180:
            raise ValueError(f"{where}.angle={self.angle:g}: the largest turn is 0 to 180 degrees")
        for name, share in (("flip", self.flip), ("flip_vertical", self.flip_vertical), ("least", self.least)):
            if not 0 <= share <= 1:
                raise ValueError(f"{where}.{name}={share:g}: a probability or share is 0 to 1")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"{where}.hue={self.hue:g}: a share of the colour circle, 0 to 0.5")
        if min(self.brightness, self.contrast, self.saturation) < 0:
            raise ValueError(f"{where}: brightness, contrast and saturation are relative changes of at least 0")

    @cached_property
    def colours(self) -> A.Compose:
        jitter = {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}
        ranges = {name: (max(0.0, 1 - strength), 1 + strength) for name, strength in jitter.items()}
        return A.Compose([A.ColorJitter(**ranges, hue=(-self.hue, self.hue), p=1.0)])

    def example(self, labelled: Labelled[KnownObjects], name: str, seed: int) -> tuple[Tensor, Target]:
        """The image [3, h, w] in 0..1, and its target as object_targets.py describes it."""
        shown, known = labelled.example(name)
        image, target = self(shown, known.objects, known.unknown, seed)
        picture: npt.NDArray[np.uint8] = np.ascontiguousarray(image.transpose(2, 0, 1))
        return torch.from_numpy(picture).float() / 255, target

    def __call__(
        self, image: ByteImage, instances: Instances, unknown: PixelSet, seed: int
    ) -> tuple[ByteImage, Target]:  # [H, W, 3], without crowds, [H, W] -> [h, w, 3]
        rng = np.random.default_rng(seed)
        placement = self._placement(unknown, rng)
        flips = bool(rng.random() < self.flip_vertical), bool(rng.random() < self.flip)
        target = target_of(instances, unknown, placement, flips, self.least)
        picture = np.ascontiguousarray(flipped(placement.picture(image), flips))
        self.colours.set_random_seed(seed % 2**32)
        return self.colours(image=picture)["image"], target

    def _placement(self, unknown: PixelSet, rng: np.random.Generator) -> Placement:
        size = unknown.shape[0], unknown.shape[1]
        factor = float(rng.uniform(*self.scale)) if self.scale else 1.0
        angle = float(rng.uniform(-self.angle, self.angle)) + 90 * (int(rng.integers(4)) if self.rotate else 0)
        whole = Placement(size, (1, 1), factor, angle)
        if self.crop is None:
            return Placement(size, whole.canvas, factor, angle)
        hold: tuple[int, ...] | None = None
        known = np.flatnonzero(~unknown) if self.crop_on_label else np.empty(0, dtype=np.intp)
        if len(known):
            row, column = divmod(int(known[rng.integers(len(known))]), size[1])
            hold = tuple(math.floor(along) for along in whole.forward(np.array([[row + 0.5, column + 0.5]]))[0])
        down, across = (
            _start(whole.canvas[axis], self.crop[axis], hold[axis] if hold else None, rng) for axis in (0, 1)
        )
        return Placement(size, self.crop, factor, angle, (down, across))


def _start(length: int, crop: int, hold: int | None, rng: np.random.Generator) -> int:
    """The first row or column of a window: any that keeps it on the canvas, and the pixel `hold` in it."""
    room = length - crop
    if room <= 0:
        return -(-room // 2)
    first, last = (0, room) if hold is None else (max(0, hold - crop + 1), min(hold, room))
    return int(rng.integers(first, last, endpoint=True))
