"""The page, the tables and the figures of a study, of made-up runs, and what they say where runs are missing."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from scripts import plot_study, report
from scripts.benchmark_results import write_folders
from seg_al.core import Metric
from seg_al.results.arm_statistics import areas
from seg_al.results.pitfall_check import Check
from seg_al.results.pitfalls import checklist
from seg_al.results.reader import folder_study
from seg_al.results.report import findings_of, lead_of, write_report
from seg_al.results.savings import savings
from seg_al.results.study import Study
from seg_al.results.table_files import latex, write_tables
from seg_al.results.tables import against_random, main_shown, main_table, star_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five arms of six runs of eight rounds, and three full-data runs."""
    folder = tmp_path_factory.mktemp("study") / "runs"
    write_folders(folder, 30, 8)
    return folder


@pytest.fixture
def copied(runs: Path, tmp_path: Path) -> Path:
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def verdicts(study: Study) -> dict[str, Check]:
    return {check.claim: check for check in checklist(study, "test/dice", "images")}


def check_about(study: Study, words: str) -> Check:
    return next(check for claim, check in verdicts(study).items() if words in claim)


def change(folder: Path, **values: object) -> None:
    for path in folder.glob("*/config.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_page_holds_everything_and_reaches_for_nothing(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    change(tmp_path / "runs", precision="<script>alert(1)</script>")
    study = folder_study([tmp_path / "runs"])
    findings = write_report(study, "test/dice", "images", tmp_path / "deep" / "page.html")
    page = (tmp_path / "deep" / "page.html").read_text()
    pictures = [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([\w+/=]+)", page)]
    assert {imread(io.BytesIO(picture)).shape[1] for picture in pictures} <= {700, 920, 1400}  # column, matrix, page
    assert re.findall(r'<figure id="(\w+)"', page) == [
        "learning_curves", "label_saving", "differences", "penalty_matrix", "ranks", "per_class", "cost_axes",
        "effort", "agreement", "passes", "class_shares",
    ]  # fmt: skip
    assert len(pictures) == 11
    assert len(re.findall("<td>0\\.\\d+ ±\u00a00\\.\\d+</td>", page)) > 5  # a number stays beside its sign
    assert not re.search("<td>[^<]*[±<>] ", page)
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", page)
    assert "<script>" not in page  # a setting that looks like HTML stays text
    assert any(re.match(r"bald against random: \+0\.\d{4} mean test/dice over the curve \[", line) for line in findings)
    assert len(re.findall(r"class=\"check (?:yes|no|unknown)\"", page)) == len(verdicts(study))
    assert "python run.py -m dataset=glas model=unet heuristic=bald" in page
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]


def test_csv_holds_the_numbers_and_latex_compiles_in_form(runs: Path, tmp_path: Path) -> None:
    study = folder_study([runs])
    names = {path.name for path in write_tables(study, "test/dice", "images", tmp_path)}
    made = ("main", "learning_curves", "per_class", "savings", "penalties", "ranks")
    tested = ("against_random", "all_pairs", "against_random_last", "all_pairs_last")
    assert names == {f"{name}.{ending}" for name in made + tested for ending in ("csv", "tex")}
    main = pd.read_csv(tmp_path / "main.csv").set_index("label")
    curves = study.table[(study.table["metric"] == "test/dice") & (study.table["label"] == "bald")]
    by_hand = [np.trapezoid(rows["value"], rows["images"]) / 28 for _, rows in curves.groupby("run")]
    assert main.loc["bald", "area"] == pytest.approx(np.mean(by_hand))
    assert main.loc["bald", "final"] == pytest.approx(curves[curves["images"] == 32]["value"].mean())
    assert main.loc["bald", "full_share"] == pytest.approx(
        main.loc["bald", "final"] / study.ceiling_score("bald", "test/dice")
    )
    per_class = pd.read_csv(tmp_path / "per_class.csv").set_index(["class", "label"])
    own = study.table[(study.table["metric"] == "test/dice_gland") & (study.table["label"] == "bald")]
    assert per_class.loc[("gland", "bald"), "mean"] == pytest.approx(own[own["images"] == 32]["value"].mean())
    drawn = pd.read_csv(tmp_path / "learning_curves.csv")
    bald = drawn[(drawn["label"] == "bald") & (drawn["cost"] == 32)]
    assert bald["mean"].item() == pytest.approx(main.loc["bald", "final"])
    asking = study.table[(study.table["metric"] == "effort/query_seconds") & (study.table["label"] == "bald")]
    assert main.loc["bald", "query_seconds"] == pytest.approx(asking[asking["round"] > 0]["value"].mean())
    text = (tmp_path / "main.tex").read_text()
    assert r"mean\_std & 6 &" in text
    assert text.count(r"\textbf{") == text.count(r"\underline{") == 3  # area, area on a log axis, final
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") - line.count(r"\&") for line in rows} == {7}


def test_latex_escapes_what_tex_would_read() -> None:
    text = latex(pd.DataFrame({"a_b": ["50 % & #1 {x} ± −1 < 2 $"]}), "x")
    assert r"a\_b \\" in text
    assert r"50 \% \& \#1 \{x\} $\pm$ $-$1 $<$ 2 \$ \\" in text


def test_a_sound_study_passes_and_a_careless_one_is_told_why(runs: Path, copied: Path) -> None:
    sound = folder_study([runs])
    assert check_about(sound, "random arm to be compared").verdict == "yes"
    assert check_about(sound, "whole pool is known").verdict == "yes"
    assert check_about(sound, "begin with the same labels").verdict == "yes"
    assert check_about(sound, "collapsed").verdict == "yes"
    assert check_about(sound, "equal steps").verdict == "yes"
    few = check_about(sound, "Enough repetitions")  # 6 runs carry one test, four with Holm need 8
    assert few.verdict == "no"
    assert "4 with Holm's correction need 8" in few.because
    validation = check_about(sound, "validation set is not larger")
    assert (validation.verdict, "17 validation images" in validation.because) == ("no", True)
    for number in range(8):
        path = copied / "glas-unet-bald-run3" / "rounds" / f"{number:02d}" / "metrics.json"
        entry = json.loads(path.read_text())
        entry["metrics"]["test/dice"] *= 0.3
        path.write_text(json.dumps(entry))
    change(copied, trainer={"pace": {"steps": 10, "epochs": 40}, "start": "warm"})
    careless = folder_study([copied])
    assert "bald run 3 (0." in check_about(careless, "collapsed").because
    assert check_about(careless, "begin with the same labels").verdict == "no"
    assert check_about(careless, "equal steps").verdict == "no"
    assert check_about(careless, "fresh weights").verdict == "no"
    assert check_about(careless, "augments its images").verdict == "unknown"


def test_a_missing_baseline_is_named_with_the_command_that_makes_it(copied: Path) -> None:
    for folder in [*copied.glob("*random*"), *copied.glob("*full*")]:
        shutil.rmtree(folder)
    study = folder_study([copied])
    random, full = (check_about(study, words) for words in ("random arm to be compared", "whole pool is known"))
    assert random.verdict == full.verdict == "no"
    assert random.command is not None
    assert "dataset=glas model=unet heuristic=random " in random.command
    assert " predictor=mc_dropout " in random.command
    assert "initial=4 budget=4 cost=images schedule=null run=0,1,2,3,4,5" in random.command
    assert full.command is not None
    assert "rounds=1 initial=all" in full.command
    assert findings_of(study, "test/dice", "images") == [
        "There is no random arm: nothing here shows whether asking beats chance."
    ]


def test_without_a_full_data_run_the_reference_is_random_s_last_score(copied: Path) -> None:
    for folder in copied.glob("*full*"):
        shutil.rmtree(folder)
    findings = findings_of(folder_study([copied]), "test/dice", "images")
    saved = [line for line in findings if re.match(r"bald needs \d+ % \[\d+, \d+\] of random's images", line)]
    assert len(saved) == 3
    assert all("of random's last score" in line for line in saved)


def keep(folder: Path, words: str) -> None:
    for path in folder.iterdir():
        if not re.search(words, path.name):
            shutil.rmtree(path)


def test_one_run_per_arm_gives_numbers_and_no_test(copied: Path) -> None:
    keep(copied, "run0")
    study = folder_study([copied])
    assert "of one pair: no interval, no test" in "\n".join(findings_of(study, "test/dice", "images"))
    found = against_random(study, areas(study.table, "test/dice"))
    assert star_of(found.iloc[0].to_dict()).startswith("no test with 1 common run; ")


def test_arms_with_commas_in_their_names_are_told_apart(copied: Path) -> None:
    keep(copied, "(random|bald|entropy)-run[01]$")
    for path in copied.glob("*entropy*/config.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "mc_iters": 5}))
    lead = lead_of(folder_study([copied]), "test/dice", "images")
    assert lead.startswith(
        "Compares random, mc_iters=20; bald, mc_iters=20; entropy, mc_iters=5: 6 runs of unet on glas"
    )


def test_a_single_run_has_a_page_with_a_guard_for_each_baseline(copied: Path, tmp_path: Path) -> None:
    keep(copied, "bald-run0")
    write_report(folder_study([copied]), "test/dice", "images", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count('class="guard"') == 2
    unfolded = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    assert "python run.py" not in unfolded
    assert page.count("The command that makes them") == 4  # each at the guard and in the list of pitfalls
    lead = "One arm, bald: 1 run of unet on glas, scored by test/dice over the labelled images."
    assert page.index(lead) < page.index("<nav>") < page.index('class="guard"')
    assert '<figure id="learning_curves"' in page
    assert '<figure id="penalty_matrix"' not in page


def test_arms_at_costs_that_do_not_meet_are_an_error_that_says_so(copied: Path, tmp_path: Path) -> None:
    for path in copied.glob("*margin*/rounds/*/metrics.json"):
        entry = json.loads(path.read_text())
        entry["cost"]["images"] += 1000
        path.write_text(json.dumps(entry))
    with pytest.raises(ValueError, match=r"do not overlap \(one begins at 1,004, another ends at 32\)"):
        write_report(folder_study([copied]), "test/dice", "images", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_nan_metrics_are_named_and_left_out(copied: Path) -> None:
    for path in copied.glob("*bald-run2/rounds/04/metrics.json"):
        entry = json.loads(path.read_text())
        entry["metrics"]["test/dice"] = None
        path.write_text(json.dumps(entry))
    study = folder_study([copied])
    assert "bald: test/dice is NaN in 1 evaluations" in check_about(study, "same runs").because
    assert main_table(study, "test/dice").set_index("label").loc["bald", "n"] == 5
    for path in copied.glob("*/rounds/*/metrics.json"):
        entry = json.loads(path.read_text())
        entry["metrics"]["test/dice"] = None
        path.write_text(json.dumps(entry))
    with pytest.raises(ValueError, match="test/dice is NaN in every evaluation"):
        main_shown(main_table(folder_study([copied]), "test/dice"), Metric("dice"))


def rename(folder: Path, old: str, new: str) -> None:
    for path in folder.glob("*/rounds/*/metrics.json"):
        path.write_text(path.read_text().replace(f'"{old}"', f'"{new}"'))


def test_where_less_is_better_the_least_is_best(copied: Path, tmp_path: Path) -> None:
    rename(copied, "test/dice", "test/object_hausdorff")
    study = folder_study([copied])
    write_tables(study, "test/object_hausdorff", "images", tmp_path / "out")
    assert (pd.read_csv(tmp_path / "out" / "savings.csv")["at_start"] == 1).all()  # these errors only grow
    main = pd.read_csv(tmp_path / "out" / "main.csv").set_index("label")
    least = main["area"].idxmin()
    assert main["full_share"].isna().all()
    row = next(line for line in (tmp_path / "out" / "main.tex").read_text().splitlines() if r"\textbf" in line)
    assert row.startswith(least.replace("_", r"\_") + " &")
    ranks = pd.read_csv(tmp_path / "out" / "ranks.csv").set_index("label")
    assert ranks["rank"].idxmin() == least
    penalties = pd.read_csv(tmp_path / "out" / "penalties.csv").set_index(["label", "other"])
    most = main["area"].idxmax()
    assert penalties.loc[(least, most), "share"] > 0.5 > penalties.loc[(most, least), "share"]
    findings = findings_of(study, "test/object_hausdorff", "images")
    assert findings[0].startswith("Of test/object_hausdorff, less is better: a difference below 0 is a gain")
    assert not any("needs" in line for line in findings)


def test_arms_of_two_datasets_are_refused_with_the_words_that_choose_one(copied: Path, tmp_path: Path) -> None:
    for path in copied.glob("*margin*/config.json"):
        config = json.loads(path.read_text())
        config["choices"]["dataset"] = "camvid"
        path.write_text(json.dumps(config))
    study = folder_study([copied])
    with pytest.raises(ValueError, match=r"of 2 datasets, camvid, glas, .* --where dataset=camvid"):
        write_report(study, "test/dice", "images", tmp_path / "page.html")
    with pytest.raises(ValueError, match="of 2 datasets"):
        write_tables(study, "test/dice", "images", tmp_path / "out")
    assert list(tmp_path.iterdir()) == [copied]


def test_a_star_is_told_alike_wherever_it_stands(copied: Path) -> None:
    """entropy has 6 pairs of one sign beside stronger tests of the same number: its Holm p is what its rank asks."""
    keep(copied, "random|bald|full")
    study = folder_study([copied])
    found = against_random(study, areas(study.table, "test/dice"))
    assert found["star"].all()  # 6 pairs carry the only test there is
    assert star_of(found.iloc[0].to_dict()) == "*"
    assert "; significant (Wilcoxon, Holm: p = 0.0312)" in findings_of(study, "test/dice", "images")[0]


def test_the_goal_is_random_s_last_score_over_the_pairs(copied: Path) -> None:
    keep(copied, "random|bald-run[0-3]")
    study = folder_study([copied])
    found = savings(study, "test/dice", targets=[1.0])
    rows = study.table[(study.table["metric"] == "test/dice") & (study.table["label"] == "random")]
    shared = rows[(rows["images"] == rows["images"].max()) & (rows["run"] < 4)]
    assert found["goal"].tolist() == pytest.approx([shared["value"].mean()])


def test_what_was_not_compared_is_told_for_what_it_is(copied: Path) -> None:
    without = copied.parent / "without"
    shutil.copytree(copied, without)
    rename(without, "test/dice", "test/ap")
    for path in without.glob("*-random-*/rounds/*/metrics.json"):
        path.write_text(path.read_text().replace('"test/ap"', '"test/dice"'))
    findings = findings_of(folder_study([without]), "test/ap", "images")
    assert findings[0] == "No arm and its random arm both have test/ap: nothing here shows whether asking beats chance."
    keep(copied, "random")
    findings = findings_of(folder_study([copied]), "test/dice", "images")
    assert findings == ["random: there is no other arm to compare with it."]


def test_the_scripts_fail_with_a_sentence(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for script in (report, plot_study):
        name = script.__name__.rpartition(".")[2]
        monkeypatch.setattr(sys, "argv", [name, str(runs), "--metric", "test/f1"])
        assert script.main() == 1
        assert capsys.readouterr().err.startswith(f"{name}: no run has the metric 'test/f1'; there are ")
        monkeypatch.setattr(sys, "argv", [name, str(runs), "--where", "heuristics=bald"])
        assert script.main() == 1
        assert "no run has a setting 'heuristics'" in capsys.readouterr().err
