"""Checks settings against the constructors that they are meant for, before anything is built."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from difflib import get_close_matches
from importlib import import_module
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from typeguard import TypeCheckError, check_type

TARGET, PARTIAL = "_target_", "_partial_"


def problems(settings: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What is wrong with nested settings that name a `_target_`: unknown, missing or ill-typed values, by key."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from problems(value, f"{path}{key}.")
    if TARGET in settings:
        try:
            target = _found(settings[TARGET])
        except (ImportError, AttributeError, ValueError) as error:
            yield f"{path}{TARGET}={settings[TARGET]} cannot be imported: {error}"
        else:
            yield from _against(target, settings, path)


def _found(target: str) -> Callable[..., Any]:
    module, _, name = target.rpartition(".")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _against(target: Callable[..., Any], settings: Mapping[str, Any], path: str) -> Iterator[str]:
    given = {key: value for key, value in settings.items() if key not in (TARGET, PARTIAL)}
    parameters = inspect.signature(target).parameters
    named = {name for name, one in parameters.items() if one.kind is not inspect.Parameter.VAR_KEYWORD}
    for key in sorted(given.keys() - named):
        yield f"{path}{key} is not an option of {settings[TARGET]}; {_suggest(key, sorted(named))}"
    if not settings.get(PARTIAL):
        missing = [name for name in named if parameters[name].default is inspect.Parameter.empty and name not in given]
        yield from (f"{path}{name} is missing: {settings[TARGET]} needs it" for name in sorted(missing))
    annotated = target.__init__ if inspect.isclass(target) and not is_dataclass(target) else target
    hints = get_type_hints(annotated)  # of a dataclass, so that inherited fields are read in their own modules
    for key in sorted(given.keys() & hints.keys()):
        wrong = _wrong_type(given[key], hints[key])
        if wrong:
            yield f"{path}{key}={given[key]}: {wrong}"


def _wrong_type(value: Any, hint: Any) -> str | None:
    """A sentence where a plain value does not fit the annotation; what is built from a `_target_` checks itself."""
    if isinstance(value, Mapping) and TARGET in value:
        return None
    value = tuple(value) if isinstance(value, list) and "tuple" in str(hint) else value
    if isinstance(value, bool) and _is_plain(hint) and bool not in (hint, *get_args(hint)):  # to Python it is a number
        return f"{_words(hint)} is needed, not {str(value).lower()}"
    if isinstance(value, float) and math.isnan(value):
        return "a number is needed, and NaN is none"
    try:
        check_type(value, hint)
    except TypeCheckError as error:
        return f"{_words(hint)} is needed" if _is_plain(hint) else " ".join(str(error).split())
    return None


WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}


def _is_plain(hint: Any) -> bool:
    """Whether the annotation is a word, a number, or a choice of them."""
    return hint in WORDS or get_origin(hint) is Literal or (_is_choice(hint) and all(map(_is_plain, get_args(hint))))


def _is_choice(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(str(value) for value in get_args(hint))
    return " or ".join(_words(one) for one in get_args(hint)) if _is_choice(hint) else WORDS[hint]


def _suggest(key: str, names: list[str]) -> str:
    close = get_close_matches(key, names, n=1)
    return f"did you mean {close[0]}?" if close else f"its options are {', '.join(names) or 'none'}"
