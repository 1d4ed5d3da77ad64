"""The settings that decide the numbers of a run, which name its folder, and those that decide its first round."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_al.running.groups import GROUPS

FREE = (
    "rounds", "runs", "folder", "tracking", "device", "workers", "threads", "gpus", "cache", "gallery",
    "keep_weights", "share", "tags", "notes",
)  # fmt: skip
"""Settings that do not decide the numbers of a round; a run keeps its folder when they change."""


def identity_of(settings: Mapping[str, Any]) -> str:
    """A hash of the settings that decide the numbers; the order of keys does not matter."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def folder_of_run(settings: Mapping[str, Any], choices: Mapping[str, str]) -> tuple[Path, dict[str, Any]]:
    """The folder of the run, and the settings that decide its numbers, which name it.

    Raises ValueError for an option that is no plain name, as it would put the folder elsewhere.
    """
    for group in GROUPS:
        if not re.fullmatch(r"[\w.-]+", choices[group]) or choices[group].startswith("."):
            raise ValueError(
                f"{group}={choices[group]}: an option is the name of a file in a folder {group}/, without a path; name "
                "the folder above it by -cd FOLDER, or hydra.searchpath=[FOLDER]"
            )
    decides = {key: value for key, value in settings.items() if key not in FREE}
    name = "-".join((*(choices[group] for group in ("dataset", "model", "heuristic")), f"run{settings['run']}"))
    return Path(settings["folder"] or Path(settings["runs"]) / f"{name}-{identity_of(decides)[:8]}"), decides


def kept_config(settings: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """What the folder of a run keeps of its config."""
    return {"choices": dict(choices), **settings, "tracking": choices["tracking"]}
