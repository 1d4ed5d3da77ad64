"""What a group of conf/, or an argument of an option, may be: told by classes and annotations, before any call.

A config is data that names code. What is called is what promises to be a part of an experiment, not whatever can be.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Protocol, Union, get_args, get_origin, get_type_hints

from torch import nn

from seg_al.asking.start import Start
from seg_al.core import Annotator, Dataset, Granularity, Heuristic, Model, Selector, Task, Tracker
from seg_al.predictors.predictor import Predictor
from seg_al.trainers.trainer import Trainer


class Tracking(Protocol):
    """A way to show a run; those of this project are in tracking/ways.py."""

    def check(self) -> None:
        """Raises ValueError where a run cannot begin."""
        ...

    def record(
        self, main: Callable[[Tracker], float | None], config: Mapping[str, Any], folder: Path, name: str
    ) -> float | None: ...


@dataclass(frozen=True)
class Role:
    """What a node of the config is made for."""

    kinds: tuple[Any, ...]
    """Classes and protocols, one of which what it makes must be; all of several `both`."""
    both: bool = False
    later: bool = False
    """Whether it is made once the rest of its arguments is given, which `_partial_: true` says."""


ROLES: Mapping[str, Role] = {
    "dataset": Role((Dataset,)),
    "task": Role((Task,)),
    "granularity": Role((Granularity,)),
    "trainer": Role((Trainer,)),
    "model": Role((nn.Module, Model), both=True, later=True),
    "heuristic": Role((Heuristic,)),
    "predictor": Role((Predictor,)),
    "selector": Role((Selector,)),
    "annotator": Role((Annotator,), later=True),
    "start": Role((Start,)),
    "tracking": Role((Tracking,)),
}


def role_of(hint: Any) -> Role:
    """What an argument with this annotation may be; nothing where it has none, as nothing can be told of it then."""
    union = get_origin(hint) in (Union, UnionType)
    hints = [one for one in (get_args(hint) if union else (hint,)) if one is not type(None)]
    if get_origin(hint) is Callable or str(hint).startswith("collections.abc.Callable"):
        return Role((get_args(hint)[-1],), later=True)
    kinds = (get_origin(one) or one for one in hints)
    return Role(tuple(one for one in kinds if inspect.isclass(one) and one not in (object, Any)))


def misfit(target: Callable[..., Any], role: Role) -> str | None:
    """What the target lacks to be made for the role; it is not called."""
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
    """Whether objects of the one cannot be called as those of the other are."""
    wanted = [*inspect.signature(kind.__call__).parameters][1:]
    try:
        inspect.signature(made.__call__).bind(None, *wanted)
    except TypeError:
        return f"is no {kind.__name__}: that is called with {', '.join(wanted)}"
    return None


def _is_protocol(kind: type[Any]) -> bool:
    return Protocol in kind.__bases__


def _members(kind: type[Any]) -> set[str]:
    """The names that a protocol asks for, those of its parents included."""
    own = [one for one in kind.__mro__ if _is_protocol(one)]
    names = {name for one in own for name in (*vars(one), *vars(one).get("__annotations__", {}))}
    return {name for name in names if not name.startswith("_") or name == "__call__"}
