"""Writes the page of options from conf/ and docstrings while the documents are built, so that it cannot go stale."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
PLACE = "<!-- the options of conf/ -->"


@dataclass(frozen=True)
class Option:
    """One yaml of conf/: what its first comment says, or else its target's docstring, and its values."""

    name: str
    about: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Value:
    """One line of a yaml: the key with those around it, the value as written, its unit or meaning."""

    key: str
    value: str
    meaning: str


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by MkDocs for every page; that of the options names the place for them."""
    return markdown.replace(PLACE, reference()) if PLACE in markdown else markdown


def reference() -> str:
    """The root's values, then every group with its options, in the order of conf/config.yaml."""
    root = (CONF / "config.yaml").read_text()
    groups = re.findall(r"^  - (\w+): (\w+) # (.+)$", root, re.MULTILINE)
    parts = ["## Values of an experiment\n", table(read(CONF / "config.yaml").values)]
    for group, default, meaning in groups:
        if group == "experiment":
            parts.append(studies())
            continue
        parts.append(f"## {group}\n\n{sentence(meaning)} The default is `{default}`.\n")
        for path in sorted((CONF / group).glob("*.yaml")):
            option = read(path)
            parts.append(f"### {group}={option.name}\n\n{option.about}\n")
            if option.values:
                parts.append(table(option.values, f"{group}."))
    launchers = sorted((CONF / "hydra" / "launcher").glob("*.yaml"))
    parts.append("## hydra/launcher\n\nWhere the runs of a sweep run, besides `basic` and `joblib`.\n")
    for path in launchers:
        option = read(path)
        parts += [f"### hydra/launcher={option.name}\n\n{option.about}\n", table(option.values, "hydra.launcher.")]
    return "\n".join(parts)


def studies() -> str:
    """The studies of experiments/: question, command and expected result, as each file begins."""
    parts = ["## experiment\n\nA study, which chooses and changes the values above; `-m` runs all of its jobs.\n"]
    for path in sorted((ROOT / "experiments").glob("*.yaml")):
        lines = [line.removeprefix("#").removeprefix(" ") for line in path.read_text().splitlines() if line[:1] == "#"]
        parts.append("\n".join([f"### experiment={path.stem}\n\n```text", *lines, "```\n"]))
    return "\n".join(parts)


def sentence(text: str) -> str:
    """A comment as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def read(path: Path) -> Option:
    """A yaml of conf/ by its lines, as it is written there: every value has its meaning beside it."""
    about: list[str] = []
    values: list[Value] = []
    above: list[tuple[int, str]] = []  # indent and key of the blocks around a line
    for line in path.read_text().splitlines():
        if line.startswith("#") and not values and not line.startswith("# @package"):
            about.append(prose(line))
        if re.match(r" +#", line) and values:  # a comment goes on in the next line
            values[-1] = replace(values[-1], meaning=f"{values[-1].meaning} {line.strip(' #')}")
        found = re.match(r"^( *)([\w/@]+):(?: +(.*))?$", line)
        if not found or found[2] in ("defaults", "_target_", "_partial_"):
            continue
        indent, key, rest = len(found[1]), found[2], found[3] or ""
        above = [(depth, name) for depth, name in above if depth < indent]
        value, _, meaning = rest.partition(" #") if not rest.startswith("#") else ("", "", rest[1:])
        if not value.strip() and not meaning:
            above.append((indent, key))  # a block without a meaning of its own: its values have theirs
            continue
        if any(name in ("palette", "classes") for _, name in above):
            continue  # colours: the block says what they are
        full = ".".join([*(name for _, name in above), key])
        values.append(Value(full, value.strip() or "...", meaning.strip()))
        above.append((indent, key))
    target = re.search(r"^ *_target_: (seg_al\.\S+)", path.read_text(), re.MULTILINE)
    told = " ".join(about) or (docstring(target[1]) if target else "")
    return Option(path.stem, re.sub(r"\bdocs/([\w-]+)\.md", r"[\1](\1.md)", told), tuple(values))


def docstring(target: str) -> str:
    """The first paragraph of the docstring of a class or function, read without importing it."""
    module, _, name = target.rpartition(".")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    found = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name]
    text = (ast.get_docstring(found[0]) or "") if found else ""
    return escaped(" ".join(text.split("\n\n")[0].split()))


def prose(line: str) -> str:
    """A comment line; further in stands an example of yaml or a command."""
    return f"`{line.strip(' #')}`" if re.match(r"#   +\S", line) else escaped(line.lstrip("# ").rstrip())


def table(values: tuple[Value, ...], prefix: str = "") -> str:
    """A Markdown table of values; a bar within a cell is escaped."""
    rows = [f"| `{prefix}{one.key}` | `{one.value}` | {escaped(one.meaning)} |" for one in values]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows, ""])


def escaped(text: str) -> str:
    """Without what Markdown would read as a tag, a bar or emphasis."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")
