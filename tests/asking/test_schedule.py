"""Phases, budgets by round and new images: what asks in which round, where, and for how much."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from experiments import built, composed, metrics, perform, queries, record, scores, settings_of, tiny
from seg_al.running.folder import claimed
from seg_al.running.identity import folder_of_run

PHASES = "schedule={1: random, 2: entropy+power}"


def asked(folder: Path, number: int) -> list[str]:
    return [query["image"] for query in queries(folder, number)]


def phases(word: str) -> list[tuple[int, str, str, str]]:
    """Of each phase: its first round, the heuristic's name, and the classes of heuristic and selector."""
    settings = settings_of(*composed(word))
    made = [
        (one, *(one[group]["_target_"].rpartition(".")[2] for group in ("heuristic", "selector")))
        for one in settings["phases"]
    ]
    return [(one["begins"], one["name"], heuristic, selector) for one, heuristic, selector in made]


def test_a_name_is_an_option_of_either_group_and_what_is_not_named_is_composed() -> None:
    expected = [(1, "bald", "BALD", "TypiClust"), (3, "entropy", "Entropy", "Power"), (4, "margin", "Margin", "Top")]
    assert phases("schedule={1: typiclust, 3: entropy+power, 4: margin}") == expected
    assert (
        phases("schedule={4: {heuristic: margin}, 1: typiclust, 3: {selector: power, heuristic: entropy}}") == expected
    )
    assert phases("schedule='typiclust>entropy+power@3>margin@4'") == expected


def test_an_option_that_is_composed_keeps_the_values_that_were_changed() -> None:
    settings = settings_of(*composed("selector=power", "selector.beta=4", "schedule={1: typiclust, 3: power}"))
    assert [phase["selector"].get("beta") for phase in settings["phases"]] == [None, 4]
    settings = settings_of(*composed("rounds=7", "schedule={1: clasp_pe}"))  # a value that refers to the root
    assert settings["phases"][0]["selector"]["rounds"] == 7


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("schedule={1: badl}", "badl is no heuristic and no selector; the nearest names are bald"),
        ("schedule={1: {selector: powr}}", "powr is no selector; the nearest names are power"),
        ("schedule={0: bald}", "round 0 asks before there is a network"),
        ("schedule={1: bald+entropy}", "names two of the group heuristic"),
        ("schedule={1: {heuristik: bald}}", "heuristik names no part"),
        ("schedule={first: bald}", "first is no number of a round"),
        ("schedule=[bald]", "write 'schedule={1: typiclust, 3: bald}'"),
        ("schedule={}", "write 'schedule={1: typiclust, 3: bald}'"),
    ],
)
def test_a_schedule_that_is_none_is_refused_with_the_remedy(word: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"^schedule=.*" + told.replace("{", r"\{").replace("+", r"\+")):
        settings_of(*composed(word))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("schedule={1: random, 2: bald}", "predictor=single"), "heuristic=bald compares at least 2 passes"),
        (("schedule={1: maskal}",), "heuristic=maskal reads objects, which task=semantic does not find"),
        (("heuristic=maskal", "schedule={2: bald}"), "heuristic=maskal reads objects"),
        (("budget=[1,0]",), "budget=0: a round must be able to ask"),
        (("budget=[1,9]",), "budget=9 images a round, but only 4 are left"),
        (("budget=[1,1,1]",), "has 3 entries, but 2 rounds ask"),
        (("budget=[]", "rounds=1"), "has 0 entries"),
        (("new_images=2",), "set per=image"),
    ],
)
def test_what_a_later_round_could_not_do_is_told_before_the_first(
    data: Path, words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        tiny(data, *words)


def test_a_phase_that_no_round_reaches_is_told(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny(data, "schedule={1: bald, 7: random}")
    assert "schedule names round 7, which rounds=3 does not reach" in caplog.text


def test_parts_that_never_act_are_not_checked(data: Path) -> None:
    """A heuristic of objects would be refused if any round asked by it."""
    assert tiny(data, "heuristic=maskal", "schedule={1: bald}").asking.in_round(2).name == "bald"


def test_two_schedules_are_two_runs_and_none_leaves_the_identity_as_it_was() -> None:
    cfg, choices = composed()
    settings = settings_of(cfg, choices)
    before = {key: value for key, value in settings.items() if key not in ("schedule", "new_images")}
    assert folder_of_run(settings, choices)[1] == folder_of_run(before, choices)[1]
    words = ("schedule={1: random, 3: bald}", "schedule={1: random, 4: bald}", "schedule=random", "new_images=2")
    folders = {folder_of_run(settings_of(*composed(word)), choices)[0] for word in words}
    assert len(folders | {folder_of_run(settings, choices)[0]}) == 5


def test_each_round_follows_its_phase_and_a_run_that_stopped_within_one_goes_on_with_it(
    data: Path, tmp_path: Path
) -> None:
    """Round 1 asks as a run by random does; round 2 and 3 by entropy, whose scores are recorded under its name."""
    perform(data, tmp_path / "random", "heuristic=random", "rounds=2")
    perform(data, tmp_path / "whole", PHASES, "rounds=4")
    for rounds in (3, 4):  # stopped within the second phase
        perform(data, tmp_path / "parts", PHASES, f"rounds={rounds}")
    assert record(tmp_path / "parts") == record(tmp_path / "whole")
    assert queries(tmp_path / "whole", 1) == queries(tmp_path / "random", 1)
    for number, name in ((1, "random"), (2, "entropy"), (3, "entropy")):
        own = scores(tmp_path / "whole", number)
        assert own.columns[5] == name
        assert all(f"{name} = " in query["why"] for query in queries(tmp_path / "whole", number))
        agreed = json.loads((tmp_path / f"whole/rounds/{number:02d}/agreement.json").read_text())
        assert agreed["asked_by"] == name
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert config["schedule"] == "random>entropy+power@2"
    assert [phase["selector"]["_target_"] for phase in config["decides"]["phases"]] == [
        "seg_al.selectors.top.Top", "seg_al.selectors.stochastic.Power"
    ]  # fmt: skip


def test_each_round_spends_its_own_budget_and_a_longer_list_goes_on(data: Path, tmp_path: Path) -> None:
    perform(data, tmp_path, "heuristic=random", "budget=[2]", "rounds=2")
    perform(data, tmp_path, "heuristic=random", "budget=[2,1]", "rounds=3")
    assert [metrics(tmp_path, number)["cost"]["images"] for number in range(3)] == [2, 4, 5]
    with pytest.raises(ValueError, match=r"budget: \[2, 1\] there, \[1, 2\] here"):
        perform(data, tmp_path, "heuristic=random", "budget=[1,2]", "rounds=3")


def test_what_was_spent_is_not_changed_by_a_shorter_list(tmp_path: Path) -> None:
    def claim(budget: object) -> None:
        identity: Mapping[str, object] = {"budget": budget}
        with claimed(tmp_path, identity, identity):
            pass

    claim([1, 2])
    claim([1, 2, 3])
    for other in ([1, 2], [1, 3, 3, 4], 1):
        with pytest.raises(ValueError, match="belongs to a run with other settings"):
            claim(other)


def test_labels_and_images_grow_together(data: Path, tmp_path: Path) -> None:
    """Round 1 goes on in the two images of round 0, and begins the one whose mean entropy is the largest."""
    words = (
        "heuristic=entropy",
        "granularity=pixel",
        "cost=pixels",
        "budget=3",
        "per=image",
        "initial=budget",
        "rounds=3",
    )
    perform(data, tmp_path, *words, "new_images=2")
    begun = [sorted(set(asked(tmp_path, number))) for number in range(3)]
    assert [len(names) for names in begun] == [2, 4, 6]
    assert set(begun[0]) < set(begun[1]) < set(begun[2])
    assert [metrics(tmp_path, number)["cost"]["pixels"] for number in range(3)] == [6, 18, 36]
    assert sorted(set(scores(tmp_path, 1)["image"])) == begun[1]


def test_new_images_are_those_whose_whole_score_is_the_largest(data: Path) -> None:
    experiment = built(*composed(f"dataset.root={data}", "dataset.size=[32,40]", "dataset.train=8", "dataset.val=2",
        "dataset.test_a=2", "dataset.test_b=2", "objects=false", "trainer.augmentation.crop=[32,32]", "model.width=2",
        "device=cpu", "initial=1", "budget=1", "mc_iters=2", "cost=regions", "per=image", "granularity=grid",
        "granularity.tile=16", "heuristic=entropy", "new_images=2"))  # fmt: skip
    from seg_al.asking.pool import Pool

    model = experiment.compute.place(experiment.fresh_model(0)).eval()
    view = experiment.round_view(1, Pool(experiment.dataset.pool, experiment.dataset), lambda: [model])
    found = {query.image for query in experiment.asking(view, experiment.annotator, experiment.budget).queries}
    heuristic = experiment.asking.heuristic
    means = {
        name: float(heuristic(view.evidence([name], [heuristic.reads])[0].of(heuristic.reads)).mean())
        for name in experiment.dataset.pool
    }
    assert found == set(sorted(means, key=lambda name: -means[name])[:2])
