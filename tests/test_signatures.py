"""A wrong setting is told by key, with what would be right, before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from seg_al.signatures import problems


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
        ({"_target_": "seg_al.loop.Lamp"}, "lamp._target_=seg_al.loop.Lamp cannot be imported"),
        ({"_target_": "nowhere.Lamp"}, "lamp._target_=nowhere.Lamp cannot be imported: No module named 'nowhere'"),
        ({"_target_": "Lamp"}, "lamp._target_=Lamp cannot be imported"),
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
