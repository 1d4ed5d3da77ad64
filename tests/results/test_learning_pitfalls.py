"""The first pitfalls say in numbers whether networks have learned, fitted their labels, and trained alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from test_pitfalls import check_of, full, record

from seg_al.results.pitfall_check import Check
from seg_al.results.pitfalls import checklist
from seg_al.results.records import Record
from seg_al.results.report import findings_of, write_report
from seg_al.results.study import study_of_records
from seg_al.results.study_figures import study_figures
from seg_al.results.table_files import write_tables

ROUND = {"test/constant_dice": 0.6, "labelled/dice": 0.9, "training/steps": 100.0, "training/loss": 0.5}
CALM = {"training/loss_slope": -0.1, "val/images": 6.0}


def arm(label: str, scores: Sequence[float], own: Mapping[str, float] | None = None) -> list[Record]:
    """Two runs, 0.01 apart, whose rounds recorded everything; `own` stands for what its last round recorded."""
    runs = []
    for number in (0, 1):
        made = record(label, number, [score + 0.01 * number for score in scores])
        points = [replace(point, metrics={**point.metrics, **ROUND, **CALM}) for point in made.points]
        points[-1] = replace(points[-1], metrics={**points[-1].metrics, **(own or {})})
        runs.append(replace(made, points=tuple(points), settings={**made.settings, "dataset.constructed": True}))
    return runs


LEARNED = [*arm("random", [0.7, 0.75]), *arm("bald", [0.7, 0.8])]
FAILED = [*arm("random", [0.6, 0.61]), *arm("bald", [0.6, 0.8])]


def test_the_first_check_counts_the_networks_that_beat_a_constant() -> None:
    first = checklist(study_of_records(LEARNED, {}, [], "here"), "test/dice", "images")[0]
    assert first == Check(
        "Every network has learned more than a constant predictor", "yes",
        "All of 8 networks reach 0.6400 of test/dice, where the constant predictor has 0.6000; the least has 0.7000 "
        "(random).",
    )  # fmt: skip
    one = check_of([*arm("random", [0.635, 0.75]), *arm("bald", [0.7, 0.8])], "more than a constant")
    assert (one.verdict, one.because) == (
        "no",
        "7 of 8 networks reach 0.6400 of test/dice, where the constant predictor has 0.6000. Not learned: random run 0 "
        "round 0 (0.6350).",
    )


@pytest.mark.parametrize(
    ("own", "verdict", "words"),
    [
        ({}, "yes", "labelled/dice is 0.9000 to 0.9000, test/dice 0.7050 to 0.8050."),
        ({"labelled/dice": 0.62}, "no", "0.8050. Below the bar, so under-trained: bald (round 1)."),
        ({"labelled/dice": 1.01}, "no", "0.8050. Far above test, so overfit: bald (round 1)."),
    ],
)
def test_a_labelled_set_that_is_not_fitted_or_known_by_heart_is_named_with_its_rounds(
    own: Mapping[str, float], verdict: str, words: str
) -> None:
    found = check_of([*arm("random", [0.7, 0.75]), *arm("bald", [0.7, 0.8], own)], "labelled set is fitted")
    assert found.verdict == verdict
    assert found.because.endswith(words)


def test_a_loss_that_still_falls_is_named() -> None:
    calm = check_of(LEARNED, "loss no longer falls")  # 0.1 per 100 steps over 20 steps, of 0.5
    assert (calm.verdict, calm.because) == ("yes", "Over the last 20 % of the steps it falls by up to 4 % of itself.")
    falling = check_of([*LEARNED[:2], *arm("bald", [0.7, 0.8], {"training/loss_slope": -1.0})], "loss no longer falls")
    assert falling.verdict == "no"
    assert "up to 40 % of itself. Still falling: bald (round 1)." in falling.because


def test_steps_are_those_that_were_taken() -> None:
    equal = check_of(LEARNED, "equal steps")
    assert (equal.verdict, equal.because) == ("yes", "Each training took 100 steps.")
    grown = check_of([*LEARNED[:2], *arm("bald", [0.7, 0.8], {"training/steps": 320.0})], "equal steps")
    assert grown.verdict == "no"
    assert grown.because.startswith("From 100 to 320 steps in a training, up to 100 in the first round and 320 in the")


def test_what_all_of_the_pool_reaches_is_told() -> None:
    pool = [replace(one, settings={**one.settings, "dataset.constructed": True}) for one in full([0.9, 0.92])]
    found = check_of([*LEARNED, *pool], "whole pool is known")
    assert found.because == "It is 0.9100 of test/dice, of 2 full-data runs (initial=all rounds=1)."


def test_older_runs_say_unknown_and_where_to_look() -> None:
    old = [record("random", 0, [0.7, 0.75]), record("bald", 0, [0.7, 0.8])]
    for words in ("more than a constant", "labelled set is fitted", "loss no longer falls", "equal steps"):
        found = check_of(old, words)
        assert found.verdict == "unknown"
        assert words == "equal steps" or "Look at" in found.because or "Look whether" in found.because


def test_a_study_without_learning_has_the_sentence_for_each_comparison(tmp_path: Path) -> None:
    study = study_of_records(FAILED, {}, [], "here")
    sentence = (
        "No comparison: the networks of random have not learned: their test/dice of 0.6150 does not reach 0.6400, 10 % "
        "of the way from the constant predictor (0.6000) to a perfect one."
    )
    assert findings_of(study, "test/dice", "images") == [sentence]
    folder = tmp_path / "tables"
    write_tables(study, "test/dice", "images", folder)
    for name in ("main", "against_random", "savings", "ranks"):
        assert pd.read_csv(folder / f"{name}.csv").to_dict("list") == {
            "no comparison": [sentence], "data": ["constructed"],
        }  # fmt: skip
    assert (
        r"\multicolumn{1}{l}{Constructed data: a program has painted the images of glas.}"
        in (folder / "main.tex").read_text()
    )
    assert "0.6050 ± 0.0071 (not learned)" in (folder / "learning_curves.tex").read_text().replace(r"$\pm$", "±")
    drawn = {one.name: one.figure for one in study_figures(study, "test/dice", "images")}
    for name in ("label_saving", "differences", "penalty_matrix", "ranks"):
        assert " ".join(drawn[name].texts[0].get_text().split()) == sentence
    page = tmp_path / "page.html"
    write_report(study, "test/dice", "images", page)
    text = page.read_text()
    assert text.count(sentence) >= 2
    assert "<b>Every network has learned more than a constant predictor: no.</b>" in text
    assert "Constructed data" in text
    assert "Label saving: images needed" not in text


def test_a_study_that_learns_late_says_so_beside_every_comparison(tmp_path: Path) -> None:
    study = study_of_records([*arm("random", [0.61, 0.7, 0.8]), *arm("bald", [0.61, 0.8, 0.9])], {}, [], "here")
    note = "Compared from 6 images on: in earlier rounds networks have not learned, those of bald (round 0) and random"
    assert findings_of(study, "test/dice", "images")[0].startswith(note)
    folder = tmp_path / "tables"
    write_tables(study, "test/dice", "images", folder)
    assert note in (folder / "savings.tex").read_text()
    main = pd.read_csv(folder / "main.csv").set_index("label")
    assert main.loc["bald", "area"] == pytest.approx(0.855)
    drawn = {one.name: one.figure for one in study_figures(study, "test/dice", "images")}
    assert note[:40] in drawn["ranks"].get_suptitle().replace("\n   ", " ")
