"""Losses, augmentation, plans, paces and trainings, by value."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from bare_dataset import BareDataset
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from lightning_fabric import Fabric as Lightning
from torch import nn

from seg_al.core import IGNORE, Fabric
from seg_al.models.unet import UNet
from seg_al.running.compute import LocalCompute
from seg_al.running.own_processes import OwnProcesses
from seg_al.tasks.judge import Judge
from seg_al.tasks.pixels.class_labels import pixels_of_classes
from seg_al.tasks.semantic import SemanticSegmentation
from seg_al.trainers.trainer import Trainer, Validation
from seg_al.training.augmentation import Augmentation
from seg_al.training.examples import Labelled, plan
from seg_al.training.losses import SegmentationLoss
from seg_al.training.networks import Weights, build, load
from seg_al.training.pace import CosineDecay, Pace, PolyDecay, StepDecay

STILL = Augmentation(crop=(32, 32), rotate=False, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
LIVELY = Augmentation(crop=(32, 32), rotate=True, flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02)
CPU = LocalCompute("cpu", "float32", 1, 0, 1)
TRAINER = Trainer(
    optimizer=partial(torch.optim.SGD, lr=0.05),
    schedule=StepDecay(at=(1.0,), factor=1.0),
    loss=SegmentationLoss(1.0, 1.0, pooled=False),
    augmentation=LIVELY,
    pace=Pace(steps=4, epochs=0, repeats=1),
    batch_size=2,
    validation=Validation("last", 1),
    start="fresh",
)
CLASSES = ("ground", "square")


class Squares:
    """Images of noise with one bright square each, and what is known of them; plain enough to travel to processes."""

    def image(self, name: str) -> np.ndarray:
        image = np.random.default_rng(int(name)).integers(0, 100, (40, 48, 3), dtype=np.uint8)
        image[self.target(name) == 1] += 120
        return image

    def target(self, name: str) -> np.ndarray:
        target = np.zeros((40, 48), dtype=np.uint8)
        row, column = np.random.default_rng(int(name) + 1000).integers(0, 24, 2)
        target[row : row + 16, column : column + 16] = 1
        return target

    def size(self, name: str) -> tuple[int, int]:
        return 40, 48

    def reveal(self, name: str, known: np.ndarray) -> np.ndarray:
        return np.where(known, self.target(name), np.uint8(IGNORE))


class Judged(Squares, BareDataset):
    """Squares as the val of a dataset."""

    classes, background, val = CLASSES, 0, ("0", "1", "2")


def labelled(count: int = 3, share: float = 1.0) -> Labelled:
    known = np.zeros((40, 48), dtype=np.bool_)
    known[: round(40 * share)] = True
    return Labelled(Squares(), Squares(), {str(name): known for name in range(count)}, CLASSES, pixels_of_classes)


def network(sites: str = "all") -> nn.Module:
    return build(partial(UNet, width=2, dropout=0.1, sites=sites), 2, 0)


class Halved(nn.Module):
    """Two layers, of which the first says that it is the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(images).relu())

    def encoder_parameters(self) -> list[nn.Parameter]:
        return list(self.first.parameters())


def never(model: nn.Module) -> float:
    raise AssertionError("nothing was to be judged")


def trained(
    trainer: Trainer = TRAINER, compute: LocalCompute = CPU, snapshots: int = 1, **given: object
) -> list[Weights]:
    found = trainer.fit(
        given.get("model") or network(), given.get("labelled") or labelled(), given.get("judge") or never,
        compute, (0, 0, 0), snapshots,
    )  # fmt: skip
    return [*found.weights]


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# --- the loss -------------------------------------------------------------------------------------------------------


def guesses(seed: int = 0, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, classes, 5, 6, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (2, 5, 6), generator=generator)


def test_pooled_dice_is_one_less_the_mean_probability_of_the_true_class() -> None:
    logits, target = guesses()
    truth = logits.softmax(1).gather(1, target[:, None])
    loss = SegmentationLoss(0, 1, pooled=True)(logits, target)
    assert loss.item() == pytest.approx(1 - truth.mean().item(), abs=1e-6)


@pytest.mark.parametrize("ignored", [False, True])
def test_dice_is_the_mean_over_the_classes_that_occur(ignored: bool) -> None:
    logits, target = guesses(classes=4)
    target = target.clamp_max(2)  # class 3 does not occur
    if ignored:
        target[:, :2] = IGNORE
    p, t = logits.softmax(1).numpy(), target.numpy()
    scores = []
    for label in range(3):
        of_class = p[:, label][t != IGNORE]
        is_class = t[t != IGNORE] == label
        scores.append(2 * of_class[is_class].sum() / (of_class.sum() + is_class.sum()))
    loss = SegmentationLoss(0, 1, pooled=False)(logits, target)
    assert loss.item() == pytest.approx(1 - np.mean(scores), abs=1e-6)


def test_the_parts_are_weighted_and_cross_entropy_is_the_mean_over_labelled_pixels() -> None:
    logits, target = guesses()
    target[0, 0] = IGNORE
    log_p = logits.log_softmax(1).numpy()
    rows = [-log_p[b, target[b, y, x], y, x] for b in range(2) for y in range(5) for x in range(6) if (b, y) != (0, 0)]
    entropy, dice = SegmentationLoss(1, 0, False)(logits, target), SegmentationLoss(0, 1, False)(logits, target)
    assert entropy.item() == pytest.approx(np.mean(rows), rel=1e-6)
    both = SegmentationLoss(2, 0.5, False)(logits, target)
    assert both.item() == pytest.approx(2 * entropy.item() + 0.5 * dice.item(), rel=1e-6)


@pytest.mark.parametrize("pooled", [False, True])
def test_a_pixel_without_label_has_no_influence_and_no_gradient(pooled: bool) -> None:
    loss = SegmentationLoss(1, 1, pooled)
    logits, target = guesses()
    target[:, 2:4, 1:5] = IGNORE
    other = logits.clone()
    other[:, :, 2:4, 1:5] = 1000 * torch.randn(2, 3, 2, 4, dtype=torch.float64)
    assert loss(other, target).item() == loss(logits, target).item()
    logits.requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, 2:4, 1:5].any()
    assert logits.grad[:, :, 0].all()


def test_a_gradient_is_as_long_for_one_labelled_pixel_as_for_all_of_them() -> None:
    logits = torch.zeros(1, 3, 8, 8, requires_grad=True)
    lengths = []
    for labelled_rows in (8, 1):
        target = torch.full((1, 8, 8), IGNORE)
        target[:, :labelled_rows] = 1
        (gradient,) = torch.autograd.grad(SegmentationLoss(1, 0, False)(logits, target), logits)
        lengths.append(gradient.abs().sum().item())
    assert lengths[0] == pytest.approx(lengths[1]) == pytest.approx(2 / 3 + 2 / 3)


def test_class_weights_weigh_the_mean_cross_entropy() -> None:
    logits, target = guesses()
    target[0, 0] = IGNORE
    loss = SegmentationLoss(1, 0, False, class_weights=(0.5, 1.0, 4.0))
    weights = loss.weights(counts=lambda: pytest.fail("given weights need no count"))
    log_p, t = logits.log_softmax(1).numpy(), target.numpy()
    terms = [
        ((0.5, 1.0, 4.0)[label], -log_p[b, label, y, x]) for (b, y, x), label in np.ndenumerate(t) if label != IGNORE
    ]
    expected = sum(weight * term for weight, term in terms) / sum(weight for weight, _ in terms)
    assert loss(logits, target, weights).item() == pytest.approx(expected, rel=1e-6)


def test_inverse_log_weights_follow_the_labelled_pixels_alone() -> None:
    """Squares are 256 of 1920 pixels; only what is known counts, here the upper half of each image."""
    some = labelled(4, share=0.5)
    ones = sum(int((Squares().target(name)[:20] == 1).sum()) for name in some.names)
    weights = SegmentationLoss(1, 0, False, class_weights="inverse_log").weights(some.counts)
    assert weights is not None
    share = ones / (4 * 20 * 48)
    expected = [1 / math.log(1.02 + 1 - share), 1 / math.log(1.02 + share)]
    assert weights[:2].tolist() == pytest.approx(expected, rel=1e-6)
    assert SegmentationLoss(1, 0, False).weights(some.counts) is None


@pytest.mark.parametrize(
    ("entropy", "weights", "said"),
    [
        (0, "inverse_log", "class_weights weighs the cross-entropy, which trainer.loss.cross_entropy=0 leaves out"),
        (1, (1.0, 0.0), r"class_weights=\[1.0, 0.0\]: every weight is above 0"),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(entropy: float, weights: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SegmentationLoss(entropy, 1, False, weights)  # type: ignore[arg-type]


def test_class_weights_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="class_weights has 3 numbers, but the dataset has 2 classes"):
        trained(replace(TRAINER, loss=SegmentationLoss(1, 0, False, (1.0, 2.0, 3.0))))


def test_class_weights_reach_the_training() -> None:
    losses = [SegmentationLoss(1, 0, False, weights) for weights in (None, "inverse_log", (1.0, 1.0), (1.0, 5.0))]
    plain, by_share, alike, given = (trained(replace(TRAINER, loss=loss))[0] for loss in losses)
    assert all(torch.allclose(plain[name], alike[name], atol=1e-5) for name in plain)
    assert not same(plain, by_share)
    assert not same(by_share, given)


@pytest.mark.parametrize("pooled", [False, True])
def test_a_batch_without_any_label_has_zero_loss_and_zero_gradient(pooled: bool) -> None:
    logits, target = guesses()
    logits.requires_grad_()
    loss = SegmentationLoss(1, 1, pooled)(logits, torch.full_like(target, IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


# --- batches without a label -----------------------------------------------------------------------------------------


def partly(*areas: tuple[int, int]) -> Labelled:
    """One image for each given number of rows and columns whose corner is known; (0, 0): nothing is."""
    known = {}
    for name, (rows, columns) in enumerate(areas):
        known[str(name)] = np.zeros((40, 48), dtype=np.bool_)
        known[str(name)][:rows, :columns] = True
    return Labelled(Squares(), Squares(), known, CLASSES, pixels_of_classes)


HEAVY = replace(
    TRAINER, optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.1), batch_size=1,
    augmentation=replace(STILL, crop=(40, 48)),
)  # fmt: skip


def test_batches_without_any_label_change_nothing_at_all_and_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Neither weights by decay or momentum, nor the averages of batch norm."""
    (weights,) = trained(HEAVY, labelled=partly((0, 0), (0, 0)))
    assert same(weights, network().state_dict())
    assert "4 of 4 steps had no labelled pixel and were skipped" in caplog.text
    (weights,) = trained(HEAVY, labelled=partly((40, 48), (0, 0)))
    assert {int(value) for name, value in weights.items() if name.endswith("num_batches_tracked")} == {2}
    assert "2 of 4 steps had no labelled pixel and were skipped" in caplog.text


def test_a_training_in_which_each_batch_has_a_label_skips_nothing(caplog: pytest.LogCaptureFixture) -> None:
    trained(HEAVY, labelled=partly((1, 1), (40, 48)))
    assert "skipped" not in caplog.text


def test_crops_on_labels_leave_no_batch_without_one(caplog: pytest.LogCaptureFixture) -> None:
    crop = replace(STILL, crop=(8, 8))
    trained(replace(HEAVY, augmentation=crop), labelled=partly((2, 2), (1, 1)), model=Halved())
    assert "4 of 4 steps had no labelled pixel" in caplog.text, "corners are seldom in a crop"
    caplog.clear()
    on_label = replace(HEAVY, augmentation=replace(crop, crop_on_label=True))
    trained(on_label, labelled=partly((2, 2), (1, 1)), model=Halved())
    assert "skipped" not in caplog.text


# --- augmentation ---------------------------------------------------------------------------------------------------


def numbered(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose pixels tell where they come from, and a mask that repeats it as far as a byte goes."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, 0 * rows + 7], axis=2), (rows * 5 + columns * 3) % 200


@pytest.mark.parametrize("size", [(40, 48), (20, 50), (32, 32), (9, 11)])
def test_labels_move_with_their_pixels_and_padding_has_none(size: tuple[int, int]) -> None:
    """Without colour changes each pixel still names its place; its label must be the one of that place."""
    move = replace(STILL, rotate=True, flip=0.5)
    image, target = numbered(*size)
    seen = set()
    for seed in range(40):
        moved, labels = move(image, target, seed)
        assert moved.shape == (32, 32, 3)
        assert labels.shape == (32, 32)
        real = moved[..., 2] == 7
        assert (labels[real] == target[moved[..., 0][real], moved[..., 1][real]]).all()
        assert (labels[~real] == IGNORE).all()
        turned = min(size[0], 32), min(size[1], 32)
        assert real.sum() in {turned[0] * turned[1]}
        seen.add(moved.tobytes())
    assert len(seen) > (3 if size == (9, 11) else 7), "right angles, flips and crops all happen"


def test_each_of_the_eight_right_angles_and_flips_occurs_and_no_other() -> None:
    image, target = numbered(32, 32)
    grids = [np.rot90(flipped, turns) for flipped in (target, target[:, ::-1]) for turns in range(4)]
    move = replace(STILL, rotate=True, flip=0.5)
    found = [
        [bool((labels == grid).all()) for grid in grids] for labels in (move(image, target, n)[1] for n in range(80))
    ]
    assert all(sum(which) == 1 for which in found)
    assert np.array(found).any(0).all()


def test_colours_change_the_image_and_never_the_labels() -> None:
    image, target = Squares().image("1")[:32, :32], Squares().target("1")[:32, :32]
    changed, labels = replace(STILL, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)(image, target, 3)
    assert (changed != image).any()
    assert (labels == target).all()
    kept, _ = STILL(image, target, 3)
    assert (kept == image).all()


def test_an_augmentation_depends_on_its_seed_alone_and_writes_to_nothing() -> None:
    image, target = Squares().image("1"), Squares().target("1")
    image.setflags(write=False)
    target.setflags(write=False)
    first = LIVELY(image, target, 5)
    other = LIVELY(image, target, 6)
    again = LIVELY(image, target, 5)
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[0] != other[0]).any()


# --- plans, paces and schedules ---------------------------------------------------------------------------------------


def test_a_pace_is_stated_by_value() -> None:
    predecessor = Pace(steps=0, epochs=60, repeats=8)
    assert predecessor(4, 16) == 120
    assert predecessor(5, 16) == 60 * math.ceil(40 / 16) == 180
    assert Pace(steps=120, epochs=0, repeats=1)(4, 16) == Pace(steps=120, epochs=0, repeats=1)(400, 16) == 120
    assert Pace(steps=100, epochs=2, repeats=3)(7, 4) == 100 + 2 * 6


def test_a_plan_passes_over_all_images_before_one_comes_again() -> None:
    order = plan(["a", "b", "c"], 10, 0, "order")
    assert len(order) == 10
    assert all(sorted(order[start : start + 3]) == ["a", "b", "c"] for start in (0, 3, 6))
    assert order == plan(["a", "b", "c"], 10, 0, "order") != plan(["a", "b", "c"], 10, 1, "order")


def test_schedules_by_value() -> None:
    step = StepDecay(at=(0.6667,), factor=0.1)
    assert [step(share) for share in (0.0, 0.66, 0.67, 0.99)] == [1, 1, 0.1, 0.1]
    twice = StepDecay(at=(0.4, 0.8), factor=0.1)
    assert [twice(epoch / 250) for epoch in (0, 99, 100, 199, 200, 249)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    poly = PolyDecay(power=0.9)
    assert [poly(share) for share in (0.0, 0.5, 0.99)] == pytest.approx([1, 0.5**0.9, 0.01**0.9])
    cosine = CosineDecay(warmup=0.1, floor=0.02)
    assert cosine(0.1) == pytest.approx(1)
    assert cosine(0.55) == pytest.approx(0.02 + 0.98 / 2)
    assert cosine(1.0) == pytest.approx(0.02)
    assert 0 < cosine(0.0) < cosine(0.05) < 1


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validation", [Validation("last", 1), Validation("val", 2)])
def test_training_on_a_cpu_gives_the_same_weights_bit_for_bit(validation: Validation) -> None:
    trainer = replace(TRAINER, validation=validation)
    judge = lambda model: 0.5  # noqa: E731
    (one,), (other,) = trained(trainer, judge=judge), trained(trainer, judge=judge)
    assert same(one, other)
    assert not same(one, network().state_dict())


def test_weights_do_not_depend_on_who_loads_the_images() -> None:
    assert same(trained()[0], trained(compute=replace(CPU, workers=2))[0])


def test_training_neither_reads_nor_moves_the_global_generators() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    (one,) = trained()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(trained()[0], one)


def test_sgd_with_a_factor_of_zero_learns_nothing_and_a_schedule_scales_the_steps() -> None:
    """One step of plain SGD moves each weight by -lr * gradient: half the rate, half the way."""
    one_step = replace(TRAINER, pace=Pace(steps=1, epochs=0, repeats=1))
    before = dict(network().named_parameters())
    full, half = (trained(replace(one_step, schedule=StepDecay(at=(0.0,), factor=factor)))[0] for factor in (1.0, 0.5))
    for name, value in before.items():
        assert torch.allclose(half[name] - value, (full[name] - value) / 2, atol=1e-6)
    assert any(not torch.equal(full[name], value) for name, value in before.items())


def moved(weights: Weights, model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weights[name] - value.detach() for name, value in model.named_parameters()}


def test_a_clipped_step_of_sgd_is_as_long_as_the_rate_times_the_limit() -> None:
    one_step = replace(TRAINER, pace=Pace(1, 0, 1))
    lengths = []
    for clip in (None, 1e6, 0.01):
        (weights,) = trained(replace(one_step, clip=clip))
        lengths.append(torch.cat([step.flatten() for step in moved(weights, network()).values()]).norm().item())
    assert lengths[0] == pytest.approx(lengths[1])
    assert lengths[0] > 0.05 * 0.01
    assert lengths[2] == pytest.approx(0.05 * 0.01, rel=1e-3)


def test_an_encoder_learns_at_its_share_of_the_rate() -> None:
    one_step, model = replace(TRAINER, pace=Pace(1, 0, 1)), build(lambda classes: Halved(), 2, 0)
    steps = [
        moved(trained(replace(one_step, encoder_lr=factor), model=copy.deepcopy(model))[0], model)
        for factor in (None, 1.0, 0.1)
    ]
    for name in steps[0]:
        assert steps[0][name].any()
        assert torch.equal(steps[0][name], steps[1][name])
        share = 0.1 if name.startswith("first") else 1.0
        assert torch.allclose(steps[2][name], share * steps[0][name], atol=1e-7)


def test_an_encoder_that_the_model_does_not_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"encoder_lr=0\.1, but the model UNet does not say which weights are its enc"):
        trained(replace(TRAINER, encoder_lr=0.1))


@pytest.mark.parametrize("name", ["clip", "encoder_lr"])
def test_a_limit_of_zero_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"trainer.{name}=0: choose a number above 0, or null"):
        replace(TRAINER, **{name: 0.0})


def test_a_trained_network_knows_more_of_each_square_than_an_untrained_one() -> None:
    """By the mean probability of the true class on the training images, dropout off, whatever the seed."""

    def certainty(model: nn.Module) -> float:
        with torch.no_grad():
            guesses = {name: model(CPU.tensor(Squares().image(name)))[0].softmax(0) for name in labelled().names}
        truths = {name: torch.from_numpy(Squares().target(name)).long()[None] for name in guesses}
        return float(np.mean([guess.gather(0, truths[name]).mean().item() for name, guess in guesses.items()]))

    trainer = replace(TRAINER, optimizer=partial(torch.optim.Adam, lr=0.01), pace=Pace(40, 0, 1), augmentation=STILL)
    for seed in range(3):
        fresh = build(partial(UNet, width=2, dropout=0.1, sites="all"), 2, seed)
        (model,) = load(fresh, trained(trainer, model=copy.deepcopy(fresh)))
        assert certainty(model) > certainty(fresh.eval()) + 0.1


def scored(scores: Sequence[float]) -> tuple[list[Weights], object]:
    """A judge that gives these scores in turn and keeps the weights that it saw."""
    seen: list[Weights] = []

    def judge(model: nn.Module) -> float:
        assert not model.training
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return scores[len(seen) - 1]

    return seen, judge


@pytest.mark.parametrize(("scores", "best"), [((0.1, 0.9, 0.5), 1), ((0.3, 0.9, 0.9), 2), ((0.5, 0.4, 0.3), 0)])
def test_val_keeps_the_best_state_and_the_later_of_equals(scores: tuple[float, ...], best: int) -> None:
    seen, judge = scored(scores)
    trainer = replace(TRAINER, validation=Validation("val", 3), pace=Pace(6, 0, 1))
    (weights,) = trained(trainer, judge=judge)
    assert len(seen) == 3
    assert same(weights, seen[best])
    assert not same(seen[0], seen[1])


def test_last_keeps_the_last_state_whatever_val_would_say() -> None:
    _, judge = scored((1.0,))
    (val,) = trained(replace(TRAINER, validation=Validation("val", 1)), judge=judge)
    (last,) = trained(TRAINER)
    assert same(val, last), "judging changes nothing"


@pytest.mark.parametrize("keep", ["val", "last"])
def test_a_snapshot_is_kept_at_the_end_of_each_cycle(keep: str) -> None:
    seen, judge = scored((0.9, 0.1, 0.5))
    trainer = replace(TRAINER, validation=Validation(keep, 1), pace=Pace(6, 0, 1))
    weights = trained(trainer, snapshots=3, judge=judge)
    assert len(weights) == 3
    assert not same(weights[0], weights[2])
    if keep == "val":
        assert all(same(one, other) for one, other in zip(weights, seen, strict=True))


def test_a_warm_start_goes_on_from_the_weights_it_is_given() -> None:
    (first,) = trained()
    warm = network()
    warm.load_state_dict(first)
    one_step = replace(TRAINER, pace=Pace(1, 0, 1), optimizer=partial(torch.optim.SGD, lr=1e-6))
    (on,) = trained(one_step, model=warm)
    assert all(torch.allclose(on[name], first[name], atol=1e-4) for name, _ in warm.named_parameters())
    assert not torch.allclose(on["steps.0.block.0.weight"], network().state_dict()["steps.0.block.0.weight"], atol=1e-4)


@pytest.mark.parametrize("keep", ["val", "last"])
def test_a_training_that_diverges_is_an_error_with_a_remedy(keep: str) -> None:
    trainer = replace(TRAINER, optimizer=partial(torch.optim.SGD, lr=1e30), validation=Validation(keep, 4))
    with pytest.raises(ValueError, match=r"loss is nan at step \d: training has diverged; lower trainer.optimizer.lr"):
        trained(trainer, judge=lambda model: 0.0)


def test_a_pace_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="0 steps for 3 labelled images"):
        trained(replace(TRAINER, pace=Pace(0, 0, 1)))


def trained_in_a_worker(loaders: int) -> Weights:
    (weights,) = trained(compute=replace(CPU, workers=loaders))
    return weights


def test_loading_processes_start_inside_joblibs_workers_and_change_no_number() -> None:
    """What joblib starts can start nothing but joblib's own processes, unless it is told how."""
    alone, beside = Parallel(n_jobs=2, backend="loky")(delayed(trained_in_a_worker)(loaders) for loaders in (0, 1))
    assert same(alone, beside)


def test_a_batch_that_does_not_divide_among_the_devices_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size=3 does not divide among devices=2"):
        trained(replace(TRAINER, batch_size=3), replace(CPU, devices=2))


SLURM = {"JOB_ID": "7", "JOB_NAME": "array", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """srun on the PATH, a Slurm job's variables, and those of a launcher that has nothing to do with us."""
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\nexit 1\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for name, value in {"MASTER_ADDR": "nowhere", "MASTER_PORT": "1", "NODE_RANK": "3", "WORLD_SIZE": "9"}.items():
        monkeypatch.setenv(name, value)


def test_a_training_is_the_same_on_a_cluster(request: pytest.FixtureRequest) -> None:
    """Fabric, which trains in bfloat16, would warn of srun, an error here, and take the job's processes for its own."""
    compute = replace(CPU, precision="bfloat16")
    (here,) = trained(compute=compute)
    request.getfixturevalue("cluster")
    (there,) = trained(compute=compute)
    assert same(here, there)


class WithLightning(LocalCompute):
    def fabric(self) -> Fabric:
        return Lightning(accelerator="cpu", devices=1, precision="32-true", plugins=OwnProcesses())


def test_one_process_trains_as_lightning_fabric_does_bit_for_bit() -> None:
    trainer = replace(TRAINER, clip=0.05, encoder_lr=0.5, validation=Validation("val", 2))
    scores = iter((0.4, 0.6, 0.5, 0.3) * 2)
    judge = lambda model: next(scores)  # noqa: E731
    one, other = (
        trained(trainer, compute, 2, model=build(lambda classes: Halved(), 2, 0), judge=judge)
        for compute in (CPU, WithLightning("cpu", "float32", 1, 0, 1))
    )
    assert len(one) == 2
    assert not same(one[0], one[1])
    assert all(map(same, one, other))


@pytest.mark.usefixtures("cluster")
def test_two_processes_step_as_one_also_where_one_of_them_has_no_label(caplog: pytest.LogCaptureFixture) -> None:
    """Without batch norm the mean over all labelled pixels does not depend on who sees them; in a Slurm job too."""
    trainer = replace(HEAVY, loss=SegmentationLoss(1, 0, False), batch_size=2, pace=Pace(8, 0, 1), clip=0.5)
    some = partly((40, 48), (2, 3), (0, 0), (0, 0))
    model = build(lambda classes: Halved(), 2, 0)
    (alone,) = trained(trainer, model=copy.deepcopy(model), labelled=some)
    (told,) = caplog.messages
    (shared,) = trained(trainer, replace(CPU, devices=2), model=copy.deepcopy(model), labelled=some)
    assert caplog.messages == [told, told], "both skip the same steps"
    assert "of 8 steps had no labelled pixel" in told
    for name, value in moved(alone, model).items():
        assert value.abs().max() > 1e-3
        assert torch.allclose(alone[name], shared[name], atol=1e-6), name


@pytest.mark.parametrize("metric", ["dice", "miou"])
def test_the_metric_that_is_named_judges(metric: Literal["dice", "miou"]) -> None:
    model = network().eval()
    confusion = np.zeros((2, 2))
    dices = []
    for name in ("0", "1", "2"):
        with torch.no_grad():
            guess = model(CPU.tensor(Squares().image(name)))[0].argmax(0).numpy()
        truth = Squares().target(name)
        dices.append(2 * ((guess == 1) & (truth == 1)).sum() / ((guess == 1).sum() + (truth == 1).sum()))
        np.add.at(confusion, (truth, guess), 1)
    hits = confusion.diagonal()
    expected = {"dice": np.mean(dices), "miou": np.mean(hits / (confusion.sum(0) + confusion.sum(1) - hits))}
    assert expected["dice"] != pytest.approx(expected["miou"], abs=0.01)
    task = SemanticSegmentation(False, False)
    (named,) = (one for one in task.metrics if one.name == metric)
    assert Judge(task, Judged(), CPU, named)(model) == pytest.approx(expected[metric])
