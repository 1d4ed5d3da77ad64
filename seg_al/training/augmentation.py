"""Training augmentation by albumentations, each draw with a seed of its own; labels move exactly with their pixels."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seg_al.core import IGNORE, ByteImage
from seg_al.ranges import Hue, Weight

if TYPE_CHECKING:
    from seg_al.training.examples import Labelled

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # at import it would ask the network for its newest version

import albumentations as A

Floats = npt.NDArray[np.float64]
_HALF_DIAGONAL = math.sqrt(0.5)
"""The largest distance of a point in a pixel from its centre, in pixels."""


@dataclass(frozen=True)
class Augmentation:
    """Rotation, scale, random crop, flips and colour jitter; what lies outside the image is black and not labelled."""

    crop: tuple[int, int]
    """Height and width of the crop in pixels; smaller images are padded, the padding has no label."""
    rotate: bool
    """Whether images are turned by 0, 90, 180 or 270 degrees."""
    flip: float
    """Probability of a horizontal flip."""
    brightness: Weight
    """Largest relative change; likewise the next two."""
    contrast: Weight
    saturation: Weight
    hue: Hue
    """Largest change as a share of the colour circle, at most 0.5."""
    flip_vertical: float = 0.0
    """Probability of a vertical flip."""
    scale: tuple[float, float] | None = None
    """Smallest and largest factor by which an image is resized before the crop, drawn uniformly; below 0.5 the
    image is sampled more coarsely than its pixels. None: not resized."""
    angle: float = 0.0
    """Largest turn before the crop in degrees, drawn uniformly to either side; 0: none."""
    crop_on_label: bool = False
    """Whether the crop is drawn among those that hold a labelled pixel, itself drawn uniformly."""
    task: ClassVar[str] = "semantic"

    def __post_init__(self) -> None:
        if min(self.crop) < 1:
            raise ValueError(f"trainer.augmentation.crop={[*self.crop]}: height and width are at least 1 pixel")
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(
                f"trainer.augmentation.scale={[*self.scale]}: give the smallest and the largest factor, both above 0, "
                "such as [0.5, 2.0], or null to leave the size"
            )
        if not 0 <= self.angle <= 180:
            raise ValueError(f"trainer.augmentation.angle={self.angle:g}: the largest turn is 0 to 180 degrees")
        for name, share in (("flip", self.flip), ("flip_vertical", self.flip_vertical)):
            if not 0 <= share <= 1:
                raise ValueError(f"trainer.augmentation.{name}={share:g}: a probability is 0 to 1")

    @cached_property
    def transform(self) -> A.Compose:
        height, width = self.crop
        jitter = {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}
        ranges = {name: (max(0.0, 1 - strength), 1 + strength) for name, strength in jitter.items()}
        cut = [A.PadIfNeeded(height, width, border_mode=0, fill=0, fill_mask=IGNORE), A.RandomCrop(height, width)]
        if self.scale is not None or self.angle or self.crop_on_label:
            cut = [_Window((height, width), self.scale or (1.0, 1.0), self.angle, self.crop_on_label)]
        upright = [A.VerticalFlip(p=self.flip_vertical)] if self.flip_vertical else []
        return A.Compose(
            [
                A.RandomRotate90(p=1.0 if self.rotate else 0.0),
                *cut,
                A.HorizontalFlip(p=self.flip),
                *upright,
                A.ColorJitter(**ranges, hue=(-self.hue, self.hue), p=1.0),
            ]
        )

    def example(self, labelled: Labelled[ByteImage], name: str, seed: int) -> tuple[Tensor, Tensor]:
        """The image [3, h, w] in 0..1 and its class ids [h, w], long."""
        image, target = self(*labelled.example(name), seed)
        picture: npt.NDArray[np.uint8] = np.ascontiguousarray(image.transpose(2, 0, 1))
        return torch.from_numpy(picture).float() / 255, torch.from_numpy(target.astype(np.int64))

    def __call__(self, image: ByteImage, target: ByteImage, seed: int) -> tuple[ByteImage, ByteImage]:
        self.transform.set_random_seed(seed % 2**32)
        out = self.transform(image=np.ascontiguousarray(image), mask=np.ascontiguousarray(target))
        return out["image"], out["mask"]


@dataclass(frozen=True)
class Placement:
    """Where an image of `size` lies in a window of `crop`, once resized, turned and shifted. Pixel i is [i, i + 1)."""

    size: tuple[int, int]
    crop: tuple[int, int]
    factor: float
    angle: float
    """Degrees, counter-clockwise."""
    corner: tuple[int, int] = (0, 0)
    """Row and column of the window on the canvas; negative where the canvas is smaller."""

    @cached_property
    def ratio(self) -> Floats:  # [2], resized to a whole number of pixels, as a resized image is
        return np.array([max(1, round(self.factor * side)) / side for side in self.size])

    @cached_property
    def turn(self) -> Floats:  # [2, 2] on (row, column)
        sine, cosine = math.sin(math.radians(self.angle)), math.cos(math.radians(self.angle))
        return np.array([[cosine, -sine], [sine, cosine]])

    @cached_property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the smallest upright box that holds the whole turned image, pixels."""
        height, width = np.ceil(np.abs(self.turn) @ np.rint(self.ratio * self.size) - 1e-9).astype(int).tolist()
        return height, width

    def forward(self, points: Floats) -> Floats:  # [N, 2] rows and columns of the image -> of the window
        centred = (points - np.array(self.size) / 2) * self.ratio
        return centred @ self.turn.T + np.array(self.canvas) / 2 - self.corner

    @cached_property
    def sources(self) -> tuple[Floats, Floats]:
        """Row and column in the image of the centre of each pixel of the window, [h, w] both."""
        down, across = (
            np.arange(self.crop[axis]) + (0.5 + self.corner[axis] - self.canvas[axis] / 2) for axis in (0, 1)
        )
        rows, columns = (
            np.add.outer(down * (self.turn[0, axis] / self.ratio[axis]) + self.size[axis] / 2,
                         across * (self.turn[1, axis] / self.ratio[axis])) for axis in (0, 1)
        )  # fmt: skip
        return rows, columns

    def picture(self, image: ByteImage) -> ByteImage:  # [H, W, 3] -> [h, w, 3], bilinear
        (rows, columns), (height, width) = self.sources, self.size
        down, across = (rows - 0.5).astype(np.float32), (columns - 0.5).astype(np.float32)
        out: ByteImage = cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        high, wide = np.abs(self.turn).sum(0) / self.ratio / 2 - 1e-9  # half a pixel of the window, laid on the image
        untouched = (rows < -high) | (rows > height + high) | (columns < -wide) | (columns > width + wide)
        out[untouched] = 0  # what the image touches keeps its colour: it may be labelled
        return out

    def labels(self, mask: ByteImage) -> ByteImage:  # [H, W] -> [h, w]
        """Each pixel's label is that of the nearest labelled pixel of the image among the one under its centre and
        those whose centres land in it; without any it has none.

        The distance is measured in pixels of the image; of equals the last in row order wins. A mask without gaps
        thus becomes its nearest-neighbour resampling, and no labelled pixel is lost, but to another on its place.
        """
        rows, columns = (np.floor(grid).astype(np.float32) for grid in self.sources)  # whole: remap does not round
        out: ByteImage = cv2.remap(
            mask, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE
        )
        centres: Floats = np.argwhere(self._at_gaps(mask)) + np.float64(0.5)
        landed = np.floor(self.forward(centres)).astype(int)
        seen: npt.NDArray[np.bool_] = np.all((landed >= 0) & (landed < self.crop), axis=1)
        seen[seen] = out[tuple(landed[seen].T)] == IGNORE
        centres, places = centres[seen], tuple(landed[seen].T)
        away = np.hypot(*(grid[places] - along for grid, along in zip(self.sources, centres.T, strict=True)))
        order = np.argsort(-away, kind="stable")  # the nearest is written last
        out[places[0][order], places[1][order]] = mask[tuple(centres[order].astype(int).T)]
        return out

    def _at_gaps(self, mask: ByteImage) -> npt.NDArray[np.bool_]:  # [H, W]
        """The labelled pixels that may land where the pixel under the centre has no label: one is in reach of them."""
        reach = math.floor(_HALF_DIAGONAL / self.ratio.min() + 0.5)
        gaps = (mask == IGNORE).astype(np.uint8)
        kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        near = cv2.dilate(gaps, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
        return (near > gaps).astype(np.bool_)  # type: ignore[no-any-return]


class _Window(A.DualTransform):  # type: ignore[misc]
    """Resizes, turns and crops at once. The library's own transforms lose labelled pixels: they sample the mask."""

    def __init__(self, crop: tuple[int, int], scale: tuple[float, float], angle: float, on_label: bool) -> None:
        super().__init__(p=1.0)
        self.crop, self.scale, self.angle, self.on_label = crop, scale, angle, on_label

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        size = params["shape"][:2]
        factor, angle = self.py_random.uniform(*self.scale), self.py_random.uniform(-self.angle, self.angle)
        whole = Placement(size, self.crop, factor, angle)
        labelled = np.flatnonzero(data["mask"] != IGNORE) if self.on_label else np.empty(0)
        hold = None
        if len(labelled):
            row, column = divmod(int(labelled[self.py_random.randrange(len(labelled))]), size[1])
            hold = np.floor(whole.forward(np.array([[row + 0.5, column + 0.5]]))[0]).astype(int).tolist()
        corner = tuple(self._start(whole.canvas[axis], axis, hold and hold[axis]) for axis in (0, 1))
        return {"placement": Placement(size, self.crop, factor, angle, corner)}  # type: ignore[arg-type]

    def _start(self, length: int, axis: int, hold: int | None) -> int:
        """The first row or column of the window: any that keeps it on the canvas, and the pixel `hold` in it."""
        room = length - self.crop[axis]
        if room <= 0:
            return -(-room // 2)
        first, last = (0, room) if hold is None else (max(0, hold - self.crop[axis] + 1), min(hold, room))
        return int(self.py_random.randint(first, last))

    def apply(self, img: ByteImage, placement: Placement, **params: Any) -> ByteImage:
        return placement.picture(img)

    def apply_to_mask(self, mask: ByteImage, placement: Placement, **params: Any) -> ByteImage:
        return placement.labels(mask)
