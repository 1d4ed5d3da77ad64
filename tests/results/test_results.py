"""Run folders and MongoDB become one table, and what is missing from it is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seg_al.core import COST_UNITS
from seg_al.recording.files import METRICS, write_record
from seg_al.results.arms import arm_names, missing
from seg_al.results.reader import folder_study, mongo_study

ROOT = Path(__file__).parents[2]
CHOICES = {
    "dataset": "glas",
    "model": "unet",
    "heuristic": "random",
    "predictor": "mc_dropout",
    "granularity": "image",
    "selector": "top",
    "annotator": "oracle",
    "trainer": "sgd",
}


def identity_of(heuristic: str, run: int, extra: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps([heuristic, run, extra]).encode()):08x}01234567"


def config_of(heuristic: str, run: int, **extra: Any) -> dict[str, Any]:
    values = {"run": run, "mc_iters": 20, "rounds": 3, "initial": 4, "budget": 2, "cost": "images"}
    details = {"dataset": {"folder": "data", "run": run}, "heuristic": {"_target_": f"x.{heuristic}"}}
    decides = {**values, **details, **extra}
    about = {"identity": identity_of(heuristic, run, extra), "decides": decides, "cache": 100 * run, "folder": None}
    return {"choices": {**CHOICES, "heuristic": heuristic}, **decides, **about}


def write_run(
    root: Path, heuristic: str, run: int, values: list[float], finished: bool = True, step: int = 2, **extra: Any
) -> Path:
    folder = root / f"{heuristic}-{identity_of(heuristic, run, extra)[:8]}"
    for number, value in enumerate(values):
        images = float(4 + step * number)
        entry = {
            "cost": {"images": images, "pixels": images * 1000 + 7 * run, "regions": images},
            "metrics": {"test/dice": value, "val/dice": value / 2},
        }
        path = folder / "rounds" / f"{number:02d}" / "metrics.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(entry))
    config = {**config_of(heuristic, run, **extra), "rounds": len(values)}
    (folder / "config.json").write_text(json.dumps(config))
    if finished:
        (folder / "finished.json").write_text(json.dumps({"rounds": len(values)}))
    return folder


def test_a_folder_becomes_one_row_per_round_and_metric(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "bald", 3, [0.5, 0.6, 0.7])
    table = folder_study([tmp_path]).table
    assert len(table) == 3 * 2
    assert table["identity"].unique() == [f"{folder.name[-8:]}01234567"]
    last = table[(table["round"] == 2) & (table["metric"] == "val/dice")].iloc[0]
    assert (last["images"], last["pixels"], last["value"]) == (8.0, 8021.0, 0.35)
    assert (last["label"], last["run"], last["dataset"], last["mc_iters"]) == ("bald", 3, "glas", 20)
    assert bool(last["complete"])
    assert missing(table) == []


def test_labels_name_every_setting_in_which_arms_differ_and_no_other(tmp_path: Path) -> None:
    for run in (0, 1):
        for passes in (5, 20):
            write_run(tmp_path, "bald", run, [0.5], mc_iters=passes, predictor={"passes": passes})
    table = folder_study([tmp_path]).table
    assert list(table["label"].unique()) == ["bald, mc_iters=5", "bald, mc_iters=20"]  # as numbers
    kept = folder_study([tmp_path], {"mc_iters": ["5"]}).table
    assert list(kept["label"].unique()) == ["bald"]
    assert len(kept) == len(table) / 2


def test_labels_show_details_only_where_they_split_an_arm() -> None:
    shared = {"run": 0, "mc_iters": 5}
    small = {**shared, "heuristic": "bald", "model": "unet", "model.width": 8}
    wide = {**shared, "heuristic": "bald", "model": "unet", "model.width": 16}
    other = {**shared, "heuristic": "bald", "model": "drn", "model.depth": 3}
    assert arm_names([small, wide]) == ["bald, model.width=8", "bald, model.width=16"]
    assert arm_names([small, other]) == ["bald, model=unet", "bald, model=drn"]
    assert arm_names([small, wide, other]) == [
        "bald, model=unet, model.width=8",
        "bald, model=unet, model.width=16",
        "bald, model=drn",
    ]


def test_an_arm_with_a_schedule_is_named_by_it() -> None:
    plain = {"heuristic": "random", "schedule": None, "selector": "top", "run": 0}
    phases = [{**plain, "heuristic": name, "schedule": "typiclust>bald@3"} for name in ("random", "bald")]
    assert arm_names([plain, phases[1]]) == ["random", "typiclust>bald@3"]
    assert arm_names([plain, *phases]) == [
        "random", "typiclust>bald@3, heuristic=random", "typiclust>bald@3, heuristic=bald"
    ]  # fmt: skip


def test_labels_ignore_a_split_file_that_changes_with_the_run_alone() -> None:
    one = {"heuristic": "bald", "run": 0, "dataset.split": "split0.json"}
    two = {"heuristic": "bald", "run": 1, "dataset.split": "split1.json"}
    assert arm_names([one, two]) == ["bald", "bald"]
    published = {"heuristic": "bald", "run": 1, "dataset.split": "published.json"}
    drawn = {"heuristic": "bald", "run": 0, "dataset.split": "drawn.json"}
    assert len(set(arm_names([one, two, {**two, "dataset.split": "published.json"}]))) == 3
    assert len(set(arm_names([published, drawn, {**published, "run": 0}]))) == 2


def test_a_lacking_an_early_and_an_unfinished_run_are_named(tmp_path: Path) -> None:
    for run in (0, 1, 2):
        write_run(tmp_path, "random", run, [0.5, 0.6, 0.7])
    write_run(tmp_path, "bald", 0, [0.5, 0.6, 0.7])
    write_run(tmp_path, "bald", 2, [0.5, 0.6], finished=False)
    assert missing(folder_study([tmp_path]).table) == [
        "bald: lacks run 1, which others have",
        "bald: run 2 unfinished",
        "bald: run 2 ended after 2 of 3 evaluations, at 6 images",
    ]


def test_unequal_costs_between_arms_and_between_runs_are_named(tmp_path: Path) -> None:
    write_run(tmp_path, "random", 0, [0.5, 0.6, 0.7])
    write_run(tmp_path, "bald", 0, [0.5, 0.6, 0.7], step=3)
    assert missing(folder_study([tmp_path]).table) == ["bald: evaluated at 4, 7, 10 images, but random at 4, 6, 8"]
    write_run(tmp_path / "other", "bald", 1, [0.5, 0.6, 0.7])
    write_run(tmp_path / "other", "bald", 2, [0.5, 0.6, 0.7])
    table = folder_study([tmp_path / "other"]).table
    assert missing(table) == []
    assert missing(table, "pixels") == ["bald: pixels of a round differ between runs; drawn at their mean"]


def test_a_missing_value_is_named_and_not_a_zero(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "bald", 0, [0.5, 0.6])
    path = folder / "rounds" / "01" / "metrics.json"
    path.write_text(path.read_text().replace("0.6", "NaN"))
    assert missing(folder_study([tmp_path]).table) == ["bald: test/dice is NaN in 1 evaluations"]
    assert missing(folder_study([tmp_path]).table, metric="val/dice") == []


def test_a_run_without_the_metric_is_named_and_not_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, "random", 0, [0.5])
    path = write_run(tmp_path, "bald", 0, [0.5]) / "rounds" / "00" / "metrics.json"
    path.write_text(path.read_text().replace("test/dice", "test/iou"))
    assert missing(folder_study([tmp_path]).table, metric="test/dice") == ["bald: run 0 without test/dice"]


def test_effort_is_read_beside_the_metrics(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "bald", 0, [0.5])
    (folder / "rounds" / "00" / "effort.json").write_text('{"train_seconds": 2.5, "train_peak_mib": null}')
    table = folder_study([tmp_path]).table.set_index("metric")
    assert table.loc["effort/train_seconds", "value"] == 2.5
    assert pd.isna(table.loc["effort/train_peak_mib", "value"])


def test_a_finished_run_that_is_being_extended_is_unfinished(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "bald", 0, [0.5, 0.6])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rounds": 3}))
    assert missing(folder_study([tmp_path]).table) == ["bald: run 0 unfinished"]


def test_broken_folders_are_named_and_foreign_ones_ignored(tmp_path: Path) -> None:
    write_run(tmp_path, "bald", 0, [0.5])
    half = write_run(tmp_path, "bald", 1, [0.5])
    (half / "rounds" / "00" / "metrics.json").write_text('{"cost": {"ima')
    bare = write_run(tmp_path, "bald", 2, [0.5])
    (bare / "config.json").unlink()
    gap = write_run(tmp_path, "bald", 3, [0.5, 0.6, 0.7])
    (gap / "rounds" / "01" / "metrics.json").unlink()
    fresh = tmp_path / "fresh-00000000"
    fresh.mkdir()
    (fresh / "config.json").write_text(json.dumps(config_of("bald", 4)))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("not a run")
    table = folder_study([tmp_path]).table
    assert list(table["run"].unique()) == [0]
    problems = "\n".join(missing(table))
    assert f"{half}: rounds/00/metrics.json is not whole JSON" in problems
    assert f"{bare}: config.json is not there; move the folder away and run the same command" in problems
    assert f"{gap}: rounds without metrics.json in between, found 00, 02; delete finished.json" in problems
    assert f"{fresh}: no round has metrics yet" in problems
    assert "notes" not in problems
    assert problems.count("\n") == 3


AGAIN = "; delete it, and finished.json where there is one, and run the same command"
WITHOUT = "; delete it, and the round counts without it"
NO_NUMBER = "where a finite number or null is expected"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("metrics.json", '{"cost": {"ima', "metrics.json is not whole JSON (.*)" + AGAIN),
        ("metrics.json", "[1]", "metrics.json holds no JSON object" + AGAIN),
        ("metrics.json", '{"metrics": {}}', "metrics.json lacks 'cost'" + AGAIN),
        ("metrics.json", '{"cost": {}, "metrics": {}}', "metrics.json lacks a number of images in its cost" + AGAIN),
        ("metrics.json", '{"cost": {"images": null}, "metrics": {}}', "metrics.json lacks a number of images"),
        ("metrics.json", '{"cost": 3, "metrics": {}}', "metrics.json: cost holds no names with their numbers" + AGAIN),
        ("metrics.json", '{"cost": {"images": 6}, "metrics": {"test/dice": [1]}}', rf"test/dice is \[1\], {NO_NUMBER}"),
        (
            "metrics.json",
            '{"cost": {"images": 6}, "metrics": {"test/dice": Infinity}}',
            f"metrics.json: test/dice is inf, {NO_NUMBER}" + AGAIN,
        ),
        ("effort.json", "[]", "effort.json holds no JSON object" + WITHOUT),
        ("effort.json", '{"query_seconds": "x"}', f"effort.json: query_seconds is 'x', {NO_NUMBER}" + WITHOUT),
        ("asked.json", '{"queries": 3}', "asked.json lacks 'answered'" + WITHOUT),
        ("agreement.json", '{"units": 3}', "agreement.json lacks 'spearman'" + WITHOUT),
        ("agreement.json", '{"spearman": {"bald": []}}', "agreement.json" + ".*" + WITHOUT),
        ("truths_read.json", "", "truths_read.json is not whole JSON (.*)" + WITHOUT),
        ("truths_read.json", '"x"', f"truths_read.json: truths_read is 'x', {NO_NUMBER}" + WITHOUT),
    ],
)
def test_an_odd_file_of_a_round_is_named_and_keeps_no_other_run_from_being_read(
    tmp_path: Path, name: str, content: str, problem: str
) -> None:
    odd = write_run(tmp_path, "bald", 0, [0.5, 0.6])
    write_run(tmp_path, "bald", 1, [0.5, 0.6])
    (odd / "rounds" / "01" / name).write_text(content)
    table = folder_study([tmp_path]).table
    assert list(table["run"].unique()) == [1]
    (found,) = table.attrs["problems"]
    assert re.search(rf"^{re.escape(str(odd))}: rounds/01/.*{problem}", found)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"choices": ["bald"]}, "config.json: choices is no JSON object with the option of each group"),
        ({"choices": {**CHOICES, "dataset": ["glas"]}}, "config.json: the dataset is ['glas'], no name of an option"),
        ({"run": "0"}, "config.json: the config names no heuristic or no run"),
    ],
)
def test_an_odd_config_is_named_and_keeps_no_other_run_from_being_read(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    path = write_run(tmp_path, "bald", 0, [0.5]) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    write_run(tmp_path, "bald", 1, [0.5])
    table = folder_study([tmp_path]).table
    assert list(table["run"].unique()) == [1]
    assert problem in table.attrs["problems"][0]


def test_a_folder_among_the_rounds_that_is_none_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "bald", 0, [0.5, 0.6])
    write_run(tmp_path, "bald", 1, [0.5, 0.6])
    (folder / "rounds" / "01").rename(folder / "rounds" / "01.bak")
    (problem,) = folder_study([tmp_path]).table.attrs["problems"]
    assert problem == f"{folder}: rounds/01.bak is no round, whose names are numbers; move it out of the run"


def test_a_run_found_twice_counts_once_and_the_finished_copy_wins(tmp_path: Path) -> None:
    write_run(tmp_path / "copy", "bald", 0, [0.1, 0.2], finished=False)
    folder = write_run(tmp_path / "original", "bald", 0, [0.5, 0.6])
    table = folder_study([tmp_path, folder, folder]).table
    assert list(table[table["metric"] == "test/dice"]["value"]) == [0.5, 0.6]
    assert missing(table) == []


def test_of_two_complete_copies_the_newer_counts(tmp_path: Path) -> None:
    old = write_run(tmp_path / "a", "bald", 0, [0.1, 0.2])
    new = write_run(tmp_path / "z", "bald", 0, [0.5, 0.6])
    for seconds, folder in ((2000, old), (1000, new)):
        os.utime(folder / "rounds" / "01" / "metrics.json", (seconds, seconds))
    assert folder_study([tmp_path]).table.query("metric == 'test/dice'")["value"].tolist() == [0.1, 0.2]
    os.utime(new / "rounds" / "01" / "metrics.json", (3000, 3000))
    assert folder_study([tmp_path]).table.query("metric == 'test/dice'")["value"].tolist() == [0.5, 0.6]


def test_every_recorded_cost_becomes_a_column(tmp_path: Path) -> None:
    path = write_run(tmp_path, "bald", 0, [0.5]) / "rounds" / "00" / "metrics.json"
    entry = json.loads(path.read_text())
    entry["cost"] |= {"clicks": 36, "vertices": 720.0}
    path.write_text(json.dumps(entry))
    row = folder_study([tmp_path]).table.iloc[0]
    assert [row[unit] for unit in COST_UNITS] == [4, 4000, 4, 36, 720]


def test_a_full_data_run_is_a_ceiling_and_no_arm(tmp_path: Path) -> None:
    for run in (0, 1):
        write_run(tmp_path, "random", run, [0.5, 0.6])
        write_run(tmp_path, "bald", run, [0.5, 0.7])
        write_run(tmp_path, "random", run, [0.8 + run / 10], initial="all")
    other = {"initial": "all", "trainer": {"steps": 9}}
    write_run(tmp_path, "random", 0, [0.1], **other)  # trained in another way: not these arms' ceiling
    study = folder_study([tmp_path])
    assert study.arms == ("random", "bald")
    assert study.ceiling_score("bald", "test/dice") == pytest.approx(0.85)
    assert set(study.table.loc[study.table["ceiling"], "images"]) == {4.0}
    assert missing(study.table) == []


def test_a_full_data_run_of_more_steps_is_the_ceiling_of_arms_that_need_fewer(tmp_path: Path) -> None:
    for heuristic, pace, value in (("random", 100, 0.6), ("full", 100, 0.7), ("full", 900, 0.9)):
        full = {"initial": "all"} if heuristic == "full" else {}
        folder = write_run(tmp_path, "random", 0, [value], trainer={"pace": {"steps": pace}}, **full)
        path = folder / "rounds" / "00" / "metrics.json"
        entry = json.loads(path.read_text())
        entry["metrics"]["training/steps"] = pace
        path.write_text(json.dumps(entry))
    study = folder_study([tmp_path])
    assert study.ceiling_scores("random", "test/dice") == [0.9]


def test_a_filter_keeps_the_full_data_runs_of_what_it_keeps(tmp_path: Path) -> None:
    for run in (0, 1):
        for width in (8, 16):
            for heuristic in ("random", "bald"):
                write_run(tmp_path, heuristic, run, [0.5, 0.6], model={"width": width})
            write_run(tmp_path, "random", run, [0.8 + width / 100 + run / 10], initial="all", model={"width": width})
    where = {"heuristic": ["bald"], "initial": ["4"], "model.width": ["16"]}
    study = folder_study([tmp_path], where)
    assert study.arms == ("bald",)
    assert study.ceiling_score("bald", "test/dice") == pytest.approx(1.01)
    assert study.ceiling_score("bald", "test/f1") is None
    assert len(study.records) == 4  # the full-data runs of the other width are gone
    assert folder_study([tmp_path], {**where, "run": ["1"]}).ceiling_score("bald", "test/dice") == pytest.approx(1.06)


def test_full_data_runs_alone_are_no_study(tmp_path: Path) -> None:
    for run in (0, 1):
        write_run(tmp_path, "random", run, [0.8], initial="all")
    with pytest.raises(ValueError, match=r"there are 2 full-data runs \(initial=all\), but no run that asks"):
        folder_study([tmp_path])
    write_run(tmp_path, "bald", 0, [0.5])
    with pytest.raises(ValueError, match=r"no run matches initial=all(.|\n)*initial: 4, all"):
        folder_study([tmp_path], {"initial": ["all"]})


def test_a_filter_without_match_says_what_is_there(tmp_path: Path) -> None:
    write_run(tmp_path, "bald", 0, [0.5])
    write_run(tmp_path, "random", 1, [0.5])
    with pytest.raises(ValueError, match=r"no run matches heuristic=entropy(.|\n)*heuristic: bald, random"):
        folder_study([tmp_path], {"heuristic": ["entropy"]})
    for mistyped, told in (("heuristics", "did you mean heuristic?"), ("zzz", "there are ")):
        with pytest.raises(ValueError, match=f"no run has a setting '{mistyped}'; {re.escape(told)}"):
            folder_study([tmp_path], {mistyped: ["bald"]})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no run with results"):
        folder_study([tmp_path / "empty"])


def test_the_script_draws_prints_and_fails_with_a_sentence(tmp_path: Path) -> None:
    for run in (0, 1):
        write_run(tmp_path / "runs", "random", run, [0.5, 0.6])
        write_run(tmp_path / "runs", "bald", run, [0.5, 0.75 + 0.1 * run])
    script = [sys.executable, str(ROOT / "scripts" / "plot_curves.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120}
        return subprocess.run([*script, *words], cwd=tmp_path, env=environment, **options)

    done = call("--out", "drawn/fig")
    assert done.returncode == 0, done.stderr
    assert "0.8000 ± 0.0707" in done.stdout
    assert re.search(r"^bald +2 .* \+0\.2000 \[", done.stdout, re.MULTILINE)
    assert "\nbald reaches random's last test/dice (0.600) with 78 % [" in done.stdout
    names = ["fig.csv", "fig.pdf", "fig.png", "fig_difference.csv"]
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == names
    assert all(str(Path("drawn") / name) in done.stdout for name in names)
    assert pd.read_csv(tmp_path / "drawn" / "fig.csv").query("label == 'bald'")["mean"].tolist() == [0.5, 0.8]
    failed = call("runs/*", "--where", "heuristic=entropy")
    assert failed.returncode == 1
    assert "heuristic: bald, random" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert call("runs", "--metric", "test/f1").stderr.endswith("there are test/dice, val/dice\n")


def store(database: Any, number: int, table: pd.DataFrame, status: str, shift: float = 0.0) -> None:
    """One run of the folders' table as Sacred stores it, without its costs."""
    first = table.iloc[0]
    config = config_of(str(first["heuristic"]), int(first["run"]))
    lifted = {f"{name}_options": config.pop(name) for name in ("dataset", "heuristic")}
    choices = config.pop("choices")
    config.pop("decides")
    config = {**config, **choices, **lifted, "tags": [], "seed": int(first["run"])}
    database["runs"].insert_one(
        {"_id": number, "config": config, "status": status, "start_time": pd.Timestamp(number, unit="D")}
    )
    for name, rows in table.groupby("metric"):
        steps = [int(step) for step in rows["images"]]
        values = [float(value) + shift for value in rows["value"]]
        database["metrics"].insert_one({"run_id": number, "name": name, "steps": steps, "values": values})


@pytest.mark.mongo
def test_mongodb_and_folders_give_the_same_table(tmp_path: Path, mongod: str) -> None:
    import pymongo

    for run in (0, 1):
        write_run(tmp_path, "random", run, [0.5, 0.6, 0.7])
        write_run(tmp_path, "bald", run, [0.5, 0.65 + run / 10, 0.75])
    folders = folder_study([tmp_path]).table
    with pymongo.MongoClient[dict[str, Any]](mongod) as client:
        database = client["test_results"]
        runs = [rows for _, rows in folders.groupby("identity")]
        for number, rows in enumerate(runs, start=1):
            store(database, number, rows, "COMPLETED")
        store(database, 5, runs[0].head(2), "FAILED")  # newer, but not complete
        store(database, 6, runs[1], "COMPLETED", shift=0.125)  # newer and complete: it counts
        database["runs"].insert_one({"_id": 7, "config": {"lr": 1}, "status": "COMPLETED"})  # another project's
        try:
            table = mongo_study(mongod, "test_results").table
            with pytest.raises(ValueError, match=r"no run matches run=9(.|\n)*run: 0, 1"):
                mongo_study(mongod, "test_results", {"run": ["9"]})
        finally:
            client.drop_database("test_results")
    expected = folders.copy()
    expected.loc[expected["identity"] == runs[1]["identity"].iloc[0], "value"] += 0.125
    only_folders = ["pixels", "regions"]
    assert table[only_folders].isna().all().all()
    pd.testing.assert_frame_equal(table.drop(columns=only_folders), expected.drop(columns=only_folders))
    assert missing(table) == []


def test_a_mongodb_that_is_down_is_an_error_without_its_password() -> None:
    with pytest.raises(ValueError, match=r"MongoDB at 127\.0\.0\.1:9/ does not answer") as caught:
        mongo_study("mongodb://me:secret@127.0.0.1:9/", "sacred")
    assert "secret" not in str(caught.value)


def test_links_in_a_loop_and_to_themselves_end(tmp_path: Path) -> None:
    write_run(tmp_path, "bald", 0, [0.5, 0.6])
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert list(folder_study([tmp_path]).table["run"].unique()) == [0]


@pytest.mark.parametrize("content", ["null", "[" * 100_000, "[1]", "3"])
def test_a_file_of_another_shape_keeps_no_other_run_from_being_read(content: str, tmp_path: Path) -> None:
    odd = write_run(tmp_path, "bald", 0, [0.5, 0.6])
    write_run(tmp_path, "bald", 1, [0.5, 0.6])
    for name in ("config.json", "rounds/01/metrics.json", "finished.json"):
        path = odd / name
        whole = path.read_bytes() if path.exists() else None
        path.write_text(content)
        table = folder_study([tmp_path]).table
        assert list(table["run"].unique()) == [1]
        (found,) = table.attrs["problems"]
        assert f"{odd}: {name} " in found
        path.unlink() if whole is None else path.write_bytes(whole)


def test_a_changed_digit_of_a_round_is_named(tmp_path: Path) -> None:
    odd = write_run(tmp_path, "bald", 0, [0.5, 0.6])
    write_run(tmp_path, "bald", 1, [0.5, 0.6])
    path = odd / "rounds/01/metrics.json"
    found = json.loads(path.read_text())
    path.unlink()
    write_record(path, found, METRICS)
    assert sorted(folder_study([tmp_path]).table["run"].unique()) == [0, 1]
    path.write_text(path.read_text().replace("0.6", "0.7"))
    (problem,) = folder_study([tmp_path]).table.attrs["problems"]
    assert f"{odd}: rounds/01/metrics.json was changed" in problem
    assert "delete it" in problem
