"""Galleries show the objects that passes found: each pass's outline, what they agree on, how many saw it, its score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from object_evidence import group_of

from experiments import tiny
from seg_al.asking.pool import Pool
from seg_al.asking.round_view import RoundView
from seg_al.core import AskedImage, Query, Region
from seg_al.loop import Experiment
from seg_al.predictors.class_maps import ClassMaps
from seg_al.recording.pictures.gallery import query_gallery
from seg_al.recording.pictures.labels import LABELS, LETTER_HEIGHT, labels
from seg_al.recording.pictures.objects import (
    FAINT,
    OUTLINE_DASHES,
    SeenObjects,
    draw_division,
    draw_doubted,
    draw_passes,
    draw_scores,
    explained,
    object_outlines,
    sketch,
    summary_of,
    true_division,
)
from seg_al.recording.pictures.overlay import DPI
from seg_al.recording.pictures.palette import palette
from seg_al.recording.pictures.panel import Panel, words
from seg_al.recording.recorder import asked_image
from seg_al.tasks.instances import object_panel
from seg_al.tasks.objects import rle
from seg_al.tasks.objects.objects import Instances
from seg_al.tasks.objects.partial import KnownObjects
from seg_al.tasks.objects.passes import Group, Objects
from seg_al.tasks.semantic import class_panel

SIZE = (60, 80)
ZOOM = 4.0  # screen pixels per pixel


def squares(*boxes: tuple[int, int, int, int]) -> np.ndarray:  # x0, y0, x1, y1 -> [n, H, W]
    masks = np.zeros((len(boxes), *SIZE), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def group(*boxes: tuple[int, int, int, int], sure: float = 0.9, passes: list[int] | None = None) -> Group:
    return group_of(squares(*boxes), [[1 - sure, sure]] * len(boxes), passes=passes)


STEADY = group(*[(5, 5, 25, 25)] * 4)
JITTERING = group((40, 5, 60, 25), (40, 5, 62, 25), (40, 5, 60, 27), (38, 5, 60, 25))
RARE = group((10, 35, 30, 55), sure=0.8)
DOUBTED = group(*[(50, 35, 70, 55)] * 4, sure=0.3)
FOUR = Objects(SIZE, 4, (STEADY, JITTERING, RARE, DOUBTED))
SEEN = SeenObjects(FOUR, np.array([0.1, 0.2, 0.9, 0.75]))


def collections(axes: Axes) -> list[LineCollection]:
    return [one for one in axes.collections if isinstance(one, LineCollection)]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def drawn(seen: SeenObjects) -> tuple[Axes, Axes]:
    """The axes of the image and of the score map."""
    image, scores = Figure().subplots(1, 2)
    found = sketch(seen, 1, ZOOM)
    draw_passes(image, found, palette(2))
    draw_scores(scores, found)
    return image, scores


def test_every_pass_has_a_line_in_the_colour_of_its_class_as_opaque_as_it_is_certain() -> None:
    members, _ = collections(drawn(SEEN)[0])
    colours = members.get_colors()
    assert len(members.get_segments()) == len(colours) == 4 + 4 + 1 + 4
    assert colours[:, :3] == pytest.approx(np.tile(palette(2)[1] / 255, (13, 1)))
    assert colours[:, 3].tolist() == pytest.approx([0.9] * 8 + [0.8] + [0.3] * 4)
    corners = {tuple(line.max(axis=0)) for line in members.get_segments()[4:8]}
    assert corners == {(59.5, 24.5), (61.5, 24.5), (59.5, 26.5)}  # the borders of the pixels of each pass
    flipped = replace(STEADY, classes=np.array([1, 1, 2, 1]))
    image = Figure().subplots()
    draw_passes(image, sketch(SeenObjects(Objects(SIZE, 4, (flipped,)), None), 1, ZOOM), palette(3))
    assert collections(image)[0].get_colors()[2, :3] == pytest.approx(palette(3)[2] / 255)


def test_likely_objects_are_thick_on_black_and_those_of_few_passes_dashed_and_thin() -> None:
    _, agreed = collections(drawn(SEEN)[0])
    styles = [style for _, style in agreed.get_linestyles()]
    widths, colours = agreed.get_linewidths(), agreed.get_colors()
    assert len(agreed.get_segments()) == 2 + 4  # black below the two likely ones, then a line for each
    assert colours[:2].tolist() == [[0, 0, 0, 1]] * 2
    assert [style is not None for style in styles] == [False, False, False, False, True, False]
    assert np.array(styles[4]) == pytest.approx(np.array(OUTLINE_DASHES[1]) * widths[4])
    assert widths[0] > widths[2] == widths[3] > widths[4] == widths[5]
    assert colours[2:, 3].tolist() == pytest.approx([1, 1, 1, 0.3])  # the third is labelled
    assert agreed.get_segments()[3].max(axis=0).tolist() == [59.5, 24.5]  # what at least half of them cover


def test_how_few_passes_saw_an_object_and_the_scores_are_printed() -> None:
    image, scores = drawn(SEEN)
    assert texts(image) == ["1/4"]
    assert texts(scores) == ["0.9", "0.75", "0.2", "0.1"]
    assert image.texts[0].get_position() == (19.5, 44.5)  # in its object, which is large enough
    white = collections(scores)[0].get_colors()[2:]
    assert (white == 1).all()  # labelled objects are not faint, whatever their certainty
    twice = replace(RARE, passes=np.array([2, 2]), **{key: np.repeat(getattr(RARE, key), 2, 0) for key in
                    ("boxes", "probabilities", "classes", "scores")}, masks=RARE.masks * 2)  # fmt: skip
    assert texts(drawn(SeenObjects(Objects(SIZE, 4, (twice,)), None))[0]) == ["1/4"]  # two members of one pass


def test_few_labels_are_printed_the_most_wanted_first_and_none_over_another() -> None:
    boxes = [(x, y, x + 3, y + 3) for x in range(0, 80, 5) for y in range(0, 60, 5)]
    objects = Objects(SIZE, 1, tuple(group(box) for box in boxes))
    scores = np.random.default_rng(0).permutation(len(boxes)) / len(boxes)
    order = np.argsort(-scores).tolist()
    found = labels(objects, order, [f"{score:.3g}" for score in scores], 1.5)
    assert 3 <= len(found) <= LABELS
    assert found[0].place == order[0]
    assert [order.index(label.place) for label in found] == sorted(order.index(label.place) for label in found)
    high = LETTER_HEIGHT * DPI / 72 / 1.5
    for one in found:
        assert 0 < one.x < SIZE[1]
        assert 0 < one.y < SIZE[0]
        x0, y0, x1, y1 = boxes[one.place]
        assert not (x0 <= one.x < x1 and y0 <= one.y < y1)  # beside an object that is smaller than it
        for other in found:
            wide = 0.6 * high * (len(one.text) + len(other.text)) / 2
            assert other is one or abs(one.x - other.x) >= wide or abs(one.y - other.y) >= high


def test_words_count_objects_likely_ones_and_those_of_few_passes() -> None:
    assert summary_of(SEEN) == ("4 objects, 2 of them likely, 1 seen by fewer than half of 4 passes; most wanted 0.9")
    half = replace(FOUR, passes=8)  # four of eight are not fewer than half
    assert "1 seen by fewer than half of 8 passes" in summary_of(SeenObjects(half, None))
    assert summary_of(SeenObjects(Objects(SIZE, 1, (STEADY,)), None)) == "1 object"
    doubted = replace(FOUR, groups=(DOUBTED, replace(DOUBTED, scores=np.full(4, 0.31))))
    assert summary_of(SeenObjects(doubted, None)) == "2 objects, none of certainty 0.5 or more (best 0.31)"
    assert summary_of(SeenObjects(Objects(SIZE, 10, ()), np.zeros(0))) == "no object in 10 passes"
    assert summary_of(SeenObjects(Objects(SIZE, 1, ()), None)) == "no object"


def test_no_object_and_objects_without_a_pixel_draw_nothing() -> None:
    empty = group_of(np.zeros((1, *SIZE), dtype=bool), [[0.2, 0.8]])
    for objects, scores in ((Objects(SIZE, 4, ()), np.zeros(0)), (Objects(SIZE, 4, (empty,)), np.ones(1))):
        for axes in drawn(SeenObjects(objects, scores)):
            assert not any(one.get_segments() for one in collections(axes))
            assert texts(axes) == []
    assert explained([sketch(SeenObjects(Objects(SIZE, 1, ()), None), 1, ZOOM)]) == []


def test_where_no_object_is_likely_the_surest_are_dotted_in_the_prediction() -> None:
    boxes = [(x, 10, x + 5, 15) for x in range(5, 75, 10)]
    doubted = Objects(SIZE, 1, tuple(group(box, sure=0.1 + 0.05 * place) for place, box in enumerate(boxes)))
    axes = Figure().subplots()
    draw_doubted(axes, sketch(SeenObjects(doubted, None), 1, ZOOM))
    ground, dots = collections(axes)
    corners = np.concatenate(dots.get_segments())
    assert sorted(set(corners[:, 0])) == [
        x - 0.5 + side for x in range(25, 75, 10) for side in (0, 5)
    ]  # the surest five
    assert dots.get_linestyles()[0][1] is not None
    assert len(ground.get_segments()) == len(dots.get_segments())
    assert len(sketch(SEEN, 1, ZOOM).doubted) == 0  # two are likely


def test_sampled_outlines_lie_within_a_step_of_the_object() -> None:
    y, x = np.mgrid[:100, :120]
    mask = (x - 60) ** 2 / 55**2 + (y - 50) ** 2 / 45**2 <= 1
    for step in (1, 2, 5):
        (line,) = object_outlines(mask, (300, 200), step)
        assert line.min(axis=0) == pytest.approx([305, 205], abs=step)
        assert line.max(axis=0) == pytest.approx([415, 295], abs=step)
        assert line[0].tolist() == line[-1].tolist()  # closed
    assert len(object_outlines(mask[48:52, 58:62], (0, 0), 5)) == 1  # too small to be sampled


def test_touching_objects_are_divided_and_crowds_are_not() -> None:
    masks = squares((10, 10, 20, 30), (20, 10, 30, 30), (50, 10, 60, 30))
    codes = [rle.encode(mask, SIZE) for mask in masks]
    truth = Instances.of(SIZE, codes, [1, 1, 1], [False, False, True])
    lines = true_division(truth, 1).reshape(-1, 2, 2)
    between = [line for line in lines.tolist() if line == [[19.5, 9.5], [19.5, 29.5]]]
    assert len(between) == 1
    assert lines[..., 0].max() == 29.5
    axes = Figure().subplots()
    draw_division(axes, true_division(truth, 1), 1.0)
    assert len(collections(axes)[0].get_segments()) == len(lines)
    assert sketch(SEEN, 1, ZOOM).division.max(axis=0).tolist() == [59.5, 24.5]  # of the likely objects alone


def panel(**values: Any) -> Panel:
    whole = Query("cells", Region.whole(SIZE), "choice 1 of 9 by maskal = 0.9", 0.9)
    prediction = (FOUR.map >= 0).astype(np.uint8)
    ground = np.full((*SIZE, 3), 200, dtype=np.uint8)
    return Panel(ground, prediction, prediction, np.ones(SIZE), (whole,), True, **values)


def test_a_gallery_of_objects_is_larger_and_told_in_words(tmp_path: Path) -> None:
    query_gallery([panel()], ("background", "cell"), tmp_path / "plain.png")
    query_gallery([panel(seen=SEEN)], ("background", "cell"), tmp_path / "objects.png", "maskal")
    plain, objects = (imread(tmp_path / name).shape for name in ("plain.png", "objects.png"))
    assert objects[1] - plain[1] == pytest.approx(4 * 110, abs=2)
    assert summary_of(SEEN) in " ".join(words(panel(seen=SEEN))[1].split())
    assert explained([sketch(SEEN, 1, ZOOM)]) == [
        "thin lines: an object in each pass, fainter where less certain",
        "thick: likely objects (mean certainty of at least 0.5)",
        "dashed, 2/10: seen by fewer than half of the passes",
        "numbers: scores of the most wanted",
    ]
    assert explained([sketch(SeenObjects(replace(FOUR, groups=(DOUBTED,)), None), 1, ZOOM)]) == [
        "thin lines: an object in each pass, fainter where less certain",
        "dotted in the prediction: the surest objects (at most 5), where none is likely",
    ]
    assert FAINT < 0.3


def test_a_gallery_without_any_object_explains_no_line_and_names_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: (kept.append(self), save(self, *args, **kw)))
    none = SeenObjects(Objects(SIZE, 2, ()), np.zeros(0))
    empty = replace(panel(seen=none), score_map=np.zeros(SIZE))
    query_gallery([empty], ("background", "cell"), tmp_path / "none.png", "maskal")
    assert kept[0].get_supxlabel() == "score map: no object to score"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def asked_by(data: Path, *overrides: str) -> tuple[AskedImage[Any], Experiment, RoundView]:
    """The pool's first image as it is asked about by a fresh model."""
    experiment = tiny(data, *overrides)
    model = experiment.compute.place(experiment.fresh_model(0)).eval()
    for key, weights in model.named_parameters():
        if key.endswith("mask_fcn_logits.bias"):
            torch.nn.init.constant_(weights, 2.0)  # a fresh model paints no pixel
    round_view = experiment.round_view(1, Pool(experiment.dataset.pool, experiment.dataset), lambda: [model])
    name = experiment.dataset.pool[0]
    asked = Query(name, Region.whole(experiment.dataset.size(name)), "choice 1 of 6", 0.5)
    image = asked_image((asked,), experiment.asking.heuristic, round_view, experiment.annotator)
    return image, experiment, round_view


def objects_panel(asked: AskedImage[KnownObjects]) -> Panel:
    return object_panel(asked)


MASK_RCNN = ("model=mask_rcnn_small", "model.weights=null", "model.detecting.most=20", "model.proposals.after=50")


def test_a_panel_has_the_objects_of_the_passes_with_the_scores_of_the_heuristic(data: Path) -> None:
    asked, experiment, round_view = asked_by(data, *MASK_RCNN, "heuristic=maskal")
    (name,) = {query.image for query in asked.queries}
    shown = objects_panel(asked)
    (evidence,) = round_view.evidence([name], [ClassMaps, Objects])
    painted = round_view.task.paint(experiment.asking.heuristic, evidence)
    assert shown.seen is not None
    assert shown.seen.objects.passes == 2
    assert len(shown.seen.objects) == len(painted.objects) > 0
    assert shown.seen.scores.tolist() == painted.scores.tolist()
    assert len(shown.true) == len(np.unique(experiment.dataset.objects(name))) - 1


def test_without_passes_a_panel_has_the_likely_objects_of_one_and_no_scores(data: Path) -> None:
    asked, experiment, round_view = asked_by(data, *MASK_RCNN, "heuristic=random", "task.least_score=0.3")
    shown = objects_panel(asked)
    assert shown.seen is not None
    assert shown.seen.scores is None
    assert shown.score_map is None
    assert shown.seen.objects.passes == 1
    image = round_view.compute.tensor(asked.image)
    (found,) = experiment.task.detections(round_view.models(), image, round_view.compute)
    kept = found.scores[found.scores >= 0.3]
    assert sorted(float(one.scores[0]) for one in shown.seen.objects.groups) == pytest.approx(sorted(kept))


def test_a_semantic_panel_has_no_objects(data: Path) -> None:
    for heuristic in ("bald", "random"):
        asked, *_ = asked_by(data, f"heuristic={heuristic}")
        assert not asked.evidence.holds(Objects)
        shown = class_panel(asked, asked.truth)
        assert shown.seen is None
        assert shown.true is None
