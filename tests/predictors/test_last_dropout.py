"""Passes that are drawn tile by tile are those of the ordinary path."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from seg_al.core import EvidenceSet, Viewing
from seg_al.models.unet import UNet, UNetSites
from seg_al.predictors.class_maps import ClassMaps, ClassMapSums, NotFinite
from seg_al.predictors.dropout import DropoutKind
from seg_al.predictors.extension import BUILT
from seg_al.predictors.last_dropout import dropped_last, unwritten
from seg_al.predictors.predictor import LOGITS, Predictor
from seg_al.predictors.views import Views
from seg_al.randomness import Address, torch_seeded
from seg_al.running.compute import LocalCompute

FIELDS = ("mean", "squares", "expected_entropy", "votes")
compiled = pytest.mark.skipif(not BUILT, reason="seg_al was installed without a C compiler")
CPU = LocalCompute("cpu", "float32", 1, 0, "auto")


@dataclass(frozen=True)
class Written:
    """Reads logits as LOGITS does, but is not of its type, so that every pass is written out."""

    def passes(self, decoded: Tensor, views: list[Viewing] | None, size: tuple[int, int]) -> Tensor:
        return LOGITS.passes(decoded, views, size)

    def sums(self, first: Tensor, size: tuple[int, int], device: torch.device) -> ClassMapSums:
        return LOGITS.sums(first, size, device)


def network(width: int, classes: int, sites: UNetSites = "head", kind: DropoutKind = "element") -> UNet:
    with torch_seeded(width, classes):
        return CPU.place(UNet(width=width, dropout=0.3, sites=sites, classes=classes, dropout_kind=kind).eval())


def images(count: int, size: tuple[int, int]) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(count))


def addresses(count: int) -> list[tuple[Address, ...]]:
    return [(0, 1, f"image {number}") for number in range(count)]


def agree(found: list[EvidenceSet], expected: list[EvidenceSet]) -> None:
    for one, other in zip(found, expected, strict=True):
        ours, plain = one.of(ClassMaps), other.of(ClassMaps)
        assert ours.passes == plain.passes
        assert ours.votes.dtype == plain.votes.dtype
        for field in FIELDS[:3]:
            torch.testing.assert_close(getattr(ours, field), getattr(plain, field), atol=1e-5, rtol=0)
        differing = (ours.votes != plain.votes).any(0).float().mean()  # a tie but for rounding
        assert differing < 1e-3


@compiled
@pytest.mark.parametrize(
    ("width", "classes", "count", "size", "passes"),
    [(8, 19, 1, (70, 90), 20), (3, 2, 3, (33, 47), 5), (5, 1, 2, (32, 32), 3), (16, 40, 1, (40, 33), 2)],
)
def test_unwritten_passes_are_those_of_the_ordinary_path(width, classes, count, size, passes):
    models = [network(width, classes), network(width, classes)]
    predictor = Predictor(passes, True, None, 2, 1, 8)
    found = predictor(models, images(count, size), CPU, addresses(count))
    agree(found, predictor(models, images(count, size), CPU, addresses(count), Written()))


@compiled
def test_more_than_255_unwritten_passes_are_counted():
    model, predictor = network(2, 2), Predictor(300, True, None, 1, 1, 8)
    found = predictor([model], images(1, (9, 11)), CPU, addresses(1))
    agree(found, predictor([model], images(1, (9, 11)), CPU, addresses(1), Written()))
    assert (found[0].of(ClassMaps).votes.sum(0) == 300).all()


@compiled
@pytest.mark.parametrize("threads", [2, 5])
def test_the_number_of_threads_changes_no_bit(threads):
    model, pictures = network(8, 19), images(3, (61, 50))
    dropped = dropped_last(model, model.encode(pictures), CPU)
    assert dropped is not None
    sums = [ClassMapSums(19, 3, (61, 50), torch.device("cpu")) for _ in range(2)]
    before = torch.get_num_threads()
    try:
        for one, number in zip(sums, (1, threads), strict=True):
            torch.set_num_threads(number)
            for passes in unwritten(model, dropped, addresses(3), 4, 0):
                one.add(passes)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*(kept.class_maps() for kept in sums), strict=True):
        assert all(torch.equal(getattr(one, field), getattr(other, field)) for field in FIELDS)


@compiled
def test_passes_are_watched_after_2_4_8_of_them_over_all_members():
    models, seen = [network(3, 2), network(3, 2)], []
    predictor = Predictor(5, True, None, 2, 1, 8)

    def watch(evidence: list[EvidenceSet]) -> None:
        seen.append(evidence[0].passes)

    predictor(models, images(1, (20, 20)), CPU, addresses(1), LOGITS, watch)
    assert seen == [2, 4, 8]


@compiled
def test_features_that_are_not_finite_are_an_error_that_names_the_layer():
    model = network(3, 2)
    with torch.no_grad():
        model.get_parameter("steps.12.classifier.bias").fill_(torch.nan)
    with pytest.raises(NotFinite, match=r"steps\.12\.classifier"):
        Predictor(4, True, None, 1, 1, 8)([model], images(1, (20, 20)), CPU, addresses(1))


@compiled
def test_only_dropout_of_elements_before_the_classifier_on_a_cpu_in_float32_is_drawn_tile_by_tile():
    def taken(model: UNet, compute: LocalCompute = CPU) -> bool:
        return dropped_last(model, model.encode(images(1, (32, 32))), compute) is not None

    assert taken(network(3, 2))
    assert not taken(network(3, 2), LocalCompute("cpu", "bfloat16", 1, 0, "auto"))
    assert not taken(network(3, 2, "all"))
    assert not taken(network(3, 2, "none"))
    assert not taken(network(3, 2, "decoder"))
    assert not taken(network(3, 2, kind="channel"))


@compiled
def test_views_go_the_ordinary_way():
    model, predictor = network(3, 2), Predictor(4, True, Views(True, "right", 0.0), 1, 1, 8)
    found = predictor([model], images(1, (20, 31)), CPU, addresses(1))
    plain = predictor([model], images(1, (20, 31)), CPU, addresses(1), Written())
    for field in FIELDS:
        assert torch.equal(getattr(found[0].of(ClassMaps), field), getattr(plain[0].of(ClassMaps), field))
