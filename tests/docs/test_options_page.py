"""The page of options holds what conf/ holds: every option, every value, with its meaning."""

from __future__ import annotations

import re
import runpy

import pytest
import yaml

from experiments import ROOT

CONF = ROOT / "conf"
PAGE = runpy.run_path(str(ROOT / "docs" / "hooks" / "options.py"))
OPTIONS = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name != "hydra")


def leaves(node: object, prefix: str = "") -> list[str]:
    """Keys of values, dotted; blocks of class names and colours count as one value."""
    if not isinstance(node, dict) or prefix.rsplit(".", 1)[-1] in ("palette", "classes"):
        return [prefix]
    inner = {key: value for key, value in node.items() if key not in ("_target_", "_partial_", "defaults")}
    return [leaf for key, value in inner.items() for leaf in leaves(value, f"{prefix}.{key}".strip("."))]


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_value_of_an_option_is_on_the_page_with_its_meaning(path) -> None:
    option = PAGE["read"](path)
    told = {value.key: value.meaning for value in option.values}
    expected = [leaf for leaf in leaves(yaml.safe_load(path.read_text())) if leaf]
    assert [key for key in expected if not told.get(key)] == []
    assert f"### {path.parent.name}={path.stem}\n" in PAGE["reference"]()


def test_every_group_is_on_the_page_and_what_markdown_would_read_is_escaped() -> None:
    page = PAGE["reference"]()
    groups = {path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"}
    assert set(re.findall(r"^## (\w+)$", page, re.MULTILINE)) - {"experiment"} == groups
    assert PAGE["escaped"]("a | b <c> *d*") == r"a \| b &lt;c> \*d\*"
