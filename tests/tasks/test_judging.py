"""Networks are judged on val, on what is known of their labelled set, and beside what is scored without learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from bare_dataset import BareDataset
from counting.counting import ERROR, Counter, Counting, Dots
from torch import Tensor, nn

from seg_al.core import IGNORE
from seg_al.measuring.class_maps import CLASS_MAP_METRICS
from seg_al.measuring.learned import has_learned
from seg_al.running.compute import LocalCompute
from seg_al.tasks.judge import Judge, evenly_spaced
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Detections
from seg_al.tasks.objects.partial import where_known
from seg_al.tasks.semantic import SemanticSegmentation

COMPUTE = LocalCompute(device="cpu", precision="float32", devices=1, workers=0, threads=1)
DICE = CLASS_MAP_METRICS[0]
MIOU = next(metric for metric in CLASS_MAP_METRICS if metric.name == "miou")
SEMANTIC = SemanticSegmentation(objects=False, bayesian=False)


@dataclass(frozen=True)
class Bright(BareDataset):
    """Class 1 is where an image is white; val has a quarter of it, test a half."""

    val: tuple[str, ...] = ("quarter",)
    tests = {"test": ("half", "half too")}  # noqa: RUF012
    background: int | None = 0
    classes: tuple[str, ...] = ("dark", "bright")

    def target(self, name: str) -> npt.NDArray[np.uint8]:
        target = np.zeros((4, 8), dtype=np.uint8)
        target[:, : 2 if name == "quarter" else 4] = 1
        return target

    def image(self, name: str) -> npt.NDArray[np.uint8]:
        return np.repeat(255 * self.target(name)[..., None], 3, axis=2)


class Threshold(nn.Module):
    """Class 1 where a pixel, times a weight, plus a bias, is above 0."""

    def __init__(self, weight: float, bias: float) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, 2, H, W]
        bright = 20 * (self.weight * images.mean(1) + self.bias)
        return torch.stack([torch.zeros_like(bright), bright], 1)


RIGHT, EVERYWHERE = Threshold(1.0, -0.5), Threshold(0.0, 1.0)


def counter(wrong_by: float) -> Counter:
    """Counts bright pixels, always as many too many."""
    model = Counter(classes=1)
    with torch.no_grad():
        model.line.weight.fill_(1.0)
        model.line.bias.fill_(wrong_by)
    return model


def test_of_an_error_the_judge_prefers_the_least() -> None:
    judge = Judge(Counting(), Dots(), COMPUTE, ERROR)
    assert abs(judge(counter(0.0))) < 1e-5
    assert abs(judge(counter(2.0)) + 2.0) < 1e-5


def test_baselines_are_of_val_and_test_and_name_the_best_constant() -> None:
    found = Judge(SEMANTIC, Bright(), COMPUTE, MIOU).baselines(EVERYWHERE)  # type: ignore[arg-type]
    assert found["scores"] == pytest.approx({
        "val/constant_dice": 0.4, "val/untrained_dice": 0.4, "val/constant_miou": 0.375, "val/untrained_miou": 0.125,
        "test/constant_dice": 2 / 3, "test/untrained_dice": 2 / 3, "test/constant_miou": 0.25,
        "test/untrained_miou": 0.25,
    })  # fmt: skip
    assert found["constants"]["val/dice"] == found["constants"]["test/dice"] == "bright everywhere"
    assert found["constants"]["val/miou"] == "dark everywhere"


def test_of_an_error_the_best_constant_is_the_least() -> None:
    dots = Dots()
    found = Judge(Counting(), dots, COMPUTE, ERROR).baselines(counter(3.0))
    assert found["scores"]["val/constant_error"] == pytest.approx(2 / 3)  # always 5, of 4, 5 and 6 dots
    assert found["constants"]["val/error"] == "always 5"
    assert found["scores"]["test/untrained_error"] == pytest.approx(3.0, abs=1e-5)
    assert not has_learned(ERROR, 0.65, 2 / 3)
    assert has_learned(ERROR, 0.59, 2 / 3)


@pytest.mark.parametrize(("model", "learned"), [(RIGHT, True), (EVERYWHERE, False)])
def test_a_network_that_paints_one_class_has_not_learned_and_one_that_is_right_has(model: Any, learned: bool) -> None:
    dataset = Bright()
    constant = Judge(SEMANTIC, dataset, COMPUTE, MIOU).baselines(model)["scores"]["test/constant_dice"]
    dice = SEMANTIC.judge([model], dataset, dataset.tests["test"], COMPUTE)["dice"]
    assert dice == pytest.approx(1.0 if learned else 2 / 3)
    assert has_learned(DICE, dice, constant) is learned


def test_an_untrained_network_without_finite_output_has_no_score() -> None:
    found = Judge(SEMANTIC, Bright(), COMPUTE, MIOU).baselines(Threshold(float("nan"), 0.0))  # type: ignore[arg-type]
    names = {f"{split}/constant_{name}" for split in ("val", "test") for name in ("dice", "miou")}
    assert set(found["scores"]) == names


def test_the_fit_counts_only_what_is_known() -> None:
    dataset = Bright()

    def known(name: str) -> npt.NDArray[np.uint8]:
        labels = np.full((4, 8), IGNORE, dtype=np.uint8)
        labels[0, 2:6] = dataset.target(name)[0, 2:6]  # of "half" two bright pixels and two dark ones
        return labels if name == "half" else np.full_like(labels, IGNORE)

    judge = Judge(SEMANTIC, dataset, COMPUTE, MIOU)
    everywhere = judge.fit([EVERYWHERE], ("half", "unknown"), known)  # type: ignore[list-item]
    assert everywhere == pytest.approx({"labelled/dice": 2 / 3, "labelled/miou": 0.25})
    assert judge.fit([RIGHT], ("half",), known) == {"labelled/dice": 1.0, "labelled/miou": 1.0}  # type: ignore[list-item]
    assert judge.fit([RIGHT], ("unknown",), known) == {}  # type: ignore[list-item]


def test_detections_count_that_lie_at_most_half_where_nothing_is_known() -> None:
    unknown = np.zeros((4, 8), dtype=np.bool_)
    unknown[:, 4:] = True
    squares = np.zeros((3, 4, 8), dtype=np.bool_)
    squares[0, :, 2:6] = squares[1, :, 3:6] = squares[2, :, :2] = True
    found = Detections.of((4, 8), [rle.encode(one, (4, 8)) for one in squares], [0.9, 0.8, 0.7], [1, 1, 1])
    for one in (found, Detections(found.size, found.boxes, found.scores, found.classes, None)):
        assert where_known(one, unknown).scores.tolist() == [0.9, 0.7]
        assert where_known(one, np.zeros_like(unknown)) is one


def test_a_hundred_labelled_images_at_most_are_measured_evenly_spaced() -> None:
    names = [f"{number:03d}" for number in range(298)]
    assert evenly_spaced(names) == tuple(names[::3])
    assert evenly_spaced(names[:7]) == tuple(names[:7])
    assert evenly_spaced(names, 2) == ("000", "297")


def test_a_metric_that_judges_and_is_the_first_is_compared_once() -> None:
    assert Judge(SEMANTIC, Bright(), COMPUTE, DICE).compared == (DICE,)
    assert Judge(SEMANTIC, Bright(), COMPUTE, MIOU).compared == (DICE, MIOU)
