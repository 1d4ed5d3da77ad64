"""What the suites share: a law is a function that raises AssertionError, with a sentence, where a part breaks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch

Part = TypeVar("Part")
Law = Callable[[Part], None]


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    passed: bool
    detail: str
    """A sentence with the numbers."""

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'FAILED'}  {self.check}: {self.detail}"


def require(kept: bool | torch.Tensor, otherwise: str) -> None:
    """Raises AssertionError with the sentence where a law is not kept."""
    if not kept:
        raise AssertionError(otherwise)


def findings(part: Part, laws: Sequence[Law[Part]]) -> list[Finding]:
    """What each law says of the part; one that raises anything at all breaks the law, it does not end the suite."""
    return [_finding(part, law) for law in laws]


def _finding(part: Part, law: Law[Part]) -> Finding:
    name = law.__name__.replace("_", " ")
    try:
        law(part)
    except AssertionError as error:
        return Finding(name, False, str(error) or "an assertion of the part itself failed")
    except Exception as error:  # a part from outside may raise anything, and that is the finding
        return Finding(name, False, f"it raised {type(error).__name__}: {str(error).strip()[:400]}")
    return Finding(name, True, "kept")


def require_laws(part: Part, laws: Sequence[Law[Part]]) -> None:
    """Raises one AssertionError that lists every law which is broken, and how."""
    require_all(findings(part, laws))


def require_all(found: Sequence[Finding]) -> None:
    """Raises one AssertionError that lists what did not pass."""
    broken = [f"  - {one.check}: {one.detail}" for one in found if not one.passed]
    if broken:
        raise AssertionError(f"{len(broken)} of {len(found)} laws are broken:\n" + "\n".join(broken))


class Makes(Generic[Part]):
    """What every suite asks of its subclass, such as `class TestMine`."""

    def make(self) -> Part:
        """The part that is tested, made anew for each test."""
        raise NotImplementedError(f"{type(self).__name__} has to say in make() what it tests")


class Suite(Makes[Part]):
    """Makes one pytest test of each law: subclass a kind's suite as `class TestMine`; `make` says what is tested."""

    laws: ClassVar[Sequence[Law[Any]]] = ()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """pytest calls it while it collects the tests of a class."""
        metafunc.parametrize("law", self.laws, ids=[law.__name__ for law in self.laws])

    def test_keeps(self, law: Law[Part]) -> None:
        law(self.make())
