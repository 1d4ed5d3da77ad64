"""The checklist's verdicts follow the records, and its commands make the runs that it misses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from scipy.stats import ttest_ind

import run
from experiments import TINY, composed
from seg_al.results.commands import ceiling_command, command, hydra_value, random_command
from seg_al.results.pitfall_check import Check
from seg_al.results.pitfalls import TIED, checklist
from seg_al.results.records import Point, Record, record_of
from seg_al.results.study import Study, study_of_records
from seg_al.running.identity import folder_of_run

BASE = {
    "dataset": "glas", "model": "unet", "selector": "top", "trainer": "sgd", "run": 0, "initial": 4, "budget": 2,
    "cost": "images",
}  # fmt: skip


def record(label: str, number: int, scores: list[float], settings: Mapping[str, Any] | None = None) -> Record:
    """A finished run; label: its heuristic, or "full" for a full-data run."""
    full = {"heuristic": "random", "initial": "all"} if label == "full" else {"heuristic": label}
    points = [Point(i, {"images": 4.0 + 2 * i}, {"test/dice": score}) for i, score in enumerate(scores)]
    own = {**BASE, **full, "run": number, **(settings or {})}
    return Record(f"{label}-{number}", f"{label}-{number}-{own}", own, tuple(points), True, 0.0)


def check_of(records: list[Record], words: str, metric: str = "test/dice") -> Check:
    (found,) = [
        check
        for check in checklist(study_of_records(records, {}, [], "here"), metric, "images")
        if words in check.claim
    ]
    return found


def arm(label: str, scores: list[float]) -> list[Record]:
    return [record(label, number, [0.5, score]) for number, score in enumerate(scores)]


def full(scores: list[float]) -> list[Record]:
    return [record("full", number, [score]) for number, score in enumerate(scores)]


def test_an_arm_that_ends_above_the_full_data_runs_by_chance_does_not_make_them_weak() -> None:
    arms = [*arm("random", [0.80, 0.81, 0.79]), *arm("bald", [0.88, 0.90, 0.875])]
    by_chance = check_of([*arms, *full([0.88, 0.87, 0.89])], "more than chance")
    assert by_chance.verdict == "yes"
    interval = ttest_ind([0.88, 0.90, 0.875], [0.88, 0.87, 0.89]).confidence_interval()
    assert f"bald by 0.0050 ± {(interval.high - interval.low) / 2:.4f} (95 %)" in by_chance.because
    assert check_of([*arms, *full([0.88, 0.87, 0.89])], "whole pool is known").verdict == "yes"
    weak = check_of([*arms, *full([0.83, 0.82, 0.84])], "more than chance")
    assert weak.verdict == "no"
    assert weak.because.startswith("Above it end bald by 0.0550 ± ")
    assert check_of([*arms, *full([0.83, 0.82, 0.84])], "whole pool is known").verdict == "yes"
    assert check_of([*arms, *full([0.95])], "more than chance").verdict == "yes"


def test_a_single_full_data_run_below_a_single_arm_s_run_tells_nothing() -> None:
    found = check_of([*arm("random", [0.9]), *full([0.8])], "more than chance")
    assert (found.verdict, found.because) == (
        "unknown", "Above it end random by 0.1000; single runs have no interval. Repeat the full-data run.",
    )  # fmt: skip
    assert check_of(arm("random", [0.9]), "more than chance").verdict == "unknown"


def test_of_an_error_less_is_better_for_ceilings_and_collapses() -> None:
    runs = [*arm("random", [8.0, 9.0, 10.0, 30.0]), *full([4.0, 4.1])]
    errors = [
        replace(
            one, points=tuple(replace(p, metrics={"test/object_hausdorff": p.metrics["test/dice"]}) for p in one.points)
        )
        for one in runs
    ]
    assert check_of(errors, "more than chance", "test/object_hausdorff").verdict == "yes"
    assert check_of(errors, "collapsed", "test/object_hausdorff").because.startswith(
        "At the end above twice its arm's median: random run 3 (30.0000)."
    )


def with_metrics(one: Record, last: Mapping[str, float]) -> Record:
    """The run with more metrics in its last round."""
    point = replace(one.points[-1], metrics={**one.points[-1].metrics, **last})
    return replace(one, points=(*one.points[:-1], point))


def test_a_round_whose_scores_all_tie_is_no_question_of_its_heuristic() -> None:
    runs = [*arm("random", [0.8, 0.8]), *arm("maskal", [0.8, 0.8])]
    assert check_of(runs, "collapsed").verdict == "yes"
    random = [with_metrics(runs[0], {TIED: 1.0}), *runs[1:]]
    assert check_of(random, "collapsed").verdict == "yes"  # chance is what it is for
    found = check_of([*runs[:3], with_metrics(runs[3], {TIED: 1.0})], "collapsed")
    assert (found.verdict, found.because) == (
        "no",
        "All scores were equal, so that chance chose and not the heuristic, in maskal run 1 (round 1).",
    )
    both = check_of([*runs[:2], with_metrics(runs[2], {TIED: 1.0, "test/dice": 0.1}), runs[3]], "collapsed")
    assert "below half of its arm's median: maskal run 0" in both.because
    assert both.because.endswith("in maskal run 0 (round 1).")


def test_an_ap_that_cannot_be_one_says_what_it_can_be() -> None:
    runs = [
        with_metrics(one, {"test/ap": 0.5, "test/perfect_ap": 0.7624, "test/bbox_ap": 0.6})
        for one in arm("random", [0.5, 0.6])
    ]
    study = study_of_records(runs, {}, [], "here")
    for metric in ("test/ap", "test/bbox_ap"):
        (found,) = [check for check in checklist(study, metric, "images") if "A perfect prediction" in check.claim]
        assert found.verdict == "no"
        assert found.because.startswith("test/perfect_ap is 0.7624. It is what a perfect prediction gets")
    assert not [check for check in checklist(study, "test/dice", "images") if "A perfect prediction" in check.claim]


def test_the_size_of_val_is_read_from_the_runs_and_compared_with_what_the_pool_gave() -> None:
    runs = arm("random", [0.5, 0.6])  # 4 images, then 6
    assert check_of(runs, "validation set").verdict == "unknown"
    found = check_of([with_metrics(one, {"val/images": 17.0}) for one in runs], "validation set")
    assert (found.verdict, found.because) == (
        "no",
        "17 validation images choose checkpoints, labelled apart from the pool's cost; the first labelled set has 4 "
        "and the last 6. Val holds more labels than the pool ever gave. Count them among the labels, or lower "
        "dataset.val.",
    )
    small = check_of([with_metrics(one, {"val/images": 4.0}) for one in runs], "validation set")
    assert small.verdict == "yes"
    between = check_of([with_metrics(one, {"val/images": 5.0}) for one in runs], "validation set")
    assert between.verdict == "no"
    assert "ever gave" not in between.because
    last = [record("random", 0, [0.5, 0.6], {"trainer.validation.keep": "last"})]
    unused = check_of([with_metrics(one, {"val/images": 17.0}) for one in last], "validation set")
    assert unused.verdict == "yes"
    assert unused.because.startswith("17 validation images are only reported")
    old = [record("random", 0, [0.5], {"dataset.val": 9})]
    assert "9 validation images" in check_of(old, "validation set").because


def test_augmentation_is_looked_up_in_every_arm() -> None:
    on, off = {"trainer.augmentation.flip": 0.5}, {"trainer.augmentation.flip": 0, "trainer.augmentation.least": 0.25}
    first = record("random", 0, [0.5], on)
    assert check_of([first, record("bald", 0, [0.5], on)], "augments").verdict == "yes"
    found = check_of([first, record("bald", 0, [0.5], off)], "augments")
    assert (found.verdict, found.because) == (
        "no", "All augmentation is off in bald.",
    )  # fmt: skip
    assert check_of([record("random", 0, [0.5], off)], "augments").because == "All augmentation is off."
    assert check_of([first, record("bald", 0, [0.5])], "augments").verdict == "unknown"


def test_arms_of_two_datasets_are_no_one_study() -> None:
    found = check_of([record("random", 0, [0.5]), record("bald", 0, [0.5], {"dataset": "camvid"})], "one dataset")
    assert found.verdict == "no"
    assert "--where dataset=camvid" in found.because
    assert check_of(arm("random", [0.5]), "one dataset").verdict == "yes"


def test_what_the_records_cannot_tell_says_where_to_look() -> None:
    runs = arm("random", [0.5])
    for words, place in (
        ("tuned at the starting budget", "with as few as 4 labelled images"),
        ("BatchNorm", "Look whether model=unet normalises by batch"),
        ("redundant", "Look how many images of dataset=glas are near-duplicates"),
    ):
        found = check_of(runs, words)
        assert found.verdict == "unknown"
        assert place in found.because


def test_batches_from_enough_images_and_a_random_arm_for_foreground_are_seen() -> None:
    large = record("random", 0, [0.5], {"trainer.batch_size": 16, "selector": "oracle_foreground"})
    many = replace(large, points=(Point(0, {"images": 20.0}, {"test/dice": 0.5}),))
    assert check_of([large], "BatchNorm").verdict == "unknown"  # of 4 images
    assert check_of([many], "BatchNorm").verdict == "yes"
    assert check_of([many], "looks for foreground").verdict == "yes"
    assert check_of(arm("random", [0.5]), "looks for foreground").verdict == "no"


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -3, 1.0, 1e-5, 1e22, float("inf"), "", "all", "true", "Null", "nan", "3", "1e3", "D-22",
        "data/a b", "{split}/images/{name}.*", 'a "quoted" one', "back\\slash", 'both\\"', "ends\\", "a,b", "x=y",
        "~/a", "it's $5", "ä",
        [], [1, 2.5, None, "b c", [True]], [["sign symbol", 6], ["road", [3, 4]]], [{"a": 1, "b": ["x y"]}],
    ],
)  # fmt: skip
def test_hydra_reads_a_printed_value_back_as_it_was(value: object) -> None:
    (word,) = shlex.split(shlex.join([f"++a.b={hydra_value(value)}"]))
    found = OverridesParser.create().parse_override(word).value()
    assert repr(_without_quotes(found)) == repr(value)


def _without_quotes(value: Any) -> Any:
    """Hydra's parsed strings as plain ones."""
    if isinstance(value, list):
        return [_without_quotes(one) for one in value]
    if isinstance(value, dict):
        return {_without_quotes(key): _without_quotes(one) for key, one in value.items()}
    return value.text if hasattr(value, "text") else value


CHANGED = (
    *TINY, "heuristic=entropy", "granularity=grid", "granularity.tile=16", "trainer.schedule.warmup=0.25",
    "+trainer.optimizer.dampening=0", "trainer.loss.class_weights=[1,2.5]", "model.dropout=0.3", "per=image",
    "runs=deep/er", "trainer.encoder_lr=null",
)  # fmt: skip
"""A study whose arms were changed on the command line, below the options and above."""


def study_composed(*words: str) -> tuple[Study, str]:
    """A run as run.py would record it, with an arm beside it that a full-data run needs, and its folder."""
    cfg, choices = composed(*words)
    settings = run.plain(cfg)
    folder, decides = folder_of_run(settings, choices)
    config = {"choices": dict(choices), **settings, "tracking": choices["tracking"], "decides": decides}
    points = [Point(0, {"images": 2.0}, {"test/dice": 0.5})]
    made = record_of("here", config, points, True, 0.0, folder.name)
    beside = [record("bald", 0, [0.5])] if made.ceiling else []
    return study_of_records([made, *beside], {}, [], "here"), str(folder)


def words_of(line: str) -> list[str]:
    python, script, sweep, *words = shlex.split(line)
    assert (python, script, sweep) == ("python", "run.py", "-m")
    return words


def test_an_arm_s_command_composes_the_very_run_again() -> None:
    study, folder = study_composed(*CHANGED)
    _, again = study_composed(*words_of(command(study, study.labels[0], {})))
    assert again == folder  # whose name ends with a hash of all that decides the numbers


def test_the_printed_commands_make_what_is_missing() -> None:
    study, _ = study_composed(*CHANGED)
    full_study, _ = study_composed(*words_of(ceiling_command(study, study.labels[0])))
    (ceiling,) = [one for one in full_study.records if one.ceiling]
    assert ceiling.setup == study.records[0].setup
    assert ceiling.settings["rounds"] == 1
    both = study_of_records([*study.records, ceiling], {}, [], "here")
    assert both.ceiling_score(both.arms[0], "test/dice") == 0.5
    random_study, _ = study_composed(*words_of(random_command(study, study.labels[0])))
    both = study_of_records([*study.records, *random_study.records], {}, [], "here")
    assert both.arms == ("random", "entropy")  # which differ in nothing else
    claims = {check.claim: check.verdict for check in checklist(both, "test/dice", "images")}
    assert claims["Every arm has a random arm to be compared with"] == "yes"


def test_runs_whose_details_go_with_the_run_have_a_command_each() -> None:
    runs = [record("bald", number, [0.5], {"dataset.split_file": f"split{number}.json"}) for number in (0, 1)]
    study = study_of_records(runs, {}, [], "here")
    first, second = command(study, "bald", {}).split(" && ")
    assert first.endswith("cost=images run=0 ++dataset.split_file=split0.json")
    assert second.endswith("cost=images run=1 ++dataset.split_file=split1.json")
