"""Descriptors against explicit loops, and BADGE's against torch's own gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seg_al.core import Descriptor, Evidence, EvidenceSet, Scene
from seg_al.predictors.class_maps import ClassMaps, class_maps_of
from seg_al.predictors.features import Features
from seg_al.selectors.descriptors import (
    ClassConfusion,
    ClassEntropy,
    GradientEmbedding,
    MeanFeature,
    MeanPenultimate,
    PredictedClass,
    mean_over_units,
    means_of_cells,
)

C, D, H, W, U = 4, 6, 9, 7, 5


def made(seed: int = 0) -> tuple[ClassMaps, Features, torch.Tensor]:
    """Maps of 3 passes, features, and ids in which unit 3 has no pixel and some pixels are in no unit."""
    generator = torch.Generator().manual_seed(seed)
    maps = class_maps_of((3 * torch.randn(3, C, H, W, generator=generator)).softmax(1))
    deepest = torch.randn(D, 4, 3, generator=generator)
    features = Features((H, W), deepest, torch.randn(D, H, W, generator=generator))
    ids = torch.randint(-1, U, (H, W), generator=generator)
    ids[ids == 3] = -1
    return maps, features, ids


def scene(*kinds: Evidence) -> Scene:
    """A black image of which these kinds of evidence are known."""
    black, everywhere = np.zeros((H, W, 3), np.uint8), torch.ones(H, W, dtype=torch.bool)
    return Scene("a", lambda: black, everywhere, EvidenceSet((H, W), kinds), None, np.random.default_rng(0))


def pixels_of(ids: torch.Tensor, unit: int) -> list[tuple[int, int]]:
    return [(y, x) for y in range(H) for x in range(W) if ids[y, x] == unit]


def test_the_gradient_embedding_is_the_gradient_of_the_last_convolution_at_its_own_prediction():
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(D, H, W, generator=generator)
    last = torch.nn.Conv2d(D, C, 1).double()
    _, _, ids = made()
    logits = last(z.double()[None])[0]
    maps = class_maps_of(logits.softmax(0)[None].detach())
    got = GradientEmbedding()(scene(maps, Features((H, W), z, z)), ids, U)
    for unit in (0, 1, 2, 4):
        inside = ids == unit
        loss = torch.nn.functional.cross_entropy(logits[:, inside].T, logits[:, inside].argmax(0))
        (gradient,) = torch.autograd.grad(loss, last.weight, retain_graph=True)
        torch.testing.assert_close(got[unit], gradient.flatten().float(), rtol=1e-5, atol=1e-6)
    assert (got[3] == 0).all()


def test_class_confusion_is_the_entropy_weighted_mean_over_the_pixels_of_each_predicted_class():
    maps, _, ids = made(1)
    got = ClassConfusion()(scene(maps), ids, U).view(U, C, C)
    mean = maps.mean.double()
    for unit in range(U):
        for c in range(C):
            inside = [mean[:, y, x] for y, x in pixels_of(ids, unit) if mean[:, y, x].argmax() == c]
            weights = [-(p * p.log()).sum() for p in inside]
            expected = (
                sum(w * p for w, p in zip(weights, inside, strict=True)) / sum(weights) if inside else mean[:, 0, 0] * 0
            )
            torch.testing.assert_close(got[unit, c].double(), expected, rtol=1e-6, atol=1e-7)
    assert (got[3] == 0).all()


def test_a_class_predicted_without_a_doubt_is_present():
    certain = torch.zeros(1, C, H, W)
    certain[:, 2] = 1
    got = ClassConfusion()(scene(class_maps_of(certain)), torch.zeros(H, W, dtype=torch.long), 1).view(C, C)
    assert got.tolist() == [[0] * C, [0] * C, [0, 0, 1, 0], [0] * C]


def test_class_entropies_add_up_to_the_mean_entropy_of_the_unit():
    maps, _, ids = made(2)
    got = ClassEntropy()(scene(maps), ids, U)
    mean = maps.mean.double()
    for unit in (0, 1, 2, 4):
        inside = [mean[:, y, x] for y, x in pixels_of(ids, unit)]
        expected = sum(-(p * p.log()).sum() * p for p in inside) / len(inside)
        torch.testing.assert_close(got[unit].double(), expected, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_a_coarse_layer_is_that_of_the_layer_enlarged_to_the_nearest_cell():
    maps, features, ids = made(4)
    coarse = replace(features, penultimate=torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0)))
    enlarged = torch.nn.functional.interpolate(coarse.penultimate[None], (H, W), mode="nearest")[0]
    expected = GradientEmbedding()(scene(maps, replace(coarse, penultimate=enlarged)), ids, U)
    torch.testing.assert_close(GradientEmbedding()(scene(maps, coarse), ids, U), expected)


def test_mean_features_are_those_of_the_map_enlarged_to_the_nearest_cell():
    _, features, ids = made(4)
    enlarged = torch.nn.functional.interpolate(features.deepest[None], (H, W), mode="nearest")[0]
    expected = mean_over_units(enlarged, ids, U)
    torch.testing.assert_close(MeanFeature(normalised=False)(scene(features), ids, U), expected)
    for unit in (0, 1, 2, 4):
        rows = torch.stack([features.penultimate[:, y, x] for y, x in pixels_of(ids, unit)])
        torch.testing.assert_close(MeanPenultimate(normalised=False)(scene(features), ids, U)[unit], rows.mean(0))
    unit_length = MeanFeature(normalised=True)(scene(features), ids, U)
    torch.testing.assert_close(unit_length[[0, 1, 2, 4]].norm(dim=1), torch.ones(4))
    torch.testing.assert_close(means_of_cells(torch.ones(2, 3, 3), ids, U)[4], torch.ones(2))


def test_the_predicted_class_has_the_largest_mean_probability_and_can_leave_out_background():
    maps, _, ids = made(5)
    means = mean_over_units(maps.mean, ids, U)
    assert PredictedClass(False)(scene(maps), ids, U)[:, 0].tolist() == means.argmax(1).tolist()
    assert PredictedClass(True)(scene(maps), ids, U)[:, 0].tolist() == (means[:, 1:].argmax(1) + 1).tolist()


@pytest.mark.parametrize("descriptor", [MeanFeature(False), MeanPenultimate(False), GradientEmbedding()])
def test_features_that_are_not_there_are_an_error_that_says_so(descriptor: Descriptor) -> None:
    maps, _, ids = made()
    assert Features in descriptor.reads
    with pytest.raises(ValueError, match=r"^features are asked for, but the evidence of the image is class maps$"):
        descriptor(scene(maps), ids, U)


@pytest.mark.parametrize(
    "descriptor", [MeanFeature(True), MeanPenultimate(True), GradientEmbedding(), ClassConfusion(), ClassEntropy()]
)
def test_what_is_read_is_what_it_says_is_not_written_and_units_may_be_renumbered(descriptor: Descriptor) -> None:
    maps, features, ids = made(6)
    before = [maps.mean.clone(), features.deepest.clone(), features.penultimate.clone(), ids.clone()]
    image = scene(*(scene(maps, features).evidence.of(kind) for kind in descriptor.reads))
    first = descriptor(image, ids, U)
    assert first.shape[0] == U
    assert torch.isfinite(first).all()
    after = [maps.mean, features.deepest, features.penultimate, ids]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    renumbered = torch.where(ids >= 0, U - 1 - ids, ids)
    torch.testing.assert_close(descriptor(image, renumbered, U).flip(0), first, rtol=1e-5, atol=1e-6)
