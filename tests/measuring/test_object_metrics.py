"""The object metrics against hand-made cases and against a slow literal reference."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import directed_hausdorff
from skimage.io import imread
from skimage.measure import label
from skimage.segmentation import expand_labels

from seg_al.measuring.glas_objects import object_dice, object_f1, object_hausdorff

Labels = npt.NDArray[np.int32]
GLAS = Path(__file__).parents[3] / "shared" / "datasets" / "glas" / "Warwick_QU_Dataset"


def canvas(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (40, 60)) -> Labels:
    """Boxes (top, left, height, width) as objects 1, 2, ..."""
    image = np.zeros(size, dtype=np.int32)
    for number, (top, left, height, width) in enumerate(boxes, start=1):
        image[top : top + height, left : left + width] = number
    return image


def masks(labels: Labels) -> list[npt.NDArray[np.bool_]]:
    return [labels == number for number in np.unique(labels) if number != 0]


def reference_hausdorff(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    a, b = np.argwhere(one), np.argwhere(other)
    return max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])


def reference(predicted: Labels, true: Labels) -> tuple[float, float, float]:
    """F1, object Dice and object Hausdorff word by word from the definitions, for two images that have objects."""
    found, wanted = masks(predicted), masks(true)
    hits = 0
    for segment in found:
        best = max(wanted, key=lambda gland: (segment & gland).sum())
        hits += int((segment & best).sum() > 0.5 * best.sum())
    precision, recall = hits / len(found), hits / len(wanted)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    dice = hausdorff = 0.0
    for ones, others in ((found, wanted), (wanted, found)):
        total = sum(one.sum() for one in ones)
        for one in ones:
            match = max(others, key=lambda other: (one & other).sum())
            dice += one.sum() / total * 2 * (one & match).sum() / (one.sum() + match.sum()) / 2
            if (one & match).any():
                distance = reference_hausdorff(one, match)
            else:
                distance = min(reference_hausdorff(one, other) for other in others)
            hausdorff += one.sum() / total * distance / 2
    return f1, dice, hausdorff


def blobs(rng: np.random.Generator, size: tuple[int, int], sigma: float, level: float) -> Labels:
    field = gaussian_filter(rng.normal(size=size), sigma)
    components = label(field > level * field.std(), connectivity=2).astype(np.int32)
    ids = np.concatenate(([0], rng.permutation(components.max()) * 3 + 1)).astype(np.int32)  # gaps, any order
    return ids[components]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("sigma", "level"), [(2.0, 1.0), (3.0, 0.0), (4.0, 0.8), (6.0, -0.5)])
def test_random_blobs_agree_with_a_literal_reference(seed: int, sigma: float, level: float) -> None:
    rng = np.random.default_rng(seed)
    size = (47, 66)
    true = blobs(rng, size, 4.0, 0.7)
    predicted = blobs(rng, size, sigma, level)
    if seed % 2:  # half of the cases: mostly right, as a trained model is
        keep = rng.random(size) < 0.9
        predicted = np.where(gaussian_filter(keep.astype(float), 2) > 0.88, np.roll(true, 2, axis=1), 0)
    assert predicted.any()
    assert true.any()
    f1, dice, hausdorff = reference(predicted, true)
    assert object_f1(predicted, true) == pytest.approx(f1, abs=1e-12)
    assert object_dice(predicted, true) == pytest.approx(dice, abs=1e-12)
    assert object_hausdorff(predicted, true) == pytest.approx(hausdorff, abs=1e-9)


def test_an_object_inside_a_ring_is_measured_from_its_middle() -> None:
    rows, columns = np.indices((61, 61)) - 30
    radius = np.hypot(rows, columns)
    ring = ((radius > 20) & (radius < 28)).astype(np.int32)
    disc = (radius < 28).astype(np.int32)
    # The farthest pixel of the disc from the ring is its centre, not a pixel of its outline.
    assert object_hausdorff(disc, ring) == pytest.approx(np.sqrt((radius[ring > 0] ** 2).min()))


def test_equal_images_under_other_ids_are_perfect() -> None:
    true = canvas((2, 2, 10, 10), (20, 30, 8, 12))
    renamed = np.where(true == 1, 900, np.where(true == 2, 7, 0)).astype(np.int64)
    assert (object_f1(renamed, true), object_dice(renamed, true)) == (1.0, 1.0)
    assert object_hausdorff(renamed, true) == 0.0


def test_both_images_empty_is_agreement() -> None:
    empty = canvas()
    assert (object_f1(empty, empty), object_dice(empty, empty), object_hausdorff(empty, empty)) == (1.0, 1.0, 0.0)


def test_one_image_empty_is_failure_by_the_diagonal() -> None:
    empty, full = canvas(size=(30, 40)), canvas((1, 1, 5, 5), size=(30, 40))
    for pair in ((empty, full), (full, empty)):
        assert (object_f1(*pair), object_dice(*pair), object_hausdorff(*pair)) == (0.0, 0.0, 50.0)


def test_exactly_half_of_a_true_object_is_a_miss_and_one_pixel_more_a_hit() -> None:
    true = canvas((10, 10, 10, 10))
    half = canvas((10, 10, 5, 10))
    more = half.copy()
    more[15, 10] = 1
    assert object_f1(half, true) == 0.0
    assert object_f1(more, true) == 1.0


def test_a_split_object_gives_one_hit_one_false_alarm_and_no_miss() -> None:
    true = canvas((10, 10, 10, 10))
    split = canvas((10, 10, 6, 10), (16, 10, 4, 10))
    assert object_f1(split, true) == pytest.approx(2 * 1 / (2 + 1))
    # Predicted parts: 60 and 40 pixels with Dice 120/160 and 80/140; the true object meets the larger part.
    parts = 0.6 * 120 / 160 + 0.4 * 80 / 140
    assert object_dice(split, true) == pytest.approx((parts + 120 / 160) / 2)
    # The lower part is 6 rows away from the true object's top row, the upper part 4 from its bottom row.
    assert object_hausdorff(split, true) == pytest.approx((0.6 * 4 + 0.4 * 6 + 4) / 2)


def test_merged_objects_hit_only_the_one_they_cover_most() -> None:
    true = canvas((10, 10, 10, 10), (10, 22, 10, 5))
    merged = canvas((10, 10, 10, 17))
    assert object_f1(merged, true) == pytest.approx(2 * 1 / (1 + 2))
    of_true = (100 * 200 / 270 + 50 * 100 / 220) / 150
    assert object_dice(merged, true) == pytest.approx((200 / 270 + of_true) / 2)


def test_an_object_without_overlap_meets_the_nearest_of_the_other_image() -> None:
    true = canvas((5, 5, 4, 4), (30, 50, 4, 4))
    predicted = canvas((5, 5, 4, 4), (5, 15, 4, 4))  # the second lies 10 columns from the first true object
    assert object_f1(predicted, true) == pytest.approx(0.5)
    assert object_dice(predicted, true) == pytest.approx(0.5)
    lonely = np.hypot(25, 35)  # the second true object to the nearer predicted one, corner to like corner
    assert object_hausdorff(predicted, true) == pytest.approx((0.5 * 10 + 0.5 * lonely) / 2)


def test_an_image_that_is_all_object_is_not_taken_for_background() -> None:
    full = np.full((12, 16), 5, dtype=np.int32)
    assert (object_f1(full, full), object_dice(full, full), object_hausdorff(full, full)) == (1.0, 1.0, 0.0)
    half = canvas((0, 0, 12, 8), size=(12, 16))
    assert object_dice(half, full) == pytest.approx(2 * 96 / (96 + 192))
    assert object_hausdorff(half, full) == 8.0


@pytest.mark.parametrize("metric", [object_f1, object_dice, object_hausdorff])
def test_unlike_sizes_and_negative_ids_are_refused(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match=r"\(40, 60\).*\(40, 61\)"):
        metric(canvas(), canvas(size=(40, 61)))
    with pytest.raises(ValueError, match="negative id -1"):
        metric(canvas() - 1, canvas())


def test_a_one_object_prediction_over_a_full_image_stays_fast() -> None:
    rng = np.random.default_rng(0)
    true = blobs(rng, (522, 775), 22.0, 0.8)
    start = time.process_time()
    object_hausdorff(np.ones_like(true), true)
    assert time.process_time() - start < 2.0  # about 0.15 s; without the coarse search, many seconds


@pytest.mark.skipif(not GLAS.is_dir(), reason="the GlaS images are not beside the checkout")
def test_real_glands_dilated_by_three_pixels_score_near_three_pixels() -> None:
    true = imread(GLAS / "train_1_anno.png").astype(np.int32)
    grown = expand_labels(true, 3).astype(np.int32)
    assert object_f1(grown, true) == 1.0
    areas = [(np.bincount(image.ravel())[1:]) for image in (true, grown)]
    shares = 2 * areas[0] / (areas[0] + areas[1])  # every gland lies inside its grown self
    expected = (np.average(shares, weights=areas[0]) + np.average(shares, weights=areas[1])) / 2
    assert object_dice(grown, true) == pytest.approx(expected)
    assert 2.5 < object_hausdorff(grown, true) <= 3.0
