"""Training augmentation by albumentations, each draw with a seed of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seg_al.core import IGNORE, ByteImage

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # at import it would ask the network for its newest version

import albumentations as A


@dataclass(frozen=True)
class Augmentation:
    """Right-angle rotation, random crop, flip and colour jitter; what lies outside the image is not labelled."""

    crop: tuple[int, int]
    """Height and width of the crop in pixels; smaller images are padded, the padding has no label."""
    rotate: bool
    """Whether images are turned by 0, 90, 180 or 270 degrees."""
    flip: float
    """Probability of a horizontal flip."""
    brightness: float
    """Largest relative change; likewise the next two."""
    contrast: float
    saturation: float
    hue: float
    """Largest change as a share of the colour circle, at most 0.5."""

    @cached_property
    def transform(self) -> A.Compose:
        height, width = self.crop
        jitter = {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}
        ranges = {name: (max(0.0, 1 - strength), 1 + strength) for name, strength in jitter.items()}
        return A.Compose(
            [
                A.RandomRotate90(p=1.0 if self.rotate else 0.0),
                A.PadIfNeeded(height, width, border_mode=0, fill=0, fill_mask=IGNORE),
                A.RandomCrop(height, width),
                A.HorizontalFlip(p=self.flip),
                A.ColorJitter(**ranges, hue=(-self.hue, self.hue), p=1.0),
            ]
        )

    def __call__(self, image: ByteImage, target: ByteImage, seed: int) -> tuple[ByteImage, ByteImage]:
        self.transform.set_random_seed(seed % 2**32)
        out = self.transform(image=np.ascontiguousarray(image), mask=np.ascontiguousarray(target))
        return out["image"], out["mask"]
