"""What is known of an image is revealed once while it is shown again and again, within a bound."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from seg_al.core import Region
from seg_al.tasks.pixels.class_labels import pixels_of_classes
from seg_al.training import examples
from seg_al.training.examples import Labelled

SIZE = (4, 6)


class Scene:
    """Images whose every pixel is of class 1; it counts what is revealed."""

    def __init__(self) -> None:
        self.revealed = Counter[str]()

    def size(self, name: str) -> tuple[int, int]:
        return SIZE

    def reveal(self, name: str, regions: tuple[Region, ...]) -> np.ndarray:
        self.revealed[name] += 1
        return np.ones(SIZE, np.uint8)


def labelled_in(scene: Scene) -> Labelled:
    known = {name: (Region.whole(SIZE),) for name in "abc"}
    return Labelled(scene, scene, known, ("ground", "cell"), pixels_of_classes)  # type: ignore[arg-type]


def test_an_image_that_is_shown_again_is_not_revealed_again() -> None:
    scene = Scene()
    labelled = labelled_in(scene)
    assert [labelled.truth(name).sum() for name in "abcab"] == [24] * 5
    assert scene.revealed == {"a": 1, "b": 1, "c": 1}


def test_truths_beyond_the_bound_are_revealed_again_those_shown_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "KEPT", 2 * 3 * 4 * 6)
    scene = Scene()
    labelled = labelled_in(scene)
    for name in "abacab":
        labelled.truth(name)
    assert scene.revealed == {"a": 1, "b": 2, "c": 1}
