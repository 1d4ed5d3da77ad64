"""A round whose networks have not learned is told in the log, on the curve, in the gallery, and to trackers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from experiments import metrics, perform
from seg_al.core import Metric
from seg_al.measuring.learned import learned, still_falls
from seg_al.recording.learning import not_learned, say_learning, under_trained
from seg_al.recording.learning_curve_figure import learning_curve_figure
from seg_al.recording.metric_declarations import declare
from seg_al.recording.recorder import round_scalars
from seg_al.tasks.judge import Judge

DICE = Metric("dice", lowest=0, highest=1)
ERROR = Metric("error", better="lower", lowest=0)
GOOD = {"test/dice": 0.9, "test/constant_dice": 0.6, "test/untrained_dice": 0.3, "labelled/dice": 0.95}
BAD = {**GOOD, "test/dice": 0.61}


def test_a_round_has_learned_or_not_or_it_is_unknown() -> None:
    assert learned(GOOD, DICE) is True
    assert learned(BAD, DICE) is False
    assert learned({"test/dice": 0.9}, DICE) is None
    assert learned({"test/error": 1.9, "test/constant_error": 2.0}, ERROR) is False
    assert learned({"test/error": 1.7, "test/constant_error": 2.0}, ERROR) is True


def test_the_warning_tells_score_constant_bar_and_remedy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "baselines.json").write_text(json.dumps({"scores": {}, "constants": {"test/dice": "gland everywhere"}}))
    with caplog.at_level(logging.INFO):
        say_learning(3, GOOD, DICE, tmp_path)
        say_learning(3, {"test/dice": 0.1}, DICE, tmp_path)
    assert not caplog.messages
    with caplog.at_level(logging.INFO):
        say_learning(3, BAD, DICE, tmp_path)
    (told,) = caplog.messages
    assert caplog.records[0].levelno == logging.WARNING
    assert told.startswith(
        "round 3: not learned (test dice 0.6100; the best constant prediction, gland everywhere, 0.6000; "
        "the bar 0.6400)"
    )
    assert "They fit what is labelled (labelled dice 0.9500): begin with more labels or augment them more" in told
    assert "look at the gallery of the next round" in told
    say_learning(3, {**BAD, "labelled/dice": 0.61}, DICE, tmp_path)
    assert "Train for more steps (trainer.pace), take another trainer" in caplog.messages[-1]
    without = not_learned(BAD, DICE, tmp_path / "an older run")
    assert without == "not learned (test dice 0.6100; the best constant prediction 0.6000; the bar 0.6400)"


def test_a_labelled_set_below_the_bar_and_a_loss_that_falls_are_under_trained() -> None:
    assert under_trained(GOOD, DICE) is None
    found = under_trained({**GOOD, "labelled/dice": 0.63}, DICE)
    assert found == "the labelled set itself is not fitted (labelled dice 0.6300; the bar 0.6400)"
    falling = {"training/steps": 100.0, "training/loss": 0.5, "training/loss_slope": -0.6}  # by 0.12 in 20 steps
    assert still_falls(falling)
    assert not still_falls({**falling, "training/loss_slope": -0.4})
    assert not still_falls({**falling, "training/loss_slope": 0.6})
    assert not still_falls({"training/steps": 100.0, "training/loss": 0.5})
    assert under_trained({**GOOD, **falling}, DICE) == (
        "the training loss still falls at its end (0.5, changing by -0.6 per 100 steps)"
    )


def test_rounds_that_have_not_learned_are_hollow_on_the_curve(tmp_path: Path) -> None:
    def orange(*scores: dict[str, float]) -> int:
        rounds = [{"cost": {"images": 2.0 + place}, "metrics": one} for place, one in enumerate(scores)]
        learning_curve_figure(rounds, tmp_path / "curve.png", DICE)
        picture = imread(tmp_path / "curve.png")[..., :3].astype(int)
        return int((np.abs(picture - [0xD5, 0x5E, 0x00]).max(axis=2) < 8).sum())

    old = {"test/dice": 0.61}
    assert orange(BAD, BAD, GOOD) != orange(GOOD, GOOD, GOOD)
    assert orange(old, old, old) > 0, "an older record has no level lines and no mark"


def test_trackers_are_told_whether_a_round_has_learned(tmp_path: Path) -> None:
    declare(tmp_path, [DICE])
    folder = tmp_path / "rounds" / "00"
    folder.mkdir(parents=True)
    for scores, told in ((GOOD, 1.0), (BAD, 0.0), ({"test/dice": 0.9}, None)):
        found = {"cost": {"images": 2.0}, "metrics": scores}
        (folder / "metrics.json").write_text(json.dumps(found))
        assert round_scalars(folder, found, "bald", "images").get("learned") == told


def test_what_is_scored_without_learning_is_measured_once_for_paired_runs_and_stands_in_every_round(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counted: list[None] = []
    baselines = Judge.baselines

    def noted(self, untrained):
        counted.append(None)
        return baselines(self, untrained)

    monkeypatch.setattr(Judge, "baselines", noted)
    shared = ("share=true", f"runs={tmp_path / 'runs'}", "rounds=2", "gallery=1")
    for heuristic in ("random", "entropy"):
        perform(data, tmp_path / heuristic, f"heuristic={heuristic}", *shared)
    assert len(counted) == 1
    found = [metrics(tmp_path / one, number)["metrics"] for one in ("random", "entropy") for number in range(2)]
    names = [f"{split}/{kind}_{name}" for split in ("val", "test") for kind in ("constant", "untrained")
             for name in ("dice", "miou")]  # fmt: skip
    assert all({name: one[name] for name in names} == {name: found[0][name] for name in names} for one in found)
    assert all({"labelled/dice", "labelled/miou", "training/steps", "training/loss"} <= one.keys() for one in found)
    assert {one["training/steps"] for one in found} == {2.0}
    warned = [one for one in caplog.messages if ": not learned (" in one]
    assert [one[:7] for one in warned] == ["round 0", "round 1"] * 2, "once per round"
    perform(data, tmp_path / "again", "heuristic=random", *shared[2:])
    assert metrics(tmp_path / "again", 1) == metrics(tmp_path / "random", 1)
    assert len(counted) == 2


def test_a_measured_file_of_weights_is_told_beside_what_is_scored_without_learning(
    data: Path, tmp_path: Path, played: Callable[..., Path]
) -> None:
    weights = played("rounds=1") / "rounds" / "00" / "weights.pt"
    perform(data, tmp_path, "rounds=1", f"evaluate={weights}")
    told = json.loads((tmp_path / "evaluation.json").read_text())["metrics"]
    recorded = metrics(played("rounds=1"), 0)["metrics"]
    for name in ("test/constant_dice", "test/untrained_dice", "val/constant_miou", "test/dice"):
        assert told[name] == recorded[name]
