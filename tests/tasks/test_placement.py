"""Masks pasted, turned back and painted, against bilinear sampling of the whole image, torchvision and views."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from seg_al.core import PixelSet
from seg_al.heuristics.bald import BALD
from seg_al.predictors.class_maps import ClassMapSums, NotFinite
from seg_al.predictors.views import View
from seg_al.tasks.objects.painting import painted
from seg_al.tasks.objects.passes import Crop, Passed, PlacedPass
from seg_al.tasks.objects.placement import detections_of, placed, undone

SIZE = (48, 70)
CLASSES = 4
CELLS = 28
CPU = torch.device("cpu")
FLIPS = [(False, False), (True, False), (False, True), (True, True)]
ANGLES = [*range(0, 360, 30), 1, 45, 89, 137, 359]


def soft_blob(rng: np.random.Generator) -> npt.NDArray[np.float64]:  # [CELLS, CELLS]
    """An ellipse that fills most of its box, with a soft edge."""
    down, across = (np.mgrid[0:CELLS, 0:CELLS] + 0.5) / CELLS - 0.5
    angle, ratio = rng.uniform(0, math.pi), rng.uniform(0.6, 1)
    u, v = across * math.cos(angle) + down * math.sin(angle), down * math.cos(angle) - across * math.sin(angle)
    blob: npt.NDArray[np.float64] = 1 / (1 + np.exp(30 * (np.hypot(u, v / ratio) - 0.45)))
    return blob


def some_pass(count: int, seed: int, size: tuple[int, int] = SIZE, least: float = 2.0) -> Passed:
    """Boxes of all shapes, some reaching outside the image, of more proposals than detections."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-6, 1, (count, 2)) + rng.uniform(0, 1, (count, 2)) * size[::-1]
    boxes = np.concatenate([corner, corner + rng.uniform(least, 40, (count, 2))], 1)
    proposals = rng.permutation(2 * count)[:count]
    logits = rng.normal(0, 3, (2 * count, CLASSES))
    classes = logits[proposals, 1:].argmax(1) + 1
    scores = torch.softmax(torch.tensor(logits), 1).numpy()[proposals, classes]
    masks = np.stack([soft_blob(rng) for _ in range(count)])
    return Passed(
        size,
        torch.tensor(logits, dtype=torch.float32),
        torch.tensor(boxes, dtype=torch.float32),
        torch.tensor(classes),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(proposals),
        torch.tensor(masks, dtype=torch.float32),
    )


def whole(found: PlacedPass) -> PixelSet:  # [N, H, W]
    masks = np.zeros((len(found), *found.size), dtype=np.bool_)
    for mask, crop in zip(masks, found.masks, strict=True):
        x0, y0, x1, y1 = crop.window
        mask[y0:y1, x0:x1] = crop.mask
    return masks


def found_of(masks: PixelSet, scores: list[float], probabilities: npt.NDArray[np.float64]) -> PlacedPass:  # [N, H, W]
    """Detections in crops with a margin, so that windows differ from boxes."""
    crops, boxes = [], []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        x0, y0 = max(0, boxes[-1][0] - 2), max(0, boxes[-1][1] - 1)
        x1, y1 = min(mask.shape[1], boxes[-1][2] + 3), boxes[-1][3]
        crops.append(Crop((int(x0), int(y0), int(x1), int(y1)), mask[y0:y1, x0:x1]))
    classes = probabilities[:, 1:].argmax(1) + 1
    numbers = np.arange(len(masks))
    size = (masks.shape[1], masks.shape[2])
    frame = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return PlacedPass(size, frame, probabilities, classes, np.array(scores, dtype=np.float64), numbers, tuple(crops))


def rectangles(*windows: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> PixelSet:  # [N, H, W]
    masks = np.zeros((len(windows), *size), dtype=np.bool_)
    for mask, (x0, y0, x1, y1) in zip(masks, windows, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def sure(count: int) -> npt.NDArray[np.float64]:  # [N, C]
    """One-hot softmaxes of class 1."""
    return np.eye(CLASSES)[np.ones(count, dtype=np.int64)]


def iou(one: PixelSet, other: PixelSet) -> float:
    return float((one & other).sum() / (one | other).sum())


def sampled(mask: npt.NDArray[np.float64], box: list[float], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The bilinear value at the centre of every pixel of the image, cell by cell, zeros around the mask."""
    cells = np.pad(mask, 1)
    values = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            v = (row + 0.5 - box[1]) / (box[3] - box[1]) * CELLS + 0.5  # in the padded mask, centres at whole numbers
            u = (column + 0.5 - box[0]) / (box[2] - box[0]) * CELLS + 0.5
            if not (0 <= v < CELLS + 1 and 0 <= u < CELLS + 1):
                continue
            top, left = math.floor(v), math.floor(u)
            down, across = v - top, u - left
            upper = cells[top, left] * (1 - across) + cells[top, left + 1] * across
            lower = cells[top + 1, left] * (1 - across) + cells[top + 1, left + 1] * across
            values[row, column] = upper * (1 - down) + lower * down
    return values


@pytest.mark.parametrize("seed", range(3))
def test_a_mask_is_pasted_by_bilinear_values_at_pixel_centres(seed: int) -> None:
    passed = some_pass(8, seed)
    found = placed(passed)
    pasted = dict(zip(found.proposals.tolist(), whole(found), strict=True))
    assert len(pasted) >= 7
    for place, proposal in enumerate(passed.proposals.tolist()):
        box = passed.boxes[place].double().tolist()
        values = sampled(passed.masks[place].double().numpy(), box, SIZE)
        assert np.abs(values - 0.5).min() > 1e-9  # both sides decide alike
        assert np.array_equal(pasted.get(proposal, np.zeros(SIZE, dtype=np.bool_)), values >= 0.5)
        if proposal in pasted:
            own = found.boxes[found.proposals == proposal]
            assert own.tolist() == [np.clip(box, 0, [70, 48, 70, 48]).tolist()]


def test_pasted_masks_are_close_to_torchvisions() -> None:
    passed = some_pass(30, 0, (120, 160), least=12.0)
    theirs = paste_masks_in_image(passed.masks[:, None], passed.boxes, passed.size)[:, 0].numpy() >= 0.5
    ours = whole(placed(passed))
    overlap = [iou(one, other) for one, other in zip(ours, theirs, strict=True) if other.sum() > 60]
    assert len(overlap) > 20
    assert min(overlap) > 0.8  # torchvision rounds boxes to whole pixels
    assert np.mean(overlap) > 0.9


def test_a_mask_of_ones_fills_a_box_of_whole_pixels_at_any_size() -> None:
    one = some_pass(1, 0)
    full = Passed(
        SIZE, one.logits, torch.tensor([[10.0, 5.0, 38.0, 33.0]]), one.classes, one.scores, one.proposals,
        torch.ones(1, CELLS, CELLS),
    )  # fmt: skip
    assert whole(placed(full)).sum() == 28 * 28
    larger = placed(full, (96, 140))
    assert larger.boxes.tolist() == [[20, 10, 76, 66]]
    assert whole(larger).sum() == whole(larger)[0, 10:66, 20:76].sum() == 56 * 56  # 0.75 at edges, 0.5625 at corners


def test_each_detection_keeps_the_softmax_of_its_own_proposal_where_others_are_dropped() -> None:
    passed = some_pass(6, 5, least=20.0)
    boxes, masks = passed.boxes.clone(), passed.masks.clone()
    boxes[0] = torch.tensor([10.0, 10.0, 10.0, 20.0])  # no width
    boxes[2] = torch.tensor([200.0, 10.0, 220.0, 20.0])  # beyond the image
    masks[3] = 0.4  # nowhere more likely than not
    found = placed(Passed(SIZE, passed.logits, boxes, passed.classes, passed.scores, passed.proposals, masks))
    kept = [1, 4, 5]
    assert found.proposals.tolist() == passed.proposals[kept].tolist()
    rows = passed.logits.double().numpy()[passed.proposals[kept].numpy()]
    expected = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-12)
    assert found.classes.tolist() == passed.classes[kept].tolist()
    np.testing.assert_array_equal(found.scores, passed.scores[kept].numpy())
    np.testing.assert_allclose(found.probabilities[np.arange(3), found.classes], found.scores, rtol=1e-5)
    assert all(crop.area for crop in found.masks)


def test_no_detection_is_placed_turned_and_handed_on_as_none() -> None:
    passed = some_pass(3, 0)
    none = Passed(
        SIZE, passed.logits, passed.boxes[:0], passed.classes[:0], passed.scores[:0], passed.proposals[:0],
        passed.masks[:0],
    )  # fmt: skip
    found = placed(none)
    assert len(found) == 0
    assert found.probabilities.shape == (0, CLASSES)
    for degrees in (0, 33, 180):
        assert undone(found, View(True, False, degrees, 0.0, 0), SIZE).boxes.shape == (0, 4)
    assert len(detections_of(found)) == 0


def test_a_network_that_puts_out_nan_is_refused_though_its_proposal_is_no_detection() -> None:
    passed = some_pass(3, 0)
    lone = next(row for row in range(6) if row not in passed.proposals.tolist())
    logits = passed.logits.clone()
    logits[lone, 0] = torch.nan
    with pytest.raises(NotFinite, match="class logits hold NaN"):
        placed(Passed(SIZE, logits, passed.boxes, passed.classes, passed.scores, passed.proposals, passed.masks))


def test_detections_have_the_models_boxes_and_the_pasted_masks() -> None:
    found = placed(some_pass(7, 2))
    detections = detections_of(found)
    assert np.array_equal(detections.full(), whole(found))
    np.testing.assert_array_equal(detections.boxes, found.boxes.astype(np.float32))
    np.testing.assert_array_equal(detections.scores, found.scores)
    np.testing.assert_array_equal(detections.classes, found.classes)


DRAWN = ((3, 4, 25, 20), (30, 10, 58, 40), (20, 22, 34, 47), (50, 0, 70, 12))


def shown(masks: PixelSet, view: View) -> PixelSet:  # [N, H, W] -> [N, H', W']
    """What a perfect network finds in a view of an image on which each mask is drawn in a picture of its own."""
    return np.stack([view.show(torch.tensor(mask)[None, None].float())[0, 0].numpy() >= 0.5 for mask in masks])


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("degrees", ANGLES)
def test_what_is_found_in_a_view_comes_back_to_where_it_was_drawn(degrees: int, flips: tuple[bool, bool]) -> None:
    view = View(*flips, degrees, 0.0, 0)
    drawn = rectangles(*DRAWN)
    seen = found_of(shown(drawn, view), [0.9, 0.8, 0.7, 0.6], sure(4))
    found = undone(seen, view, SIZE)
    assert found.size == SIZE
    least = 1.0 if degrees % 90 == 0 else 0.85
    assert min(iou(one, other) for one, other in zip(whole(found), drawn, strict=True)) >= least
    assert np.abs(found.boxes - np.array(DRAWN)).max() <= (0 if degrees % 90 == 0 else 2)
    turned = torch.tensor(whole(seen))[:, None].float()
    assert np.array_equal(whole(found), view.undo(turned, SIZE)[:, 0].numpy() > 0)  # pixel by pixel as views do


def test_boxes_between_pixels_and_outside_their_masks_turn_with_the_view() -> None:
    view = View(rows=True, columns=False, degrees=90, noise=0.0, seed=0)
    found = placed(some_pass(5, 1, SIZE[::-1]))
    x0, y0, x1, y1 = found.boxes.T
    # a point (x, y) of the image is shown at (48 - y, 70 - x)
    expected = np.stack([70 - y1, 48 - x1, 70 - y0, 48 - x0], 1)
    np.testing.assert_allclose(undone(found, view, SIZE).boxes, expected, rtol=1e-12)


def test_an_object_of_the_mirrored_corners_vanishes_with_all_its_columns() -> None:
    view = View(rows=False, columns=False, degrees=45, noise=0.0, seed=0)
    canvas = view.show(torch.zeros(1, 3, *SIZE)).shape[2:]
    masks = np.zeros((2, *canvas), dtype=np.bool_)
    masks[0, 1:6, 1:6] = True  # a corner of the canvas that shows no pixel of the image for the first time
    masks[1, 35:50, 35:50] = True
    rows = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    found = undone(found_of(masks, [0.9, 0.8], rows), view, SIZE)
    assert found.scores.tolist() == [0.8]
    assert found.proposals.tolist() == [1]
    assert found.probabilities.tolist() == [rows[1].tolist()]


def bald_of(passes: list[PlacedPass]) -> npt.NDArray[np.float32]:  # [H, W] nats
    sums = ClassMapSums(CLASSES, 1, SIZE, CPU)
    for found in passes:
        sums.add(painted(found, CLASSES, CPU).clamp_min(1e-30).log()[None])
    return BALD()(sums.class_maps()[0]).numpy()


def test_painted_is_the_softmax_of_the_most_certain_object_and_background_elsewhere() -> None:
    masks = rectangles((5, 5, 30, 30), (20, 10, 50, 40), (28, 20, 35, 25))
    rows = np.random.default_rng(0).dirichlet(np.ones(CLASSES), 3)
    found = found_of(masks, [0.5, 0.9, 0.7], rows)
    canvas = painted(found, CLASSES, CPU)
    assert canvas.dtype == torch.float32
    np.testing.assert_allclose(canvas.sum(0).numpy(), 1, atol=1e-6)
    expected = np.zeros((CLASSES, *SIZE))
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            here = [place for place in range(3) if masks[place, row, column]]
            best = max(here, key=lambda place: found.scores[place], default=None)
            expected[:, row, column] = np.eye(CLASSES)[0] if best is None else rows[best]
    np.testing.assert_allclose(canvas.numpy(), expected, rtol=1e-6)
    bare = painted(found_of(masks[:0], [], rows[:0]), CLASSES, CPU)
    assert bare[0].eq(1).all()
    assert bare[1:].eq(0).all()


def test_of_equally_certain_objects_the_earlier_is_on_top() -> None:
    masks = rectangles((5, 5, 30, 30), (20, 10, 50, 40))
    found = found_of(masks, [0.5, 0.5], np.eye(CLASSES)[[1, 2]])
    assert painted(found, CLASSES, CPU)[1, 15, 25] == 1


def test_bald_of_painted_passes_sees_flips_misses_and_jitter() -> None:
    mask = rectangles((20, 10, 40, 30))
    stable = [found_of(mask, [1.0], sure(1))] * 8
    assert np.abs(bald_of(stable)).max() < 1e-6
    flipping = [found_of(mask, [1.0], np.eye(CLASSES)[[1 + number % 2]]) for number in range(8)]
    bald = bald_of(flipping)
    np.testing.assert_allclose(bald[mask[0]], math.log(2), rtol=1e-5)
    assert np.abs(bald[~mask[0]]).max() < 1e-6
    half = [stable[0] if number % 2 else found_of(mask[:0], [], sure(0)) for number in range(8)]
    np.testing.assert_allclose(bald_of(half)[mask[0]], math.log(2), rtol=1e-5)
    jitter = bald_of([found_of(rectangles((20 + shift, 10, 40 + shift, 30)), [1.0], sure(1)) for shift in range(4)])
    assert np.abs(jitter[10:30, 23:40]).max() < 1e-6  # inside all four
    quarter = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    expected = [quarter, math.log(2), quarter, 0]
    np.testing.assert_allclose(jitter[15, 20:24], expected, atol=1e-5)  # where 1, 2, 3 and 4 of them are
