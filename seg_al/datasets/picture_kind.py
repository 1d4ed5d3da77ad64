"""Sorts images into kinds of microscopy by colour and brightness, by a fixed rule."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

from seg_al.core import ByteImage

PictureKind = Literal["stained", "brightfield", "fluorescence"]

CHROMA = 3.0
"""Grey levels of 255 above which a picture has colour."""
BRIGHT = 128
"""Grey level, of 255, from which on a background is bright."""
AVERAGED_SIDE = 64
"""Height and width in pixels to which an image is averaged first, because details do not matter."""


def kind_of(image: ByteImage) -> PictureKind:  # [H, W, 3]
    """stained: the mean of (largest - smallest channel) is above CHROMA, such as H&E; else by the median of the grey
    levels, which is the background's: brightfield from BRIGHT on, fluorescence below.
    """
    small = Image.fromarray(image).resize((AVERAGED_SIDE, AVERAGED_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small).astype(np.float64)
    if (pixels.max(axis=2) - pixels.min(axis=2)).mean() > CHROMA:
        return "stained"
    return "brightfield" if np.median(pixels.mean(axis=2)) >= BRIGHT else "fluorescence"
