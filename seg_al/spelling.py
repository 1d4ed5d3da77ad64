"""What was meant by words on the command line that conf/ does not have; Hydra only says how to add them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from seg_al.folder import flat


def option_of(path: Path, group: str) -> dict[str, Any]:
    """The values of an option's file; one that brings options of other groups has its own under the group's name."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content[group] if "defaults" in content else content


def suggestions(words: Sequence[str], conf: Path, groups: Sequence[str]) -> Iterator[str]:
    """A sentence per key of KEY=VALUE that is near one of conf/config.yaml, a group, or an option's value."""
    known = set(flat(yaml.safe_load((conf / "config.yaml").read_text()))) | {*groups}
    for group in groups:
        options = (option_of(path, group) for path in sorted((conf / group).glob("*.yaml")))
        known |= {f"{group}.{key}" for option in options for key in flat(option)}
    for key in (
        word.partition("=")[0] for word in words if "=" in word and not word.startswith(("+", "~", "hydra", "-"))
    ):
        parents = (name.startswith(f"{key}.") for name in known)
        if key not in known and not any(parents) and (close := get_close_matches(key, sorted(known), n=1)):
            yield f"{key} is not in the config; did you mean {close[0]}?"
