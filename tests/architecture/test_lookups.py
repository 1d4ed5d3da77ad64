"""What an object can do is told by a protocol: no module of seg_al looks it up by name, but where none can tell."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "seg_al"

REASONS = {
    "asking.memory": "which functions the C library of this system has",
    "granularities.superpixels": "whether this OpenCV is built with its extra modules",
    "predictors.layer_calls": "the state of a model is any object, and its tensors are looked for",
    "ranges": "what an annotation carries with it",
    "running.stopping": "which signals this system has",
    "tasks.objects.objects": "a data set may give its objects one by one",
    "tracking.sacred_run": "which of several streams this is",
    "tracking.signals": "which signals this system has",
}
"""Modules that look something up by name, with what no protocol of ours can tell."""


def lookups(text: str) -> list[str]:
    """Calls of hasattr, and of getattr with a default."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [
        ast.unparse(call)
        for call in calls
        if isinstance(call.func, ast.Name)
        and (call.func.id == "hasattr" or (call.func.id == "getattr" and len(call.args) == 3))
    ]


def test_no_module_looks_up_what_an_object_can_do_by_name() -> None:
    found = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): calls
        for path in sorted(PACKAGE.rglob("*.py"))
        if (calls := lookups(path.read_text()))
    }
    assert {module: calls for module, calls in found.items() if module not in REASONS} == {}


def test_the_search_finds_both_ways_of_asking_and_no_plain_reading() -> None:
    text = 'hasattr(model, "embed"); getattr(model, "task", None); getattr(self, name); model.hasattr'
    assert Counter(lookups(text)) == Counter(["hasattr(model, 'embed')", "getattr(model, 'task', None)"])
