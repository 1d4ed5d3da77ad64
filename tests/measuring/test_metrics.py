"""The evaluation against hand-counted images, the predecessor's formula and torchmetrics."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.io import imread
from torch import Tensor
from torchmetrics.classification import MulticlassCalibrationError
from torchmetrics.functional.classification import multiclass_confusion_matrix

from seg_al.core import IGNORE
from seg_al.measuring.class_maps import Evaluation
from seg_al.measuring.constants import constant_scores
from seg_al.measuring.glas_objects import object_dice, object_f1, object_hausdorff

Target = npt.NDArray[np.uint8]
GLAS = Path(__file__).parents[3] / "shared" / "datasets" / "glas" / "Warwick_QU_Dataset"
BINARY = ("background", "gland")


def certain(predicted: list[list[int]] | Target, classes: int = 2, confidence: float = 0.9) -> Tensor:
    """Probabilities [C, H, W] whose winner is the given class."""
    winner = torch.as_tensor(np.asarray(predicted), dtype=torch.long)
    rest = (1 - confidence) / (classes - 1)
    return torch.nn.functional.one_hot(winner, classes).permute(2, 0, 1) * (confidence - rest) + rest


def ids(rows: list[list[int]]) -> Target:
    return np.array(rows, dtype=np.uint8)


def random_case(
    seed: int, classes: int, size: tuple[int, int], dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Target]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(classes, *size, generator=generator)
    target = torch.where(
        torch.rand(size, generator=generator) < 0.5,
        logits.argmax(dim=0),
        torch.randint(classes, size, generator=generator),
    )
    target[torch.rand(size, generator=generator) < 0.2] = IGNORE
    return logits.softmax(dim=0).to(dtype), target.numpy().astype(np.uint8)


def test_binary_metrics_match_a_count_by_hand() -> None:
    evaluation = Evaluation(BINARY, 0, objects=False)
    # a: 2 of 3 true gland pixels found, 1 false; b: 1 of 1 found, 3 false.
    evaluation.add("a", certain([[1, 1, 1, 0]]), ids([[1, 1, 0, 1]]), None)
    evaluation.add("b", certain([[1, 1, 1, 1]]), ids([[1, 0, 0, 0]]), None)
    assert evaluation.result() == pytest.approx(
        {
            "dice": (4 / 6 + 2 / 5) / 2,
            "iou": (2 / 4 + 1 / 4) / 2,
            "dataset_dice": 6 / 11,
            "miou": (3 / 8 + 0 / 5) / 2,
            "pixel_accuracy": 3 / 8,
            "ece": 0.9 - 3 / 8,
            "iou_background": 0.0,
            "dice_background": 0.0,
            "iou_gland": 3 / 8,
            "dice_gland": 6 / 11,
        },
        abs=1e-7,
    )
    assert evaluation.per_image() == [
        {"image": "a", "dice": 4 / 6, "iou": 2 / 4, "pixel_accuracy": 2 / 4},
        {"image": "b", "dice": 2 / 5, "iou": 1 / 4, "pixel_accuracy": 1 / 4},
    ]


def test_dice_is_the_number_that_the_predecessor_saved() -> None:
    evaluation = Evaluation(BINARY, 0, objects=False)
    saved = []
    for seed in range(5):
        probabilities, target = random_case(seed, 2, (20, 30))
        target[target == IGNORE] = 0
        evaluation.add(str(seed), probabilities, target, None)
        winner = probabilities.argmax(dim=0).numpy()
        hits = ((winner == 1) & (target == 1)).sum()
        saved.append((2 * hits + 1e-8) / ((target == 1).sum() + (winner == 1).sum() + 1e-8))
    assert evaluation.result()["dice"] == pytest.approx(np.mean(saved), abs=1e-9)


def test_images_without_foreground_are_counted_apart_from_dice_and_from_objects() -> None:
    evaluation = Evaluation(BINARY, 0, objects=True, least_object=0)
    empty = np.zeros((1, 2), dtype=np.int32)
    evaluation.add("right", certain([[0, 0]]), ids([[0, 0]]), empty)
    evaluation.add("invented", certain([[1, 0]]), ids([[0, 0]]), empty)
    evaluation.add("void", certain([[0, 1]]), ids([[0, IGNORE]]), empty)
    alone = evaluation.result()
    assert (alone["empty_images"], alone["empty_correct"]) == (3.0, pytest.approx(2 / 3))
    assert not alone.keys() & {"dice", "iou", "object_f1", "object_dice", "object_hausdorff"}
    evaluation.add("half", certain([[1, 1]]), ids([[1, 0]]), np.array([[1, 0]], dtype=np.int32))
    evaluation.add("missed", certain([[0, 0]]), ids([[1, 0]]), np.array([[1, 0]], dtype=np.int32))
    result = evaluation.result()
    assert (result["dice"], result["iou"]) == pytest.approx((2 / 3 / 2, 1 / 2 / 2))
    assert (result["object_f1"], result["empty_images"]) == (0.5, 3.0)
    assert result["dataset_dice"] == pytest.approx(2 * 1 / (2 + 3))


def test_a_network_that_finds_no_defect_gets_no_dice_for_the_images_without_any() -> None:
    evaluation = Evaluation(("plain", "defect"), 0, objects=False)
    for number in range(10):
        evaluation.add(str(number), certain([[0, 0, 0]]), ids([[0, int(number < 3), 0]]), None)
    result = evaluation.result()
    assert (result["dice"], result["empty_images"], result["empty_correct"]) == (0.0, 7.0, 1.0)
    assert result["miou"] == pytest.approx(27 / 30 / 2)


def test_with_foreground_in_every_image_dice_is_the_mean_over_all_and_nothing_else_is_told() -> None:
    evaluation = Evaluation(BINARY, 0, objects=False)
    for seed in range(3):
        evaluation.add(str(seed), *random_case(seed, 2, (20, 30)), None)
    result = evaluation.result()
    assert result["dice"] == pytest.approx(np.mean([float(row["dice"]) for row in evaluation.per_image()]))
    assert not any(key.startswith("empty") for key in result)


def test_dice_of_an_image_averages_only_the_foreground_classes_that_occur_in_it() -> None:
    evaluation = Evaluation(("sky", "road", "car", "bike"), 0, objects=False)
    evaluation.add("a", certain([[0, 1, 1, 2]], 4), ids([[0, 1, 1, 1]]), None)  # road 4/5, car 0
    evaluation.add("b", certain([[0, 2, 2, 2]], 4), ids([[0, 2, 2, 2]]), None)  # car 1
    result = evaluation.result()
    assert result["dice"] == pytest.approx((0.4 + 1) / 2)
    assert result["dataset_dice"] == pytest.approx((4 / 5 + 6 / 7) / 2)
    assert result["miou"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert "iou_bike" not in result


def test_without_a_background_every_class_is_foreground() -> None:
    evaluation = Evaluation(("left", "right"), None, objects=False)
    evaluation.add("a", certain([[0, 0, 1, 1]]), ids([[0, 1, 1, 1]]), None)
    assert evaluation.result()["dice"] == pytest.approx((2 / 3 + 4 / 5) / 2)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_streamed_metrics_equal_torchmetrics_on_the_concatenation(classes: int, dtype: torch.dtype) -> None:
    evaluation = Evaluation([f"c{number}" for number in range(classes)], 0, objects=False)
    cases = [random_case(seed, classes, (17 + seed, 23), dtype) for seed in range(4)]
    cases[0][0][:, :2] = certain(np.ones((2, 23), dtype=np.uint8), classes, confidence=1.0)  # saturated
    for number, (probabilities, target) in enumerate(cases):
        evaluation.add(str(number), probabilities, target, None)
    everything = torch.cat([probabilities.flatten(1) for probabilities, _ in cases], dim=1).T.float()
    truth = torch.cat([torch.from_numpy(target).flatten() for _, target in cases]).long()
    calibration = MulticlassCalibrationError(classes, n_bins=15, norm="l1", ignore_index=IGNORE)
    result = evaluation.result()
    assert result["ece"] == pytest.approx(float(calibration(everything, truth)), abs=2e-6)
    table = multiclass_confusion_matrix(everything.argmax(dim=1), truth, classes, ignore_index=IGNORE)
    hits, areas = table.diagonal(), table.sum(dim=0) + table.sum(dim=1)
    assert result["miou"] == pytest.approx(float((hits / (areas - hits)).mean()))
    assert result["dataset_dice"] == pytest.approx(float((2 * hits / areas)[1:].mean()))
    assert result["pixel_accuracy"] == pytest.approx(float(hits.sum() / table.sum()))


def test_calibration_bins_hold_their_lower_edge_as_those_of_torchmetrics() -> None:
    edges = torch.linspace(0, 1, 16)
    confidence = torch.cat([edges[8:], edges[8:] - 0.01])  # the first of each bin, and one inside the bin below
    probabilities = torch.stack([1 - confidence, confidence])[:, None, :]
    target = ids([[0] * 8 + [1] * 8])  # wrong on the edges, right below: a pixel in the wrong bin cancels another
    evaluation = Evaluation(BINARY, 0, objects=False)
    evaluation.add("edges", probabilities, target, None)
    calibration = MulticlassCalibrationError(2, n_bins=15, norm="l1")
    expected = calibration(probabilities[None], torch.from_numpy(target)[None].long())
    assert evaluation.result()["ece"] == pytest.approx(float(expected), abs=1e-6)


def test_ignored_pixels_count_nowhere() -> None:
    probabilities, target = random_case(0, 2, (24, 32))
    known = target != IGNORE
    other = probabilities.clone()
    other[:, torch.from_numpy(~known)] = torch.tensor([[0.3], [0.7]])
    results = []
    for case in (probabilities, other):
        evaluation = Evaluation(BINARY, 0, objects=False)
        evaluation.add("a", case, target, None)
        results.append(evaluation.result())
    assert results[0] == results[1]


def test_an_ignored_band_is_cut_from_objects_and_does_not_split_them() -> None:
    predicted = np.zeros((20, 30), dtype=np.uint8)
    predicted[5:15, 2:28] = 1
    target = predicted.copy()
    target[:, 14:16] = IGNORE
    objects = predicted.astype(np.int32)
    evaluation = Evaluation(BINARY, 0, objects=True)
    evaluation.add("banded", certain(predicted), target, objects)
    result = evaluation.result()
    assert (result["object_f1"], result["object_dice"], result["object_hausdorff"]) == (1.0, 1.0, 0.0)


def test_an_image_without_a_labelled_pixel_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    evaluation = Evaluation(BINARY, 0, objects=False)
    evaluation.add("good", certain([[1, 0]]), ids([[1, 1]]), None)
    before = evaluation.result()
    with caplog.at_level(logging.WARNING):
        evaluation.add("void_7", certain([[1, 0]]), ids([[IGNORE, IGNORE]]), None)
    assert evaluation.result() == before
    assert "void_7" in caplog.text


def test_counts_stay_exact_beyond_what_float32_can_count() -> None:
    evaluation = Evaluation(BINARY, 0, objects=False)
    half = 2**23 // 2048
    for number, size in enumerate([(half, 2048), (half, 2048), (1, 3)]):  # 2 ** 24 + 3 pixels
        target = np.zeros(size, dtype=np.uint8)
        target[0, 0] = number == 2  # one error among them
        probabilities = torch.tensor([1.0, 0.0])[:, None, None].expand(2, *size)
        evaluation.add(str(number), probabilities, target, None)
    result = evaluation.result()
    assert 1 - result["pixel_accuracy"] == pytest.approx(1 / (2**24 + 3), rel=1e-8)
    assert result["ece"] == pytest.approx(1 / (2**24 + 3), rel=1e-8)


def test_object_metrics_are_means_over_images_of_the_components() -> None:
    evaluation = Evaluation(BINARY, 0, objects=True, least_object=9)
    true = np.zeros((40, 50), dtype=np.int32)
    true[3:13, 3:13], true[20:34, 20:44] = 4, 9
    shifted = [np.roll(true, shift, axis=1) for shift in (0, 2)]
    for number, found in enumerate(shifted):
        predicted = (found > 0).astype(np.uint8)
        predicted[37:39, 2:6] = 1  # a speck of 8 pixels, below least_object
        evaluation.add(str(number), certain(predicted), (true > 0).astype(np.uint8), true)
    result = evaluation.result()
    for key, metric in (
        ("object_f1", object_f1),
        ("object_dice", object_dice),
        ("object_hausdorff", object_hausdorff),
    ):
        expected = [metric(found, true) for found in shifted]
        assert result[key] == pytest.approx(np.mean(expected))
        assert [row[key] for row in evaluation.per_image()] == pytest.approx(expected)
    assert result["object_hausdorff"] == pytest.approx(1.0)  # 0 and 2 pixels


def test_touching_diagonals_are_one_object() -> None:
    true = np.zeros((20, 20), dtype=np.int32)
    true[2:10, 2:10] = true[10:18, 10:18] = 1
    evaluation = Evaluation(BINARY, 0, objects=True)
    evaluation.add("diagonal", certain(true.astype(np.uint8)), true.astype(np.uint8), true)
    assert evaluation.result()["object_f1"] == 1.0


def test_a_nan_probability_is_an_error_that_names_the_image_and_adds_nothing() -> None:
    evaluation = Evaluation(BINARY, 0, objects=False)
    evaluation.add("good", certain([[1, 0]]), ids([[1, 1]]), None)
    before = evaluation.result()
    broken = certain([[1, 0]])
    broken[0, 0, 1] = float("nan")
    with pytest.raises(ValueError, match=r"testA_3.*NaN"):
        evaluation.add("testA_3", broken, ids([[1, 1]]), None)
    assert evaluation.result() == before


@pytest.mark.parametrize(
    ("probabilities", "target", "message"),
    [
        (certain([[1, 0, 1]]), ids([[1, 1]]), r"testA_3.*\(2, 1, 3\).*\(2, 1, 2\)"),
        (certain([[1, 0]], 3), ids([[1, 1]]), r"testA_3.*\(3, 1, 2\)"),
        (certain([[1, 0]]), ids([[1, 7]]), r"testA_3.*class ids \[7\]"),
        (certain([[1, 0]]) * 5, ids([[1, 1]]), r"testA_3.*softmax"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_image(
    probabilities: Tensor, target: Target, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Evaluation(BINARY, 0, objects=False).add("testA_3", probabilities, target, None)


def test_object_metrics_without_objects_or_with_many_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"testA_3.*object ids"):
        Evaluation(BINARY, 0, objects=True).add("testA_3", certain([[1, 0]]), ids([[1, 1]]), None)
    with pytest.raises(ValueError, match="exactly one foreground class"):
        Evaluation(("background", "nucleus", "cell"), 0, objects=True)


def test_an_evaluation_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to evaluate"):
        Evaluation(BINARY, 0, objects=False).result()


@pytest.mark.parametrize("step", [1, 2, 4])
def test_the_truth_as_prediction_is_perfect_at_every_scale_with_specks_in_it(step: int) -> None:
    true = np.zeros((160, 200), dtype=np.int32)
    true[8:72, 8:100], true[96:152, 16:80], true[16:40, 120:144] = 1, 2, 3
    true[100:124, 120:136], true[136:140, 180:184] = 4, 5  # of 384 and 16 pixels: 24 and 1 at a quarter
    scaled = true[::step, ::step]
    for least in (0, 30):
        evaluation = Evaluation(BINARY, 0, objects=True, least_object=least)
        evaluation.add("truth", certain((scaled > 0).astype(np.uint8)), (scaled > 0).astype(np.uint8), scaled)
        result = evaluation.result()
        assert (result["object_f1"], result["object_dice"], result["object_hausdorff"]) == (1.0, 1.0, 0.0)


def test_an_object_below_the_least_size_is_neither_missed_nor_a_mistake_to_find() -> None:
    true = np.zeros((40, 40), dtype=np.int32)
    true[2:12, 2:12], true[20:25, 20:25] = 1, 2  # 100 and 25 pixels
    found = {"missed": true == 1, "found": true > 0, "found larger": (true == 1).copy()}
    found["found larger"][19:25, 20:26] = True  # 36 pixels, 25 of them the speck's
    for name, predicted in found.items():
        evaluation = Evaluation(BINARY, 0, objects=True, least_object=30)
        evaluation.add(name, certain(predicted.astype(np.uint8)), (true > 0).astype(np.uint8), true)
        assert evaluation.result()["object_f1"] == 1.0
        every = Evaluation(BINARY, 0, objects=True, least_object=0)
        every.add(name, certain(predicted.astype(np.uint8)), (true > 0).astype(np.uint8), true)
        assert every.result()["object_f1"] == pytest.approx(2 / 3 if name == "missed" else 1.0)


def test_the_score_of_a_constant_is_what_the_evaluation_of_it_gives() -> None:
    classes = ("nothing", "cell", "debris")
    targets = [random_case(seed, 3, (9, 11))[1] for seed in range(4)]
    targets[1][targets[1] == 2] = 1
    targets[2][targets[2] != IGNORE] = 0
    counts = np.stack([np.bincount(target.ravel(), minlength=256)[:3] for target in targets])
    for metric in ("dice", "miou"):
        for chosen, score in enumerate(constant_scores(counts, [1, 2], metric)):
            evaluation = Evaluation(classes, 0, objects=False)
            for number, target in enumerate(targets):
                evaluation.add(str(number), certain(np.full(target.shape, chosen, dtype=np.uint8), 3), target, None)
            assert evaluation.result()[metric] == pytest.approx(score)


@settings(max_examples=300, deadline=None)
@given(confusion=arrays(np.int64, st.integers(2, 5).map(lambda n: (n, n)), elements=st.integers(0, 30)))
def test_what_beats_the_best_constant_on_every_class_has_a_higher_miou(confusion: npt.NDArray[np.int64]) -> None:
    confusion = confusion + 40 * np.diag(confusion.sum(axis=1) > 0)  # so that networks which beat it are not rare
    counts = confusion.sum(axis=1)
    assume(counts.any())
    scores = constant_scores(counts[None], [], "miou")
    best = int(np.argmax(scores))
    evaluation = Evaluation([f"c{one}" for one in range(len(counts))], None, objects=False)
    pairs = [pair for pair in np.ndindex(*confusion.shape) for _ in range(confusion[pair])]
    true, predicted = np.array(pairs, dtype=np.uint8).T
    evaluation.add("all", certain(predicted[None], len(counts)), true[None], None)
    result = evaluation.result()
    constant = np.where(np.arange(len(counts)) == best, counts / counts.sum(), 0.0)
    iou = np.array([result.get(f"iou_c{one}", np.nan) for one in range(len(counts))])
    assume(bool((iou[~np.isnan(iou)] > constant[~np.isnan(iou)]).all()))
    assert result["miou"] > scores[best]


def test_by_dice_over_images_a_constant_may_win_against_what_beats_it_on_every_class() -> None:
    full, sparse = np.ones((10, 10), dtype=np.uint8), np.zeros((10, 10), dtype=np.uint8)
    sparse[0, :3] = 1
    found = np.zeros((10, 10), dtype=np.uint8)
    evaluations = {name: Evaluation(BINARY, 0, objects=False) for name in ("network", "constant")}
    for number, target in enumerate([full, sparse, sparse]):
        evaluations["network"].add(str(number), certain(target if number == 0 else found), target, None)
        evaluations["constant"].add(str(number), certain(full), target, None)
    network, constant = evaluations["network"].result(), evaluations["constant"].result()
    assert network["iou_gland"] > constant["iou_gland"]
    assert network["iou_background"] > constant["iou_background"]
    assert network["dice"] < constant["dice"]
    assert network["miou"] > constant["miou"]


@pytest.mark.skipif(not GLAS.is_dir(), reason="the GlaS images are not beside the checkout")
def test_real_glands_predicted_as_annotated_are_perfect() -> None:
    evaluation = Evaluation(BINARY, 0, objects=True)
    for name in ("train_1", "train_2", "testA_1", "testB_1"):
        objects = imread(GLAS / f"{name}_anno.png").astype(np.int32)
        target = (objects > 0).astype(np.uint8)
        evaluation.add(name, certain(target, confidence=1.0), target, objects)
    result = evaluation.result()
    perfect = ("dice", "iou", "dataset_dice", "miou", "pixel_accuracy", "object_f1", "object_dice")
    assert [result[key] for key in perfect] == [1.0] * len(perfect)
    assert (result["ece"], result["object_hausdorff"]) == (0.0, 0.0)
