"""Pictures that are drawn beside the run are the same, are there when it waits, and never fail in silence."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from seg_al.core import Draw
from seg_al.recording.pictures_beside import PicturesBeside

COPIES = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="here pictures are drawn at once"
)


def text(words: str, wait: float = 0.0) -> Draw:
    def draw(path: Path) -> None:
        time.sleep(wait)
        path.write_text(words)

    return draw


def refuse(path: Path) -> None:
    raise ValueError(f"{path.name} has no colours")


def writes_its_process(path: Path) -> None:
    path.write_text(str(os.getpid()))


def test_pictures_are_there_in_their_order_once_they_are_waited_for(tmp_path: Path) -> None:
    told: list[str] = []
    with PicturesBeside() as drawing:
        for name in ("a", "b"):
            drawing.begin(
                [(tmp_path / f"{name}.png", text(name, wait=0.2 if name == "a" else 0.0))],
                lambda name=name: told.append((tmp_path / f"{name}.png").read_text()),  # type: ignore[misc]
            )
    assert told == ["a", "b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@COPIES
def test_another_process_draws_what_was_true_when_it_began(tmp_path: Path) -> None:
    values = ["before"]
    with PicturesBeside() as drawing:
        drawing.begin(
            [
                (tmp_path / "process", writes_its_process),
                (tmp_path / "values", lambda path: path.write_text(values[0]) and None),
            ]
        )
        values[0] = "after"
    assert int((tmp_path / "process").read_text()) != os.getpid()
    assert (tmp_path / "values").read_text() == "before"


def test_what_drawing_raises_is_raised_where_it_is_waited_for_and_nothing_follows_it(tmp_path: Path) -> None:
    told: list[str] = []
    drawing = PicturesBeside()

    def all_of_it() -> None:
        drawing.begin([(tmp_path / "a.png", refuse)], partial(told.append, "a"))
        drawing.wait()

    with pytest.raises(ValueError, match="has no colours"):
        all_of_it()
    assert told == []
    assert not [*tmp_path.iterdir()]


@COPIES
def test_a_process_that_dies_while_it_draws_is_an_error(tmp_path: Path) -> None:
    drawing = PicturesBeside()
    drawing.begin([(tmp_path / "a.png", lambda path: os._exit(3))])
    with pytest.raises(RuntimeError, match=r"draws .*a.png ended with 3"):
        drawing.wait()


@COPIES
def test_a_signal_waits_for_no_picture(tmp_path: Path) -> None:
    def stopped() -> None:
        with PicturesBeside() as drawing:
            drawing.begin([(tmp_path / "a.png", text("late", wait=30.0))])
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert time.monotonic() - start < 20
