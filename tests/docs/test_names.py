"""Names in the pages are names of the program: options, keys, modules, files."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import PAGES

from experiments import ROOT

CONF = ROOT / "conf"
GROUPS = tuple(sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"))
PATTERN = "|".join((*GROUPS, "experiment"))
STUDIES = {f"experiment={path.stem}" for path in (ROOT / "experiments").glob("*.yaml")}
OWN = ROOT / "docs" / "examples" / "mine" / "conf"
CONTROLS = ROOT / "experiments" / "controls" / "conf"
"""Options of a reader's own folder, as the pages have it."""


def keys(node: Any, prefix: str) -> set[str]:
    """Dotted keys of a yaml, inner ones and those of blocks."""
    if not isinstance(node, dict):
        return {prefix}
    return {prefix}.union(*(keys(value, f"{prefix}.{key}") for key, value in node.items()))


@cache
def known_keys() -> set[str]:
    """Keys of every option of every group, with those that stand in comments as an alternative."""
    found: set[str] = set()
    for path in (*CONF.glob("*/*.yaml"), *OWN.glob("*/*.yaml")):
        node = yaml.safe_load(path.read_text()) or {}
        group = path.parent.name
        global_ = path.read_text().startswith("# @package _global_")
        for key, value in node.items() if global_ else [(group, node)]:
            found |= keys(value, key)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_option_that_a_page_names_is_in_conf(page: Path) -> None:
    named = re.findall(rf"(?<![\w./])({PATTERN})=([a-z_0-9,]+)\b(?!\()", page.read_text())
    options = {f"{group}={option}" for group, several in named for option in several.split(",")}
    files = {word: f"{word.replace('=', '/')}.yaml" for word in sorted(options)}
    lost = [word for word, file in files.items() if not any((place / file).exists() for place in (CONF, OWN, CONTROLS))]
    lost = [word for word in lost if word not in STUDIES]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_key_that_a_page_names_is_in_conf(page: Path) -> None:
    named = set(re.findall(rf"(?<![\w./]) ?((?:{PATTERN})(?:\.[a-z_]+)+)", "".join(inline(page))))
    lost = [key for key in sorted(named) if key not in known_keys() and not key.endswith(("py", "yaml", "png"))]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_module_and_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    modules = {name.rstrip(".") for name in re.findall(r"\bseg_al(?:\.[a-z_0-9]+)+", text)}
    assert [name for name in sorted(modules) if not importable(name)] == []
    files = set(re.findall(r"(?<![\w/.])((?:scripts|conf|seg_al|tests|experiments)/[\w/]+\.\w+)", text))
    assert [name for name in sorted(files) if not any((place / name).exists() for place in (ROOT, OWN.parent))] == []


def test_the_table_of_the_readme_names_every_option_of_every_group() -> None:
    rows = dict(re.findall(r"^\| (\w+) \| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE))
    missing = [
        f"{group}={path.stem}"
        for group in GROUPS
        for path in sorted((CONF / group).glob("*.yaml"))
        if f"`{path.stem}`" not in rows[group]
    ]
    assert missing == []


def test_a_run_leaves_the_files_that_the_page_lists(played: Callable[..., Path]) -> None:
    folder = played("gallery=1", "budget=2", "keep_weights=all", "tracking=file")
    block = re.findall(r"^    (\S+?)(?:, (\.png))? ", (ROOT / "docs" / "runs.md").read_text(), re.MULTILINE)
    files = {
        name for first, second in block for name in (first, f"{first.rsplit('.', 1)[0]}{second}" if second else first)
    }
    assert len(files) > 15
    assert [name for name in sorted(files) if not (folder / name).exists()] == []


def inline(page: Path) -> list[str]:
    """Code within the sentences and tables of a page."""
    return re.findall(r"`[^`\n]+`", page.read_text())


def importable(name: str) -> bool:
    """Whether it is a module, or a name within one."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
