"""The query gallery shows each query's pixels, classes and scores in the colours that its legend promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from seg_al.core import IGNORE
from seg_al.gallery import DPI, Panel, palette, query_gallery

CLASSES = ("background", "gland")
GROUND = (200, 30, 160)


def panel_of(name: str = "a", height: int = 60, width: int = 90) -> Panel:
    truth = np.zeros((height, width), dtype=np.uint8)
    truth[: height // 2] = 1
    return Panel(
        name=name,
        image=np.full((height, width, 3), GROUND, dtype=np.uint8),
        prediction=1 - truth,
        truth=truth,
        score_map=np.linspace(0, 0.5, height * width).reshape(height, width),
        region=np.ones((height, width), dtype=np.bool_),
        why="rank 1 of 9 by bald",
    )


def share(path: Path, colour: tuple[int, ...] | np.ndarray) -> int:
    """Pixels of exactly this colour."""
    pixels = np.rint(imread(path)[..., :3] * 255).astype(int)
    return int((pixels == np.array(colour, dtype=int)).all(axis=2).sum())


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


def test_a_region_is_outlined_and_a_whole_image_is_not(tmp_path: Path) -> None:
    panel = panel_of()
    region = np.zeros_like(panel.region)
    region[10:40, 20:60] = True
    query_gallery([panel], CLASSES, tmp_path / "whole.png")
    query_gallery([replace(panel, region=region)], CLASSES, tmp_path / "part.png")
    cut = share(tmp_path / "whole.png", GROUND) - share(tmp_path / "part.png", GROUND)
    assert 500 < cut < 0.2 * share(tmp_path / "whole.png", GROUND)


def test_rows_of_any_size_are_drawn_and_the_rest_is_left_out(tmp_path: Path) -> None:
    sizes = [(60, 90), (300, 40), (20, 400), (7, 7)]
    panels = [panel_of(f"{height}x{width}", height, width) for height, width in sizes]
    query_gallery(panels, CLASSES, tmp_path / "all.png")
    query_gallery(panels, CLASSES, tmp_path / "two.png", limit=2)
    tall, short = (imread(tmp_path / name).shape for name in ("all.png", "two.png"))
    assert tall[1] == short[1]
    assert tall[0] - short[0] > 2.0 * DPI  # the third and the fourth row
    assert share(tmp_path / "all.png", GROUND) > share(tmp_path / "two.png", GROUND)


def test_scores_that_are_not_finite_or_all_equal_still_draw(tmp_path: Path) -> None:
    panel = panel_of()
    holes = panel.score_map.copy()
    holes[:, :45] = np.nan
    for score_map in (holes, np.full_like(holes, np.nan), np.zeros_like(holes)):
        query_gallery([replace(panel, score_map=score_map)], CLASSES, tmp_path / "gallery.png")
        assert share(tmp_path / "gallery.png", GROUND) > 20_000


def test_colours_of_many_classes_are_all_different() -> None:
    colours = palette(21)
    assert len({tuple(colour) for colour in colours[:21].tolist()}) == 21
    np.testing.assert_array_equal(palette(3)[:3], colours[:3])


def test_panels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    panel = panel_of("train_7.jpg")
    path = tmp_path / "gallery.png"
    with pytest.raises(ValueError, match="no panel"):
        query_gallery([], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: the truth is \(59, 90\), but the image is \(60, 90\)"):
        query_gallery([replace(panel, truth=panel.truth[1:])], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: the prediction holds class \[2\], but there are 2"):
        query_gallery([replace(panel, prediction=panel.prediction * 2)], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: the region holds no pixel"):
        query_gallery([replace(panel, region=~panel.region)], CLASSES, path)
    with pytest.raises(ValueError, match=r"train_7\.jpg: the image is .* float64"):
        query_gallery([replace(panel, image=panel.image / 255)], CLASSES, path)
    assert not path.exists()
