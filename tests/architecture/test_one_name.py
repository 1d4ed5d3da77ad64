"""One name means one thing over all of seg_al; a name that two modules define stands here with its reason."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "seg_al"

REASONS: dict[str, str] = {
    **dict.fromkeys(
        ("bald", "entropy", "expected_entropy", "least_confidence", "margin", "mean_std", "mean_variance", "ripu",
         "variation_ratio", "vote_entropy", "vote_variance"),
        "a heuristic, its formula, and the slow rewrite of it that conformance.references compares it with",
    ),
    "objects": "in each room the module about objects",
    "folder": "the data set of a folder, by the name that it has in conf/, and the folder of a run",
    "labelme": "the format LabelMe, and the data set of its files by the name that it has in conf/",
    "LAWS": "in each suite of conformance, the laws that it checks",
    "writes_nothing": "a law of two suites of conformance: of models and of selectors",
    "class_maps": "what is measured and what is predicted of class maps",
}  # fmt: skip
"""Names that several modules define, each with what makes all of them one thing to a reader."""


def defined(node: ast.stmt, module: str) -> Iterator[tuple[str, str]]:
    """The names that a statement at the top of a module gives, each with what tells it from others of the same name.

    A type or a logger that two modules write in the same way is one thing; a number or a text is not.
    """
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name, module
    if isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            same = isinstance(node.value, ast.Call | ast.Subscript)
            yield from (
                (name.id, ast.unparse(node.value) if same else module) for name in names if isinstance(name, ast.Name)
            )


def several() -> dict[str, list[str]]:
    """Public names that stand for more than one thing, with the modules that define them."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if path.stem != "__init__":
            found[path.stem][module] = module
        for node in ast.parse(path.read_text()).body:
            for name, meaning in defined(node, module):
                found[name][module] = meaning
    return {name: list(by) for name, by in found.items() if len(set(by.values())) > 1 and not name.startswith("_")}


def test_a_name_is_defined_in_one_module_or_says_why_not() -> None:
    assert {name: modules for name, modules in several().items() if name not in REASONS} == {}


def test_every_reason_is_needed() -> None:
    assert sorted(set(REASONS) - set(several())) == []
