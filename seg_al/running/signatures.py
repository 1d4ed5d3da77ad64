"""Checks settings against the arguments of the classes and functions that they name, before anything is built."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from torch.optim import Optimizer
from typeguard import TypeCheckError, check_type

from seg_al.ranges import OPTIMIZER, Range, out_of, ranges_in
from seg_al.running.command_line import own_places, study_of
from seg_al.running.nearest_names import meant
from seg_al.running.roles import Role, misfit, role_of

TARGET, PARTIAL = "_target_", "_partial_"


def problems(settings: Mapping[str, Any], path: str = "", roles: Mapping[str, Role] | None = None) -> Iterator[str]:
    """What is wrong with nested settings that name a `_target_`: unknown, missing or ill-typed values, by key.

    `roles` says what the values of some keys must make. Modules are imported, but nothing is called.
    """
    if TARGET in settings:
        yield from _of_node(settings, path.removesuffix("."), None)
        return
    roles = roles or {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _of_node(value, f"{path}{key}", roles.get(key))
        elif isinstance(value, list):
            for place, node in _nodes(value, f"{path}{key}"):
                yield from _of_node(node, place, roles.get(key))
        elif key in roles:
            yield f"{path}{key}={value} is no option: one has a {TARGET}; choose a file of conf/{key}, without .yaml"


def _of_node(settings: Mapping[str, Any], path: str, role: Role | None) -> Iterator[str]:
    """`path` is empty for the root of the config."""
    prefix = f"{path}." if path else ""
    if TARGET not in settings:
        if role is not None:
            yield f"{prefix}{TARGET} is missing: it names what is made, as in conf/"
        yield from problems(settings, prefix)
        return
    try:
        target = _found(settings[TARGET])
        hints, _ = _hints(target), inspect.signature(target)
        wrong = role and (misfit(target, role) or _timing(settings, role, prefix))
    except Exception as error:  # a module of the user's own may raise any exception
        yield f"{prefix}{TARGET}={settings[TARGET]} cannot be imported: {error or type(error).__name__}"
        return
    if wrong:
        yield f"{prefix}{TARGET}={settings[TARGET]} {wrong}"
        return
    for key, value in settings.items():
        for place, node in _nodes(value, f"{prefix}{key}"):
            yield from _of_node(node, place, role_of(hints.get(key)))
    yield from _against(target, hints, settings, prefix)


def _nodes(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The outermost nodes with a `_target_` in a value, at any depth of lists and mappings."""
    if isinstance(value, Mapping) and TARGET in value:
        yield path, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _nodes(one, f"{path}.{key}")
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _nodes(one, f"{path}[{place}]")


def _timing(settings: Mapping[str, Any], role: Role, prefix: str) -> str | None:
    if bool(settings.get(PARTIAL)) is role.later:
        return None
    return f"is made {'later' if role.later else 'at once'}: set {prefix}{PARTIAL}={str(role.later).lower()}"


def _found(target: Any) -> Callable[..., Any]:
    if not isinstance(target, str):
        raise ValueError("the name of a class or function is needed, such as seg_al.heuristics.bald.BALD")
    module, _, name = target.rpartition(".")
    if module.partition(".")[0] in (*sys.stdlib_module_names, "builtins"):
        raise ValueError("it is part of Python itself, not of an experiment; name a class of seg_al or one of your own")
    if not module:
        own = _own(import_module(name)) if find_spec(name) else []
        raise ValueError(f"it has to be FILE.CLASS, such as {name}.{own[0] if own else 'MyClass'}")
    try:
        there = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # a module that the file imports
            raise
        raise ValueError(_no_module(error.name)) from None
    try:
        found: Callable[..., Any] = getattr(there, name)
    except AttributeError:
        raise ValueError(f"{module} has no {name}; {meant(name, _own(there), 'it has')}") from None
    if not callable(found):
        raise ValueError(f"it is no class or function, but {type(found).__name__}")
    return found


def _own(module: ModuleType) -> list[str]:
    """The classes and functions that a module defines."""
    made = {name: one for name, one in vars(module).items() if inspect.isclass(one) or inspect.isfunction(one)}
    return sorted(name for name, one in made.items() if one.__module__ == module.__name__ and name[0] != "_")


def _no_module(name: str) -> str:
    """What is there beside a module that is not: in its package, or in the user's own folder."""
    package, _, last = name.rpartition(".")
    if package:
        spec = find_spec(package)
        places = [] if spec is None else [*(spec.submodule_search_locations or ())]
    else:
        folder, _ = study_of(sys.argv)
        places = [] if folder is None else [str(place) for place in own_places(Path(folder))]
    if not places:
        return f"No module named '{name}'" + ("" if package else "; name the folder of your own files, as in -cd mine")
    files = sorted(path.stem for place in places for path in Path(place).glob("*.py") if path.stem != "__init__")
    return f"No module named '{last}' in {places[-1]}; {meant(last, files)}"


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a dataclass, each read in the module of the class that has the field."""
    return get_type_hints(_annotated(target))


def _annotated(target: Callable[..., Any]) -> Callable[..., Any]:
    return target.__init__ if inspect.isclass(target) and not is_dataclass(target) else target


def _ranges(target: Callable[..., Any]) -> dict[str, list[Range]]:
    """Ranges of arguments by name; those of optimizers are ours, since PyTorch's annotations state none."""
    hints = get_type_hints(_annotated(target), include_extras=True)
    ranges = {key: ranges_in(hint) for key, hint in hints.items()}
    if inspect.isclass(target) and issubclass(target, Optimizer):
        return {**ranges, **{key: [one] for key, one in OPTIMIZER.items()}}
    return ranges


def _against(
    target: Callable[..., Any], hints: Mapping[str, Any], settings: Mapping[str, Any], path: str
) -> Iterator[str]:
    given = {key: value for key, value in settings.items() if key not in (TARGET, PARTIAL)}
    parameters = inspect.signature(target).parameters
    named = {name for name, one in parameters.items() if one.kind is not inspect.Parameter.VAR_KEYWORD}
    for key in sorted(given.keys() - named):
        yield f"{path}{key} is not an option of {settings[TARGET]}; {meant(key, named, 'its options are')}"
    if not settings.get(PARTIAL):
        missing = [name for name in named if parameters[name].default is inspect.Parameter.empty and name not in given]
        yield from (f"{path}{name} is missing: {settings[TARGET]} needs it" for name in sorted(missing))
    ranges = _ranges(target)
    for key in sorted(given.keys() & hints.keys()):
        wrong = _wrong_type(given[key], hints[key]) or out_of(ranges.get(key, []), given[key])
        if wrong:
            yield f"{path}{key}={given[key]}: {wrong}"


def _wrong_type(value: Any, hint: Any) -> str | None:
    """A sentence where a plain value does not fit the annotation; nodes with a `_target_` are checked apart."""
    if any(_nodes(value, "")):
        return None
    if _is_choice(hint) and (lists := [one for one in get_args(hint) if get_origin(one) is list]):
        if isinstance(value, list):
            return next(filter(None, (_wrong_type(one, get_args(lists[0])[0]) for one in value)), None)
        hint = Union[tuple(one for one in get_args(hint) if one not in lists)]  # noqa: UP007
    value = tuple(value) if isinstance(value, list) and "tuple" in str(hint) else value
    if isinstance(value, bool) and _is_plain(hint) and bool not in (hint, *get_args(hint)):  # a number to Python
        return f"{_words(hint)} is needed, not {str(value).lower()}"
    if not isinstance(value, list | tuple) and get_origin(hint) in (list, tuple, Sequence):
        return f"a list is needed, as in [{value}]"
    if isinstance(value, float) and math.isnan(value):
        return "a number is needed, and NaN is none"
    try:
        check_type(value, hint)
    except TypeCheckError as error:
        return f"{_words(hint)} is needed" if _is_plain(hint) else " ".join(str(error).split())
    return None


TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}


def _is_plain(hint: Any) -> bool:
    """Whether the annotation is a word, a number, or a choice of them."""
    return (
        hint in TYPE_NAMES or get_origin(hint) is Literal or (_is_choice(hint) and all(map(_is_plain, get_args(hint))))
    )


def _is_choice(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(str(value) for value in get_args(hint))
    return " or ".join(_words(one) for one in get_args(hint)) if _is_choice(hint) else TYPE_NAMES[hint]
