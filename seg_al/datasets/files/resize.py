"""Images and label maps brought to another size."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from seg_al.core import ByteImage

AnyInteger = TypeVar("AnyInteger", bound=np.generic)


def resized(image: ByteImage, size: tuple[int, int]) -> ByteImage:  # [H, W, 3] -> `size`
    """Bilinear; a new pixel averages over all that it covers."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)).copy()


def resized_labels(
    labels: npt.NDArray[AnyInteger], size: tuple[int, int]
) -> npt.NDArray[AnyInteger]:  # [H, W] -> `size`
    """Takes the label under the centre of each new pixel."""
    if labels.shape == size:
        return labels
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, labels.shape, strict=True))
    return labels[np.ix_(rows, columns)]
