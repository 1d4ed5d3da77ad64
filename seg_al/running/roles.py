"""What may be made for a group of conf/ or an argument of an option, read from annotations before any call.

A config is data that names code. Only code that is declared as a part of an experiment is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args, get_origin, get_type_hints

from torch import nn

from seg_al.asking.start import Start
from seg_al.core import Annotator, Dataset, Granularity, Heuristic, Model, Selector, Task, Tracker
from seg_al.predictors.features import FeatureSource
from seg_al.predictors.predictor import Predictor
from seg_al.trainers.trainer import Trainer


class Tracking(Protocol):
    """Where a run is tracked; those of this project are in tracking/backends.py."""

    def check(self) -> None:
        """Raises ValueError where the server refuses a run."""
        ...

    def record(
        self, main: Callable[[Tracker], float | None], config: Mapping[str, Any], folder: Path, name: str
    ) -> float | None: ...


@dataclass(frozen=True)
class Role:
    """What the object of a config node must be."""

    kinds: tuple[Any, ...]
    """Classes and protocols, one of which the object must be; with `both` all of them."""
    both: bool = False
    later: bool = False
    """Whether it is made later, when its other arguments are known, as `_partial_: true` says."""


ROLES: Mapping[str, Role] = {
    "dataset": Role((Dataset,)),
    "task": Role((Task,)),
    "granularity": Role((Granularity,)),
    "trainer": Role((Trainer,)),
    "model": Role((nn.Module, Model), both=True, later=True),
    "heuristic": Role((Heuristic,)),
    "predictor": Role((Predictor,)),
    "features": Role((FeatureSource,)),
    "selector": Role((Selector,)),
    "annotator": Role((Annotator,), later=True),
    "start": Role((Start,)),
    "tracking": Role((Tracking,)),
}


def role_of(hint: Any) -> Role:
    """What an argument with this annotation may be; None without one, since then nothing is known."""
    hints = (hint,) if get_origin(hint) is None or _of_contract(hint) else get_args(hint)
    hints = tuple(_of_contract(one) or one for one in hints if one is not type(None))
    if get_origin(hint) is Callable or str(hint).startswith("collections.abc.Callable"):
        return Role((hints[-1],), later=True)
    return Role(tuple(one for one in hints if inspect.isclass(one) and one not in (object, Any)))


def _of_contract(hint: Any) -> Any:
    """The protocol of an annotation such as Annotator[Any]; None for all others, such as Sequence[Loss]."""
    origin = get_origin(hint)
    return origin if inspect.isclass(origin) and origin.__module__.startswith("seg_al.") else None


def misfit(target: Callable[..., Any], role: Role) -> str | None:
    """What the target lacks for the role; it is not called."""
    made = target if inspect.isclass(target) else get_type_hints(target).get("return")
    if not inspect.isclass(made):
        return "does not say what it returns; annotate it, as in def read_mine(...) -> Dataset"
    lacks = [_lacking(made, kind) for kind in role.kinds]
    if not lacks:
        return (
            "is made for an argument that does not say what it may be; annotate that argument with a class or protocol"
        )
    told = [one for one in lacks if one] if role.both else [one for one in lacks if one][: len(lacks) * all(lacks)]
    return told[0] if told else None


def _lacking(made: type[Any], kind: type[Any]) -> str | None:
    if made is kind or kind in made.__mro__:
        return None
    if not _is_protocol(kind):
        return f"is no {kind.__name__}"
    has = {name for one in made.__mro__ for name in (*vars(one), *vars(one).get("__annotations__", {}))}
    lacks = sorted(_members(kind) - has)
    if lacks:
        declared = "what is set in __init__ is declared in the class as well, as in min_passes: int"
        return f"is no {kind.__name__}: it has no {', '.join(lacks)} ({declared})"
    return _called_otherwise(made, kind) if "__call__" in _members(kind) else None


def _called_otherwise(made: type[Any], kind: type[Any]) -> str | None:
    """Whether objects of one class cannot be called like those of the other."""
    wanted = [*inspect.signature(kind.__call__).parameters][1:]
    try:
        inspect.signature(made.__call__).bind(None, *wanted)
    except TypeError:
        return f"is no {kind.__name__}: that is called with {', '.join(wanted)}"
    return None


def _is_protocol(kind: type[Any]) -> bool:
    return Protocol in kind.__bases__


def _members(kind: type[Any]) -> set[str]:
    """The names that a protocol and its parents require."""
    own = [one for one in kind.__mro__ if _is_protocol(one)]
    names = {name for one in own for name in (*vars(one), *vars(one).get("__annotations__", {}))}
    return {name for name in names if not name.startswith("_") or name == "__call__"}
