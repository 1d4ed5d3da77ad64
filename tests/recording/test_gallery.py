"""The gallery and the contact sheet show each asked pixel, class and score in the colours of their legends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from seg_al.core import IGNORE, PixelSet, Query, Region
from seg_al.recording.pictures.contact_sheet import Thumbnail, contact_sheet
from seg_al.recording.pictures.gallery import FADED, query_gallery
from seg_al.recording.pictures.overlay import DOT_COLOUR, DPI
from seg_al.recording.pictures.palette import MOST_NAMED, palette
from seg_al.recording.pictures.panel import Panel, words

CLASSES = ("background", "gland")
GROUND = (200, 30, 160)
DOT = tuple(round(255 * part) for part in to_rgb(DOT_COLOUR))


def query(region: Region, name: str = "a", rank: int = 1, score: float = 0.5) -> Query:
    return Query(name, region, f"choice {rank} of 9 by bald = {score}", score)


def pixels(size: tuple[int, int], *places: int) -> list[Query]:
    return [query(Region(size, ((place, place + 1),)), rank=rank) for rank, place in enumerate(places, start=1)]


def panel_of(name: str = "a", height: int = 60, width: int = 90) -> Panel:
    truth = np.zeros((height, width), dtype=np.uint8)
    truth[: height // 2] = 1
    return Panel(
        image=np.full((height, width, 3), GROUND, dtype=np.uint8),
        prediction=1 - truth,
        truth=truth,
        score_map=np.linspace(0, 0.5, height * width).reshape(height, width),
        queries=(query(Region.whole((height, width)), name),),
        whole=True,
    )


def asking(panel: Panel, queries: list[Query]) -> Panel:
    """The panel with these queries, and no truth but theirs."""
    mask = np.zeros(panel.truth.shape, dtype=np.bool_)
    for one in queries:
        one.region.fill(mask, True)
    return replace(panel, queries=tuple(queries), truth=np.where(mask, panel.truth, np.uint8(IGNORE)), whole=False)


def drawn(path: Path) -> np.ndarray:  # [H, W, 3] in 0..255
    return np.rint(imread(path)[..., :3] * 255).astype(int)


def share(path: Path, colour: tuple[int, ...] | np.ndarray, columns: slice = slice(None)) -> int:
    """Pixels of exactly this colour."""
    return int((drawn(path)[:, columns] == np.array(colour, dtype=int)).all(axis=2).sum())


def test_image_and_classes_are_drawn_in_their_own_colours(tmp_path: Path) -> None:
    path = tmp_path / "gallery.png"
    query_gallery([panel_of()], CLASSES, path)
    image, background, gland = (share(path, one) for one in (GROUND, *palette(2)[:2]))
    assert image > 20_000  # one whole cell
    # prediction and truth are each other's complement, so each class covers one cell, and its legend patch
    assert background == pytest.approx(image, rel=0.05)
    assert gland == pytest.approx(image, rel=0.05)


def test_unknown_truth_has_its_own_colour(tmp_path: Path) -> None:
    panel = panel_of()
    truth = panel.truth.copy()
    truth[:, :45] = IGNORE
    query_gallery([panel], CLASSES, tmp_path / "known.png")
    query_gallery([replace(panel, truth=truth)], CLASSES, tmp_path / "half.png")
    unknown = palette(2)[IGNORE]
    assert share(tmp_path / "known.png", unknown) < 100
    assert share(tmp_path / "half.png", unknown) > 0.4 * share(tmp_path / "half.png", GROUND)


def test_truth_that_was_known_before_is_faded_and_what_was_asked_is_not(tmp_path: Path) -> None:
    panel = panel_of()
    asked = np.zeros((60, 90), dtype=np.bool_)
    asked[30:, 45:] = True  # a quarter, of class 0; the half above it, of class 1, was known before
    truth = np.where(asked | (panel.truth == 1), panel.truth, np.uint8(IGNORE))
    path = tmp_path / "gallery.png"
    query_gallery([replace(panel, truth=truth, queries=(query(Region.of(asked)),), whole=False)], CLASSES, path)
    colours = palette(2).astype(float)
    truth_cell = slice(530, 780)
    faded = np.rint(colours[1] * (1 - FADED) + 255 * FADED)
    full, unknown = (share(path, colour, truth_cell) for colour in (colours[0], colours[IGNORE]))
    assert full > 7_000
    assert full == pytest.approx(unknown, rel=0.15)  # less the outline
    assert share(path, faded, truth_cell) == pytest.approx(2 * unknown, rel=0.15)


def test_regions_are_outlined_and_a_whole_image_is_not(tmp_path: Path) -> None:
    panel = panel_of()
    region = np.zeros((60, 90), dtype=np.bool_)
    region[10:40, 20:60] = True
    query_gallery([panel], CLASSES, tmp_path / "whole.png")
    query_gallery([replace(panel, queries=(query(Region.of(region)),), whole=False)], CLASSES, tmp_path / "part.png")
    cut = share(tmp_path / "whole.png", GROUND) - share(tmp_path / "part.png", GROUND)
    assert 500 < cut < 0.2 * share(tmp_path / "whole.png", GROUND)
    # all that is of any class is asked about: its border with what has none is no outline
    without_class = replace(asking(panel, [query(Region.of(region))]), whole=True)
    query_gallery([without_class], CLASSES, tmp_path / "void.png")
    assert share(tmp_path / "void.png", GROUND) == share(tmp_path / "whole.png", GROUND)


@pytest.mark.parametrize("size", [(360, 480), (1024, 2048)])
def test_a_single_asked_pixel_is_seen_in_every_picture(size: tuple[int, int], tmp_path: Path) -> None:
    panel = panel_of("street", *size)
    place = (size[0] // 4) * size[1] + size[1] // 2  # in the upper half: gland
    query_gallery([asking(panel, pixels(size, place))], CLASSES, tmp_path / "gallery.png")
    cells = [slice(start, start + 255) for start in (5, 265, 530, 800)]
    image, prediction, truth, score_map = cells
    for cell in (image, prediction, score_map):
        assert share(tmp_path / "gallery.png", DOT, cell) >= 9
    assert share(tmp_path / "gallery.png", DOT, truth) == 0
    legend = 40  # pixels from the top
    gland = (drawn(tmp_path / "gallery.png")[legend:, truth] == palette(2)[1]).all(axis=2).sum()
    assert 9 <= gland < 400  # the answer, though the picture has no such pixel where an image is drawn smaller


def test_a_dot_lies_where_its_pixel_is(tmp_path: Path) -> None:
    size = (200, 400)
    places = [30 * 400 + 40, 30 * 400 + 360, 170 * 400 + 200]
    query_gallery([asking(panel_of("a", *size), pixels(size, *places))], CLASSES, tmp_path / "gallery.png")
    rows, columns = np.nonzero((drawn(tmp_path / "gallery.png")[:, :262] == DOT).all(axis=2))
    left, right = columns[columns < 60].mean(), columns[columns > 180].mean()
    middle = columns[(columns > 100) & (columns < 160)].mean()
    assert middle == pytest.approx((left + right) / 2, abs=1.0)
    zoom = (right - left) / 320  # screen pixels per pixel
    assert rows.max() - rows.min() == pytest.approx(140 * zoom, abs=8)
    assert zoom == pytest.approx(250 / 400, rel=0.05)


def test_many_pixels_leave_the_picture_visible(tmp_path: Path) -> None:
    panel = panel_of("street", 360, 480)
    places = np.random.default_rng(0).choice(360 * 480, 10_000, replace=False)
    query_gallery([asking(panel, pixels((360, 480), *places.tolist()))], CLASSES, tmp_path / "gallery.png")
    picture = slice(0, 262)
    dots, ground = share(tmp_path / "gallery.png", DOT, picture), share(tmp_path / "gallery.png", GROUND, picture)
    assert dots > 4_000
    assert ground > 0.6 * 250 * 187


def test_the_words_tell_how_much_was_asked_and_the_best_and_worst_score() -> None:
    size = (360, 480)
    queries = [
        query(Region(size, ((place, place + 1),)), "a", rank, score)
        for rank, (place, score) in enumerate([(5, 0.2), (900, 0.7), (77, 0.1)], start=1)
    ]
    name, text = words(asking(panel_of("a", *size), queries))
    said = " ".join(text.split())
    assert name == "a"
    assert said.startswith("480 × 360 pixels 3 queries best: choice 2 of 9 by bald = 0.7 worst: choice 3 of 9 by bald")
    assert said.endswith("asked: 3 pixels, 0.00174 %")
    assert words(panel_of())[1] == "90 × 60 pixels\nchoice 1 of 9 by bald = 0.5"


def test_rows_of_any_size_are_drawn_one_by_one(tmp_path: Path) -> None:
    sizes = [(60, 90), (300, 40), (20, 400), (7, 7)]
    panels = [panel_of(f"{height}x{width}", height, width) for height, width in sizes]
    query_gallery(iter(panels), CLASSES, tmp_path / "all.png")
    query_gallery(iter(panels[:2]), CLASSES, tmp_path / "two.png", images=4)
    tall, short = (imread(tmp_path / name).shape for name in ("all.png", "two.png"))
    assert tall[1] == short[1]
    assert tall[0] - short[0] > 1.8 * DPI  # the third and the fourth row, less the note of what was left out
    assert share(tmp_path / "all.png", GROUND) > share(tmp_path / "two.png", GROUND)


def test_scores_that_are_not_finite_or_all_equal_still_draw(tmp_path: Path) -> None:
    panel = panel_of()
    holes = panel.score_map.copy()
    holes[:, :45] = np.nan
    for score_map in (holes, np.full_like(holes, np.nan), np.zeros_like(holes)):
        query_gallery([replace(panel, score_map=score_map)], CLASSES, tmp_path / "gallery.png")
        assert share(tmp_path / "gallery.png", GROUND) > 20_000


def test_panels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    panel = panel_of("train_7.jpg")
    path = tmp_path / "gallery.png"
    empty = query(Region((60, 90), ()), "train_7.jpg")
    with pytest.raises(ValueError, match="no panel"):
        query_gallery([], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: the truth is \(59, 90\), but the image is \(60, 90\)"):
        query_gallery([replace(panel, truth=panel.truth[1:])], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: the prediction holds class \[2\], but there are 2"):
        query_gallery([replace(panel, prediction=panel.prediction * 2)], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: the queries hold no pixel"):
        query_gallery([replace(panel, queries=(empty,))], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: a query is made for \(60, 91\) pixels"):
        query_gallery([replace(panel, queries=(query(Region.whole((60, 91)), "train_7.jpg"),))], CLASSES, path)
    with pytest.raises(ValueError, match=r"queries of one image, not of 2: b, train_7\.jpg"):
        query_gallery([replace(panel, queries=(empty, query(Region.whole((60, 90)), "b")))], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: the image is .* float64"):
        query_gallery([replace(panel, image=panel.image / 255)], CLASSES, path)
    assert not path.exists()


def test_a_sheet_shows_every_image_once_with_what_was_asked(tmp_path: Path) -> None:
    def thumbnails(count: int, mask: PixelSet | None = None) -> Iterator[Thumbnail]:
        for number in range(count):
            region = Region.whole((60, 90)) if mask is None else Region.of(mask)
            colour = (10 + 5 * number, 250, 9)
            image = np.full((60, 90, 3), colour, dtype=np.uint8)
            yield Thumbnail(image, (query(region, f"a_very_long_name_of_a_street_{number:03d}"),), mask is None)

    contact_sheet(thumbnails(11), tmp_path / "whole.png", "Round 1")
    areas = [share(tmp_path / "whole.png", (10 + 5 * number, 250, 9)) for number in range(11)]
    assert min(areas) > 0.97 * 180 * 120  # screen pixels of one picture
    assert max(areas) < 1.03 * 180 * 120
    one_pixel = np.zeros((60, 90), dtype=np.bool_)
    one_pixel[30, 45] = True
    contact_sheet(thumbnails(11, one_pixel), tmp_path / "pixel.png", "Round 1")
    assert share(tmp_path / "whole.png", DOT) == 0
    assert share(tmp_path / "pixel.png", DOT) >= 11 * 9
    with pytest.raises(ValueError, match="no image to draw"):
        contact_sheet(iter(()), tmp_path / "none.png", "Round 1")


def figures_of(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are written from now on."""
    kept: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: (kept.append(self), save(self, *args, **kw)))
    return kept


def test_a_heuristic_that_looks_at_nothing_has_no_score_map_and_the_gallery_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = figures_of(monkeypatch)
    query_gallery([replace(panel_of(), score_map=None)], CLASSES, tmp_path / "gallery.png", "random")
    (figure,) = kept
    assert [axes.get_title() for axes in figure.axes] == ["image", "prediction", "truth", ""]
    assert figure.get_supxlabel() == "random has no score map: it uses no image"


def test_dots_are_explained_under_a_gallery_and_over_a_sheet_and_only_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = figures_of(monkeypatch)
    dotted = asking(panel_of(), pixels((60, 90), 30 * 90 + 45))
    for panel in (panel_of(), dotted):
        query_gallery([panel], CLASSES, tmp_path / "gallery.png")
        contact_sheet([Thumbnail(panel.image, panel.queries, panel.whole)], tmp_path / "sheet.png", "Round 1")
    words = "dots: asked regions too small to be outlined"
    assert [figure.get_supxlabel() for figure in kept[::2]] == ["", words]
    assert [figure.texts[-1].get_text() for figure in kept[1::2]] == ["Round 1", f"Round 1\n{words}"]


def test_a_score_map_of_equal_scores_has_no_scale_but_their_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = figures_of(monkeypatch)
    flat = np.full((60, 90), 0.25)
    query_gallery([replace(panel_of(), score_map=flat)], CLASSES, tmp_path / "equal.png", "bald")
    query_gallery([panel_of()], CLASSES, tmp_path / "ranked.png", "bald")
    assert [len(figure.axes) for figure in kept] == [5, 6]  # four pictures, the words, the scale
    assert kept[0].get_supxlabel() == "score map: bald is 0.25 everywhere"
    assert (kept[1].axes[-1].get_xlabel(), kept[1].get_supxlabel()) == ("bald", "")


def test_of_many_classes_the_legend_names_those_that_occur_the_largest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = figures_of(monkeypatch)
    names = tuple(f"class {number}" for number in range(81))
    few, all_of_them = np.zeros((60, 90), np.uint8), (np.arange(60 * 90) % 81).astype(np.uint8).reshape(60, 90)
    few[:20, :60], few[20:30, :10] = 77, 3
    for classes in (few, all_of_them):
        query_gallery([replace(panel_of(), truth=classes, prediction=classes)], names, tmp_path / "many.png")
    few_names, all_names = ([text.get_text() for text in one.legends[0].get_texts()] for one in kept)
    assert few_names == ["class 0", "class 77", "class 3", "78 classes do not occur"]
    assert len(all_names) == MOST_NAMED + 1
    assert all_names[-1] == "and 61 smaller ones"
    assert kept[1].get_figheight() < 4.0


def test_a_data_set_s_own_colours_are_used(tmp_path: Path) -> None:
    blue, pink = (70, 130, 180), (244, 35, 232)
    query_gallery([panel_of()], CLASSES, tmp_path / "own.png", own=[blue, pink])
    image = share(tmp_path / "own.png", GROUND)
    assert [share(tmp_path / "own.png", one) for one in (blue, pink)] == pytest.approx([image, image], rel=0.05)
    assert share(tmp_path / "own.png", palette(2)[1]) == 0


def test_a_name_is_drawn_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = figures_of(monkeypatch)
    name = "a_$\\undefined$_<b>.png"
    query_gallery([panel_of(name)], ("_background_", "$x"), tmp_path / "gallery.png")
    assert name in {text.get_text() for text in kept[0].axes[4].texts}
    assert [text.get_text() for text in kept[0].legends[0].get_texts()] == ["_background_", "$x"]


@pytest.mark.parametrize("size", [(1200, 60), (40, 1600)])
def test_no_shape_of_an_image_makes_a_giant_of_the_gallery(size: tuple[int, int], tmp_path: Path) -> None:
    query_gallery([panel_of("odd", *size)], CLASSES, tmp_path / "gallery.png")
    assert max(imread(tmp_path / "gallery.png").shape) < 1500
