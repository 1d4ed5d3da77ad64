"""Imports go one way: each room of seg_al/ knows only those that stand before it in ROOMS; no module is in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "seg_al"

ROOMS = (
    "core", "randomness", "ranges", "whole_files", "kept_arrays",
    "datasets.files", "predictors", "tasks.pixels", "tasks.objects", "measuring", "recording.pictures", "training",
    "tasks",
    "models", "features", "annotators.formats", "datasets", "heuristics", "granularities", "selectors", "annotators",
    "trainers", "asking", "recording", "loop", "tracking", "tracking.omniboard", "running", "results", "conformance",
)  # fmt: skip
"""From what knows nothing of the rest to what knows it all."""


def modules() -> dict[str, Path]:
    """Every module that says something, by its name below seg_al."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths if path.read_text()}


def imports(path: Path) -> Iterator[str]:
    """The modules below seg_al that a file imports, those included that only type checkers read."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seg_al":
            module = (node.module or "").removeprefix("seg_al").removeprefix(".")
            for alias in node.names:
                whole = f"{module}.{alias.name}".removeprefix(".")
                yield whole if (PACKAGE / (whole.replace(".", "/") + ".py")).exists() else module
        elif isinstance(node, ast.Import):
            yield from (one.name.removeprefix("seg_al.") for one in node.names if one.name.startswith("seg_al."))


def room_of(module: str) -> str:
    inside = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    assert inside, f"seg_al.{module} is in no room of ROOMS"
    return max(inside, key=len)


def test_imports_go_to_rooms_that_stand_before() -> None:
    wrong = [
        f"{module} -> {target}"
        for module, path in modules().items()
        if module != "__init__"
        for target in imports(path)
        if ROOMS.index(room_of(target)) > ROOMS.index(room_of(module))
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    arrows = {module: sorted(set(imports(path))) for module, path in modules().items()}
    finished: set[str] = set()

    def circle(module: str, way: tuple[str, ...]) -> tuple[str, ...]:
        if module in way:
            return (*way[way.index(module) :], module)
        if module in finished:
            return ()
        for target in arrows.get(module, ()):
            if found := circle(target, (*way, module)):
                return found
        finished.add(module)
        return ()

    assert [found for module in arrows if (found := circle(module, ()))] == []


def test_every_room_is_there() -> None:
    there = {room_of(module) for module in modules() if module != "__init__"}
    assert there == set(ROOMS)
