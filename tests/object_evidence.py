"""Objects as passes find them, made of masks at the size of the image, and the evidence that holds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from seg_al.core import EvidenceSet
from seg_al.predictors.class_maps import class_maps_of
from seg_al.tasks.objects.passes import Crop, Group, Objects

SIZE = (30, 40)


def crop_of(mask: np.ndarray) -> Crop:  # [H, W]
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return Crop((0, 0, 0, 0), np.zeros((0, 0), dtype=bool))
    x0, y0, x1, y1 = int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
    return Crop((x0, y0, x1, y1), mask[y0:y1, x0:x1].copy())


def group_of(
    masks: np.ndarray,  # [n, H, W] bool
    probabilities: Sequence[Sequence[float]] | np.ndarray,  # [n, C]
    boxes: Sequence[Sequence[float]] | np.ndarray | None = None,  # [n, 4]; None: around the masks
    passes: Sequence[int] | None = None,  # [n]; None: one after the other
    classes: Sequence[int] | None = None,  # [n]; None: the most probable ones of the foreground
) -> Group:
    crops = tuple(crop_of(mask) for mask in masks)
    p = np.asarray(probabilities, dtype=np.float64)
    counts = masks.sum(0).astype(np.uint16)
    x0, y0, x1, y1 = crop_of(counts > 0).window
    return Group(
        passes=np.arange(len(masks)) if passes is None else np.asarray(passes),
        boxes=np.asarray([crop.window for crop in crops] if boxes is None else boxes, dtype=np.float64),
        probabilities=p,
        classes=p[:, 1:].argmax(1) + 1 if classes is None else np.asarray(classes),
        scores=p[:, 1:].max(1),
        masks=crops,
        window=(x0, y0, x1, y1),
        counts=counts[y0:y1, x0:x1],
    )


def boxes_of(*squares: tuple[int, int, int, int]) -> np.ndarray:  # x0, y0, x1, y1 -> [n, H, W]
    masks = np.zeros((len(squares), *SIZE), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, squares, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def softmax_group(*probabilities: list[float]) -> Group:
    return group_of(boxes_of(*[(2, 2, 6, 6)] * len(probabilities)), probabilities)


def found_by(passes: int, *groups: Group) -> Objects:
    return Objects(SIZE, passes, groups)


def random_masks(rng: np.random.Generator, members: int) -> np.ndarray:  # [n, H, W]
    """Ellipses around one place that jitter, some cut by the border, some empty."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    centre, radius = rng.uniform((0, 0), SIZE), rng.uniform(2, 9, 2)
    masks = []
    for _ in range(members):
        y, x = centre + rng.normal(0, 1.5, 2)
        a, b = radius * rng.uniform(0.6, 1.4, 2) * (rng.random() > 0.1)
        masks.append(((rows - y) / max(a, 1e-9)) ** 2 + ((columns - x) / max(b, 1e-9)) ** 2 <= 1)
    return np.stack(masks)


def random_group(rng: np.random.Generator, members: int, classes: int) -> Group:
    masks = random_masks(rng, members)
    p = rng.dirichlet(np.full(classes, rng.uniform(0.2, 3)), members)
    corner, sides = rng.uniform(0, 20, 2), rng.uniform(5, 12, 2)
    boxes = np.concatenate([corner, corner + sides]) + rng.normal(0, 1.2, (members, 4))
    return group_of(masks, p, boxes)


def random_objects(seed: int, passes: int, classes: int, count: int = 6, most: int | None = None) -> Objects:
    """Each with 1 to `most` members; None: as many as there are passes."""
    rng = np.random.default_rng(seed)
    members = rng.integers(1, (most or passes) + 1, count)
    return Objects(SIZE, passes, tuple(random_group(rng, int(n), classes) for n in members))


def seen(objects: Objects, classes: int = 4) -> EvidenceSet:
    """Random class maps, and the objects."""
    p = np.random.default_rng(0).dirichlet(np.ones(classes), (objects.passes, *objects.size))
    maps = class_maps_of(torch.from_numpy(np.moveaxis(p, -1, 1)))
    return EvidenceSet(objects.size, (maps, objects))
