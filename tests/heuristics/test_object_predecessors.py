"""The predecessors' formulas, written as they have them over masks of whole images, against the options in conf/."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from object_evidence import SIZE, crop_of, group_of, random_objects
from omegaconf import OmegaConf

from seg_al.granularities.objects import ImageOfObjects
from seg_al.tasks.objects.certainty import PaintedObjects
from seg_al.tasks.objects.passes import Group

MASKAL, MASKAL_PREDECESSOR, CELLS = (
    instantiate(OmegaConf.load(Path(__file__).parents[2] / "conf" / "heuristic" / f"{name}.yaml"))
    for name in ("maskal", "maskal_predecessor", "cells")
)


def dense(group: Group) -> np.ndarray:  # [n, H, W]
    masks = np.zeros((len(group), *SIZE), dtype=bool)
    for mask, crop in zip(masks, group.masks, strict=True):
        x0, y0, x1, y1 = crop.window
        mask[y0:y1, x0:x1] = crop.mask
    return masks


def mean_mask_iou(group: Group) -> float:
    """As both predecessors have it, over whole images."""
    masks = dense(group)
    mean = masks.astype(np.float64).mean(0)
    mean[mean < 0.25] = 0.0
    ious = [
        np.logical_and(mean, mask).sum() / np.logical_or(mean, mask).sum()
        for mask in masks
        if np.logical_or(mean, mask).sum() > 0
    ]
    return float(np.clip(np.sum(ious) / len(group), 0, 1))


def maskal(group: Group, iterations: int) -> float:
    foreground = group.probabilities[:, 1:]
    if foreground.shape[1] == 1:
        semantic = foreground.mean()
    else:
        normalised = foreground / foreground.sum(1, keepdims=True)
        entropies = np.array([-sum(q * math.log(q) for q in row if q > 0) for row in normalised])
        semantic = np.clip((1 - entropies / math.log(foreground.shape[1])).sum() / len(group), 0, 1)
    a = group.boxes.mean(0)
    ious = []
    for b in group.boxes:
        width, height = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
        both = max(0.0, width) * max(0.0, height)
        areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
        ious.append(both / (areas[0] + areas[1] - both))
    box = np.clip(np.sum(ious) / len(group), 0, 1)
    return float(semantic * mean_mask_iou(group) * box * min(1.0, len(group) / iterations))


def cells(group: Group, iterations: int) -> float:
    """The uncertainty of the study of cells: its c_det, c_mask and, for more than one class, c_sem."""
    p = min(1.0, len(group) / iterations)
    certainty = (1 - 4 * p * (1 - p)) * mean_mask_iou(group)
    if group.probabilities.shape[1] > 2:
        certainty *= group.probabilities.mean(0).max()
    return 1 - certainty


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_the_predecessors_scores_are_kept_exactly(seed, classes):
    """Groups may have more members than there are passes, as the predecessors' grouping makes them."""
    objects = random_objects(seed, passes=7, classes=classes, count=12, most=10)
    theirs = np.array([maskal(group, 7) for group in objects.groups])
    assert theirs.std() > 0.005
    np.testing.assert_allclose(MASKAL_PREDECESSOR.of_objects(objects), 1 - theirs, rtol=0, atol=1e-12)
    others = np.array([cells(group, 7) for group in objects.groups])
    np.testing.assert_allclose(CELLS.of_objects(objects), others, rtol=0, atol=1e-12)
    painted = PaintedObjects(torch.zeros(SIZE), CELLS.of_objects(objects), objects)
    for reduction, join in {"mean": np.mean, "max": np.max, "min": np.min, "sum": np.sum}.items():
        score = ImageOfObjects(reduction, 1.0, 0.0).reduce(painted, torch.zeros(SIZE, dtype=torch.long), 1)
        visible = [place for place, group in enumerate(objects.groups) if group.counts.size]
        assert score.item() == pytest.approx(join(others[visible]), abs=1e-12)


def test_maskal_as_we_have_it_differs_from_its_own_by_the_areas_of_boxes_alone():
    ours, theirs = MASKAL, MASKAL_PREDECESSOR
    assert replace(ours, box="inclusive") == theirs
    objects = random_objects(0, 7, 4)
    assert (ours.of_objects(objects) - theirs.of_objects(objects)).abs().max() > 1e-3


def test_crops_hold_what_the_masks_of_whole_images_held():
    rng = np.random.default_rng(0)
    mask = rng.random(SIZE) > 0.97
    group = group_of(mask[None], [[0, 1]])
    assert np.array_equal(dense(group)[0], mask)
    assert crop_of(mask).area == mask.sum()
