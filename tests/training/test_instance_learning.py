"""What an instance model learns from: partial labels, maps of objects, augmentation of objects, the sum of losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from bare_dataset import BareDataset
from torch import nn

from seg_al.annotators.oracle import Oracle
from seg_al.core import IGNORE, Region
from seg_al.datasets.cached import Cached
from seg_al.running.compute import LocalCompute
from seg_al.tasks.instances import InstanceSegmentation
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.matching import BestMatch
from seg_al.tasks.objects.objects import Instances, instances_of, instances_of_maps, object_map
from seg_al.tasks.objects.partial import known_instances
from seg_al.trainers.trainer import Trainer, Validation
from seg_al.training.examples import Labelled
from seg_al.training.object_augmentation import InstanceAugmentation
from seg_al.training.object_losses import InstanceLoss
from seg_al.training.pace import Pace, StepDecay

V = IGNORE
SIZE = (60, 72)
NOTHING = np.zeros(SIZE, np.bool_)
TASK = InstanceSegmentation(BestMatch(), 0.0, 100, 0.5, bayesian=False, reported=None)


def rectangles(seed: int, count: int = 9, size: tuple[int, int] = SIZE, crowds: int = 0) -> Instances:
    """Random ones that overlap, with classes 1 to 3; the last are crowds."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *size), np.bool_)
    for mask in masks:
        (top, left), (high, wide) = rng.integers(0, np.array(size) - 6), rng.integers(3, 25, 2)
        mask[top : top + high, left : left + wide] = True
    crowd = [place >= count - crowds for place in range(count)]
    return Instances.of(size, [rle.encode(mask, size) for mask in masks], rng.integers(1, 4, count).tolist(), crowd)


# --- partial labels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_objects_that_are_known_enough_are_kept_whole_and_all_else_is_unknown(share: float) -> None:
    """Against loops over full-size masks."""
    kept_of_all = 0
    for seed in range(12):
        truth = rectangles(seed, crowds=2)
        rng = np.random.default_rng(100 + seed)
        known = cv2.resize(rng.random((5, 6)), SIZE[::-1], interpolation=cv2.INTER_NEAREST) < 0.6
        found, unknown = known_instances(truth, known, share)
        masks = truth.full()
        kept = [
            place for place, mask in enumerate(masks)
            if not truth.crowd[place] and (mask & known).sum() / mask.sum() >= share
        ]  # fmt: skip
        expected = ~known
        for place, mask in enumerate(masks):
            if place not in kept:
                expected = expected | mask
        for place in kept:
            expected = expected & ~masks[place]
        assert (found.full() == masks[kept]).all()
        assert found.classes.tolist() == truth.classes[kept].tolist()
        assert not found.crowd.any()
        assert (unknown == expected).all()
        kept_of_all += len(kept)
    assert 12 < kept_of_all < 12 * 7


def test_half_of_an_object_is_enough_and_a_pixel_less_is_not() -> None:
    mask = NOTHING.copy()
    mask[10:20, 10:20] = True
    truth = Instances.of(SIZE, [rle.encode(mask, SIZE)], [1], [False])
    known = mask.copy()
    known[10:15] = False
    assert len(known_instances(truth, known)[0]) == 1
    known[15, 10] = False
    found, unknown = known_instances(truth, known)
    assert len(found) == 0
    assert unknown.all(), "what is known of it belongs to an object that is not"


def test_an_image_all_known_has_all_its_objects_and_one_not_known_has_none() -> None:
    truth = rectangles(3)
    found, unknown = known_instances(truth, ~NOTHING)
    assert len(found) == len(truth)
    assert not unknown.any()
    found, unknown = known_instances(truth, NOTHING)
    assert len(found) == 0
    assert unknown.all()


# --- objects of maps --------------------------------------------------------------------------------------------------

OBJECTS = np.array([[9, 9, 4, 4, 4, 0], [9, 9, 4, 4, 4, 0], [0, 6, 6, 0, 5, 5], [0, 0, 0, 0, 5, 5]], np.int32)
TARGET = np.array([[1, 1, 2, 2, 1, V], [1, 1, 2, V, V, V], [0, V, V, 0, 0, 0], [0, 0, 0, 0, 0, 1]], np.uint8)


class Scene(BareDataset):
    """One small image of two maps, as a dataset and as its cache see it."""

    classes, pool = ("ground", "cell", "spore"), ("a",)

    def __init__(self, objects: np.ndarray | None = OBJECTS, background: int | None = 0) -> None:
        self._objects, self.background = objects, background

    def target(self, name: str) -> np.ndarray:
        return TARGET

    def objects(self, name: str) -> np.ndarray | None:
        return self._objects


def test_objects_of_maps_have_the_most_frequent_class_of_their_pixels() -> None:
    """5 is ground, so it is no object; all pixels of 6 are unknown: a crowd of each class, with the other unknown."""
    found = instances_of_maps(OBJECTS, TARGET, void=(1, 2))
    assert found.classes.tolist() == [2, 1, 1, 2]
    assert found.crowd.tolist() == [False, False, True, True]
    assert found.boxes.tolist() == [[2, 0, 5, 2], [0, 0, 2, 2], [1, 0, 6, 3], [1, 0, 6, 3]]
    masks = found.full()
    assert (masks[0] == (OBJECTS == 4)).all()
    assert (masks[1] == (OBJECTS == 9)).all()
    assert (masks[2] == ((TARGET == V) & np.isin(OBJECTS, (0, 6)))).all()
    assert (masks[3] == masks[2]).all()


def test_objects_of_maps_paint_the_map_that_they_came_from() -> None:
    truth = rectangles(5, 12)
    drawn = object_map(truth)
    ids = np.where(drawn > 0, drawn * 37, 0)
    classes = np.r_[0, truth.classes].astype(np.uint8)[drawn]
    found = instances_of_maps(ids, classes)
    places = np.unique(drawn[drawn > 0])
    assert found.classes.tolist() == truth.classes[places - 1].tolist()
    assert (found.full() == (drawn == places[:, None, None])).all()
    assert len(instances_of_maps(np.zeros(SIZE, np.int32), np.zeros(SIZE, np.uint8))) == 0
    whole = instances_of_maps(np.full(SIZE, 7, np.int32), np.ones(SIZE, np.uint8))
    assert whole.boxes.tolist() == [[0, 0, 72, 60]]


def test_a_cache_makes_the_objects_once_and_prefers_those_of_the_dataset() -> None:
    of_maps = Cached(Scene(), 1)  # type: ignore[arg-type]
    assert of_maps.instances("a") is of_maps.instances("a")
    assert of_maps.instances("a").classes.tolist() == [2, 1, 1, 2]
    own = Scene()
    own.instances = lambda name: rectangles(0)  # type: ignore[attr-defined]
    assert len(Cached(own, 1).instances("a")) == 9  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        (Scene(objects=None), r"image a has no object ids; take a dataset that has them \(dataset=glas, coco"),
        (Scene(background=None), "the first class, ground, is no background"),
    ],
)
def test_a_dataset_without_objects_says_what_to_take(scene: Scene, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        instances_of(scene, "a")  # type: ignore[arg-type]


@pytest.mark.parametrize("gives", ["true", "instances"])
def test_an_oracle_tells_the_objects_that_its_regions_show(gives: str) -> None:
    """Object 9 by two regions that show half of it together; a third of 4 is not enough."""
    regions = [np.zeros((4, 6), np.bool_) for _ in range(2)]
    regions[0][0, 0] = regions[1][1, 1] = regions[1][0:2, 2] = True
    oracle = Oracle(Cached(Scene(), 1), TASK, gives)
    known = oracle.reveal("a", [Region.of(mask) for mask in regions])
    assert known.objects.boxes.tolist() == [[0, 0, 2, 2]]
    assert (known.unknown == (OBJECTS != 9)).all()
    assert (known.labels == np.where(regions[0] | regions[1], TARGET, V)).all()


def test_an_oracle_of_dominant_classes_has_no_objects() -> None:
    with pytest.raises(ValueError, match="oracle_dominant gives one class per region and no objects; take annotator="):
        Oracle(Scene(), TASK, "dominant")


# --- augmentation -----------------------------------------------------------------------------------------------------

STILL = InstanceAugmentation(
    crop=SIZE, flip=0.0, flip_vertical=0.0, rotate=False, angle=0.0, scale=None,
    brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0,
)  # fmt: skip
RIGHT_ANGLES = replace(STILL, crop=(40, 34), flip=0.5, flip_vertical=0.5, rotate=True, least=0.0)
WILD = replace(RIGHT_ANGLES, angle=40.0, scale=(0.5, 2.0))


def coloured(seed: int) -> tuple[np.ndarray, Instances]:
    """Objects and their picture: each has a colour of its own in one of three channels; in one channel none overlap."""
    rng = np.random.default_rng(seed)
    image = np.zeros((*SIZE, 3), np.uint8)
    masks, channels = [], []
    for number in range(30):
        (top, left), (high, wide), channel = rng.integers(0, (52, 64)), rng.integers(6, 25, 2), number % 3
        window = image[top : top + high, left : left + wide, channel]
        if not window.any():
            window[:] = 40 + 7 * number
            mask = NOTHING.copy()
            mask[top : top + high, left : left + wide] = True
            masks.append(mask)
            channels.append((channel, 40 + 7 * number))
    codes = [rle.encode(mask, SIZE) for mask in masks]
    classes = [1 + channel + 3 * value for channel, value in channels]  # tells the colour
    assert (np.sum(masks, axis=0) > 1).any()
    return image, Instances.of(SIZE, codes, classes, [False] * len(codes))


def colour(label: int) -> tuple[int, int]:
    """Channel and value."""
    return (label - 1) % 3, (label - 1) // 3


@pytest.mark.parametrize("crop", [(40, 34), (80, 30), (90, 90), None])
def test_each_mask_is_exactly_the_pixels_of_its_colour_after_crop_turns_and_flips(
    crop: tuple[int, int] | None,
) -> None:
    move, seen, sizes = replace(RIGHT_ANGLES, crop=crop), 0, set()
    for seed in range(40):
        image, instances = coloured(seed % 4)
        moved, target = move(image, instances, NOTHING, seed)
        sizes.add(moved.shape[:2])
        there = {(c, int(v)) for c in range(3) for v in np.unique(moved[..., c]) if v}
        assert {colour(label) for label in target["labels"].tolist()} == there, "no object is lost, none is invented"
        for label, mask, box in zip(*(target[key].numpy() for key in ("labels", "masks", "boxes")), strict=True):
            channel, value = colour(int(label))
            assert ((moved[..., channel] == value) == mask).all()
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        overlap = target["masks"].sum(0).max().item()
        seen += overlap > 1
    assert seen > 10, "objects that overlap stay whole"
    assert sizes == ({crop} if crop else {SIZE, SIZE[::-1]})


def test_masks_follow_their_colour_through_scale_and_any_angle() -> None:
    """Colours blend along the outline; inside it they are those of the object, and beyond it of none."""
    counted = 0
    for seed in range(40):
        image, instances = coloured(seed % 4)
        moved, target = WILD(image, instances, NOTHING, seed)
        assert len(target["boxes"])
        for label, mask in zip(target["labels"].tolist(), target["masks"].numpy(), strict=True):
            channel, value = colour(label)
            inside = cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=0) > 0
            assert (moved[inside][:, channel] == value).all()
            beyond = cv2.dilate(mask, np.ones((3, 3), np.uint8)) == 0
            other = moved[beyond][:, channel] == value
            assert other.mean() < 0.02 if beyond.any() else True, "blends of others may pass through the value"
            counted += int(inside.sum())
    assert counted > 40 * 100


def test_each_of_the_eight_right_angles_and_flips_occurs_and_no_other() -> None:
    image, instances = coloured(1)
    square = image[:50, :50]
    crops = instances.crops((0, 0, 50, 50))
    shown = np.flatnonzero(crops.any((1, 2)))
    own = Instances.of(
        (50, 50), [rle.encode(crops[place], (50, 50)) for place in shown], instances.classes[shown].tolist(),
        [False] * len(shown),
    )  # fmt: skip
    move = replace(RIGHT_ANGLES, crop=(50, 50))
    grids = [np.rot90(one, turns) for one in (square, square[:, ::-1]) for turns in range(4)]
    found = [
        [(moved == grid).all() for grid in grids]
        for moved in (move(square, own, np.zeros((50, 50), np.bool_), seed)[0] for seed in range(80))
    ]
    assert all(sum(which) == 1 for which in found)
    assert np.array(found).any(0).all()


@pytest.mark.parametrize("move", [RIGHT_ANGLES, WILD, replace(WILD, crop=(90, 90)), replace(WILD, crop=None)])
def test_what_is_unknown_and_what_is_outside_the_image_is_unknown_in_the_crop(move: InstanceAugmentation) -> None:
    """Known pixels of the picture are bright, unknown ones are dim and those outside are black."""
    unknown = NOTHING.copy()
    unknown[10:30, 20:60] = True
    image = np.repeat(np.where(unknown, 100, 250).astype(np.uint8)[..., None], 3, axis=2)
    nobody = Instances.of(SIZE, [], [], [])
    for seed in range(15):
        moved, target = move(image, nobody, unknown, seed)
        assert target["boxes"].shape == (0, 4)
        assert target["masks"].shape == (0, *moved.shape[:2])
        light, around = moved[..., 0], np.ones((3, 3), np.uint8)
        clear = cv2.erode(light, around) == cv2.dilate(light, around)  # not at an outline, where colours blend
        clear[[0, -1]] = clear[:, [0, -1]] = False  # nor at the border, beyond which one may be
        assert (target["unknown"].numpy()[clear] == (light < 250)[clear]).all()
        assert clear.mean() > 0.5


def corner_of(size: int) -> Instances:
    """A square whose upper left pixel is the last of the image's middle."""
    mask = NOTHING.copy()
    mask[30 : 30 + size, 30 : 30 + size] = True
    whole = NOTHING.copy()
    whole[2:6, 2:6] = True
    return Instances.of(SIZE, [rle.encode(mask, SIZE), rle.encode(whole, SIZE)], [2, 3], [False, False])


@pytest.mark.parametrize(("least", "targets"), [(0.25, [2, 3]), (0.26, [3]), (0.0, [2, 3])])
def test_an_object_cut_to_less_than_its_least_share_is_unknown_and_no_target(
    least: float, targets: Sequence[int]
) -> None:
    """Of 20 x 20 pixels the crop, which begins with the image, shows 10 x 10: exactly a quarter."""
    move = replace(STILL, crop=(40, 40), least=least)
    instances = corner_of(20)
    place = 0
    for seed in range(4000):
        moved, target = move(np.stack([np.mgrid[:60, :72][0], np.mgrid[:60, :72][1], 0 * NOTHING], 2).astype(np.uint8),
                             instances, NOTHING, seed)  # fmt: skip
        if moved[0, 0, 0] == 0 and moved[0, 0, 1] == 0:
            place += 1
            assert target["labels"].tolist() == list(targets)
            quarter = np.zeros((40, 40), np.bool_)
            quarter[30:, 30:] = 2 not in targets
            assert (target["unknown"].numpy() == quarter).all()
            break
    assert place, "one crop of 693 begins with the image"


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_least_share_is_one_of_the_resized_area(factor: float) -> None:
    """The object is bright, so that the picture tells how much of it is in the crop; near the limit it is left open."""
    instances, image = corner_of(20), np.zeros((*SIZE, 3), np.uint8)
    image[30:50, 30:50] = 200
    side, judged = round(40 * factor), set()
    move = replace(STILL, crop=(side, side), scale=(factor, factor), least=0.6)
    for seed in range(60):
        moved, target = move(image, instances, NOTHING, seed)
        share = (moved[..., 0] > 100).sum() / (20 * factor) ** 2
        if share and abs(share - 0.6) > 0.1:
            assert (2 in target["labels"].tolist()) == (share > 0.6)
            judged.add(bool(share > 0.6))
    assert judged == {False, True}


def test_an_object_inside_the_crop_is_a_target_however_few_pixels_are_left() -> None:
    """Of 3 x 3 pixels each second row and column is kept: one pixel, where half the size would have 2.25."""
    _, target = replace(STILL, crop=(30, 36), scale=(0.5, 0.5), least=1.0)(
        np.zeros((*SIZE, 3), np.uint8), corner_of(3), NOTHING, 0
    )
    assert target["labels"].tolist() == [2, 3]
    assert target["masks"].sum((1, 2)).tolist() == [1, 4]
    assert not target["unknown"].any()


def test_crops_on_a_label_hold_a_known_pixel() -> None:
    unknown = ~NOTHING
    unknown[55, 3] = False
    image, nobody = np.zeros((*SIZE, 3), np.uint8), Instances.of(SIZE, [], [], [])
    anywhere, on_label = (replace(WILD, crop=(12, 12), scale=(1.0, 2.0), crop_on_label=on) for on in (False, True))
    hits = [[bool((~move(image, nobody, unknown, seed)[1]["unknown"]).any()) for seed in range(40)]
            for move in (anywhere, on_label)]  # fmt: skip
    assert sum(hits[0]) < 12
    assert sum(hits[1]) >= 38, "nearest resampling of a turned image may pass a single pixel over"


def test_an_example_depends_on_its_seed_alone_and_writes_to_nothing() -> None:
    image, instances = coloured(2)
    image.setflags(write=False)
    unknown = NOTHING.copy()
    unknown.setflags(write=False)
    lively = replace(WILD, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    first, other, again = (lively(image, instances, unknown, seed) for seed in (5, 6, 5))
    assert (first[0] == again[0]).all()
    assert all(torch.equal(first[1][key], again[1][key]) for key in first[1])
    assert (first[0] != other[0]).any()
    plain = replace(lively, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)(image, instances, unknown, 5)
    assert (plain[0] != first[0]).any()
    assert torch.equal(plain[1]["masks"], first[1]["masks"]), "colours move nothing"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"crop": (0, 8)}, r"crop=\[0, 8\]: height and width are at least 1 pixel"),
        ({"crop": None, "crop_on_label": True}, "crop_on_label=true places a crop, and crop=null takes none"),
        ({"scale": (2.0, 0.5)}, r"scale=\[2.0, 0.5\]: give the smallest and the largest factor"),
        ({"angle": 200.0}, "angle=200: the largest turn is 0 to 180 degrees"),
        ({"flip": 1.5}, "flip=1.5: a probability or share is 0 to 1"),
        ({"least": -0.1}, "least=-0.1: a probability or share is 0 to 1"),
        ({"hue": 0.6}, "hue=0.6: a share of the colour circle"),
        ({"contrast": -1.0}, "relative changes of at least 0"),
    ],
)
def test_an_augmentation_that_means_nothing_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(STILL, **wrong)  # type: ignore[arg-type]


# --- learning ---------------------------------------------------------------------------------------------------------

EQUAL = InstanceLoss(classification=1, box=1, mask=1, objectness=1, rpn_box=1)


def target(size: tuple[int, int], objects: int, unknown: int = 0) -> dict[str, torch.Tensor]:
    masks = torch.zeros(objects, *size, dtype=torch.uint8)
    masks[:, 1:3, 1:4] = 1
    nowhere = torch.zeros(size, dtype=torch.bool)
    nowhere[:unknown] = True
    boxes = torch.tensor([[1.0, 1.0, 4.0, 3.0]]).repeat(objects, 1)
    return {"boxes": boxes, "labels": torch.ones(objects, dtype=torch.int64), "masks": masks, "unknown": nowhere}


def test_images_of_several_sizes_are_padded_with_the_unknown() -> None:
    images, targets = EQUAL.collate(
        [(torch.ones(3, 5, 9), target((5, 9), 2)), (torch.ones(3, 8, 6), target((8, 6), 0))]
    )
    assert images.shape == (2, 3, 8, 9)
    assert images.sum((1, 2, 3)).tolist() == [3 * 45, 3 * 48]
    for one, (height, width) in zip(targets, ((5, 9), (8, 6)), strict=True):
        assert one["masks"].shape[1:] == one["unknown"].shape == (8, 9)
        assert not one["unknown"][:height, :width].any()
        assert one["unknown"].sum() == 72 - height * width
    assert targets[0]["masks"].sum((1, 2)).tolist() == [6, 6]
    assert EQUAL.known((images, targets)) == 45 + 48


class Told(nn.Module):
    """Its losses are numbers times its weight, and it notes what it was shown."""

    task = "instances"

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.shown: list[int] = []

    def forward(self, images: torch.Tensor, targets: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        assert images.is_contiguous(memory_format=torch.channels_last)
        self.shown += [len(one["boxes"]) for one in targets]
        names = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")
        return {name: self.weight * 10**power for power, name in enumerate(names)}


def test_the_losses_are_weighted_by_name() -> None:
    batch = EQUAL.collate([(torch.ones(3, 5, 9), target((5, 9), 2))])
    assert EQUAL.of_batch(Told(), batch, None).item() == 11111
    parts = InstanceLoss(classification=2, box=3, mask=4, objectness=5, rpn_box=0)
    assert parts.of_batch(Told(), batch, None).item() == 43205
    assert parts.weights(lambda: pytest.fail("no class weights, no count")) is None


@pytest.mark.parametrize("values", [(0, 0, 0, 0, 0), (1, 1, -1, 1, 1), (1, float("nan"), 1, 1, 1)])
def test_loss_weights_that_mean_nothing_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"trainer\.loss: the weights classification=.* rpn_box=.* are not negative"):
        InstanceLoss(*values)


def test_a_training_shows_the_known_objects_and_skips_what_is_all_unknown(caplog: pytest.LogCaptureFixture) -> None:
    """SGD on a loss of 11111 w: each step takes lr · 11111 off the weight."""
    annotator = Oracle(Cached(Scene(), 1), TASK, "true")
    trainer = Trainer(
        optimizer=partial(torch.optim.SGD, lr=1e-6), schedule=StepDecay((1.0,), 1.0), loss=EQUAL,
        augmentation=replace(STILL, crop=(8, 8)), pace=Pace(4, 0, 1), batch_size=1,
        validation=Validation("last", 1), start="fresh",
    )  # fmt: skip
    nothing: tuple[Region, ...] = ()
    for known, steps, objects in (((Region.whole((4, 6)),), 4, 2), (nothing, 0, 0)):
        labelled = Labelled(Scene(), annotator, {"a": known}, Scene.classes, TASK.amounts)
        model = Told()
        compute = LocalCompute("cpu", "float32", 1, 0, 1)
        (weights,) = trainer.fit(model, labelled, lambda model: 0.0, compute, (0, 0)).weights
        assert weights["weight"].item() == pytest.approx(1 - steps * 0.011111, abs=1e-5)
        assert model.shown == [objects] * steps
        assert ("4 of 4 steps had no labelled pixel" in caplog.text) == (steps == 0)
