"""What one run asks, bills, trains on and records, and what two paired runs have in common."""

from __future__ import annotations

import gc
import logging
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import run
from experiments import Notes, masks, metrics, perform, queries, record, scores, tiny
from seg_al.asking.pool import Pool
from seg_al.core import IGNORE, Answer, Budget, Nothing, Region
from seg_al.loop import Experiment
from seg_al.models.unet import StepwiseUNet
from seg_al.predictors.class_maps import ClassMaps
from seg_al.running.building import recorded_heuristics
from seg_al.tasks.pixels.outlines import pieces
from seg_al.trainers.trainer import Trainer
from seg_al.training.examples import Labelled

GRID = ("granularity=grid", "granularity.tile=16")  # 32x40 pixels make 2x3 tiles of 16x16, 16x16 and 16x8


def asked_images(folder: Path, rounds: int) -> list[list[str]]:
    return [[query["image"] for query in queries(folder, number)] for number in range(rounds)]


def test_heuristics_of_one_run_start_in_the_same_point_bit_for_bit(played: Callable[..., Path]) -> None:
    first = {key: value for key, value in record(played("heuristic=bald")).items() if "rounds/00" in key}
    assert len(first) == 2
    for heuristic in ("random", "entropy"):
        other = record(played(f"heuristic={heuristic}"))
        assert {key: other[key] for key in first} == first
    assert record(played("heuristic=random")) != record(played("heuristic=bald"))


def test_another_run_is_another_split_start_and_network(data: Path, played: Callable[..., Path]) -> None:
    here, there = played("heuristic=bald"), played("heuristic=bald", "run=1")
    assert tiny(data).dataset.val != tiny(data, "run=1").dataset.val
    assert asked_images(here, 1) != asked_images(there, 1)
    assert metrics(here, 0)["metrics"] != metrics(there, 0)["metrics"]


def test_the_same_command_gives_the_same_numbers(data: Path, tmp_path: Path, played: Callable[..., Path]) -> None:
    perform(data, tmp_path, "heuristic=bald")
    assert record(tmp_path) == record(played("heuristic=bald"))


@pytest.mark.parametrize("heuristic", ["bald", "random", "entropy"])
def test_a_query_is_about_an_unknown_image_of_the_pool_and_of_no_other_split(
    heuristic: str, data: Path, played: Callable[..., Path]
) -> None:
    dataset = tiny(data).dataset
    names = [name for round_ in asked_images(played(f"heuristic={heuristic}"), 3) for name in round_]
    assert len(names) == len(set(names)) == 4
    assert set(names) <= set(dataset.pool)
    held_out = set(dataset.val).union(*dataset.tests.values())
    assert not set(dataset.pool) & held_out
    assert set(scores(played(f"heuristic={heuristic}"), 1)["image"]) == set(dataset.pool) - set(names[:2])


def test_the_highest_scores_are_asked_for(played: Callable[..., Path]) -> None:
    table = scores(played("heuristic=entropy"), 1)
    best = table.loc[table["entropy"].idxmax()]
    (query,) = queries(played("heuristic=entropy"), 1)
    assert query["image"] == best["image"]
    assert query["score"] == best["entropy"]
    assert table["asked"].sum() == 1
    assert best["asked"]


def test_the_scores_of_all_heuristics_are_kept_that_the_passes_allow(played: Callable[..., Path]) -> None:
    least = {
        name: heuristic.min_passes
        for name, heuristic in recorded_heuristics(run.made, run.CONF).items()
        if heuristic.reads in (ClassMaps, Nothing)  # objects are not found, and no features were made
    }
    for passes, settings in {2: ("heuristic=bald",), 1: ("heuristic=entropy", "predictor=single")}.items():
        table = scores(played(*settings), 1)
        assert set(table) == {"image", "unit", "area", "asked", "drawn"} | {
            name for name in least if least[name] <= passes
        }
        assert np.isfinite(table.drop(columns="image").to_numpy(dtype=float)).all()
    assert {1, 2} <= set(least.values())
    assert set(scores(played("heuristic=random"), 1)) == {"image", "unit", "area", "asked", "drawn", "random"}


def test_random_draws_no_pass_and_loads_no_weights_while_bald_decodes_every_pass_of_one_encode(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count: Counter[str] = Counter()
    inside: list[None] = []
    ask = Experiment.ask

    def watched(self, view, folder):
        inside.append(None)
        found = ask(self, view, folder)
        inside.clear()
        return found

    def counted(name: str) -> None:
        method = getattr(StepwiseUNet, name)

        def call(self, argument):
            count[name] += bool(inside)
            return method(self, argument)

        monkeypatch.setattr(StepwiseUNet, name, call)

    monkeypatch.setattr(Experiment, "ask", watched)
    counted("encode")
    counted("decode")
    counted("load_state_dict")
    perform(data, tmp_path / "random", "heuristic=random", "rounds=2")
    assert not +count
    audit, images, passes = (3, 4), 4, 3  # the audit of a network costs three encodes and four decodes
    for at_once, batches in ((1, images), (3, 2), ("auto", 1)):
        count.clear()
        words = ("heuristic=bald", "rounds=2", "mc_iters=3", f"images_at_once={at_once}", "share=false")
        perform(data, tmp_path / f"bald {at_once}", *words)
        assert count["encode"] == audit[0] + batches
        assert count["decode"] == audit[1] + batches * passes


def test_costs_add_up_in_every_unit(data: Path, played: Callable[..., Path]) -> None:
    folder = played("heuristic=bald", *GRID, "cost=pixels", "budget=600")
    paid = {"images": 0.0, "pixels": 0.0, "regions": 0.0}
    clicks = vertices = 0
    for number in range(3):
        regions = masks(folder, number)
        areas = [int(mask.sum()) for _, mask in regions]
        assert number == 0 or 600 - 128 < sum(areas) <= 600, "what is left buys no tile of 128 pixels"
        paid["pixels"] += sum(areas)
        paid["images"] += sum(areas) / (32 * 40)
        paid["regions"] += len(areas)
        found = metrics(folder, number)["cost"]
        assert {unit: found[unit] for unit in paid} == pytest.approx(paid, abs=1e-6)
        answers = [pieces(tiny(data).dataset.target(name), mask) for name, mask in regions]
        clicks, vertices = clicks + sum(one for one, _ in answers), vertices + sum(two for _, two in answers)
        assert (found["clicks"], found["vertices"]) == (clicks, vertices)


def test_tiles_are_asked_once_each_and_training_sees_no_other_label(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Labelled] = []
    fit = Trainer.fit

    def kept(self, model, labelled, judge, compute, address, snapshots=1):
        trained.append(labelled)
        return fit(self, model, labelled, judge, compute, address, snapshots)

    monkeypatch.setattr(Trainer, "fit", kept)
    perform(data, tmp_path, "heuristic=bald", *GRID, "cost=regions", "budget=3", "initial=1")
    known: dict[str, np.ndarray] = {}
    for number, labelled in enumerate(trained):
        regions = masks(tmp_path, number)
        assert len(regions) == (1, 3, 3)[number]
        for name, mask in regions:
            assert number == 0 or mask.sum() in (256, 128)
            assert not (known.setdefault(name, np.zeros((32, 40), bool)) & mask).any()
            known[name] = known[name] | mask
        assert set(labelled.names) == set(known)
        for name, mask in known.items():
            image, labels = labelled.example(name)
            target = tiny(data).dataset.target(name)
            assert (labels == np.where(mask, target, IGNORE)).all()
            assert image.shape == (32, 40, 3)
    assert any(not mask.all() for mask in known.values())


@pytest.mark.parametrize("heuristic", ["random", "entropy"])
def test_a_half_known_image_is_scored_asked_and_priced_on_the_rest(heuristic: str, data: Path) -> None:
    experiment = tiny(data, f"heuristic={heuristic}")
    pool = Pool(experiment.dataset.pool, experiment.dataset)
    half = np.zeros((32, 40), dtype=np.bool_)
    half[:, :30] = True
    name, *others = pool.names
    pool.reveal([Answer(name, Region.of(half), 1, 0), *(Answer(one, Region.whole((32, 40)), 1, 0) for one in others)])
    model = experiment.fresh_model(0).eval()
    round_view = experiment.round_view(1, pool, lambda: [model])
    asked = experiment.asking(round_view, experiment.annotator, Budget(0.25, "images", "pool"))
    (query,) = asked.queries
    assert (query.region.pixels() == ~half).all()
    assert query.region.area == 32 * 10
    assert asked.scores["area"].tolist() == [32 * 10]
    with pytest.raises(ValueError, match=r"budget=0\.2 images buys none of the 1 units: the cheapest costs 0\.25"):
        experiment.asking(round_view, experiment.annotator, Budget(0.2, "images", "pool"))
    if heuristic == "entropy":
        maps = round_view.evidence([name], [ClassMaps])[0].of(ClassMaps)
        expected = experiment.asking.heuristic(maps).numpy()[~half].mean(dtype=np.float64)
        assert query.score == pytest.approx(expected, rel=1e-6)


def test_a_budget_beyond_the_rest_asks_for_the_rest_and_the_run_ends_when_nothing_is_left(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        perform(data, tmp_path, "heuristic=bald", "budget=3", "rounds=9")
    assert [len(names) for names in asked_images(tmp_path, 3)] == [2, 3, 1]
    assert not (tmp_path / "rounds/03").exists()
    assert metrics(tmp_path, 2)["cost"]["images"] == 6
    assert "asking for the rest, 1" in caplog.text
    assert "round 3: nothing is left to ask" in caplog.text
    assert perform(data, tmp_path, "heuristic=bald", "budget=3", "rounds=9") is None, "it is finished"


def test_a_subset_is_drawn_anew_each_round_and_is_the_same_for_every_heuristic(played: Callable[..., Path]) -> None:
    first = [played(f"heuristic={name}", "subset=2", "initial=1") for name in ("bald", "random")]
    looked = [[tuple(scores(folder, number)["image"]) for number in (1, 2)] for folder in first]
    assert all(len(names) == 2 for names in looked[0])
    assert looked[0][0] == looked[1][0]
    assert looked[0][0] != looked[0][1]


def test_regions_may_be_more_than_the_images_that_are_left(played: Callable[..., Path]) -> None:
    folder = played("heuristic=random", *GRID, "cost=regions", "budget=9", "initial=5", "rounds=2")
    assert len(queries(folder, 1)) == 6, "the six tiles of the one image that is left"


def test_what_an_oracle_selector_reads_is_recorded(data: Path, tmp_path: Path) -> None:
    experiment = tiny(data, "heuristic=random", "selector=oracle_balance", "rounds=2")
    assert not experiment.annotator.truths_read
    told, again = Notes(), Notes()
    experiment(told, tmp_path)
    start = {query["image"] for query in queries(tmp_path, 0)}
    assert experiment.annotator.truths_read == {"grade": set(experiment.dataset.pool) - start}
    tiny(data, "heuristic=random", "selector=oracle_balance", "rounds=2")(again, tmp_path)
    for notes in (told, again):  # a resumed run tells what was read before
        assert notes.told[1][1]["oracle/truths_read"] == len(set(experiment.dataset.pool) - start)


def test_an_honest_selector_reads_no_truth(data: Path, tmp_path: Path) -> None:
    experiment = tiny(data, "rounds=2")
    experiment(Notes(), tmp_path)
    assert not experiment.annotator.truths_read


@pytest.mark.parametrize(("keep", "kept"), [("last", ["02"]), ("all", ["00", "01", "02"])])
def test_weights_are_kept_as_asked(keep: str, kept: list[str], played: Callable[..., Path]) -> None:
    folder = played("heuristic=random", f"keep_weights={keep}")
    assert sorted(path.parent.name for path in folder.rglob("weights.pt")) == kept


def test_the_networks_of_earlier_rounds_leave_the_memory(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a round its network is held for the next question, and no other."""
    alive: list[weakref.ref[StepwiseUNet]] = []
    held: list[int] = []
    load, play = Experiment._load, Experiment.play

    def watched_load(self, weights):
        models = load(self, weights)
        alive.extend(weakref.ref(model) for model in models)
        return models

    def watched_play(self, number, pool, models, rounds, recorder):
        found = play(self, number, pool, models, rounds, recorder)
        gc.collect()
        held.append(sum(one() is not None for one in alive))
        return found

    monkeypatch.setattr(Experiment, "_load", watched_load)
    monkeypatch.setattr(Experiment, "play", watched_play)
    perform(data, tmp_path, "heuristic=bald", "rounds=4")
    assert held == [1, 1, 1, 1]


def test_the_tracker_hears_each_round_once_at_its_labelled_images(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A resumed run tells its finished rounds again, so that each attempt's record is whole."""
    for _ in range(2):
        caplog.clear()
        notes = Notes()
        with caplog.at_level(logging.INFO):
            dice = tiny(data, "rounds=3", "gallery=1", "heuristic=random")(notes, tmp_path)
        assert [step for step, _ in notes.told] == [2, 3, 4]
        for number, (_, values) in enumerate(notes.told):
            expected = metrics(tmp_path, number)["metrics"]
            assert {key: values[key] for key in expected} == expected
            assert values["effort/train_seconds"] > 0
        assert notes.told[-1][1]["test/dice"] == dice
        assert caplog.text.count("no picture of agreement") == 1  # random alone has no order in any round
        assert [name for name in notes.artifacts if "gallery" in name] == [
            "round_01_gallery.png",
            "round_02_gallery.png",
        ]
        assert [name for name in notes.artifacts if "scores" in name] == [
            "round_01_scores.parquet", "round_02_scores.parquet",
        ]  # fmt: skip


def test_the_full_data_ceiling_trains_on_the_whole_pool(data: Path, tmp_path: Path) -> None:
    perform(data, tmp_path, "rounds=1", "initial=all")
    assert asked_images(tmp_path, 1) == [sorted(tiny(data).dataset.pool)]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("budget=0",), r"budget=0: a round must be able to ask"),
        (("budget=5",), r"budget=5 images a round, but only 4 are left of the pool after initial=2"),
        (("cost=pixels", "budget=5121"), r"budget=5121 pixels a round, but only 5120 are left"),
        (("initial=0",), r"initial=0: choose 1 to 6 images"),
        (("initial=7",), r"initial=7: choose 1 to 6 images"),
        (("rounds=0",), r"rounds=0: at least 1"),
        (("dataset.val=8",), r"val"),
        (("heuristic=bald", "predictor=single"), r"heuristic=bald compares at least 2 passes.*predictor=mc_dropout"),
        (("heuristic=bald", "mc_iters=1"), r"heuristic=bald compares at least 2 passes.*mc_iters=2"),
        (("model.sites=none",), r"the model has none \(model.sites=none"),
        (("model.dropout=0",), r"the model has none"),
        (("budget=0.5",), r"budget=0\.5 images buys nothing: the cheapest unit costs 1; raise budget"),
        (("cost=pixels", "budget=1"), r"budget=1 pixels buys nothing: the cheapest unit costs 1280"),
        (("granularity=grid", "granularity.tile=16", "cost=pixels", "budget=99"), r"the cheapest unit costs 128;"),
        (("granularity=grid", "cost=regions", "budget=0.9"), r"buys nothing: the cheapest unit costs 1;"),
        (("trainer.batch_size=3", "devices=2"), r"batch_size=3 does not divide among devices=2; choose a multiple"),
        (("subset=0",), r"subset=0: at least 1"),
        (("gallery=-1",), r"gallery=-1: at least 0"),
        (("workers=-1",), r"workers=-1: at least 0"),
        (("cache=-1",), r"cache=-1: at least 0"),
        (("mc_iters=0",), r"mc_iters sets: at least 1 pass"),
        (("trainer.loss.dice=0", "trainer.loss.cross_entropy=0"), r"one is above 0"),
    ],
)  # fmt: skip
def test_an_experiment_that_cannot_run_is_refused_before_it_starts(
    overrides: tuple[str, ...], told: str, data: Path
) -> None:
    with pytest.raises(ValueError, match=told):
        tiny(data, *overrides)


def test_all_that_is_wrong_is_told_at_once(data: Path) -> None:
    with pytest.raises(ValueError, match="cannot run") as error:
        tiny(data, "budget=0", "initial=0", "predictor=single")
    assert str(error.value).count("\n  - ") == 3
