"""A wrong setting is told by key, with what would be right, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from seg_al.predictors.class_maps import ClassMaps
from seg_al.running.roles import ROLES, misfit
from seg_al.running.signatures import problems


@dataclass(frozen=True)
class Lamp:
    watts: float
    colour: Literal["red", "green"]
    switches: int | Literal["all"]
    on: bool = True
    name: str | None = None
    size: tuple[int, int] | None = None
    rooms: Sequence[str] = field(default_factory=tuple)


LAMP = {"_target_": f"{__name__}.Lamp", "watts": 3.5, "colour": "red", "switches": 2}


def told(**changes: Any) -> list[str]:
    return list(problems({"lamp": {**LAMP, **changes}}))


@pytest.mark.parametrize(
    "right",
    [
        {}, {"watts": 3}, {"switches": "all"}, {"name": None}, {"name": "x"}, {"size": [1, 2]}, {"size": None},
        {"rooms": ["a"]}, {"on": False},
    ],
)  # fmt: skip
def test_right_settings_raise_no_problem(right: dict[str, Any]) -> None:
    assert told(**right) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"watts": "x"}, "lamp.watts=x: a number is needed"),
        ({"watts": True}, "lamp.watts=True: a number is needed, not true"),
        ({"watts": None}, "lamp.watts=None: a number is needed"),
        ({"colour": "bleu"}, "lamp.colour=bleu: red or green is needed"),
        ({"switches": "some"}, "lamp.switches=some: a whole number or all is needed"),
        ({"switches": 2.5}, "lamp.switches=2.5: a whole number or all is needed"),
        ({"on": 1}, "lamp.on=1: true or false is needed"),
        ({"name": 3}, "lamp.name=3: text or null is needed"),
        ({"wats": 3}, "lamp.wats is not an option of test_signatures.Lamp; did you mean watts?"),
        (
            {"_target_": "seg_al.loop.Experimnt"},
            "lamp._target_=seg_al.loop.Experimnt cannot be imported: seg_al.loop has "
            "no Experimnt; did you mean Experiment?",
        ),
        (
            {"_target_": "seg_al.heuristics.bld.BALD"},
            "lamp._target_=seg_al.heuristics.bld.BALD cannot be imported: No module named 'bld' in ",
        ),
        ({"_target_": "nowhere.Lamp"}, "lamp._target_=nowhere.Lamp cannot be imported: No module named 'nowhere'"),
        ({"_target_": "Lamp"}, "lamp._target_=Lamp cannot be imported: it has to be FILE.CLASS, such as Lamp.MyClass"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(wrong: dict[str, Any], sentence: str) -> None:
    (found,) = told(**wrong)
    assert found.startswith(sentence)


@pytest.mark.parametrize("size", [[1], [1, "x"], "12"])
def test_a_wrong_list_is_named(size: Any) -> None:
    (found,) = told(size=size)
    assert found.startswith("lamp.size=")


def test_true_is_no_whole_number_either() -> None:
    assert told(switches=True) == ["lamp.switches=True: a whole number or all is needed, not true"]


def test_nan_is_no_number_and_infinity_is_one() -> None:
    assert told(watts=float("nan")) == ["lamp.watts=nan: a number is needed, and NaN is none"]
    assert told(watts=float("inf")) == []


def test_a_missing_setting_is_named_unless_the_rest_is_given_later() -> None:
    short = {key: value for key, value in LAMP.items() if key != "watts"}
    assert list(problems({"lamp": short})) == ["lamp.watts is missing: test_signatures.Lamp needs it"]
    assert list(problems({"lamp": {**short, "_partial_": True}})) == []


def test_nested_problems_come_with_their_whole_path_and_all_at_once() -> None:
    inner = {**LAMP, "watts": "x", "colour": "y"}
    found = list(problems({"room": {"lamp": inner}, "hall": {**LAMP, "on": 2}}))
    assert [one.split("=")[0] for one in found] == ["room.lamp.colour", "room.lamp.watts", "hall.on"]


def test_an_option_far_from_all_names_is_answered_with_their_list() -> None:
    (found,) = told(xyz=1)
    assert found.endswith("its options are colour, name, on, rooms, size, switches, watts")


def test_what_init_alone_sets_is_told_with_what_makes_it_known() -> None:
    class Own:
        reads = ClassMaps

        def __init__(self) -> None:
            self.min_passes = 1

        def __call__(self, maps: Any) -> Any: ...

    class Declared(Own):
        min_passes: int

    told = misfit(Own, ROLES["heuristic"])
    assert told is not None
    assert "it has no min_passes (what is set in __init__ is declared in the class as well" in told
    assert misfit(Declared, ROLES["heuristic"]) is None


@dataclass(frozen=True)
class Shelf:
    anything: object
    whatever: Any = None
    lamps: Sequence[Lamp] = ()
    by_name: Mapping[str, Lamp] = field(default_factory=dict)


LOAD = {"_target_": "joblib.load", "filename": "x.pkl"}
MODULE = {"_target_": "torch.nn.Identity"}


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"anything": LOAD}, "shelf.anything"),
        ({"anything": MODULE}, "shelf.anything"),
        ({"anything": 1, "whatever": MODULE}, "shelf.whatever"),
        ({"anything": {"deep": LOAD}}, "shelf.anything.deep"),
        ({"anything": [[LOAD]]}, "shelf.anything[0][0]"),
        ({"anything": ["a", {"deep": [MODULE]}]}, "shelf.anything[1].deep[0]"),
        ({"anything": 1, "lamps": [LOAD]}, "shelf.lamps[0]"),
        ({"anything": 1, "by_name": {"a": LOAD}}, "shelf.by_name.a"),
        ({"anything": 1, "by_name": {"a": MODULE}}, "shelf.by_name.a"),
    ],
)
def test_a_target_that_no_argument_asks_for_is_refused_however_deep_it_lies(
    options: dict[str, Any], place: str
) -> None:
    found = list(problems({"shelf": {"_target_": f"{__name__}.Shelf", **options}}))
    assert any(one.startswith(f"{place}._target_=") for one in found)


def test_targets_in_lists_and_mappings_of_what_is_asked_for_are_right() -> None:
    options = {"anything": [[1]], "lamps": [LAMP, LAMP], "by_name": {"a": LAMP}}
    assert list(problems({"shelf": {"_target_": f"{__name__}.Shelf", **options}})) == []
