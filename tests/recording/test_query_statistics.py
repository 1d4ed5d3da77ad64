"""The statistics of what was asked equal what counting by hand gives, and read no label that was not asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

from experiments import Notes, tiny
from seg_al.annotators.oracle import Oracle
from seg_al.asking.pool import Pool
from seg_al.core import IGNORE, ByteImage, Query, Region
from seg_al.recording.pictures.palette import palette
from seg_al.recording.pictures.query_regions import QueryRegions
from seg_al.recording.query_statistics import (
    MOST_DRAWN,
    drawn_classes,
    nearest,
    query_scalars,
    query_statistics_figure,
    random_nearest,
    statistics,
)
from seg_al.tasks.pixels.class_labels import pixels_of_classes
from seg_al.tasks.semantic import SemanticSegmentation

SIZE = (24, 30)
CLASSES = ("sky", "road", "car", "sign")
SEMANTIC = SemanticSegmentation(objects=False, bayesian=False)


@dataclass(frozen=True)
class Streets:
    """A dataset of masks in memory; its pictures are black."""

    targets: Mapping[str, ByteImage]
    classes: tuple[str, ...] = CLASSES
    background: int | None = None
    val: tuple[str, ...] = ()
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def pool(self) -> tuple[str, ...]:
        return tuple(sorted(self.targets))

    def image(self, name: str) -> ByteImage:
        return np.zeros((*SIZE, 3), dtype=np.uint8)

    def size(self, name: str) -> tuple[int, int]:
        return SIZE

    def askable(self, name: str) -> npt.NDArray[np.bool_]:
        return self.targets[name] != IGNORE

    def target(self, name: str) -> ByteImage:
        return self.targets[name]

    def objects(self, name: str) -> npt.NDArray[np.int32] | None:
        return None

    def column(self, key: str) -> Mapping[str, str]:
        return {}


def streets(seed: int = 0) -> Streets:
    rng = np.random.default_rng(seed)
    ids = np.array([0, 1, 2, IGNORE], dtype=np.uint8)  # no sign anywhere
    return Streets({f"s{number}": rng.choice(ids, SIZE, p=[0.5, 0.3, 0.1, 0.1]) for number in range(4)})


def random_queries(dataset: Streets, names: tuple[str, ...], count: int, seed: int) -> list[Query]:
    """`count` regions of one to three pixels that have a class, in each of the images."""
    rng = np.random.default_rng(seed)
    queries = []
    for name in names:
        places = np.array_split(rng.permutation(np.flatnonzero(dataset.askable(name)))[: 2 * count], count)
        queries += [Query(name, Region.of_pixels(SIZE, np.sort(own)), "", 0.0) for own in places]
    return [queries[position] for position in rng.permutation(len(queries))]


def asked_of(dataset: Streets) -> tuple[Pool, list[Query]]:
    """A pool that knows the upper half of s0 and pixels of s1, and queries about s1, s2 and s3."""
    pool = Pool(dataset.pool, dataset)
    half = np.zeros(SIZE, dtype=np.bool_)
    half[:12] = True
    first = [Query("s0", Region.of(half & dataset.askable("s0")), "")]
    earlier = random_queries(dataset, ("s1",), 6, seed=5)
    pool.reveal(Oracle(dataset, SEMANTIC, "true").answer([*first, *earlier], pool.known, Path()))
    known = pool.known("s1")
    queries = [
        query for query in random_queries(dataset, ("s1", "s2"), 7, seed=6) if not (query.region.pixels() & known).any()
    ]
    return pool, [*queries, *random_queries(dataset, ("s3",), 1, seed=7)]


def test_answers_are_counted_by_class_beside_what_was_known_before() -> None:
    dataset = streets()
    pool, queries = asked_of(dataset)
    found = statistics(queries, queries, pool, Oracle(dataset, SEMANTIC, "true"), CLASSES, pixels_of_classes)
    answered, before = [0] * 4, [0] * 4
    for query in queries:
        for place in np.flatnonzero(query.region.pixels()):
            answered[dataset.target(query.image).ravel()[place]] += 1
    for name in dataset.pool:
        for label in dataset.target(name)[pool.known(name)]:
            before[label] += 1
    assert found["answered"] == answered
    assert found["before"] == before
    assert sum(answered) == found["pixels"] == sum(query.region.area for query in queries)
    assert (found["queries"], found["images"]) == (len(queries), 3)
    assert found["classes_found"] == 0.75  # nobody asked about a sign
    present = {
        name: {int(dataset.target(name).ravel()[p]) for q in queries if q.image == name for p in runs_of(q)}
        for name in ("s1", "s2", "s3")
    }
    assert found["classes_per_image"] == pytest.approx(np.mean([len(classes) for classes in present.values()]))


def runs_of(query: Query) -> list[int]:
    return [place for start, stop in query.region.runs for place in range(start, stop)]


def test_what_was_not_asked_has_no_say() -> None:
    dataset, other = streets(0), streets(1)
    pool, queries = asked_of(dataset)
    read = {name: pool.known(name) for name in dataset.pool}
    for query in queries:
        read[query.image] |= query.region.pixels()
    mixed = Streets({name: np.where(read[name], dataset.target(name), other.target(name)) for name in dataset.pool})
    assert not all(np.array_equal(mixed.target(name), dataset.target(name)) for name in dataset.pool)
    same = [
        statistics(queries, queries, pool, Oracle(one, SEMANTIC, "true"), CLASSES, pixels_of_classes)
        for one in (dataset, mixed)
    ]
    assert same[0] == same[1]


def test_an_answer_that_is_larger_than_its_question_is_counted_whole() -> None:
    dataset = streets()
    pool, queries = asked_of(dataset)
    one = [queries[-1]]
    whole = [Query("s3", Region.of(dataset.askable("s3")), "")]
    found = statistics(one, whole, pool, Oracle(dataset, SEMANTIC, "true"), CLASSES, pixels_of_classes)
    assert found["answered"] == np.bincount(dataset.target("s3").ravel(), minlength=4)[:4].tolist()
    assert found["pixels"] == one[0].region.area


def test_distances_are_those_between_centres_within_an_image() -> None:
    dataset = streets()
    pool, queries = asked_of(dataset)
    found = statistics(queries, queries, pool, Oracle(dataset, SEMANTIC, "true"), CLASSES, pixels_of_classes)
    distances, random = [], []
    for name in ("s1", "s2"):
        centres = [np.argwhere(query.region.pixels()).mean(axis=0) for query in queries if query.image == name]
        for own, centre in enumerate(centres):
            others = [np.linalg.norm(centre - other) for place, other in enumerate(centres) if place != own]
            distances.append(min(others))
            random.append(random_nearest(len(centres), SIZE))
    assert found["nearest_distance"] == pytest.approx(np.mean(distances))
    assert found["nearest_distance_random"] == pytest.approx(np.mean(random))
    alone = statistics(queries[-1:], queries[-1:], pool, Oracle(dataset, SEMANTIC, "true"), CLASSES, pixels_of_classes)
    assert alone["nearest_distance"] is alone["nearest_distance_random"] is None
    assert not [key for key in query_scalars(alone) if "nearest" in key]


@pytest.mark.parametrize(("count", "tolerance"), [(2, 0.08), (3, 0.04), (5, 0.02), (10, 0.02), (200, 0.02)])
@pytest.mark.parametrize("size", [(300, 300), (1024, 2048)])
def test_the_random_distance_is_that_of_uniform_points(count: int, tolerance: float, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    repeats = max(60, 4000 // count)
    drawn = [nearest(rng.random((count, 2)) * size) for _ in range(repeats)]
    error = float(np.std(drawn)) / repeats**0.5
    assert abs(np.mean(drawn) - random_nearest(count, size)) < tolerance * random_nearest(count, size) + 3 * error


def test_places_keep_every_pixel_of_regions_that_span_rows() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(-1, 5, SIZE)
    places = QueryRegions.of([Region.of(ids == region) for region in range(5)])
    np.testing.assert_array_equal(places.ids(), ids)
    np.testing.assert_array_equal(places.areas, [(ids == region).sum() for region in range(5)])
    for region, centre in enumerate(places.centres()):
        np.testing.assert_allclose(centre, np.argwhere(ids == region).mean(axis=0))
    labels = rng.choice(np.array([0, 1, 2, IGNORE], dtype=np.uint8), SIZE)
    labels[ids == 3] = IGNORE
    for region, found in enumerate(places.classes(labels)):
        own = labels[(ids == region) & (labels != IGNORE)]
        assert found == (np.bincount(own).argmax() if len(own) else IGNORE)
    with pytest.raises(ValueError, match=r"need one size"):
        QueryRegions.of([Region.whole((2, 3)), Region.whole((3, 2))])


def test_shares_are_told_by_class_name() -> None:
    found: dict[str, Any] = {
        "queries": 3, "images": 1, "pixels": 8, "classes": list(CLASSES), "answered": [6, 0, 2, 0], "before": [0] * 4,
        "classes_found": 0.5, "classes_per_image": 2.0, "nearest_distance": 4.0, "nearest_distance_random": 5.0,
    }  # fmt: skip
    told = query_scalars(found)
    assert told["asked/share_sky"] == 0.75
    assert told["asked/share_car"] == 0.25
    assert told["asked/share_sign"] == 0.0
    assert told["asked/nearest_distance"] == 4.0
    assert not [key for key in query_scalars({**found, "answered": [0] * 4}) if "share" in key]


def test_the_picture_has_a_bar_as_long_as_the_share(tmp_path: Path) -> None:
    found = {
        "queries": 4, "images": 1, "pixels": 4, "classes": list(CLASSES), "answered": [0, 30, 10, 0],
        "before": [1, 0, 0, 0], "classes_found": 0.75, "classes_per_image": 2.0, "nearest_distance": None,
        "nearest_distance_random": None,
    }  # fmt: skip
    query_statistics_figure(found, 1, tmp_path / "asked.png")
    shown = np.rint(imread(tmp_path / "asked.png")[..., :3] * 255)
    road, car, sign = ((shown == palette(4)[one]).all(axis=2).sum() for one in (1, 2, 3))
    assert road == pytest.approx(3 * car, rel=0.05)
    assert car > 500
    assert sign == 0


def test_of_many_classes_the_picture_has_those_that_were_found_the_most_asked_first(tmp_path: Path) -> None:
    assert drawn_classes(np.array([0.0, 30.0, 10.0, 0.0]), np.zeros(4)).tolist() == [0, 1, 2, 3]
    now, before = np.zeros(81), np.zeros(81)
    now[[40, 7]], before[[2, 40]] = (10, 90), (60, 40)
    assert drawn_classes(now, before).tolist() == [7, 40, 2]
    assert drawn_classes(np.arange(1.0, 82.0), before).tolist() == list(range(80, 80 - MOST_DRAWN, -1))
    found = {
        "queries": 1, "images": 1, "pixels": 100, "classes": [f"class {number}" for number in range(81)],
        "answered": [1] * 81, "before": [0] * 81, "classes_found": 1.0, "classes_per_image": 2.0,
        "nearest_distance": None, "nearest_distance_random": None,
    }  # fmt: skip
    query_statistics_figure(found, 1, tmp_path / "all.png")
    query_statistics_figure({**found, "answered": [0] * 81, "classes_found": 0.0}, 1, tmp_path / "none.png")
    assert imread(tmp_path / "all.png").shape[0] < 1_000
    assert imread(tmp_path / "none.png").shape[0] < 400


def test_a_round_tells_what_it_asked_and_a_resumed_run_tells_it_again(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("data")
    wanted = ("rounds=2", "gallery=2", "granularity=pixel", "cost=pixels", "per=image", "budget=3", "objects=false")
    first, again = Notes(), Notes()
    tiny(data, *wanted)(first, tmp_path)
    place = tmp_path / "rounds" / "01"
    made = {name: (place / name).read_bytes() for name in ("asked.json", "asked.png", "contact_sheet.png")}
    tiny(data, *wanted)(again, tmp_path)
    _, told = first.told[-1]
    images = 4  # of six, for two were labelled whole in the first round
    assert (told["asked/images"], told["asked/pixels"]) == (images, 3 * images)
    assert told["asked/nearest_distance_random"] == pytest.approx(random_nearest(3, (32, 40)))
    assert sum(value for key, value in told.items() if key.startswith("asked/share_")) == pytest.approx(1)
    assert told == again.told[-1][1]
    assert made == {name: (place / name).read_bytes() for name in made}
    assert {"round_01_asked.png", "round_01_contact_sheet.png", "round_01_gallery.png"} <= set(again.artifacts)
