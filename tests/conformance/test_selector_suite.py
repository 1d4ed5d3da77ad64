"""Every selector in conf/ keeps the laws of selectors, and each law catches one that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_selectors import BROKEN, Right
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seg_al.conformance.laws import Law, findings
from seg_al.conformance.selectors import LAWS, SelectorSuite, check_selector
from seg_al.core import Selector

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "selector").glob("*.yaml"))


def composed(name: str) -> Selector:
    root = OmegaConf.load(CONF / "config.yaml")
    root.selector = OmegaConf.load(CONF / "selector" / f"{name}.yaml")
    if "discriminator" in root.selector:
        root.selector.discriminator.epochs = 5  # hundreds take seconds, and are tested by value in test_diversity.py
    selector: Selector = instantiate(root.selector, _convert_="all")
    return selector


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_keeps_the_law(name: str, law: Law[Selector]) -> None:
    law(composed(name))


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_selector_is_caught_by_the_law_that_it_breaks(what: str) -> None:
    make, law = BROKEN[what]
    found = findings(make(), LAWS)
    assert law in {one.check for one in found if not one.passed}


def test_every_law_has_a_selector_that_breaks_it() -> None:
    assert {law for _, law in BROKEN.values()} == {law.__name__.replace("_", " ") for law in LAWS}


def test_all_that_is_broken_is_said_at_once() -> None:
    check_selector(Right())
    make, _ = BROKEN["counts from the end"]
    with pytest.raises(AssertionError, match=r"laws are broken:\n  - wants positions that exist: -1 is no position"):
        check_selector(make())


class TestFromOutside(SelectorSuite):
    """As the tests of another repository would have it."""

    def make(self) -> Selector:
        return Right()
