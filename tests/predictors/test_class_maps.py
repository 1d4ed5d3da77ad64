"""Running moments against brute force in float64, and what keeps them exact: chunks, zeros, precisions, bad numbers."""

from __future__ import annotations

import math
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor

from seg_al.core import EvidenceSet, Nothing
from seg_al.predictors.class_maps import ClassMaps, ClassMapSums, NotFinite, class_maps_of

FIELDS = ("mean", "variance", "expected_entropy", "votes")


def random_logits(passes: int, classes: int, size: tuple[int, int], spread: float = 3.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(passes, classes, *size, generator=generator)


def summed(logits: Tensor) -> ClassMaps:
    sums = ClassMapSums(logits.shape[1], 1, (logits.shape[2], logits.shape[3]), logits.device)
    for one in logits:
        sums.add(one[None])
    return sums.class_maps()[0]


def agrees_with_brute_force(maps: ClassMaps, logits: Tensor, tolerance: float = 2e-6) -> None:
    log_p = log_softmax(logits.double().numpy(), axis=1)
    p = np.exp(log_p)
    entropies = -(p * log_p).sum(1)
    winners = logits.float().numpy().argmax(1)
    votes = np.stack([(winners == label).sum(0) for label in range(logits.shape[1])])
    assert maps.passes == len(logits)
    np.testing.assert_allclose(maps.mean.numpy(), p.mean(0), atol=tolerance, rtol=0)
    np.testing.assert_allclose(maps.variance.numpy(), p.var(0), atol=tolerance, rtol=0)
    np.testing.assert_allclose(maps.expected_entropy.numpy(), entropies.mean(0), atol=5 * tolerance, rtol=0)
    assert (maps.votes.numpy() == votes).all()


@pytest.mark.parametrize("spread", [0.1, 3.0, 40.0])
@pytest.mark.parametrize(
    ("passes", "classes", "size"),
    [(7, 4, (5, 6)), (20, 19, (3, 2)), (3, 2, (1, 9)), (1, 3, (4, 4)), (5, 1, (2, 3)), (4, 6, (1, 1))],
    ids=["several", "many", "one row", "one pass", "one class", "one pixel"],
)
def test_moments_entropy_and_votes_agree_with_brute_force(passes, classes, size, spread):
    logits = random_logits(passes, classes, size, spread)
    agrees_with_brute_force(summed(logits), logits)


def test_a_thousand_passes_lose_no_digits():
    logits = random_logits(1000, 3, (4, 5))
    agrees_with_brute_force(summed(logits), logits)


def test_a_small_variance_beside_a_large_mean_is_kept():
    """A sum of squares less the squared mean would lose it: 1e-5 squared is below float32's step at 1."""
    p = 0.9 + torch.tensor([1e-5, -1e-5, 1e-5, -1e-5]).double()
    logits = torch.stack([p.log(), (1 - p).log()], dim=1)[..., None, None]
    assert summed(logits.float()).variance.flatten().tolist() == pytest.approx([1e-10, 1e-10], rel=0.02)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_images_summed_together_are_as_each_alone(dtype, channels_last):
    logits = random_logits(4 * 6, 5, (33, 17)).to(dtype).view(4, 6, 5, 33, 17)  # 4 passes over 6 images
    sums = ClassMapSums(5, 6, (33, 17), torch.device("cpu"))
    for one in logits:
        sums.add(one.contiguous(memory_format=torch.channels_last) if channels_last else one)
    for number, maps in enumerate(sums.class_maps()):
        alone = summed(logits[:, number])
        assert maps.passes == alone.passes == 4
        for field in FIELDS:  # vector instructions and the rest of a row may differ in the last bit
            torch.testing.assert_close(getattr(maps, field), getattr(alone, field), rtol=0, atol=2e-6)


def test_maps_laid_one_above_the_other_are_those_of_the_tall_image():
    logits = random_logits(3 * 2, 4, (5, 6)).view(3, 2, 4, 5, 6)
    one, other = (summed(logits[:, number]) for number in range(2))
    above, tall = one.above([other]), summed(torch.cat([logits[:, 0], logits[:, 1]], 2))
    assert above.size == (10, 6)
    for field in FIELDS:
        torch.testing.assert_close(getattr(above, field), getattr(tall, field), rtol=0, atol=2e-6)


@pytest.mark.parametrize("passes", [2, 3, 7, 50])
def test_equal_passes_have_a_variance_of_exactly_zero(passes):
    one = random_logits(1, 19, (31, 23), 5.0)
    maps = summed(one.expand(passes, -1, -1, -1))
    alone = summed(one)
    assert (maps.variance == 0).all()
    assert torch.equal(maps.mean, alone.mean)
    assert torch.equal(maps.expected_entropy, alone.expected_entropy)


def test_a_class_that_is_ruled_out_has_a_probability_of_exactly_zero_and_adds_no_entropy():
    logits = random_logits(4, 3, (6, 6))
    logits[:, 1] = -1e4
    maps, without = summed(logits), summed(logits[:, [0, 2]])
    assert (maps.mean[1] == 0).all()
    assert (maps.variance[1] == 0).all()
    torch.testing.assert_close(maps.expected_entropy, without.expected_entropy)
    torch.testing.assert_close(maps.mean[[0, 2]], without.mean)


def test_certain_passes_that_contradict_have_their_closed_forms():
    votes = torch.tensor([0, 0, 1, 2])
    logits = torch.full((4, 3, 1, 1), -1e4)
    logits[torch.arange(4), votes] = 0
    maps = summed(logits)
    assert maps.mean.flatten().tolist() == pytest.approx([0.5, 0.25, 0.25], rel=1e-6)
    assert maps.variance.flatten().tolist() == pytest.approx([1 / 4, 3 / 16, 3 / 16], rel=1e-6)
    assert maps.expected_entropy.item() == 0
    assert maps.votes.flatten().tolist() == [2, 1, 1]
    assert maps.vote_shares.flatten().tolist() == [0.5, 0.25, 0.25]


def test_every_pass_has_one_vote_and_equals_go_to_the_first_class():
    logits = random_logits(9, 4, (40, 41)).round()  # many ties
    votes = summed(logits).votes
    assert (votes.sum(0) == 9).all()
    first = np.stack([(logits.numpy().argmax(1) == label).sum(0) for label in range(4)])
    assert (votes.numpy() == first).all()


def test_uniform_passes_have_the_entropy_of_their_classes():
    assert summed(torch.zeros(3, 19, 2, 2)).expected_entropy.numpy() == pytest.approx(math.log(19), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_precision_are_summed_in_float32(dtype):
    logits = random_logits(12, 5, (7, 8), 4.0).to(dtype)
    maps = summed(logits)
    assert {getattr(maps, field).dtype for field in FIELDS[:3]} == {torch.float32}
    agrees_with_brute_force(maps, logits)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_one_bad_logit_in_one_pass_is_an_error(bad, dtype):
    logits = random_logits(5, 3, (6, 7)).to(dtype)
    logits[3, 1, 5, 6] = bad
    with pytest.raises(NotFinite, match="NaN or infinity"):
        summed(logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_least_finite_logit_rules_a_class_out_and_is_no_error(dtype):
    logits = random_logits(3, 4, (8, 9)).to(dtype)
    logits[:, 2] = torch.finfo(dtype).min
    maps = summed(logits)
    assert (maps.mean[2] == 0).all()
    torch.testing.assert_close(maps.mean[[0, 1, 3]], summed(logits[:, [0, 1, 3]]).mean)


def test_no_pass_is_an_error():
    with pytest.raises(ValueError, match="at least one pass"):
        ClassMapSums(2, 1, (3, 3), torch.device("cpu")).class_maps()


def test_logits_are_not_written_to_and_not_kept():
    logits = random_logits(3, 4, (5, 6))
    before, alive = logits.clone(), weakref.ref(logits)
    sums = ClassMapSums(4, 1, (5, 6), torch.device("cpu"))
    sums.add(logits[:1])
    assert torch.equal(logits, before)
    del logits
    assert alive() is None


PEAK = """
import resource, torch
from seg_al.predictors.class_maps import ClassMapSums
torch.set_num_threads(1)
sums = ClassMapSums(8, 1, (512, 512), torch.device("cpu"))
for passes in (3, 60):
    for _ in range(passes):
        sums.add(torch.randn(1, 8, 512, 512))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_peak_memory_does_not_grow_with_the_number_of_passes():
    """60 passes kept would be 480 MiB; a single one is 8."""
    printed = subprocess.run([sys.executable, "-c", PEAK], check=True, capture_output=True, text=True).stdout
    few, many = (int(line) for line in printed.split())
    assert many - few < 4 * 1024  # KiB


def test_stacked_probabilities_give_the_same_maps_as_their_logits():
    logits = random_logits(6, 4, (9, 5))
    stacked, running = class_maps_of(logits.softmax(1)), summed(logits)
    for field in FIELDS:
        torch.testing.assert_close(getattr(stacked, field), getattr(running, field), atol=1e-6, rtol=1e-5)
    assert stacked.passes == running.passes


def test_probabilities_along_a_wrong_axis_are_refused():
    with pytest.raises(ValueError, match="add up to 1 over the class axis"):
        class_maps_of(random_logits(6, 4, (9, 5)).softmax(3))


def test_sums_give_their_maps_as_the_only_evidence_of_the_image():
    sums = ClassMapSums(4, 1, (9, 5), torch.device("cpu"))
    for one in random_logits(6, 4, (9, 5)):
        sums.add(one[None])
    (evidence,), (maps,) = sums.evidence(), sums.class_maps()
    assert (evidence.size, evidence.passes, len(evidence.kinds)) == ((9, 5), 6, 1)
    assert all(torch.equal(getattr(evidence.of(ClassMaps), field), getattr(maps, field)) for field in FIELDS)


def test_of_an_unseen_image_the_size_is_known_and_nothing_else():
    evidence = EvidenceSet((4, 7))
    assert evidence.passes == 0
    assert evidence.holds(Nothing)
    assert not evidence.holds(ClassMaps)
    assert evidence.of(Nothing) == Nothing((4, 7))
    with pytest.raises(ValueError, match=r"class maps are asked for, but the evidence of the image is nothing"):
        evidence.of(ClassMaps)
