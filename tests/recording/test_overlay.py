"""Outlines part regions as their ids do, small regions become dots, and colours of classes differ for everyone."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from seg_al.core import Region
from seg_al.recording.pictures.contact_sheet import THUMBNAILS, spaced
from seg_al.recording.pictures.overlay import borders, overlay
from seg_al.recording.pictures.palette import UNKNOWN_COLOUR, palette
from seg_al.recording.pictures.query_regions import QueryRegions


def test_borders_part_regions_that_touch_and_close_at_the_edge() -> None:
    ids = np.random.default_rng(0).integers(-1, 3, (9, 13))
    expected = set()
    framed = np.pad(ids, 1, constant_values=-1)
    for row in range(11):
        for column in range(15):
            if row < 10 and framed[row, column] != framed[row + 1, column]:
                expected.add(((column - 1, row), (column, row)))
            if column < 14 and framed[row, column] != framed[row, column + 1]:
                expected.add(((column, row - 1), (column, row)))
    found = set()
    for (x0, y0), (x1, y1) in borders(ids).astype(int).reshape(-1, 2, 2).tolist():
        found |= {((x, y0), (x + 1, y0)) for x in range(x0, x1)} | {((x0, y), (x0, y + 1)) for y in range(y0, y1)}
    assert found == expected


def test_small_regions_become_dots_and_large_ones_outlines() -> None:
    masks = np.zeros((4, 100, 100), dtype=np.bool_)
    masks[0, 10, 10], masks[1, 50:90, 50:90], masks[2, 5:45, 50:90], masks[3, 50:90, 5:45] = True, True, True, True
    places = QueryRegions.of([Region.of(mask) for mask in masks])
    found = overlay(places, whole=False, zoom=1.0)
    assert found.small.tolist() == [True, False, False, False]
    np.testing.assert_allclose(found.dots, [[10, 10]])
    corners = {tuple(corner) for corner in found.outlines.tolist()}
    assert {(49.5, 49.5), (89.5, 89.5), (49.5, 4.5), (44.5, 89.5)} <= corners
    assert len(found.outlines) == 2 * 4 * 3
    tiny = overlay(places, whole=False, zoom=0.05)
    assert tiny.small.all()


def seen(rgb: np.ndarray, matrix: list[list[float]]) -> np.ndarray:  # [n, 3] in 0..1 -> [n, 3] Lab
    """As a dichromat sees the colours: a linear map of light, without the display's gamma."""
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ np.array(matrix).T, 0, 1)
    found: np.ndarray = rgb2lab(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))
    return found


def test_colours_of_nineteen_classes_differ_for_everyone() -> None:
    # Machado, Oliveira and Fernandes (2009), severity 1; a difference of about 2.3 is just noticeable
    views = {
        "all": (np.eye(3).tolist(), 15.0),
        "protanopia": ([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]], 9.0),
        "deuteranopia": ([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]], 9.0),
    }
    colours = np.concatenate([palette(19)[:19] / 255, [to_rgb(UNKNOWN_COLOUR)]])
    for name, (matrix, least) in views.items():
        lab = seen(colours, matrix)
        nearest = min(float(deltaE_ciede2000(lab[one], lab[other])) for one, other in combinations(range(20), 2))
        assert nearest > least, name


def test_colours_of_many_classes_are_all_different() -> None:
    lab = rgb2lab(palette(255)[:255] / 255)
    apart = np.linalg.norm(lab[:, None] - lab, axis=2) + np.diag(np.full(255, np.inf))
    assert apart[:81, :81].min() > 15
    assert apart.min() > 10
    for fewer in (3, 24, 81):
        np.testing.assert_array_equal(palette(fewer)[:fewer], palette(255)[:fewer])


@pytest.mark.parametrize("count", [1, 2, THUMBNAILS, THUMBNAILS + 1, 2975])
def test_a_sheet_is_spaced_evenly_over_the_round(count: int) -> None:
    places = spaced(count)
    assert len(set(places)) == len(places) == min(count, THUMBNAILS)
    assert (places[0], places[-1]) == (0, count - 1)
    steps = np.diff(places)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1
