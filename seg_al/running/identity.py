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
    "rounds", "runs", "folder", "tracking", "device", "workers", "threads", "images_at_once", "gpus", "cache",
    "gallery", "keep_weights", "share", "tags", "notes",
)  # fmt: skip
"""Settings that do not decide the numbers of a round; a run keeps its folder when they change."""
LATER: Mapping[str, Any] = {
    "schedule": None,
    "new_images": None,
    "features": {"_target_": "seg_al.features.network.NetworkFeatures"},
}
"""Settings that came later, with the value by which a run is as it was before, and keeps its folder."""


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
    decides = {key: value for key, value in settings.items() if key not in FREE and not _as_before(key, value)}
    name = "-".join((*(choices[group] for group in ("dataset", "model", "heuristic")), f"run{settings['run']}"))
    return Path(settings["folder"] or Path(settings["runs"]) / f"{name}-{identity_of(decides)[:8]}"), decides


def goes_on(then: object, now: object) -> bool:
    """Whether a list of budgets begins with another: rounds that were played are as they would be now."""
    return isinstance(then, list) and isinstance(now, list) and now[: len(then)] == then


def identity_in(folder: Path, decides: Mapping[str, Any]) -> str:
    """The identity of the run in the folder, if these settings only add budgets for further rounds; else their own."""
    if isinstance(decides.get("budget"), list):
        try:
            config = json.loads((folder / "config.json").read_text())
            then, now = config["decides"], json.loads(json.dumps(decides))
            if goes_on(then["budget"], now["budget"]) and {**then, "budget": now["budget"]} == now:
                return str(config["identity"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            pass  # what is wrong with the file is told where it is needed
    return identity_of(decides)


def _as_before(key: str, value: Any) -> bool:
    return key in LATER and bool(value == LATER[key])


def kept_config(settings: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """What the folder of a run keeps of its config."""
    written = {key: value for key, value in settings.items() if key != "phases"}  # `decides` holds them
    return {"choices": dict(choices), **written, "tracking": choices["tracking"]}
