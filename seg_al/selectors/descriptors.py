"""Describes units for selectors by one vector each, made while the image is in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from seg_al.core import Evidence, Scene
from seg_al.heuristics.uncertainty import entropy
from seg_al.predictors.class_maps import ClassMaps
from seg_al.predictors.features import Features


def mean_over_units(maps: Tensor, ids: Tensor, count: int) -> Tensor:  # [D, H, W] -> [U, D]
    """The mean of each map over each unit."""
    inside = ids >= 0
    units = ids[inside]
    sums = torch.zeros(count, len(maps), device=maps.device)
    sums.index_add_(0, units, maps[:, inside].T.float())
    return sums / torch.bincount(units, minlength=count).clamp_min(1)[:, None]


@dataclass(frozen=True)
class PredictedClass:
    """The class with the largest mean probability over the unit, as [U, 1]."""

    without_background: bool
    """Whether class 0 is left out, so that an image belongs to its largest foreground class."""
    reads: ClassVar[tuple[type[Evidence], ...]] = (ClassMaps,)

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        maps = scene.evidence.of(ClassMaps)
        shares = mean_over_units(maps.mean, ids, count)
        first = 1 if self.without_background and shares.shape[1] > 1 else 0
        return (shares[:, first:].argmax(1, keepdim=True) + first).float()


def _cells(size: tuple[int, int], ids: Tensor) -> Tensor:  # h, w; [H, W] -> [H, W]
    """The position of each pixel's nearest cell in a coarser map."""
    rows = torch.arange(ids.shape[0], device=ids.device) * size[0] // ids.shape[0]
    columns = torch.arange(ids.shape[1], device=ids.device) * size[1] // ids.shape[1]
    return rows[:, None] * size[1] + columns


def means_of_cells(maps: Tensor, ids: Tensor, count: int) -> Tensor:  # [D, h, w], [H, W] -> [U, D]
    """The mean over each unit of a coarser map, each pixel having its nearest cell; no map [D, H, W] is made."""
    cells = maps.shape[1] * maps.shape[2]
    inside = ids >= 0
    places = _cells((maps.shape[1], maps.shape[2]), ids)[inside]
    pairs, pixels = torch.unique(ids[inside] * cells + places, return_counts=True)
    units, cell = pairs // cells, pairs % cells
    sums = torch.zeros(count, len(maps), device=maps.device)
    sums.index_add_(0, units, maps.flatten(1).T[cell].float() * pixels[:, None])
    return sums / torch.bincount(ids[inside], minlength=count).clamp_min(1)[:, None]


@dataclass(frozen=True)
class MeanFeature:
    """The mean of the deepest deterministic feature map over the unit, as [U, D]."""

    normalised: bool
    """Whether it is divided by its Euclidean length, so that distances compare directions."""
    reads: ClassVar[tuple[type[Evidence], ...]] = (Features,)

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        means = means_of_cells(scene.evidence.of(Features).deepest, ids, count)
        return torch.nn.functional.normalize(means, dim=1) if self.normalised else means


@dataclass(frozen=True)
class MeanPenultimate:
    """The mean of the classifier's input over the unit, as [U, D]."""

    normalised: bool
    """Whether it is divided by its Euclidean length, so that distances compare directions."""
    reads: ClassVar[tuple[type[Evidence], ...]] = (Features,)

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        means = means_of_cells(scene.evidence.of(Features).penultimate, ids, count)
        return torch.nn.functional.normalize(means, dim=1) if self.normalised else means


@dataclass(frozen=True)
class GradientEmbedding:
    """BADGE's (arXiv 1906.03671): the gradient of the unit's mean cross-entropy at its own prediction, as [U, C D].

    The gradient by the weights of a last 1x1 convolution: the mean over pixels of (p - onehot(argmax p)) outer z. Where
    passes vary, p is their mean and z the deterministic pass's; with one pass without dropout it is the gradient.
    Where z is coarser than the image, each pixel has its nearest cell's.
    """

    reads: ClassVar[tuple[type[Evidence], ...]] = (ClassMaps, Features)

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        maps = scene.evidence.of(ClassMaps)
        z = scene.evidence.of(Features).penultimate
        cells = _cells((z.shape[1], z.shape[2]), ids).flatten()
        z, p = z.flatten(1).float(), maps.mean.flatten(1)  # [D, hw], [C, HW]
        flat = ids.flatten()
        order = flat.argsort(stable=True)[(flat < 0).sum() :]
        areas = torch.bincount(flat[order], minlength=count)
        out = torch.zeros(count, len(p), len(z), device=p.device)
        for unit, pixels in enumerate(torch.split(order, areas.tolist())):
            residual = p[:, pixels]
            residual.scatter_add_(0, residual.argmax(0, keepdim=True), -torch.ones_like(residual[:1]))
            cell, place = torch.unique(cells[pixels], return_inverse=True)
            sums = torch.zeros(len(p), len(cell), device=p.device).index_add_(1, place, residual)
            out[unit] = sums @ z[:, cell].T / max(1, len(pixels))
        return out.flatten(1)


@dataclass(frozen=True)
class ClassConfusion:
    """CDAL's (arXiv 2008.05723): for each predicted class the entropy-weighted mean of p over its pixels, [U, C C].

    A class that is predicted nowhere in the unit is a row of zeros. Pixels without entropy weigh next to nothing, but
    a class that is predicted without a doubt still has its mean.
    """

    reads: ClassVar[tuple[type[Evidence], ...]] = (ClassMaps,)

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        maps = scene.evidence.of(ClassMaps)
        classes = len(maps.mean)
        inside = ids >= 0
        p = maps.mean[:, inside].double()  # [C, n]
        weights = entropy(p) + 1e-30
        groups = ids[inside] * classes + p.argmax(0)
        sums = torch.zeros(count * classes, classes, dtype=torch.float64, device=p.device)
        sums.index_add_(0, groups, (p * weights).T)
        totals = torch.zeros(count * classes, dtype=torch.float64, device=p.device).index_add_(0, groups, weights)
        return (sums / totals.where(totals > 0, 1)[:, None]).reshape(count, -1).float()


@dataclass(frozen=True)
class ClassEntropy:
    """ClaSP-PE's (arXiv 2601.13677): the mean over the unit of H[p] p_c, each class's part in the entropy, [U, C]."""

    reads: ClassVar[tuple[type[Evidence], ...]] = (ClassMaps,)

    def __call__(self, scene: Scene, ids: Tensor, count: int) -> Tensor:
        maps = scene.evidence.of(ClassMaps)
        return mean_over_units(entropy(maps.mean) * maps.mean, ids, count)
