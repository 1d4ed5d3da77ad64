"""Explains a command line that does not compose, with a remedy; Hydra only says how to add words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from seg_al.running.groups import GROUPS, flat
from seg_al.running.nearest_names import meant
from seg_al.running.option_files import mistake_of, option_of, options_in

EXTRAS = {
    "ray_local": ("hydra_ray_launcher", "ray"),
    "slurm": ("hydra_submitit_launcher", "slurm"),
    "local_processes": ("hydra_submitit_launcher", "slurm"),
}
"""Hydra's plugin for each launcher in conf/, and the extra of this project that installs it."""


def why_not_composed(error: Exception, word: str | None, words: Sequence[str], folders: Sequence[Path]) -> str:
    """Why words do not compose, for a person; `word` is that of `words_of_hydra`, the rest those of `remedies`."""
    told = [*remedies(words, folders)]
    if unknown := re.match(r"Could not override '(.+)'", str(error)):
        absent = f"{unknown[1]} is not in the config"
        if not any(one.startswith(absent) for one in told):  # another option has it
            told.append(f"{absent}: no option that is chosen here has it")
        return "\n".join(told)
    return "\n".join([words_of_hydra(error, word), *told])


def remedies(words: Sequence[str], folders: Sequence[Path]) -> Iterator[str]:
    """Sentences about words with which the config could not be composed.

    `folders` are those of configs: conf/ first, then the user's own.
    """
    for word in words:
        key, _, name = word.partition("=")
        plugin, extra = EXTRAS.get(name, ("", ""))
        if key == "hydra/launcher" and plugin and find_spec(f"hydra_plugins.{plugin}") is None:
            yield f'{word} needs pip install -e ".[{extra}]"'
    yield from suggestions(words, folders)


def suggestions(words: Sequence[str], folders: Sequence[Path]) -> Iterator[str]:
    """A sentence per key of KEY=VALUE that is none of conf/config.yaml, a group, or a value of a chosen option.

    Where the key begins with a group, it has the nearest value of the option or all of them; else the nearest key.
    Files of options that cannot be read are named.
    """
    known = set(flat(yaml.safe_load((folders[0] / "config.yaml").read_text()))) | {*GROUPS, "experiment"}
    for group in GROUPS:
        for path in _chosen(words, folders, group):
            try:
                known |= {f"{group}.{key}" for key in flat(option_of(path, group))}
            except ValueError as error:
                yield str(error)
    for key in (
        word.partition("=")[0] for word in words if "=" in word and not word.startswith(("+", "~", "hydra", "-"))
    ):
        if key in known or any(name.startswith(f"{key}.") for name in known):
            continue
        group = key.partition(".")[0]
        own = [name for name in known if name.startswith(f"{group}.") and not name.endswith("_")] if "." in key else []
        near = meant(key, own or known, f"{group} has")
        if group in GROUPS and "." in key and not own:
            yield f"{key} is not in the config; this {group} has no values to set"
        elif own or near.startswith("did"):
            yield f"{key} is not in the config; {near}"


def _chosen(words: Sequence[str], folders: Sequence[Path], group: str) -> list[Path]:
    """The options that the words choose in a group; else its default and what chosen options bring; all in a study."""
    every = options_in(folders, group)
    if any(word.startswith(("-cn", "--config-name", "experiment=")) for word in words):
        return every
    named = [value for word in words for key, _, value in [word.partition("=")] if key == group]
    if not named:
        brings = re.compile(rf"override /{group}: *(\w+)")
        named = [str(_defaults(folders[0])[group])]
        for word in words:
            key, _, values = word.partition("=")
            paths = (folder / key / f"{value}.yaml" for folder in folders for value in values.split(","))
            named += [name for path in paths if path.is_file() for name in brings.findall(path.read_text())]
    options = {name.strip() for names in named for name in names.split(",")}
    return [path for path in every if path.stem in options] or every


def _defaults(conf: Path) -> dict[str, Any]:
    entries = yaml.safe_load((conf / "config.yaml").read_text())["defaults"]
    return {key: value for entry in entries if isinstance(entry, dict) for key, value in entry.items()}


_ABSENT = re.compile(
    r"(?:In '([^']+)': )?Could not find '([^']+)/([^'/]+)'\s+"
    r"Available options in '[^']+':\n(.*?)(?:\nConfig search|\Z)",
    re.DOTALL,
)
"""How Hydra begins where an option is not there: the config that asks for it, group, name, and what is there."""


def words_of_hydra(error: Exception, word: str | None) -> str:
    """The error message of Hydra or OmegaConf, without search paths, hints for programmers and types of objects.

    `word` is the typed word that could not be read; None: all words could be read.
    """
    if isinstance(error, RecursionError):
        return "a config holds itself: look for a file that its own list of defaults names"
    if absent := _ABSENT.match(str(error)):
        where, group, name, listed = absent.groups()
        there = listed.split()
        near = [question] if (question := meant(name, there)).startswith("did") else []
        place = "" if where in (None, "config") else f"in {where}: "
        return f"{place}{group}={name} is no option; " + "\n".join([*near, f"{group} has {', '.join(there)}"])
    said = ("" if word is None else f"{word}: ") + " ".join((str(error), str(error.__cause__ or "")))
    lines = [line.strip() for line in said.split("\nConfig search path")[0].splitlines()]
    hints = ("To append to your config", "object_type=", "reference_type=", "See https://", "Set the environment")
    return "\n".join(line for line in lines if line and not line.startswith(hints))


def misspelt(words: Sequence[str], folders: Sequence[Path], study: str | None) -> str:
    """What Hydra would answer with a traceback, a sentence each: groups without an option, and mistakes of YAML.

    Of YAML in the files that the words name. `study` is the name of a config in place of config.yaml.
    """
    if wrong := "\n".join(_without_option(words, folders)):
        return wrong
    names = [study.removesuffix(".yaml")] if study else []
    for word in words:
        key, _, values = word.partition("=")
        names += [f"{key}/{value}" for value in values.split(",") if value]
    paths = (each / f"{name}.yaml" for each in folders for name in names)
    return "\n".join(filter(None, (mistake_of(path) for path in paths if path.is_file())))


def _without_option(words: Sequence[str], folders: Sequence[Path]) -> Iterator[str]:
    for word in words:
        key, equals, value = word.partition("=")
        if equals and not key:
            yield f"{word}: before = a key is needed, as in budget=3"
        if key in GROUPS and equals and (value in ("", "null", "None") or value[0] in "[{"):
            options = ", ".join(path.stem for path in options_in(folders, key))
            yield f"{word}: choose one option, of {options}; several in turn with -m {key}=FIRST,SECOND"
