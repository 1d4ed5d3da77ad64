"""Puts images of one size together, which networks get at once, and finds out how many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from seg_al.core import ByteImage, Compute, Model
from seg_al.predictors.predictor import scaled

Size = tuple[int, int]
PIXEL_BYTES = 128
"""What passes read and write of a pixel again and again, about: some channels of maps, and the moments of classes.

Measured with a core's share of 16 MiB of cache: a pass of unet_small over 87 x 129 pixels takes 1.18 ms alone, 0.74
beside 4 others, 0.69 beside 11 and 0.91 beside 31.
"""
FEWEST_PIXELS, USUAL_PIXELS, LARGEST_BATCH = 1 << 14, 1 << 16, 1 << 18
"""Pixels that go together on a CPU; fewer leave calls with little work, and more gained nothing where measured."""
LARGEST_BATCH_ON_GPU = 1 << 22


def batches(names: Iterable[str], size: Callable[[str], Size], at_once: Callable[[Size], int]) -> list[tuple[str, ...]]:
    """Names of images of one size, as many as go together; in the order of their first ones."""
    filled: list[list[str]] = []
    open_of: dict[Size, list[str]] = {}
    for name in names:
        own = size(name)
        batch = open_of.get(own)
        if batch is None or len(batch) >= at_once(own):
            batch = open_of[own] = []
            filled.append(batch)
        batch.append(name)
    return [tuple(batch) for batch in filled]


def pixels_together(model: Callable[[], Model], image: Callable[[], ByteImage], compute: Compute) -> int:
    """Pixels that go together, by the cache of a CPU, or by what a pass over the image takes of a GPU's memory."""
    if compute.torch_device.type == "cuda":
        return _fitting_a_gpu(model(), compute.picture(image()), compute)
    cache = _cache_of_a_core()
    return USUAL_PIXELS if cache is None else min(LARGEST_BATCH, max(FEWEST_PIXELS, cache // PIXEL_BYTES))


def _cache_of_a_core(caches: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """A core's share of the largest cache in bytes, as Linux tells it; None where it is not told."""
    found = []
    for index in sorted(caches.glob("index[0-9]*")):
        try:
            kibibytes = int((index / "size").read_text().strip().removesuffix("K"))
            sharing = bin(int((index / "shared_cpu_map").read_text().replace(",", ""), 16)).count("1")
        except (OSError, ValueError):  # not told, or in another form
            continue
        found.append((kibibytes << 10) // max(1, sharing))
    return max(found, default=None)


@torch.inference_mode()
def _fitting_a_gpu(model: Model, image: Tensor, compute: Compute) -> int:
    """Half of the free memory is left to the passes that are decoded together."""
    torch.cuda.reset_peak_memory_stats(image.device)
    before = torch.cuda.memory_allocated(image.device)
    with compute.autocast():
        model(scaled(image))
    one = torch.cuda.max_memory_allocated(image.device) - before
    pixels = image.shape[2] * image.shape[3]
    free = torch.cuda.mem_get_info(image.device)[0]
    return int(min(LARGEST_BATCH_ON_GPU, max(pixels, pixels * (free // 2) // max(1, one))))
