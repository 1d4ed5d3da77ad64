"""Superpixels by SLIC, SEEDS or a compact watershed: computed once per image and kept in files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from skimage.color import rgb2gray
from skimage.filters import sobel
from skimage.segmentation import slic, watershed
from torch import Tensor

from seg_al.core import ByteImage, Scene
from seg_al.granularities.joining import Joined
from seg_al.kept_arrays import KeptArrays

SuperpixelIds = npt.NDArray[np.integer[Any]]
OPENCV: Any = cv2  # which modules it has depends on which of its packages is installed


def _check(option: str, value: float, least: float) -> None:
    if value < least:
        raise ValueError(f"granularity.algorithm.{option} is at least {least:g}, not {value:g}")


class Algorithm(Protocol):
    """Cuts an image [H, W, 3] into ids [H, W] of 0 or more. A dataclass: its fields say of what a kept file is."""

    @property
    def cells(self) -> int: ...  # wanted; an algorithm may give somewhat fewer or more
    def __call__(self, image: ByteImage) -> SuperpixelIds: ...


@dataclass(frozen=True)
class Slic:
    """K-means over colour (CIELAB) and place (Achanta et al. 2012), by scikit-image."""

    cells: int
    compactness: float
    """Weight of place against colour."""
    sigma: float
    """Standard deviation of the Gaussian that smooths the image first, in pixels."""

    def __post_init__(self) -> None:
        _check("cells", self.cells, 1)
        _check("sigma", self.sigma, 0)
        if self.compactness <= 0:
            raise ValueError(f"granularity.algorithm.compactness is above 0, not {self.compactness:g}")

    def __call__(self, image: ByteImage) -> SuperpixelIds:
        found: SuperpixelIds = slic(
            image, n_segments=self.cells, compactness=self.compactness, sigma=self.sigma, start_label=0, channel_axis=-1
        )
        return found


@dataclass(frozen=True)
class Seeds:
    """Blocks that trade their borders by colour histograms (SEEDS, arXiv 1309.3848), by OpenCV's contrib modules.

    Levels, bins and smoothness are as in "Revisiting Superpixels for Active Learning" (Cai et al. 2021), the colours
    CIELAB where that has equalised HSV. Raises ValueError where OpenCV lacks the module.
    """

    cells: int
    smoothness: int
    """Prior for smooth shapes, 0 to 5."""
    levels: int
    """Times that a block is halved."""
    bins: int
    """Bins of the colour histograms, per channel."""
    iterations: int

    def __post_init__(self) -> None:
        for option in ("cells", "levels", "bins", "iterations"):
            _check(option, getattr(self, option), 1)
        if not 0 <= self.smoothness <= 5:
            raise ValueError(f"granularity.algorithm.smoothness is 0 to 5, not {self.smoothness}")
        if not hasattr(OPENCV, "ximgproc"):
            raise ValueError(
                "SEEDS is not part of this OpenCV; `pip uninstall opencv-python-headless`, then `pip install "
                "opencv-contrib-python-headless`, which holds the same and more; or granularity=superpixel_slic"
            )

    def __call__(self, image: ByteImage) -> SuperpixelIds:
        height, width, channels = image.shape
        seeds = OPENCV.ximgproc.createSuperpixelSEEDS(
            width, height, channels, self.cells, self.levels, self.smoothness, self.bins, True
        )
        seeds.iterate(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), self.iterations)
        found: SuperpixelIds = seeds.getLabels()
        return found


@dataclass(frozen=True)
class Watershed:
    """The predecessor's: a compact watershed on the Sobel gradient of the grey image, from a lattice of markers.

    The lattice fits the image's sides, so that there may be fewer cells than were wanted: 98 for 100 at 1024 x 2048.
    """

    cells: int
    compactness: float
    """Weight of the distance from the marker; 0: the plain watershed."""

    def __post_init__(self) -> None:
        _check("cells", self.cells, 1)
        _check("compactness", self.compactness, 0)

    def __call__(self, image: ByteImage) -> SuperpixelIds:
        found: SuperpixelIds = watershed(sobel(rgb2gray(image)), markers=self.cells, compactness=self.compactness)
        return found


@dataclass(frozen=True)
class Superpixel(Joined):
    """The cells of an algorithm, with the ids of its map. Several processes may share the folder."""

    algorithm: Algorithm
    folder: str
    """Where the id maps are kept, one file per image, size and set of parameters."""
    reads: ClassVar[Literal["image"]] = "image"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._kept.check()

    def units(self, scene: Scene) -> Tensor:
        """Raises ValueError where the image has fewer pixels than there shall be cells, or no file can be kept."""
        height, width = scene.size
        if self.algorithm.cells > height * width:
            raise ValueError(
                f"image {scene.name} of {height} x {width} pixels cannot be cut into {self.algorithm.cells} cells; "
                "lower granularity.algorithm.cells"
            )
        image = scene.image()
        ids = self._kept(scene.name, {"algorithm": self._parameters()}, image, lambda: _small(self.algorithm(image)))
        return torch.from_numpy(ids.astype(np.int64))

    @property
    def _kept(self) -> KeptArrays:
        return KeptArrays(Path(self.folder), "granularity.folder", "superpixels")

    def _parameters(self) -> dict[str, Any]:
        return {"name": type(self.algorithm).__name__, **asdict(self.algorithm)}  # type: ignore[call-overload]


def _small(ids: SuperpixelIds) -> SuperpixelIds:
    """In as few bytes as hold its ids."""
    return ids.astype(np.uint16 if ids.max() < 2**16 else np.uint32)
