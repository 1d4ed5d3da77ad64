"""Paints gland tissue like that under a microscope, for the synthetic dataset of glands.py.

Tissue is painted as amounts of haematoxylin and eosin and turned to colours by Beer-Lambert's law, so that stains vary
between patients as they do between laboratories. Lengths are in pixels, stains in optical density.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

from seg_al.core import ByteImage, PixelSet

Plane = npt.NDArray[np.float64]  # [H, W]

HAEMATOXYLIN = np.array((0.62, 0.74, 0.33))
EOSIN = np.array((0.13, 0.92, 0.33))
"""Optical densities of one unit of stain in red, green and blue; typical of scanned H&E slides."""
HARD_TRAITS = ("faded", "overstained", "blurred", "inflamed", "solid", "shrunken", "oedema", "torn", "near", "far")
"""Traits that make an image hard; every second image has one."""


@dataclass(frozen=True)
class Look:
    """How the tissue of one image looks."""

    malignant: bool
    radius: float
    """Mean radius of a gland."""
    coverage: float
    """Share of the image beyond which no further gland is placed."""
    waves: float
    """Amplitude of the outline's waves as a share of the radius."""
    epithelium: float
    """Thickness of the epithelium as a share of the radius; 2 leaves no lumen."""
    debris: float
    """0: the lumen is empty, 1: it is filled as densely as the epithelium."""
    stain: tuple[float, float]
    """Strength of haematoxylin and eosin; 1 is usual."""
    tint: tuple[float, float, float]
    """Factors on the optical density of red, green and blue."""
    lymphocytes: float
    """Number per 1000 pixels of stroma."""
    collagen: float
    """Amount of eosin in the stroma; 1 is usual, little where it is swollen with water."""
    torn: float
    """Share of the stroma that is white, as empty as a lumen."""
    halo: float
    """Width of the white gap that shrinking leaves around glands."""
    blur: float
    """Standard deviation of the focus."""


def look_of(rng: np.random.Generator, slide: np.random.Generator, malignant: bool, height: int) -> Look:
    """Draws a look for an image of `height`: the stain from the patient's `slide`, the rest from `rng`."""
    rare = str(rng.choice(("none",) * len(HARD_TRAITS) + HARD_TRAITS))
    near = {"near": 1.7, "far": 0.6}.get(rare, 1.0) * rng.uniform(0.85, 1.2)
    strength = {"faded": 0.45, "overstained": 1.7}.get(rare, 1.0) * rng.uniform(0.9, 1.1)
    stain = slide.uniform(0.5, 1.5, 2) * strength
    tint = slide.uniform(0.65, 1.35, 3)
    return Look(
        malignant=malignant,
        radius=height * (0.2 if malignant else 0.17) * near,
        coverage=rng.uniform(0.5, 0.68) if malignant else rng.uniform(0.36, 0.58),
        waves=rng.uniform(0.09, 0.15) if malignant else rng.uniform(0.02, 0.06),
        epithelium=2.0 if rare == "solid" else rng.uniform(0.4, 0.6),
        debris=rng.uniform(0.2, 1.1) if malignant else rng.choice((0.1, 0.9)),
        stain=(float(stain[0]), float(stain[1])),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        lymphocytes=25.0 if rare == "inflamed" else rng.uniform(1.0, 6.0),
        collagen=0.25 if rare == "oedema" else rng.uniform(0.5, 1.2),
        torn=0.35 if rare == "torn" else rng.uniform(0, 0.06),
        halo=3.0 if rare == "shrunken" else 0.0,
        blur=1.5 if rare == "blurred" else rng.uniform(0.3, 0.6),
    )


def paint_tissue(rng: np.random.Generator, look: Look, size: tuple[int, int]) -> tuple[ByteImage, ByteImage]:
    """Paints one image: RGB [H, W, 3], and gland ids [H, W], 0 outside."""
    ids, depth, direction = _place(rng, look, size)
    haematoxylin, eosin, fibres = _stroma(rng, look, ids > 0)
    layer = depth / (look.epithelium * look.radius)  # 0 at the outline, 1 where the lumen begins
    grain = _noise(rng, size, 1.5)
    lumen = (ids > 0) & (layer > 1 + 0.15 * _noise(rng, size, 3))
    if look.malignant and look.epithelium < 1:  # cribriform: several small lumens in one gland
        lumen = (ids > 0) & (layer > 0.75) & (_noise(rng, size, 0.16 * look.radius) > -0.2)
    mucin = _goblets(rng, look, (ids > 0) & (layer > 0.4) & ~lumen)
    filling = look.debris * np.clip(0.6 + 0.5 * _noise(rng, size, 2.5), 0, 1.3)
    inside = (0.34 - 0.10 * np.clip(layer, 0, 1) + 0.05 * grain) * (1 - mucin)
    haematoxylin = np.where(ids > 0, np.where(lumen, 0.02 + 0.30 * filling, inside), haematoxylin)
    inside = (0.34 + 0.04 * grain) * (1 - mucin)
    eosin = np.where(ids > 0, np.where(lumen, 0.03 + 0.32 * filling, inside), eosin)
    haematoxylin = np.maximum(haematoxylin, _epithelial_nuclei(rng, look, (ids > 0) & ~lumen, layer, direction))
    haematoxylin = np.maximum(haematoxylin, _stromal_nuclei(rng, look, ids == 0, fibres))
    return _develop(rng, look, haematoxylin, eosin), ids


def _place(rng: np.random.Generator, look: Look, size: tuple[int, int]) -> tuple[ByteImage, Plane, Plane]:
    """Wavy ellipses apart from each other: ids, each pixel's depth under the outline and direction from the centre."""
    ids = np.zeros(size, dtype=np.uint8)
    depth, direction = np.zeros(size), np.zeros(size)
    rows, columns = np.indices(size)
    gap = 1.5 if look.malignant else 0.018 * min(size)
    orders, turn = np.arange(2, 7), np.linspace(-np.pi, np.pi, 181)
    for attempt in range(90):
        if np.count_nonzero(ids) > look.coverage * ids.size:
            break
        row, column = rng.uniform(-0.08, 1.08, 2) * size
        radius = look.radius * rng.uniform(0.55, 1.35 - 0.5 * attempt / 90)
        stretch, tilt = rng.uniform(1.0, 2.3 if look.malignant else 1.5), rng.uniform(0, np.pi)
        height = rng.normal(0, 1, orders.size) * look.waves * 2 / orders
        phase = rng.uniform(0, 2 * np.pi, orders.size)
        reach = 2.4 * radius + gap
        near = tuple(slice(max(0, int(at - reach)), max(0, int(at + reach))) for at in (row, column))
        down, right = rows[near] - row, columns[near] - column
        along = (right * np.cos(tilt) + down * np.sin(tilt)) / stretch**0.5
        across = (down * np.cos(tilt) - right * np.sin(tilt)) * stretch**0.5
        polar = np.arctan2(across, along)
        outline = 1 + height @ np.cos(orders[:, None] * turn + phase[:, None])
        below = radius * np.interp(polar, turn, outline) - np.hypot(along, across)
        inside = below > 0
        if ids[near][below > -gap].any() or np.count_nonzero(inside) < 0.5 * radius**2:
            continue
        ids[near][inside] = int(ids.max()) + 1
        depth[near][inside] = below[inside]
        direction[near][inside] = np.arctan2(down, right)[inside]
    return ids, depth, direction


def _stroma(rng: np.random.Generator, look: Look, glands: PixelSet) -> tuple[Plane, Plane, float]:
    """Haematoxylin and eosin of wavy collagen with clefts and vessels, and the direction of its fibres."""
    size = glands.shape
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float64)
    fibres = float(rng.uniform(0, np.pi))
    across = rows * np.cos(fibres) - columns * np.sin(fibres) + 9 * _noise(rng, size, 11)
    weave = np.sin(2 * np.pi * across / 5.5) * np.clip(0.5 + 0.5 * _noise(rng, size, 6), 0, 1)
    eosin = look.collagen * (0.50 + 0.06 * weave + 0.07 * _noise(rng, size, 1.2) + 0.10 * _noise(rng, size, 14))
    haematoxylin = 0.09 + 0.02 * weave + 0.04 * np.clip(_noise(rng, size, 8), 0, 2)
    cleft = np.exp(-((_noise(rng, size, 7) / 0.12) ** 2)) * (_noise(rng, size, 12) > 0.5)
    eosin, haematoxylin = eosin * (1 - 0.85 * cleft), haematoxylin * (1 - 0.8 * cleft)
    tears = _noise(rng, size, 7) + 0.15 * _noise(rng, size, 1)
    white = tears > np.quantile(tears, 1 - look.torn)
    eosin, haematoxylin = np.where(white, 0.02, eosin), np.where(white, 0.01, haematoxylin)
    eosin = np.where(distance_transform_edt(~glands) < look.halo * (1 + 0.5 * _noise(rng, size, 4)), 0.04, eosin)
    for _ in range(rng.integers(0, 4)):
        row, column = rng.uniform(0, 1, 2) * size
        radius = rng.uniform(0.03, 0.08) * min(size)
        distance = np.hypot(rows - row, (columns - column) * rng.uniform(0.6, 1.0)) / radius
        red_cells = 0.75 * (_noise(rng, size, 1.2) > 0.6)
        eosin = np.where(distance < 1, 0.05 + red_cells, np.where(distance < 1.35, 0.65, eosin))
        haematoxylin = np.where(distance < 1, 0.02, haematoxylin)
    return haematoxylin, eosin, fibres


def _epithelial_nuclei(
    rng: np.random.Generator, look: Look, epithelium: PixelSet, layer: Plane, direction: Plane
) -> Plane:
    """One basal row that points to the centre; or, where malignant, several disorderly rows of larger nuclei."""
    band = epithelium & ((layer < 0.75) if look.malignant else (layer > 0.08) & (layer < 0.33))
    points = _scatter(rng, band, 3.0 if look.malignant else 2.7)
    toward = direction[points[:, 0], points[:, 1]] + rng.normal(0, 0.6 if look.malignant else 0.15, len(points))
    length = rng.uniform(1.6, 3.0, len(points)) if look.malignant else rng.uniform(1.9, 2.4, len(points))
    width = rng.uniform(1.1, 1.9, len(points)) if look.malignant else rng.uniform(1.0, 1.3, len(points))
    dark = rng.uniform(0.6, 1.1, len(points)) if look.malignant else rng.uniform(0.95, 1.25, len(points))
    return _stamp(points, toward, (length, width), dark, layer.shape)


def _goblets(rng: np.random.Generator, look: Look, where: PixelSet) -> Plane:
    """How much of the cytoplasm pale mucin replaces: round drops side by side, lost in malignant glands."""
    points = _scatter(rng, where, 4.6)[: 0 if look.malignant else None]
    half_axes = rng.uniform(1.7, 2.4, len(points))
    return _stamp(points, np.zeros(len(points)), (half_axes, half_axes), np.full(len(points), 0.8), where.shape)


def _stromal_nuclei(rng: np.random.Generator, look: Look, stroma: PixelSet, fibres: float) -> Plane:
    """Thin nuclei along the fibres, and round dark lymphocytes in clusters."""
    area = np.count_nonzero(stroma)
    thin = _scatter(rng, stroma, 4.0)[: int(area * 6 / 1000)]
    toward = fibres + rng.normal(0, 0.35, len(thin))
    shape = (rng.uniform(2.2, 3.6, len(thin)), rng.uniform(0.6, 1.0, len(thin)))
    spindles = _stamp(thin, toward, shape, rng.uniform(0.5, 1.0, len(thin)), stroma.shape)
    crowd = stroma & (_noise(rng, stroma.shape, 8) > 0.3)
    small = _scatter(rng, crowd, 3.0)[: int(area * look.lymphocytes / 1000)]
    shape = (rng.uniform(1.2, 1.6, len(small)), rng.uniform(1.2, 1.6, len(small)))
    round_ones = _stamp(small, np.zeros(len(small)), shape, rng.uniform(1.1, 1.4, len(small)), stroma.shape)
    return np.maximum(spindles, round_ones)


def _scatter(rng: np.random.Generator, where: PixelSet, spacing: float) -> npt.NDArray[np.int64]:
    """Pixels [N, 2] of the mask in random order, one in each cell of a jittered grid."""
    rows, columns = np.meshgrid(*(np.arange(0, length, spacing) for length in where.shape), indexing="ij")
    grid = np.stack((rows, columns + spacing / 2 * (np.arange(len(rows)) % 2)[:, None]), axis=-1).reshape(-1, 2)
    points = (grid + rng.uniform(-0.35, 0.35, grid.shape) * spacing).round().astype(np.int64)
    points = np.clip(points, 0, np.array(where.shape) - 1)
    return rng.permutation(points[where[points[:, 0], points[:, 1]]])


def _stamp(
    points: npt.NDArray[np.int64], toward: Plane, shape: tuple[Plane, Plane], dark: Plane, size: tuple[int, ...]
) -> Plane:
    """Soft ellipses with half axes `shape` = (length, width) [N] that point `toward` [N]; the darkest wins."""
    reach = np.arange(-5, 6)
    down, right = np.meshgrid(reach, reach, indexing="ij")
    turn = toward[:, None, None]
    along = right * np.cos(turn) + down * np.sin(turn)
    across = down * np.cos(turn) - right * np.sin(turn)
    radius = (along / shape[0][:, None, None]) ** 2 + (across / shape[1][:, None, None]) ** 2
    plane = np.zeros((size[0] + 10, size[1] + 10))
    at = (points[:, 0, None, None] + 5 + down, points[:, 1, None, None] + 5 + right)
    np.maximum.at(plane, at, dark[:, None, None] * np.exp(-(radius**2) / 1.5))
    return plane[5:-5, 5:-5]


def _develop(rng: np.random.Generator, look: Look, haematoxylin: Plane, eosin: Plane) -> ByteImage:
    """Stains to RGB through Beer-Lambert's law, uneven light, focus and sensor noise."""
    stains = np.stack((haematoxylin * look.stain[0], eosin * look.stain[1]), axis=-1).clip(0)
    density = (stains @ np.stack((HAEMATOXYLIN, EOSIN))) * np.array(look.tint)
    light = 243 * (1 + 0.03 * _noise(rng, haematoxylin.shape, 40))[..., None] * np.exp(-density)
    focused = gaussian_filter(light, (look.blur, look.blur, 0))
    return (focused + rng.normal(0, 2.0, focused.shape)).clip(0, 255).round().astype(np.uint8)


def _noise(rng: np.random.Generator, size: tuple[int, ...], sigma: float) -> Plane:
    """Smooth noise of mean 0 and standard deviation 1."""
    step = max(1, int(sigma / 2))
    coarse = gaussian_filter(rng.normal(size=tuple(length // step + 2 for length in size)), sigma / step)
    smooth = zoom(coarse, step, order=1)[: size[0], : size[1]] if step > 1 else coarse[: size[0], : size[1]]
    normal: Plane = (smooth - smooth.mean()) / smooth.std()
    return normal
