"""Agreement between heuristics and over passes: by hand, against scipy and counting, and as a picture."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from seg_al.recording.agreement import agreement, agreement_scalars
from seg_al.recording.agreement_figure import agreement_figure, nothing_to_compare

RNG = np.random.default_rng(11)
MANY = tuple(f"expected_entropy_{number}" for number in range(11))


def table(asked: int, **scores: list[float]) -> pd.DataFrame:
    """Units of images of two units each; the first `asked` rows are asked."""
    size = len(next(iter(scores.values())))
    rows = np.arange(size)
    facts = {
        "image": [f"train_{row // 2}" for row in rows],
        "unit": rows % 2,
        "area": 100 + rows,
        "asked": rows < asked,
    }
    return pd.DataFrame({**facts, **scores})


def by_passes(scores: pd.DataFrame, **columns: list[float]) -> pd.DataFrame:
    """`k3=[...]` are the scores after three passes, in the row order of `scores`."""
    parts = [
        scores[["image", "unit"]].assign(passes=int(name.removeprefix("k")), score=values)
        for name, values in columns.items()
    ]
    return pd.concat(parts, ignore_index=True)


def drawn(size: int, names: tuple[str, ...], asked: int, levels: int = 7) -> pd.DataFrame:
    """Correlated scores with many ties."""
    base = RNG.normal(size=size)
    scores = {name: np.round(levels * (base + RNG.normal(size=size))).tolist() for name in names}
    return table(asked, **scores)


def test_a_case_small_enough_to_count_on_fingers() -> None:
    scores = table(2, bald=[4.0, 3.0, 2.0, 1.0], entropy=[4.0, 2.0, 3.0, 1.0], margin=[1.0, 2.0, 3.0, 4.0])
    passes = by_passes(scores, k4=[4.0, 3.0, 2.0, 1.0], k1=[1.0, 2.0, 3.0, 4.0], k2=[3.0, 4.0, 2.0, 1.0])
    assert agreement(scores, "bald", passes) == {
        "asked_by": "bald",
        "units": 4,
        "asked": 2,
        "spearman": {  # 1 - 6 * (sum of squared rank differences) / 60
            "bald": {"bald": 1.0, "entropy": pytest.approx(0.8), "margin": -1.0},
            "entropy": {"bald": pytest.approx(0.8), "entropy": 1.0, "margin": pytest.approx(-0.8)},
            "margin": {"bald": -1.0, "entropy": pytest.approx(-0.8), "margin": 1.0},
        },
        "overlap": {
            "bald": {"bald": 1.0, "entropy": 0.5, "margin": 0.0},
            "entropy": {"bald": 0.5, "entropy": 1.0, "margin": 0.5},
            "margin": {"bald": 0.0, "entropy": 0.5, "margin": 1.0},
        },
        "stability": [  # (concordant - discordant) / 6 pairs
            {"passes": 1, "kendall": -1.0, "overlap": 0.0},
            {"passes": 2, "kendall": pytest.approx(4 / 6), "overlap": 1.0},
            {"passes": 4, "kendall": 1.0, "overlap": 1.0},
        ],
    }


def test_rank_correlations_equal_scipy_with_ties() -> None:
    names = ("bald", "entropy", "margin", "mean_std")
    scores = drawn(301, names, 20)
    found = agreement(scores, "bald", None)["spearman"]
    for first, second in itertools.product(names, names):
        expected = scipy.stats.spearmanr(scores[first], scores[second]).statistic
        assert found[first][second] == pytest.approx(expected, abs=1e-12)


def test_kendall_equals_scipy_and_counted_pairs_with_ties() -> None:
    scores = drawn(60, ("bald",), 5)
    early, late = (np.round(3 * RNG.normal(size=60)) for _ in range(2))
    found = agreement(scores, "bald", by_passes(scores, k3=early.tolist(), k9=late.tolist()))["stability"][0]["kendall"]
    pairs = list(itertools.combinations(range(60), 2))
    signs = np.array([[np.sign(values[i] - values[j]) for i, j in pairs] for values in (early, late)])
    tau_b = (signs[0] * signs[1]).sum() / np.sqrt((signs[0] != 0).sum() * (signs[1] != 0).sum())
    assert found == pytest.approx(tau_b, abs=1e-12)
    assert found == pytest.approx(scipy.stats.kendalltau(early, late).statistic, abs=1e-12)


def test_overlaps_equal_sets_of_the_best_in_plain_python() -> None:
    names = ("bald", "entropy", "margin")
    scores = drawn(120, names, 17, levels=2)
    found = agreement(scores, "bald", None)["overlap"]

    def best(name: str) -> set[tuple[str, int]]:
        units = sorted(zip(-scores[name], scores["image"], scores["unit"], strict=True))
        return {(image, unit) for _, image, unit in units[:17]}

    for first, second in itertools.product(names, names):
        assert found[first][second] == len(best(first) & best(second)) / 17


def test_equal_scores_are_ranked_by_image_name_then_unit() -> None:
    scores = table(1, bald=[0.0, 1.0, 1.0, 1.0], first=[0.0, 1.0, 0.0, 0.0], later=[0.0, 0.0, 1.0, 0.0])
    row = agreement(scores.iloc[::-1], "bald", None)["overlap"]["bald"]  # bald's best: train_0/1, train_1/0, train_1/1
    assert (row["first"], row["later"]) == (1.0, 0.0)


def test_the_order_of_rows_and_repeated_index_labels_change_nothing() -> None:
    scores = drawn(80, ("bald", "entropy"), 9, levels=1)
    passes = by_passes(scores, k2=scores["entropy"].tolist(), k8=scores["bald"].tolist())
    mixed, mixed_passes = scores.sample(frac=1, random_state=1), passes.sample(frac=1, random_state=2)
    mixed.index = pd.Index([0] * len(mixed))
    assert agreement(mixed, "bald", mixed_passes) == agreement(scores, "bald", passes)


def test_the_given_tables_are_not_written_to() -> None:
    scores = drawn(20, ("bald", "entropy"), 3).iloc[::-1]
    passes = by_passes(scores, k4=scores["bald"].tolist(), k1=[0.0] * 20)
    before = scores.copy(deep=True), passes.copy(deep=True)
    agreement(scores, "bald", passes)
    pd.testing.assert_frame_equal(scores, before[0])
    pd.testing.assert_frame_equal(passes, before[1])


def test_scores_that_are_all_equal_have_no_order_and_give_null() -> None:
    scores = table(2, random=[1.0] * 4, bald=[4.0, 3.0, 2.0, 1.0])
    passes = by_passes(scores, k1=[0.0] * 4, k5=[4.0, 3.0, 2.0, 1.0])
    found = agreement(scores, "bald", passes)
    assert found["spearman"] == {"random": {"random": None, "bald": None}, "bald": {"random": None, "bald": 1.0}}
    assert found["overlap"] == found["spearman"]
    assert found["stability"][0] == {"passes": 1, "kendall": None, "overlap": None}
    assert agreement_scalars(found, "bald") == {"stability/kendall_at_5": 1.0}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_one_unit_and_nothing_asked_give_null_and_everything_asked_gives_one() -> None:
    alone = agreement(table(1, bald=[0.3], entropy=[0.2]), "bald", None)
    assert alone["spearman"]["bald"] == alone["overlap"]["bald"] == {"bald": None, "entropy": None}
    none = agreement(table(0, bald=[0.3, 0.1], entropy=[0.1, 0.2]), "bald", None)
    assert (none["asked"], none["spearman"]["bald"]["entropy"]) == (0, -1.0)
    assert none["overlap"]["bald"] == {"bald": None, "entropy": None}
    every = agreement(table(2, bald=[0.3, 0.1], entropy=[0.1, 0.2]), "bald", None)
    assert every["overlap"]["bald"]["entropy"] == 1.0


def test_the_tracker_gets_the_chosen_heuristic_s_comparisons_as_floats() -> None:
    scores = table(1, bald=[3.0, 2.0, 1.0], entropy=[3.0, 1.0, 2.0], margin=[1.0, 2.0, 3.0])
    found = agreement(scores, "entropy", by_passes(scores, k2=[3.0, 2.0, 1.0], k8=[3.0, 1.0, 2.0]))
    assert agreement_scalars(found, "entropy") == {
        "agreement/bald_spearman": pytest.approx(0.5),
        "agreement/margin_spearman": pytest.approx(-0.5),
        "agreement/bald_overlap": 1.0,
        "agreement/margin_overlap": 0.0,
        "stability/kendall_at_2": pytest.approx(1 / 3),
        "stability/kendall_at_8": 1.0,
    }


def test_what_cannot_be_compared_is_an_error_that_says_where() -> None:
    scores = table(1, bald=[3.0, 2.0, 1.0])
    with pytest.raises(ValueError, match=r"no heuristic 'entropy'; it has bald"):
        agreement(scores, "entropy", None)
    with pytest.raises(ValueError, match=r"image train_0, unit 1: bald is NaN or infinite"):
        agreement(table(1, bald=[3.0, np.nan, 1.0]), "bald", None)
    with pytest.raises(ValueError, match=r"image train_1, unit 0: score is NaN or infinite"):
        agreement(scores, "bald", by_passes(scores, k2=[1.0, 2.0, np.inf]))
    whole = by_passes(scores, k2=[1.0, 2.0, 3.0], k4=[1.0, 2.0, 3.0])
    for wrong in (whole.iloc[1:], pd.concat([whole, whole.iloc[:1]]), whole.assign(image="train_9")):
        with pytest.raises(ValueError, match="not about the 3 units of the score table"):
            agreement(scores, "bald", wrong)


def test_a_hundred_thousand_units_are_within_reach() -> None:
    """A quadratic tau would run into the suite's time limit."""
    size = 100_000
    scores = table(1000, **{name: RNG.normal(size=size).tolist() for name in MANY})
    passes = by_passes(scores, **{f"k{2**power}": RNG.normal(size=size).tolist() for power in range(6)})
    assert agreement(scores, MANY[0], passes)["units"] == size


CASES = {
    "eleven": (drawn(200, MANY, 20), (1, 2, 5, 10, 20)),
    "one": (drawn(200, MANY[:1], 20), (1, 2, 4)),
    "one without passes": (drawn(200, MANY[:1], 20), ()),
    "two units": (table(1, bald=[0.2, 0.1], entropy=[0.1, 0.2]), (3,)),
    "constant": (table(1, random=[1.0] * 3, bald=[1.0, 2.0, 3.0]), (1, 2)),
    "nothing asked": (table(0, bald=[1.0, 2.0, 3.0]), (2, 3)),
    "long name": (drawn(30, ("a_very_long_name_of_a_heuristic_from_elsewhere", "bald"), 3), tuple(range(1, 60))),
}


@pytest.mark.parametrize("case", CASES)
def test_the_picture_cuts_nothing_off_and_no_labels_touch(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, counts = CASES[case]
    chosen = str(scores.columns[4])
    columns = {f"k{count}": (scores[chosen] + RNG.normal(size=len(scores)) / count).tolist() for count in counts}
    found = agreement(scores, chosen, by_passes(scores, **columns) if counts else None)
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: (figures.append(self), save(self, *args, **kw)))
    path = tmp_path / "agreement.png"
    agreement_figure(json.loads(json.dumps(found)), chosen, path)
    (figure,) = figures
    frame = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    assert min(frame.x0, frame.y0) >= 0
    assert frame.x1 <= width
    assert frame.y1 <= height
    assert imread(path).shape[:2] == pytest.approx((150 * height, 150 * width), abs=1)
    assert len(figure.axes) == (3 if counts else 2)
    for axes in figure.axes:
        assert_apart([label for label in axes.get_yticklabels() if label.get_text()])
    if counts:
        assert_apart([label for label in figure.axes[2].get_xticklabels() if label.get_visible()])


def assert_apart(labels: list[Text]) -> None:
    boxes = [label.get_window_extent() for label in labels]
    assert not any(first.overlaps(second) for first, second in itertools.combinations(boxes, 2))


def test_the_picture_shows_the_numbers_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = table(1, bald=[4.0, 3.0, 2.0, 1.0], vote_entropy=[4.0, 2.0, 1.0, 3.0], random=[1.0] * 4)
    found = agreement(scores, "bald", by_passes(scores, k1=[0.0] * 4, k2=[3.0, 4.0, 2.0, 1.0], k8=[4.0, 3.0, 2.0, 1.0]))
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: figures.append(self))
    agreement_figure(found, "bald", tmp_path / "unused.png")
    ranks, shares, curves = figures[0].axes
    assert [text.get_text() for text in ranks.texts] == ["1.00", "0.40", "0.40", "1.00"]
    assert [text.get_text() for text in shares.texts] == ["1.00", "1.00", "1.00", "1.00"]
    assert [(label.get_text(), label.get_fontweight()) for label in ranks.get_yticklabels()] == [
        ("bald", "bold"), ("vote entropy", "normal"),
    ]  # fmt: skip
    assert "not compared, for all units have one score: random" in figures[0].get_supxlabel().replace("\n", " ")
    tau, overlap, chance = (np.asarray(line.get_ydata(), dtype=float) for line in curves.lines)
    np.testing.assert_allclose(tau, [np.nan, 4 / 6, 1.0])
    np.testing.assert_allclose(overlap, [np.nan, 0.0, 1.0])
    np.testing.assert_allclose(chance, 0.25)
    assert curves.get_xscale() == "log"
    np.testing.assert_array_equal(curves.lines[0].get_xdata(), [1, 2, 8])


def test_equal_numbers_give_equal_bytes(tmp_path: Path) -> None:
    found = agreement(drawn(50, ("bald", "entropy"), 5), "bald", None)
    for name in ("first.png", "second.png"):
        agreement_figure(found, "bald", tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_where_nothing_has_an_order_the_reason_stands_for_the_picture() -> None:
    flat = agreement(table(1, bald=[1.0] * 4, random=[0.0] * 4), "random", None)
    assert nothing_to_compare(flat) == "there is nothing to compare with, as bald, random scored all 4 units alike"
    one = agreement(table(1, bald=[1.0, 2.0, 3.0, 4.0], random=[0.0] * 4), "random", None)
    assert nothing_to_compare(one) == "there is nothing to compare with, as random scored all 4 units alike"
    alone = agreement(table(1, bald=[1.0, 2.0, 3.0, 4.0]), "bald", None)
    assert nothing_to_compare(alone) == "one heuristic alone was scored"
    two = agreement(table(1, bald=[1.0, 2.0, 3.0, 4.0], margin=[2.0, 1.0, 3.0, 4.0]), "bald", None)
    assert nothing_to_compare(two) is None
