"""The numbers behind the curves against numpy and scipy, and the pictures that show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib.image import imread

from seg_al.core import Metric
from seg_al.recording.learning_curve_figure import learning_curve_figure
from seg_al.results.arm_styles import styles_of
from seg_al.results.curves import baseline_of, differences, table_of
from seg_al.results.figures import draw
from seg_al.results.study import Study
from seg_al.results.verdicts import as_text

RNG = np.random.default_rng(7)
VALUES = {label: RNG.uniform(0.5, 0.9, size=(5, 4)) for label in ("random", "bald")}  # [run, round]


def rows_of(
    label: str, run: int, values: list[float], step: float = 2, heuristic: str | None = None
) -> list[dict[str, object]]:
    costs = [4 + step * number for number in range(len(values))]
    return [
        {
            "dataset": "glas",
            "model": "unet",
            "heuristic": heuristic or label,
            "run": run,
            "identity": f"{label}/{run}",
            "label": label,
            "round": float(number),
            "images": images,
            "pixels": images * (1000 + run),
            "regions": np.nan,
            "clicks": np.nan,
            "vertices": np.nan,
            "metric": "test/dice",
            "value": value,
            "complete": True,
            "ceiling": False,
            "selector": "top",
        }
        for number, (images, value) in enumerate(zip(costs, values, strict=True))
    ]


def table_from(values: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            row
            for label, runs in values.items()
            for run, curve in enumerate(runs)
            for row in rows_of(label, run, list(map(float, curve)))
        ]
    )


def study_of(table: pd.DataFrame) -> Study:
    """A study of the table alone, without its runs' settings."""
    return Study("here", table, (), ())


def test_mean_sd_and_interval_equal_numpy_and_scipy() -> None:
    means = table_of(table_from(VALUES), "test/dice").set_index(["label", "cost"])
    for label, values in VALUES.items():
        for number in range(4):
            column = values[:, number]
            row = means.loc[(label, 4 + 2 * number)]
            low, high = scipy.stats.t.interval(0.95, 4, column.mean(), scipy.stats.sem(column))
            np.testing.assert_allclose(
                row[["mean", "sd", "n", "low", "high"]].to_numpy(float),
                [column.mean(), column.std(ddof=1), 5, low, high],
                rtol=1e-12,
            )


def test_the_difference_to_random_equals_scipy_s_paired_interval() -> None:
    gains = differences(table_from(VALUES), "test/dice")
    test = scipy.stats.ttest_rel(VALUES["bald"][:, -1], VALUES["random"][:, -1])
    interval = test.confidence_interval(0.95)
    expected = float(np.mean(VALUES["bald"][:, -1] - VALUES["random"][:, -1]))
    assert len(gains) == 1
    row = gains.iloc[0]
    assert (row["label"], row["baseline"], row["cost"], row["n"]) == ("bald", "random", 10, 5)
    found = row[["difference", "low", "high"]].to_numpy(float)
    np.testing.assert_allclose(found, [expected, interval.low, interval.high], rtol=1e-12)


def test_a_run_that_stopped_early_counts_where_it_was_and_makes_no_pair() -> None:
    table = table_from(VALUES)
    early = (table["label"] == "bald") & (table["run"] == 1) & (table["round"] > 1)
    means = table_of(table[~early], "test/dice")
    assert means[means["label"] == "bald"]["n"].tolist() == [5, 5, 4, 4]
    gains = differences(table[~early], "test/dice").iloc[0]
    others = [0, 2, 3, 4]
    assert gains["n"] == 4
    expected = (VALUES["bald"] - VALUES["random"])[others, -1].mean()
    assert gains["difference"] == pytest.approx(expected, rel=1e-12)


def test_a_difference_at_unequal_steps_is_taken_at_the_largest_common_cost() -> None:
    slow = [row for run in (0, 1) for row in rows_of("random", run, [0.5, 0.6, 0.7], step=4)]
    fast = [row for run in (0, 1) for row in rows_of("bald", run, [0.5, 0.8, 0.9 + run / 10], step=3)]
    row = differences(pd.DataFrame(slow + fast), "test/dice").iloc[0]
    at_ten = 0.6 + (10 - 8) / 4 * 0.1  # random lies between 8 and 12 images when bald ends at 10
    assert row["cost"] == 10
    assert row["difference"] == pytest.approx(0.95 - at_ten, rel=1e-12)


def test_a_single_run_has_no_spread() -> None:
    table = table_from({label: values[:1] for label, values in VALUES.items()})
    assert table_of(table, "test/dice")[["sd", "low", "high"]].isna().all().all()
    row = differences(table, "test/dice").iloc[0]
    assert row["difference"] == pytest.approx(VALUES["bald"][0, -1] - VALUES["random"][0, -1])
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def test_each_arm_is_compared_with_the_random_arm_of_its_own_settings() -> None:
    arms = [("random", ", mc_iters=5"), ("random", ", mc_iters=20"), ("bald", ", mc_iters=20"), ("bald", "")]
    rows = [row for name, rest in arms for row in rows_of(name + rest, 0, [0.5], heuristic=name)]
    table = pd.DataFrame(rows)
    assert baseline_of(table, "bald, mc_iters=20") == "random, mc_iters=20"
    assert baseline_of(table, "bald") is None  # two random arms, neither its twin
    assert baseline_of(table[table["label"] != "random, mc_iters=5"], "bald") == "random, mc_iters=20"
    assert baseline_of(table, "random, mc_iters=5") is None


def test_a_core_set_beside_random_is_no_random_arm() -> None:
    rows = [*rows_of("random", 0, [0.5]), *rows_of("bald", 0, [0.5]), *rows_of("random, selector=core_set", 0, [0.5])]
    table = pd.DataFrame(rows)
    clever = table["label"] == "random, selector=core_set"
    table.loc[clever, "heuristic"] = "random"
    table.loc[clever, "selector"] = "core_set"
    assert baseline_of(table, "bald") == "random"
    assert baseline_of(table, "random, selector=core_set") == "random"


def test_random_is_black_and_every_arm_keeps_its_style_in_every_figure() -> None:
    labels = ["bald", "entropy", "random", "margin"]
    table = pd.DataFrame([row for label in labels for row in rows_of(label, 0, [0.5])])
    styles = styles_of(table)
    assert styles["random"].colour == "#000000"
    for part in ("colour", "marker", "dashes"):
        assert len({str(getattr(style, part)) for style in styles.values()}) == 4
    assert "#000000" not in {styles[label].colour for label in labels if label != "random"}


def test_costs_that_differ_between_runs_are_drawn_at_their_mean() -> None:
    means = table_of(table_from(VALUES), "test/dice", "pixels")
    assert means[means["label"] == "bald"]["cost"].tolist() == [4008, 6012, 8016, 10020]
    by_images = table_of(table_from(VALUES), "test/dice")
    np.testing.assert_array_equal(means["mean"], by_images["mean"])


def test_what_was_not_recorded_is_an_error_that_says_what_was() -> None:
    with pytest.raises(ValueError, match="no run has the metric 'val/f1'; there are test/dice"):
        table_of(table_from(VALUES), "val/f1")
    with pytest.raises(ValueError, match="the cost in regions was not recorded"):
        table_of(table_from(VALUES), "test/dice", "regions")


def test_the_printed_table_has_a_row_for_each_arm_with_its_gain_over_random() -> None:
    table = table_from({"random": VALUES["random"], "bald": VALUES["bald"][:, :3]})
    means, gains = table_of(table, "test/dice"), differences(table, "test/dice")
    lines = as_text(means, gains, "images").splitlines()
    values = VALUES["bald"][:, 2]
    assert lines[0].split()[:6] == ["images", "runs", "4", "6", "8", "10"]
    assert [line.split()[:2] for line in lines[1:]] == [["random", "5"], ["bald", "5"]]
    assert f"{values.mean():.4f} ± {values.std(ddof=1):.4f}" in lines[2]
    row = gains.iloc[0]
    gain = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]".replace("-", "−")
    assert lines[2].endswith(gain)
    assert "\n".join(lines).count(" ± ") == 7


def test_the_figure_and_its_tables_are_written_and_repeat_byte_for_byte(tmp_path: Path) -> None:
    table = table_from(VALUES)
    table.attrs["problems"] = ["runs/x: config.json is not there"]
    first = draw(study_of(table), "test/dice", "images", tmp_path / "one" / "fig")
    second = draw(study_of(table), "test/dice", "images", tmp_path / "two" / "fig")
    names = ["fig.png", "fig.pdf", "fig.csv", "fig_difference.csv"]
    assert [path.name for path in first.paths] == names
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(names)
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first.paths, second.paths, strict=True))
    assert "not read: runs/x: config.json is not there" in first.text
    assert b"/FontType 42" in first.paths[1].read_bytes() or b"CIDFontType2" in first.paths[1].read_bytes()
    assert imread(first.paths[0]).shape[1] == 700  # a column of 3.5 inches at 200 dots
    pd.testing.assert_frame_equal(pd.read_csv(first.paths[2]), table_of(table, "test/dice"), check_dtype=False)


def test_gaps_stand_in_the_figure_itself(tmp_path: Path) -> None:
    plain = draw(study_of(table_from(VALUES)), "test/dice", "images", tmp_path / "plain").paths[0]
    short = {**VALUES, "bald": VALUES["bald"][:3]}
    noted = draw(study_of(table_from(short)), "test/dice", "images", tmp_path / "noted").paths[0]

    def red(path: Path) -> int:  # pixels of the caption's own colour
        colour = np.array([0x8A, 0x1C, 0x00]) / 255
        return int((np.abs(imread(path)[..., :3] - colour).max(axis=2) < 0.01).sum())

    assert red(plain) == 0
    assert red(noted) > 100


def test_the_picture_of_one_run_takes_the_splits_that_there_are(tmp_path: Path) -> None:
    rounds = [{"cost": {"images": 4.0 + number}, "metrics": {"val/dice": 0.5 + number / 10}} for number in range(3)]
    learning_curve_figure(rounds, tmp_path / "run.png", Metric("dice", lowest=0, highest=1))
    assert imread(tmp_path / "run.png").std() > 0.05
