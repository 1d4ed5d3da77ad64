"""Labels move with the geometry of the augmentation: by a plain reference, and seen in the picture."""

from __future__ import annotations

import cmath
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from seg_al.core import IGNORE
from seg_al.training.augmentation import Augmentation, Placement

PLAIN = Augmentation(crop=(48, 40), rotate=False, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
WILD = replace(PLAIN, rotate=True, flip=0.5, flip_vertical=0.5, scale=(0.5, 2.0), angle=40.0)


# --- the rule, by loops over pixels -----------------------------------------------------------------------------------


def reference(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """The stated rule, pixel by pixel, with complex numbers (x + iy) for the geometry."""
    (height, width), (h, w) = placement.size, placement.crop
    stretch = [max(1, round(placement.factor * side)) / side for side in (height, width)]
    spin = cmath.exp(-1j * math.radians(placement.angle))
    middle = complex(placement.canvas[1], placement.canvas[0]) / 2 - complex(*placement.corner[::-1])
    best: dict[tuple[int, int], tuple[float, int]] = {}  # pixel of the window -> distance in source pixels, class

    def offer(place: tuple[int, int], source: tuple[int, int], at: tuple[float, float]) -> None:
        if 0 <= place[0] < h and 0 <= place[1] < w and mask[source] != IGNORE:
            distance = math.dist(at, (source[0] + 0.5, source[1] + 0.5))
            if place not in best or distance <= best[place][0]:
                best[place] = distance, int(mask[source])

    def back(place: tuple[int, int]) -> tuple[float, float]:
        point = (complex(place[1] + 0.5, place[0] + 0.5) - middle) / spin
        return point.imag / stretch[0] + height / 2, point.real / stretch[1] + width / 2

    for source in np.ndindex(height, width):
        x, y = (source[1] + 0.5 - width / 2) * stretch[1], (source[0] + 0.5 - height / 2) * stretch[0]
        point = complex(x, y) * spin + middle
        place = math.floor(point.imag), math.floor(point.real)
        offer(place, (source[0], source[1]), back(place))
    for place in np.ndindex(h, w):
        at = back((place[0], place[1]))
        under = math.floor(at[0]), math.floor(at[1])
        if 0 <= under[0] < height and 0 <= under[1] < width:
            offer((place[0], place[1]), under, at)
    out = np.full((h, w), IGNORE, dtype=np.uint8)
    for place, (_, label) in best.items():
        out[place] = label
    return out


def masks(size: tuple[int, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    dense = rng.integers(0, 5, size, dtype=np.uint8)
    blank = dense.copy()
    blank[3:9, 5:] = IGNORE
    return {"dense": dense, "a block is blank": blank} | {
        f"{share:.0%}": np.where(rng.random(size) < share, dense, np.uint8(IGNORE)) for share in (0.5, 0.1, 0.01, 0.0)
    }


SIZE = (19, 23)
PLACEMENTS = [
    *(Placement(SIZE, (20, 21), factor, angle, (1, -2)) for factor in (0.5, 0.71, 1.3, 2.0) for angle in (17.3, -58.1)),
    Placement((20, 24), (10, 12), 0.5, 0.0),  # each centre on a corner of four pixels, each class a tie
    Placement((20, 24), (5, 30), 0.25, 0.0, (0, -4)),
    Placement(SIZE, (14, 30), 1.0, 0.0, (3, -2)),
    Placement(SIZE, (30, 30), 2.0, 0.0, (5, 7)),
]


@pytest.mark.parametrize("placement", PLACEMENTS, ids=lambda one: f"x{one.factor:g} {one.angle:g} degrees")
def test_each_pixel_takes_the_nearest_label_under_its_centre_or_landing_in_it(placement: Placement) -> None:
    for density, mask in masks(placement.size, np.random.default_rng(3)).items():
        assert (placement.labels(mask) == reference(mask, placement)).all(), density


def test_no_labelled_pixel_vanishes_and_none_is_invented() -> None:
    """Each labelled pixel alone: it is found where its centre lands, and nowhere farther than its own shape reaches."""
    rng = np.random.default_rng(0)
    landed = 0
    for _ in range(300):
        placement = Placement((31, 37), (24, 20), rng.uniform(0.3, 2.5), rng.uniform(-180, 180))
        room = [side - crop for side, crop in zip(placement.canvas, placement.crop, strict=True)]
        placement = replace(placement, corner=(int(rng.integers(-2, max(1, room[0]))), int(rng.integers(0, 9))))
        source = tuple(rng.integers(0, placement.size).tolist())
        mask = np.full(placement.size, IGNORE, dtype=np.uint8)
        mask[source] = 2
        out = placement.labels(mask)
        point = placement.forward(np.array([source]) + 0.5)[0]
        inside = bool(((point >= 0) & (point < placement.crop)).all())
        landed += inside
        assert not inside or out[tuple(np.floor(point).astype(int))] == 2
        away = np.abs(np.argwhere(out == 2) + 0.5 - point)
        assert (away <= 0.71 * max(1.0, placement.ratio.max()) + 1e-9).all()
    assert landed > 80


def test_of_two_classes_on_one_pixel_the_nearer_to_its_centre_wins() -> None:
    placement = Placement((8, 8), (2, 2), 0.25, 0.0)
    mask = np.full((8, 8), IGNORE, dtype=np.uint8)
    mask[0, 0], mask[1, 2] = 1, 3  # both land in the first pixel, whose centre is the corner before pixel [2, 2]
    mask[5, 5], mask[7, 7] = 4, 0
    assert placement.labels(mask).tolist() == [[3, IGNORE], [IGNORE, 4]]


# --- seen in the picture ----------------------------------------------------------------------------------------------


def spot(size: tuple[int, int], place: tuple[int, int]) -> np.ndarray:
    """A round bright spot on black around one pixel."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    bright = 255 * np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / (2 * 1.5**2))
    return np.repeat(bright.round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("crop_on_label", [False, True])
def test_a_planted_label_is_found_at_its_spot_after_scale_crop_flips_and_rotation(crop_on_label: bool) -> None:
    move = replace(WILD, crop_on_label=crop_on_label)
    size, found = (60, 72), 0
    for seed in range(200):
        place = tuple(np.random.default_rng(seed).integers(5, np.array(size) - 5).tolist())  # the spot is whole
        mask = np.full(size, IGNORE, dtype=np.uint8)
        mask[place] = 1
        image, labels = move(spot(size, place), mask, seed)
        where = np.argwhere(labels == 1)
        assert len(where) or not crop_on_label
        light = image[..., 0].astype(float)
        if not len(where) or light[[0, -1]].max() > 20 or light[:, [0, -1]].max() > 20:  # the edge cuts the spot
            assert len(where) or light.max() < 250, "the middle of the spot is in sight, its label is not"
            continue
        centre = np.argwhere(light >= 0) * light.ravel()[:, None]
        middle = centre.sum(0) / light.sum()
        nearest = np.abs(where - middle).max(1).min()
        assert nearest < 0.62, "half a pixel, and an eighth for the rounding of colours"
        assert np.linalg.norm(where - middle, axis=1).max() < 2.0, "at most the pixel's own shape, twice enlarged"
        found += 1
    assert found > (80 if crop_on_label else 25)


@pytest.mark.parametrize(
    "move",
    [replace(PLAIN, scale=(0.5, 2.0)), replace(PLAIN, angle=180.0), WILD, replace(PLAIN, crop_on_label=True)],
    ids=["scale", "turn", "all", "crop"],
)
def test_a_dense_mask_is_resampled_from_the_places_its_picture_comes_from(move: Augmentation) -> None:
    """Ramps name their place also after interpolation; where they are in doubt the label is that of a neighbour."""
    rows, columns = np.mgrid[:60, :72].astype(np.uint8)
    picture = np.stack([3 * rows, 3 * columns, 0 * rows + 255], axis=2)
    target = ((rows // 3 + columns // 4) % 7).astype(np.uint8)
    right = []
    for seed in range(25):
        image, labels = move(picture, target, seed)
        assert image.shape == (*move.crop, 3)
        assert labels.shape == move.crop
        real = labels != IGNORE
        assert (image[real][:, 2] == 255).all(), "no label lies on the padding"
        y, x = (np.rint(image[real][:, axis] / 3).astype(int) for axis in (0, 1))
        right.append((target[y.clip(0, 59), x.clip(0, 71)] == labels[real]).mean())
        around = [target[(y + dy).clip(0, 59), (x + dx).clip(0, 71)] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        assert (np.array(around) == labels[real]).any(0).all()
    assert np.mean(right) > 0.97


def test_padding_has_no_label_and_a_smaller_image_lies_in_the_middle() -> None:
    move = replace(PLAIN, scale=(0.5, 0.5))
    image, labels = move(np.full((20, 20, 3), 200, np.uint8), np.ones((20, 20), np.uint8), 0)
    rows, columns = np.nonzero(labels == 1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (19, 28, 15, 24)
    assert ((image == 200).all(2) == (labels == 1)).all()
    assert (image[labels == IGNORE] == 0).all()


def test_a_turned_image_can_be_cropped_anywhere_so_that_no_corner_is_out_of_reach() -> None:
    mask = np.full((40, 48), IGNORE, np.uint8)
    mask[0, 0], mask[-1, -1] = 1, 2
    image = np.zeros((40, 48, 3), np.uint8)
    move = replace(PLAIN, angle=45.0, crop=(24, 24))
    seen = {label for seed in range(200) for label in np.unique(move(image, mask, seed)[1]).tolist()}
    assert seen == {1, 2, IGNORE}


def test_factors_and_turns_fill_their_ranges_to_both_sides() -> None:
    """Read off a ramp along the rows: how steep it is in the crop, and where to."""
    ramp = np.repeat(2 * np.mgrid[:120, :120][0].astype(np.uint8)[..., None], 3, axis=2)
    move = replace(PLAIN, crop=(24, 24), scale=(0.5, 2.0), angle=30.0)
    found = []
    for seed in range(150):
        image, labels = move(ramp, np.zeros((120, 120), np.uint8), seed)
        if (labels == 0).all():
            light = image[..., 0].astype(float)
            down, right = (light[22, 12] - light[2, 12]) / 40, (light[12, 22] - light[12, 2]) / 40
            found.append((1 / math.hypot(down, right), math.degrees(math.atan2(right, down))))
    factors, angles = np.array(found).T
    assert len(found) > 60
    assert 0.45 < factors.min() < 0.7
    assert 1.8 < factors.max() < 2.2
    assert -34 < angles.min() < -25
    assert 25 < angles.max() < 34
    assert 0.3 < (angles > 0).mean() < 0.7


# --- where the crop lies ----------------------------------------------------------------------------------------------


def places(move: Augmentation, mask: np.ndarray, count: int) -> Counter[tuple[int, int, int]]:
    """How often a label of which class stands where in the crop; each draw has exactly one."""
    found: Counter[tuple[int, int, int]] = Counter()
    image = np.zeros((*mask.shape, 3), np.uint8)
    for seed in range(count):
        labels = move(image, mask, seed)[1]
        for row, column in np.argwhere(labels != IGNORE).tolist():
            found[row, column, int(labels[row, column])] += 1
    return found


def test_a_crop_on_a_label_is_drawn_uniformly_among_those_that_hold_it() -> None:
    move = replace(PLAIN, crop=(3, 4), crop_on_label=True)
    mask = np.full((20, 30), IGNORE, np.uint8)
    mask[9, 12] = 5
    found = places(move, mask, 900)
    assert sum(found.values()) == 900
    assert set(found) == {(row, column, 5) for row in range(3) for column in range(4)}
    assert all(45 < count < 110 for count in found.values()), "75 each, give or take 4 standard deviations"
    mask[9, 12], mask[0, 29] = IGNORE, 5
    assert set(places(move, mask, 20)) == {(0, 3, 5)}, "in the corner there is one"


def test_labels_are_drawn_uniformly_for_the_crop() -> None:
    move = replace(PLAIN, crop=(3, 4), crop_on_label=True)
    mask = np.full((20, 30), IGNORE, np.uint8)
    mask[2, 3], mask[17, 5], mask[10, 20] = 0, 1, 2
    found = Counter(label for (_, _, label), n in places(move, mask, 600).items() for _ in range(n))
    assert sorted(found) == [0, 1, 2]
    assert all(150 < count < 250 for count in found.values())


def test_an_image_without_a_label_is_cropped_all_the_same() -> None:
    image, labels = replace(WILD, crop_on_label=True)(spot((60, 72), (30, 30)), np.full((60, 72), IGNORE, np.uint8), 1)
    assert image.shape == (48, 40, 3)
    assert (labels == IGNORE).all()


def test_the_geometry_depends_on_the_seed_alone_and_writes_to_nothing() -> None:
    image, mask = spot((60, 72), (30, 30)), np.zeros((60, 72), np.uint8)
    mask[20:, 30:] = IGNORE
    image.setflags(write=False)
    mask.setflags(write=False)
    move = replace(WILD, crop_on_label=True)
    first, other, again = (move(image, mask, seed) for seed in (5, 6, 5))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[1] != other[1]).any()


def test_a_vertical_flip_turns_the_rows_alone() -> None:
    move = replace(PLAIN, crop=(9, 11), flip_vertical=0.5)
    mask = np.arange(99, dtype=np.uint8).reshape(9, 11)
    image = np.repeat(mask[..., None], 3, axis=2)
    turned = [bool((move(image, mask, seed)[1] == mask[::-1]).all()) for seed in range(40)]
    kept = [bool((move(image, mask, seed)[1] == mask).all()) for seed in range(40)]
    assert 8 < sum(turned) < 32
    assert sum(turned) + sum(kept) == 40


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scale": (2.0, 0.5)}, r"scale=\[2.0, 0.5\]: give the smallest and the largest factor"),
        ({"scale": (0.0, 1.0)}, "both above 0"),
        ({"angle": 200.0}, "angle=200: the largest turn is 0 to 180 degrees"),
        ({"angle": -5.0}, "angle=-5: the largest turn is 0 to 180 degrees"),
        ({"flip_vertical": 1.5}, "flip_vertical=1.5: a probability is 0 to 1"),
        ({"crop": (0, 8)}, r"crop=\[0, 8\]: height and width are at least 1 pixel"),
    ],
)
def test_a_geometry_that_means_nothing_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(PLAIN, **wrong)  # type: ignore[arg-type]
